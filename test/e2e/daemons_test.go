package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"tend/test/need"
)

// daemonsImage is Debian with tend and the daemons of this file.
func daemonsImage(t testing.TB) string {
	t.Helper()
	jobsImage(t)
	return dockerBuild(t, "tend-test/daemons", need.Root()+"/test/e2e/images", "-f", need.Root()+"/test/e2e/images/daemons", "--network", "host")
}

// daemon is a program that may put itself into the background.
type daemon struct {
	name       string
	background string // stanzas that run it as a daemon
	foreground string // and as it is to be run without expect
	pidFile    string // where it notes its own pid
	comm       string
	// slow says that in the foreground it starts no process, which is no sign of
	// anything before 90 s have passed.
	slow bool
}

// afterCommands runs other commands, alone, in pipelines and in the background, before
// what follows.
const afterCommands = "for i in 1 2 3; do ls / | cat; id; done >/dev/null\n(true)\ntrue &\nwait\n"

var daemons = []daemon{
	{name: "nginx", comm: "nginx", pidFile: "/run/nginx.pid", background: "exec nginx", foreground: "exec nginx -g 'daemon off;'"},
	// Where its parent is PID 1 and it leads a session, sshd takes itself for a daemon
	// already.
	{name: "sshd", comm: "sshd", pidFile: "/run/sshd.pid", slow: true,
		background: "pre-start exec mkdir -p /run/sshd\nscript\n/usr/sbin/sshd\nend script", foreground: "pre-start exec mkdir -p /run/sshd\nexec /usr/sbin/sshd -D"},
	{name: "cron", comm: "cron", pidFile: "/run/crond.pid", background: "exec cron", foreground: "exec cron -f", slow: true},
	{name: "rsyslog", comm: "rsyslogd", pidFile: "/run/rsyslogd.pid", background: "exec rsyslogd", foreground: "exec rsyslogd -n -i /run/rsyslogd.pid", slow: true},
	{name: "memcached", comm: "memcached", pidFile: "/tmp/memcached.pid", slow: true,
		background: "exec memcached -d -u memcache -P /tmp/memcached.pid", foreground: "exec memcached -u memcache -P /tmp/memcached.pid"},
	{name: "redis", comm: "redis-server", pidFile: "/tmp/redis.pid", slow: true,
		background: "exec redis-server --daemonize yes --pidfile /tmp/redis.pid", foreground: "exec redis-server --daemonize no --pidfile /tmp/redis.pid"},
	{name: "commands", comm: "memcached", pidFile: "/tmp/commands.pid",
		background: "script\n" + afterCommands + "memcached -d -u memcache -p 11333 -P /tmp/commands.pid\nend script",
		foreground: "script\n" + afterCommands + "exec memcached -u memcache -p 11333 -P /tmp/commands.pid\nend script"},
}

// noted is the pid that a daemon has noted, if it lives.
func (c *container) noted(d daemon) int {
	c.t.Helper()
	out, _ := c.exec("sh", "-c", fmt.Sprintf("p=$(cat %s) && echo $p $(cat /proc/$p/comm)", d.pidFile))
	var pid int
	var comm string
	if n, _ := fmt.Sscan(out, &pid, &comm); n < 2 || comm != d.comm {
		return 0
	}
	return pid
}

// follows waits until the job runs and its process is the daemon. Nothing else has to
// happen within a time, but a process that does nothing is waited for by tend.
func (c *container) follows(d daemon) int {
	c.t.Helper()
	var state string
	var pid, noted int
	for deadline := time.Now().Add(2 * patience); state != "start/running" || pid != noted || pid == 0; <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) || !c.running() {
			c.t.Fatalf("%s is %s with process %d, the daemon is %d\n%s", d.name, state, pid, noted, c.log())
		}
		state, pid = c.status(d.name)
		noted = c.noted(d)
	}
	return pid
}

var advice = regexp.MustCompile(`main process \d+ .*; expect (\w+) fits, not expect (\w+)`)

// wantAdvice fails the test unless the log has just the right warning about a job.
func (c *container) wantAdvice(job, fits, declared string) {
	c.t.Helper()
	var got []string
	for line := range strings.Lines(c.log()) {
		if found := advice.FindStringSubmatch(line); found != nil && strings.HasPrefix(line, "tend | "+job+": ") {
			got = append(got, found[1]+" not "+found[2])
		}
	}
	want := []string{}
	if fits != "" {
		want = append(want, fits+" not "+declared)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		c.t.Errorf("warnings about %s: %q, want %q\n%s", job, got, want, c.log())
	}
}

// TestDaemons: real daemons under each declaration. The process that lives is followed,
// start and stop answer, nothing that runs is killed, one warning names what fits.
func TestDaemons(t *testing.T) {
	for _, tt := range []struct {
		name, stanzas string
		declared      string
		foreground    bool
		fits          string // "" when the declaration is right
	}{
		{name: "fork", stanzas: "expect fork\nrespawn\n", declared: "fork"},
		{name: "daemon for one fork", stanzas: "expect daemon\nrespawn\n", declared: "daemon", fits: "fork"},
		{name: "none for a fork", stanzas: "respawn\n", declared: "none", fits: "fork"},
		{name: "none", foreground: true, stanzas: "respawn\n", declared: "none"},
		{name: "fork for none", foreground: true, stanzas: "expect fork\nrespawn\n", declared: "fork", fits: "none"},
		{name: "daemon for none", foreground: true, stanzas: "expect daemon\n", declared: "daemon", fits: "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			jobs, run := map[string]string{}, []daemon{}
			for _, d := range daemons {
				main := d.background
				if tt.foreground {
					main = d.foreground
				}
				if tt.foreground && d.slow && tt.fits != "" && !need.All() {
					continue
				}
				run = append(run, d)
				jobs[d.name+".conf"] = "start on filesystem\n" + tt.stanzas + main + "\n"
			}
			c := startDaemons(t, jobs)
			for _, d := range run {
				c.follows(d)
				c.wantAdvice(d.name, tt.fits, tt.declared)
			}
			for _, d := range run {
				c.stopsAndStarts(d, tt.foreground && d.slow && tt.fits != "")
				c.wantAdvice(d.name, tt.fits, tt.declared)
			}
			c.wantQuietEnd()
		})
	}
}

// TestDaemonThatForksTwice: dnsmasq makes a second fork after it has got a session, so that
// expect daemon is right for it and each other declaration is answered by that word.
func TestDaemonThatForksTwice(t *testing.T) {
	t.Parallel()
	fits := map[string]string{"daemon": "", "fork": "daemon", "none": "daemon"}
	jobs, run := map[string]string{}, map[string]daemon{}
	for declared := range fits {
		d := daemon{name: "dns-" + declared, comm: "dnsmasq", pidFile: "/tmp/" + declared + ".pid"}
		jobs[d.name+".conf"] = "start on filesystem\nrespawn\nexpect " + declared + "\nexec dnsmasq --port=0 --conf-file=/dev/null --user=root --pid-file=" + d.pidFile + "\n"
		run[declared] = d
	}
	jobs["dns-none.conf"] = strings.Replace(jobs["dns-none.conf"], "expect none\n", "", 1)
	c := startDaemons(t, jobs)
	for declared, d := range run {
		c.follows(d)
		c.wantAdvice(d.name, fits[declared], declared)
		c.stopsAndStarts(d, false)
		c.wantAdvice(d.name, fits[declared], declared)
	}
	c.wantQuietEnd()
}

func startDaemons(t *testing.T, jobs map[string]string, options ...string) *container {
	t.Helper()
	return run(t, daemonsImage(t), mount(t, jobs, options...))
}

// stopsAndStarts stops a job, looks for what is left of it, and starts it again.
func (c *container) stopsAndStarts(d daemon, slow bool) {
	c.t.Helper()
	old := c.noted(d)
	if out, status := c.exec("/sbin/initctl", "stop", d.name); status != 0 || out != d.name+" stop/waiting\n" {
		c.t.Errorf("stop %s: status %d, %s\n%s", d.name, status, out, c.log())
	}
	if out, _ := c.exec("sh", "-c", fmt.Sprintf("for p in /proc/[0-9]*; do read -r s <$p/stat && set -- $s && [ $6 = %d ] && echo $s; done", old)); out != "" {
		c.t.Errorf("stop %s has left:\n%s", d.name, out)
	}
	args := []string{"start", d.name}
	if slow {
		args = []string{"start", "--no-wait", d.name}
	}
	if out, status := c.exec(append([]string{"/sbin/initctl"}, args...)...); status != 0 {
		c.t.Errorf("start %s: status %d, %s\n%s", d.name, status, out, c.log())
	}
	if slow {
		return
	}
	if again := c.follows(d); again == old {
		c.t.Errorf("%s has process %d still", d.name, again)
	}
}

// wantQuietEnd stops the container; nothing may have been killed or lost before.
func (c *container) wantQuietEnd() {
	c.t.Helper()
	log := c.log()
	for _, sign := range []string{"killed by", "KILL", "respawn", "failed"} {
		if strings.Contains(log, "tend | ") && regexp.MustCompile(`(?m)^tend \| .*`+sign).MatchString(log) {
			c.t.Errorf("the log tells of %q\n%s", sign, log)
		}
	}
	if zombies := c.zombies(); len(zombies) > 0 {
		c.t.Errorf("zombies %q", zombies)
	}
	if status := c.stop(); status != 0 {
		c.t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
	if _, after, _ := strings.Cut(c.log(), "stopping: "); strings.Contains(after, "KILL") {
		c.t.Errorf("something was killed\n%s", c.log())
	}
}

// TestDaemonNotWatched: a service without respawn that becomes a daemon and does not
// say so has ended, as in Upstart. The daemon goes on, and one warning says so.
func TestDaemonNotWatched(t *testing.T) {
	t.Parallel()
	jobs := map[string]string{}
	for _, d := range daemons {
		jobs[d.name+".conf"] = "start on filesystem\n" + d.background + "\n"
	}
	c := startDaemons(t, jobs)
	for _, d := range daemons {
		c.eventually(d.name, func() bool { state, _ := c.status(d.name); return state == "stop/waiting" && c.noted(d) != 0 })
		c.wantAdvice(d.name, "fork", "none")
	}
	c.wantQuietEnd()
}

// boundDaemon is a daemon that binds a port for which its user has no right but by the
// capability of its program's file.
const boundDaemon = `start on filesystem
expect fork
setuid www-data
exec perl-bind -MIO::Socket::INET -MPOSIX -e 'fork and exit 0; setsid; IO::Socket::INET->new(LocalPort => 80, Listen => 5) or die "bind: $!\n"; $| = 1; print "bound\n"; sleep 1000'
`

// TestUntraced: a program keeps the capabilities of its file under expect fork, which it
// would not if it were traced; and where tracing is denied, nothing changes.
func TestUntraced(t *testing.T) {
	for name, options := range map[string][]string{
		"allowed": nil,
		"denied":  {"--security-opt", seccomp(t, "ptrace", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			jobs := map[string]string{"bound.conf": boundDaemon}
			run := []daemon{}
			for _, d := range daemons {
				if d.name == "nginx" {
					continue // it has the port
				}
				run = append(run, d)
				jobs[d.name+".conf"] = "start on filesystem\nexpect fork\n" + d.background + "\n"
			}
			c := startDaemons(t, jobs, append([]string{"--sysctl", "net.ipv4.ip_unprivileged_port_start=1024"}, options...)...)
			pid := c.ready("bound")
			c.eventually("the port", func() bool { return regexp.MustCompile(`(?m)^bound +\| bound$`).MatchString(c.log()) })
			out, _ := c.exec("sed", "-n", "s/^CapEff:.*\\(....\\)$/\\1/p; s/^Uid:\\t\\([0-9]*\\).*/\\1/p; s/^TracerPid:\\t//p", fmt.Sprintf("/proc/%d/status", pid))
			if got := strings.Fields(out); len(got) != 3 || got[0] != "0" || got[1] == "0" || got[2] != "0400" {
				t.Errorf("tracer, user and capabilities of the daemon: %q\n%s", got, c.log())
			}
			for _, d := range run {
				c.follows(d)
				c.wantAdvice(d.name, "", "")
			}
			if strings.Contains(c.log(), "trace") {
				t.Errorf("the log speaks of tracing\n%s", c.log())
			}
			c.wantQuietEnd()
		})
	}
}
