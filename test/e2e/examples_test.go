package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestWeb: nginx and php-fpm start in order, and docker stop lets a request that is
// under way end.
func TestWeb(t *testing.T) {
	t.Parallel()
	c := run(t, exampleImage(t, "web"), nil)
	c.answers(80, "/", "answered after 0 s")
	log := c.log()
	inOrder(t, log, "php-fpm: started", "nginx: started")
	body := make(chan string, 1)
	go func() {
		text, err := c.get(80, "/?seconds=3")
		if err != nil {
			text = err.Error()
		}
		body <- text
	}()
	c.eventually("the request under way", func() bool {
		out, _ := c.exec("sh", "-c", "for f in /proc/[0-9]*/net/unix; do grep -c php8.2-fpm.sock $f; break; done")
		return atoi(t, firstLine(out)) > 1
	})
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
	if got := <-body; got != "answered after 3 s\n" {
		t.Errorf("the request under way got %q\n%s", got, c.log())
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// TestDatabase: postgresql, then the migration, then the application; the stop goes
// the other way, and postgresql says itself that it was clean.
func TestDatabase(t *testing.T) {
	t.Parallel()
	c := run(t, exampleImage(t, "database"), nil)
	c.logHas("visit noted")
	inOrder(t, c.log(), "postgresql: started", "migrate: started", "app: started")
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
	// Of one stream: Docker reads stdout and stderr side by side.
	stdout, stderr := c.logs()
	inOrder(t, stderr, "app: stopped", "received fast shutdown request", "database system is shut down")
	// It has asked the database for the number.
	if !regexp.MustCompile(`closing after [1-9]`).MatchString(stdout) {
		t.Errorf("the application has not closed\n%s", stdout)
	}
	if _, after, _ := strings.Cut(c.log(), "stopping: "); strings.Contains(after, "KILL") {
		t.Errorf("something was killed\n%s", c.log())
	}
	// What a second start finds.
	c.docker("start", c.name)
	c.eventually("a second run", func() bool { return strings.Count(c.log(), "app: started") == 2 })
	if _, again, _ := strings.Cut(c.log(), "database system is shut down"); strings.Contains(again, "not properly shut down") {
		t.Errorf("postgresql had to recover\n%s", c.log())
	}
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after the second docker stop, want 0\n%s", status, c.log())
	}
}

// TestLegacy: an /etc/init in the style of Ubuntu 14.04, host jobs and all.
func TestLegacy(t *testing.T) {
	t.Parallel()
	c := run(t, exampleImage(t, "legacy"), nil)
	for _, job := range []string{"rsyslog", "cron", "redis-server"} {
		pid := c.ready(job)
		name, _ := c.exec("cat", "/proc/"+itoa(pid)+"/comm")
		if !strings.HasPrefix(strings.ReplaceAll(job, "rsyslog", "rsyslogd"), strings.TrimSpace(name)) {
			t.Errorf("the process of %s is %s", job, name)
		}
	}
	c.logHas("tty1")
	if out, _ := c.exec("redis-cli", "ping"); strings.TrimSpace(out) != "PONG" {
		t.Errorf("redis-cli ping: %s", out)
	}
	if out, status := c.exec("logger", "-t", "test", "hello rsyslog"); status != 0 {
		t.Errorf("logger: %s", out)
	}
	c.eventually("a line in the system log", func() bool {
		out, _ := c.exec("grep", "-h", "-c", "hello rsyslog", "/var/log/syslog")
		return strings.TrimSpace(out) == "1"
	})
	// cron has the container's redis within its reach at the next full minute.
	deadline := time.Now().Add(patience)
	for {
		if out, _ := c.exec("redis-cli", "get", "minutes"); strings.TrimSpace(out) != "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("cron has run nothing\n%s", c.log())
		}
		<-time.After(time.Second)
	}
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
}
