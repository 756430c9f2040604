package e2e

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSample runs the two sample job files, byte for byte, through the life of a
// container.
func TestSample(t *testing.T) {
	c := run(t, exampleImage(t, "sample"), nil)
	c.answers(80, "/", "nginx")
	hello := c.answers(8080, "/", "in /vagrant")

	master := c.ready("nginx")
	if file, _ := c.exec("cat", "/run/nginx.pid"); strings.TrimSpace(file) != fmt.Sprint(master) {
		t.Errorf("nginx's job has process %d, nginx itself says %s", master, file)
	}
	server := c.ready("naievehttpserver")
	if !strings.Contains(hello, fmt.Sprintf("process %d ", server)) {
		t.Errorf("naievehttpserver's job has process %d, it says itself %q", server, hello)
	}

	t.Run("a killed nginx comes back", func(t *testing.T) {
		c.t = t
		c.kill(master)
		again := master
		c.eventually("another master", func() bool {
			file, _ := c.exec("cat", "/run/nginx.pid")
			state, pid := c.status("nginx")
			again = pid
			return state == "start/running" && pid != master && strings.TrimSpace(file) == fmt.Sprint(pid)
		})
		master = again
		c.answers(80, "/", "nginx")
	})
	t.Run("a killed server comes back", func(t *testing.T) {
		c.t = t
		c.kill(server)
		c.eventually("another server", func() bool {
			state, pid := c.status("naievehttpserver")
			return state == "start/running" && pid != server
		})
		_, server = c.status("naievehttpserver")
		c.answers(8080, "/", fmt.Sprintf("process %d ", server))
	})
	t.Run("reload keeps the process", func(t *testing.T) {
		c.t = t
		if out, status := c.exec("reload", "nginx"); status != 0 {
			t.Errorf("reload: %s", out)
		}
		if _, pid := c.status("nginx"); pid != master {
			t.Errorf("nginx's job has process %d after reload, want %d", pid, master)
		}
		c.answers(80, "/", "nginx")
	})
	t.Run("restart gives another", func(t *testing.T) {
		c.t = t
		if out, status := c.exec("restart", "nginx"); status != 0 {
			t.Errorf("restart: %s", out)
		}
		if again := c.ready("nginx"); again == master {
			t.Errorf("nginx's job has process %d still", again)
		}
		c.answers(80, "/", "nginx")
	})
	t.Run("orphans are reaped", func(t *testing.T) {
		c.t = t
		for range 5 {
			c.exec("sh", "-c", "(sleep 0.1 & exit 0); exit 0")
		}
		c.eventually("no zombie", func() bool { return len(c.zombies()) == 0 })
	})
	t.Run("killed past its limit it stops and the other goes on", func(t *testing.T) {
		c.t = t
		// One program does it all: the limit is ten in five seconds.
		c.exec("sh", "-c", `for i in $(seq 400); do
			set -- $(initctl status naievehttpserver)
			case $2 in stop/waiting) exit;; esac
			[ -z "$4" ] || kill -9 "$4" || :
		done`)
		if state, _ := c.status("naievehttpserver"); state != "stop/waiting" {
			t.Fatalf("naievehttpserver is %s\n%s", state, c.log())
		}
		if n := strings.Count(c.log(), "respawning too fast"); n != 1 {
			t.Errorf("%d lines about the limit, want 1\n%s", n, c.log())
		}
		c.answers(80, "/", "nginx")
	})
	c.t = t
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
	_, after, found := strings.Cut(c.log(), "stopping: ")
	if !found || strings.Contains(after, "KILL") {
		t.Errorf("the stop was not clean\n%s", c.log())
	}
}

// TestSampleRestricted: with what is taken away, whatever can be started is, and
// one line says what cannot.
func TestSampleRestricted(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options []string
		up      string // a job that must run; empty when none can
		says    string // in the log
	}{
		// There is no other interface than lo, so nothing is ever up.
		{"no network", []string{"--network", "none"}, "", "net-device-up"},
		{"another init", []string{"--init"}, "nginx", "started"},
		{"a read-only root", []string{"--read-only"}, "naievehttpserver", "nginx"},
		{"another user", []string{"--user", "12345"}, "naievehttpserver", "nginx"},
		{"no capabilities", []string{"--cap-drop", "ALL"}, "naievehttpserver", "nginx"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := run(t, exampleImage(t, "sample"), append(tt.options, "-e", "PORT=8080"))
			if tt.up == "" {
				c.logHas(tt.says)
			} else {
				c.ready(tt.up)
				c.logHas(tt.says)
			}
			want := 0
			if got := c.stop(); tt.up != "" && got != want {
				t.Errorf("status %d after docker stop, want %d\n%s", got, want, c.log())
			}
		})
	}
}

// TestStubbornJob: docker stop ends inside its own ten seconds although a job
// ignores TERM and has a long kill timeout; Docker's KILL would give status 137.
func TestStubbornJob(t *testing.T) {
	t.Parallel()
	c := run(t, jobsImage(t), mount(t, map[string]string{
		"stubborn.conf": "start on filesystem\nkill timeout 1000\nscript\ntrap '' TERM\necho up\nwhile :; do sleep 0.1; done\nend script\n",
		"web.conf":      "start on filesystem\nexec sleep 1000\n",
	}))
	c.logHas("stubborn | up")
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
	if _, after, _ := strings.Cut(c.log(), "stopping: "); !strings.Contains(after, "stubborn") {
		t.Errorf("the log does not name the job that used the time\n%s", c.log())
	}
}

// BenchmarkDockerStop reports how long docker stop takes for the sample image, and
// for the same image with only nginx under tini.
func BenchmarkDockerStop(b *testing.B) {
	for _, bb := range []struct {
		name  string
		image func(testing.TB) string
	}{
		{"tend", func(t testing.TB) string { return exampleImage(t, "sample") }},
		{"tini", tiniImage},
	} {
		b.Run(bb.name, func(b *testing.B) {
			image := bb.image(b)
			var times []time.Duration
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				c := run(b, image, nil)
				c.answers(80, "/", "nginx")
				b.StartTimer()
				began := time.Now()
				if out, err := exec.Command("docker", "stop", c.name).CombinedOutput(); err != nil {
					b.Fatalf("docker stop: %v\n%s", err, out)
				}
				times = append(times, time.Since(began))
				b.StopTimer()
				if status := c.inspect("{{.State.ExitCode}}"); status != "0" {
					b.Errorf("status %s after docker stop\n%s", status, c.log())
				}
			}
			b.ReportMetric(median(times).Seconds()*1000, "ms/stop-median")
		})
	}
}

func median(times []time.Duration) time.Duration {
	sorted := append([]time.Duration(nil), times...)
	for i := range sorted {
		for j := i; j > 0 && sorted[j] < sorted[j-1]; j-- {
			sorted[j], sorted[j-1] = sorted[j-1], sorted[j]
		}
	}
	return sorted[len(sorted)/2]
}

// atoi reads a number that must be one.
func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
