package ns

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
	"tend/test/tty"
)

// deaf is a job that only KILL ends.
const deaf = "start on startup\n" + forever + "script\ntrap '' TERM\necho up >@T@/up\nwhile :; do sleep 0.1; done\nend script\n"

// onTerminal makes a terminal the controlling one of tend's session.
func onTerminal(term *tty.Terminal, c config) config {
	c.attr = func(a *syscall.SysProcAttr) { a.Setpgid, a.Setsid, a.Setctty, a.Ctty = false, true, true, 0 }
	c.stdin, c.stdout = term.Other, term.Other
	c.prefix = []string{"/bin/sh", "-c", `exec "$@" 2>&1`, "sh"}
	return c
}

// TestSecondInterrupt: on a terminal a second INT kills everything at once, and the
// first says so.
func TestSecondInterrupt(t *testing.T) {
	term := tty.Open(t)
	ct := start(t, onTerminal(term, config{
		jobs: map[string]string{"deaf.conf": deaf}, args: []string{"--stop-timeout", "100000"},
	}))
	term.Other.Close()
	ct.file("up")
	term.Type("\x03")
	term.Expect("stopping: INT received, 100000 s left; 1 job; once more to kill everything now")
	term.Type("\x03")
	term.Expect("killing everything now")
	if got := ct.wait(); got != 0 {
		t.Errorf("status %d, want 0; the terminal shows %q", got, term.Screen())
	}
}

// TestRepeatedInterrupt: without a terminal a second INT is a repeat like any other.
func TestRepeatedInterrupt(t *testing.T) {
	ct := start(t, config{jobs: map[string]string{"deaf.conf": deaf}, args: []string{"--stop-timeout", "2"}})
	ct.file("up")
	ct.signal(unix.SIGINT)
	ct.errHas("stopping: INT received, 2 s left; 1 job\n")
	ct.signal(unix.SIGINT)
	ct.errHas("already stopping: INT received, ")
	if got := ct.wait(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
	if strings.Contains(ct.err.String(), "everything now") {
		t.Errorf("the second INT has killed\n%s", ct.dump())
	}
}

// TestHangupOfTheTerminal: started by hand, tend stops when its terminal goes.
func TestHangupOfTheTerminal(t *testing.T) {
	term := tty.Open(t)
	ct := start(t, onTerminal(term, config{jobs: map[string]string{"web.conf": service}, shared: true}))
	term.Other.Close()
	term.Expect("web: started")
	ct.signal(unix.SIGHUP)
	term.Expect("stopping: HUP received (the terminal has gone)")
	if got := ct.wait(); got != 0 {
		t.Errorf("status %d, want 0; the terminal shows %q", got, term.Screen())
	}
}

// TestEventsOfStopSignals: INT and PWR have events of their own, which come before the
// stop where a job waits for them.
func TestEventsOfStopSignals(t *testing.T) {
	for _, tt := range []struct {
		event string
		sig   unix.Signal
	}{{"control-alt-delete", unix.SIGINT}, {"power-status-changed", unix.SIGPWR}} {
		t.Run(tt.event, func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{jobs: map[string]string{
				"web.conf":  service,
				"note.conf": "start on " + tt.event + "\ntask\nexec sh -c 'echo $UPSTART_EVENTS >@T@/note'\n",
			}})
			ct.errHas("web: started")
			ct.signal(tt.sig)
			if got := ct.wait(); got != 0 {
				t.Errorf("status %d, want 0\n%s", got, ct.dump())
			}
			if text, err := os.ReadFile(filepath.Join(ct.dir, "note")); err != nil || string(text) != tt.event+"\n" {
				t.Errorf("the job's events were %q (%v), want %s\n%s", text, err, tt.event, ct.dump())
			}
		})
	}
}

// TestJobsOfTheStop: tasks for a stop's own events run while it lasts, and nothing else
// starts. A stop on that names them does not decide when a job stops, but tells it why.
func TestJobsOfTheStop(t *testing.T) {
	note := func(on, name string) string {
		return "start on " + on + "\ntask\nexec sh -c 'echo " + name + " >>@T@/notes'\n"
	}
	ct := start(t, config{jobs: map[string]string{
		"db.conf":       "start on startup\nstop on runlevel [016]\nexec sleep 1000\npost-stop exec sh -c 'echo db $UPSTART_STOP_EVENTS >>@T@/notes'\n",
		"app.conf":      "start on started db\nexec sleep 1000\npost-stop exec sh -c 'sleep 0.2; echo app >>@T@/notes'\n",
		"level.conf":    note("runlevel RUNLEVEL=0", "level"),
		"shut.conf":     note("shutdown", "shut"),
		"stopped.conf":  note("stopped app", "stopped"),
		"network.conf":  note("deconfiguring-networking", "network"),
		"service.conf":  "start on runlevel [06]\nexec sh -c 'echo service >>@T@/notes; exec sleep 1000'\n",
		"respawn.conf":  "start on startup\nrespawn\nexec sh -c 'echo respawned >>@T@/notes; exec sleep 1000'\n",
		"unwanted.conf": "start on stopped respawn\nexec sh -c 'echo unwanted >>@T@/notes; exec sleep 1000'\n",
	}})
	ct.errHas("app: started")
	ct.file("notes")
	if got := ct.stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
	text, err := os.ReadFile(filepath.Join(ct.dir, "notes"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"level", "shut", "stopped", "app", "db runlevel", "respawned"} {
		if n := strings.Count("\n"+string(text), "\n"+line+"\n"); n != 1 {
			t.Errorf("%d lines %q, want one\n%s", n, line, text)
		}
	}
	for _, line := range []string{"network", "service", "unwanted"} {
		if strings.Contains(string(text), line) {
			t.Errorf("%s was started in the stop\n%s", line, text)
		}
	}
	if strings.Index(string(text), "db runlevel") < strings.Index(string(text), "app") {
		t.Errorf("db has stopped before app\n%s", text)
	}
}

// TestStartInStop: a client's start is refused while the container stops.
func TestStartInStop(t *testing.T) {
	ct := start(t, config{args: []string{"--stop-timeout", "100000"}, jobs: map[string]string{
		"slow.conf":  "start on startup\npre-stop script\nwhile [ ! -e @T@/go ]; do sleep 0.05; done\nend script\nexec sleep 1000\n",
		"other.conf": "exec sleep 1000\n",
	}})
	ct.errHas("slow: started")
	ct.signal(unix.SIGTERM)
	ct.errHas("stopping: TERM received")
	if out, status := ct.ctl("start", "other"); status == 0 || !strings.Contains(out, "shutting down") {
		t.Errorf("start in a stop: status %d, %q", status, out)
	}
	if err := os.WriteFile(filepath.Join(ct.dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := ct.wait(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
}

// TestOrphansOfTheStop: what is nobody's any more gets TERM when the jobs have stopped,
// and KILL when that does not end it.
func TestOrphansOfTheStop(t *testing.T) {
	leave := func(trap string) string {
		return "start on startup\ntask\nscript\nsetsid sh -c 'trap \"" + trap + "\" TERM; echo up >@T@/up; while :; do sleep 0.1; done' >/dev/null 2>&1 &\nend script\n"
	}
	t.Run("ends", func(t *testing.T) {
		ct := start(t, config{jobs: map[string]string{"web.conf": service, "leave.conf": leave("echo clean >@T@/clean; exit 0")}})
		ct.file("up")
		ct.errHas("leave: finished")
		ct.errHas("web: started")
		if got := ct.stop(); got != 0 {
			t.Errorf("status %d, want 0\n%s", got, ct.dump())
		}
		if _, err := os.Stat(filepath.Join(ct.dir, "clean")); err != nil {
			t.Errorf("the orphan was not asked to end: %v\n%s", err, ct.dump())
		}
	})
	t.Run("does not end", func(t *testing.T) {
		ct := start(t, config{jobs: map[string]string{"web.conf": service, "leave.conf": leave("")}, args: []string{"--stop-timeout", "2"}})
		ct.file("up")
		ct.errHas("leave: finished")
		ct.errHas("web: started")
		if got := ct.stop(); got != 0 {
			t.Errorf("status %d, want 0\n%s", got, ct.dump())
		}
		if log := ct.err.String(); !strings.Contains(log, "after TERM, sending KILL: sh (") {
			t.Errorf("the log does not say what is killed\n%s", ct.dump())
		}
	})
}

// TestUndyingProcess: a process that not even KILL ends, frozen by the freezer of
// version 1, is named, and tend leaves at its deadline while that process is still
// there. (As PID 1 it could not: the kernel waits for all of the namespace.)
func TestUndyingProcess(t *testing.T) {
	group := fmt.Sprintf("/sys/fs/cgroup/freezer/tend-ns-%d", os.Getpid())
	if err := os.Mkdir(group, 0o755); err != nil {
		need.Skip(t, "%v", err)
	}
	set := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(group, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mark := fmt.Sprintf("TEST_MARK_%d=undying", os.Getpid())
	ct := start(t, config{shared: true, env: []string{mark}, args: []string{"--stop-timeout", "3"}, jobs: map[string]string{
		"stuck.conf": "start on startup\nkill timeout 1\nscript\necho $$ >@T@/pid\nexec sleep 1000\nend script\n",
		"other.conf": "start on startup\nexec sleep 1000\npost-stop exec sh -c 'echo clean >@T@/clean'\n",
	}})
	ct.errHas("other: started")
	pid := strings.TrimSpace(ct.file("pid"))
	set("cgroup.procs", pid)
	set("freezer.state", "FROZEN")
	t.Cleanup(func() {
		set("freezer.state", "THAWED")
		for end := time.Now().Add(patience); os.Remove(group) != nil && time.Now().Before(end); {
			pause()
		}
	})
	if got := ct.stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
	if left := marked(mark); len(left) != 1 || fmt.Sprint(left[0]) != pid {
		t.Errorf("%v are left, want the frozen %s\n%s", left, pid, ct.dump())
	}
	log := ct.err.String()
	if !strings.Contains(log, "stuck: sending KILL signal to main process ("+pid+")\n") {
		t.Errorf("the log does not say that the process has been killed\n%s", log)
	}
	if !strings.Contains(log, "stuck: main process ("+pid+") survived KILL: state ") && !strings.Contains(log, "stuck: main process ("+pid+") does not end after KILL; going on without it\n") {
		t.Errorf("the log does not say that it has survived\n%s", log)
	}
	if after, ok := lastSeconds(log); !ok || after < 3 {
		t.Errorf("tend did not wait until its deadline of 3 s\n%s", log)
	}
	if text, err := os.ReadFile(filepath.Join(ct.dir, "clean")); err != nil || string(text) != "clean\n" {
		t.Errorf("the other job has not stopped as it should: %q (%v)\n%s", text, err, log)
	}
}

// lastSeconds returns how long the stop has taken, as tend says itself.
func lastSeconds(log string) (float64, bool) {
	_, text, ok := strings.Cut(log, "stopped in ")
	text, _, _ = strings.Cut(text, " s")
	n, err := strconv.ParseFloat(text, 64)
	return n, ok && err == nil
}

// TestStopSignalOfTheCommand: beside jobs, the command gets the stop signal that has come
// in, and TERM for those that are for an init alone.
func TestStopSignalOfTheCommand(t *testing.T) {
	for _, tt := range []struct{ sig, want unix.Signal }{
		{unix.SIGTERM, unix.SIGTERM}, {unix.SIGINT, unix.SIGINT}, {unix.SIGQUIT, unix.SIGQUIT}, {unix.SIGPWR, unix.SIGTERM}, {34 + 3, unix.SIGTERM},
	} {
		t.Run(fmt.Sprint(int(tt.sig)), func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{jobs: map[string]string{"web.conf": service}, args: append([]string{"--"},
				"sh", "-c", "for s in TERM INT QUIT PWR 37; do trap \"echo got $s; exit 9\" $s; done; echo ready; while :; do sleep 0.05; done")})
			ct.outHas("ready\n")
			ct.signal(tt.sig)
			if got := ct.wait(); got != 9 {
				t.Errorf("status %d, want the command's 9\n%s", got, ct.dump())
			}
			if want := "got " + strings.TrimPrefix(unix.SignalName(tt.want), "SIG") + "\n"; !strings.Contains(ct.out.String(), want) {
				t.Errorf("the command has not %q\n%s", want, ct.dump())
			}
		})
	}
}

// TestSignalsWithoutEffect: without a command all signals but those that ask for a stop
// or a reload leave tend and its jobs as they are.
func TestSignalsWithoutEffect(t *testing.T) {
	ct := start(t, config{jobs: map[string]string{"web.conf": service}, args: []string{"-vv"}})
	ct.errHas("web: started")
	pid := ct.pid("web")
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGPWR, 34 + 3, 32, 33:
			continue
		}
		ct.signal(sig)
		ct.running("web")
	}
	ct.errHas("USR1 received, nothing to forward it to\n")
	if now := ct.pid("web"); now != pid {
		t.Errorf("the job has process %d now, and had %d\n%s", now, pid, ct.dump())
	}
	if strings.Contains(ct.err.String(), "bug in tend") {
		t.Errorf("a signal has done harm\n%s", ct.dump())
	}
	if got := ct.stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
}
