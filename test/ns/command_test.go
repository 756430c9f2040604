package ns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCommandExitStatus(t *testing.T) {
	for status := range 256 {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{args: []string{"--", "/bin/sh", "-c", fmt.Sprintf("exit %d", status)}})
			if got := ct.wait(); got != status {
				t.Errorf("exit %d = status %d, want %d\n%s", status, got, status, ct.dump())
			}
		})
	}
}

// deadly lists every signal that ends a process by default.
func deadly() []syscall.Signal {
	var signals []syscall.Signal
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		switch sig {
		case unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		default:
			signals = append(signals, sig)
		}
	}
	return signals
}

func TestCommandKilledBySignal(t *testing.T) {
	for _, sig := range deadly() {
		t.Run(fmt.Sprint(int(sig)), func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{args: []string{"--", "/bin/sh", "-c", fmt.Sprintf("ulimit -c 0; kill -%d $$; sleep 60", sig)}})
			if got, want := ct.wait(), 128+int(sig); got != want {
				t.Errorf("signal %d = status %d, want %d\n%s", sig, got, want, ct.dump())
			}
		})
	}
}

func TestCommandThatCannotBeExecuted(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	orphaned := filepath.Join(dir, "orphaned")
	if err := os.WriteFile(orphaned, []byte("#!/no/such/shell\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, command string
		want          int
		text          string
	}{
		{"not found in PATH", "no-such-program", 127, "no-such-program"},
		{"no such path", "/no/such/program", 127, "/no/such/program"},
		{"not executable", plain, 126, "permission"},
		{"a directory", dir, 126, "directory"},
		{"a script whose interpreter is missing", orphaned, 127, "/no/such/shell"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{args: []string{"--", tt.command}})
			if got := ct.wait(); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
			if !strings.Contains(ct.err.String(), tt.text) || !strings.Contains(ct.err.String(), tt.command) {
				t.Errorf("stderr %q, want it to name %q and say %q", &ct.err, tt.command, tt.text)
			}
		})
	}
}

// TestCommandIsQuiet: like tini, tend says nothing of its own as long as all goes
// well.
func TestCommandIsQuiet(t *testing.T) {
	ct := start(t, config{args: []string{"--", "/bin/sh", "-c", "echo out; echo err >&2; exit 7"}})
	if got := ct.wait(); got != 7 {
		t.Errorf("status %d, want 7", got)
	}
	if ct.out.String() != "out\n" || ct.err.String() != "err\n" {
		t.Errorf("wrote more than the command\n%s", ct.dump())
	}
}

// forwarded lists the signals that reach a lone COMMAND: all that can be caught but
// for those of job control, of the Go runtime and of the C library.
func forwarded() []syscall.Signal {
	var signals []syscall.Signal
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD,
			unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT,
			unix.SIGURG, unix.SIGPROF, 32, 33, 34:
		default:
			signals = append(signals, sig)
		}
	}
	return signals
}

func TestSignalsReachTheCommand(t *testing.T) {
	ct := start(t, config{args: append([]string{"--"}, helper("signals")...)})
	ct.outHas("ready\n")
	for _, sig := range forwarded() {
		t.Run(fmt.Sprint(int(sig)), func(t *testing.T) {
			ct.t = t
			ct.signal(sig)
			ct.outHas(fmt.Sprintf("got %d\n", sig))
		})
	}
	ct.t = t
	for _, sig := range forwarded() {
		if n := strings.Count(ct.out.String(), fmt.Sprintf("got %d\n", sig)); n != 1 {
			t.Errorf("signal %d came %d times, want once", sig, n)
		}
	}
}

// TestSignalEndsTheCommand: the status is the command's own when it handles the
// signal, 128+n when it does not.
func TestSignalEndsTheCommand(t *testing.T) {
	t.Run("handled", func(t *testing.T) {
		ct := start(t, config{args: append([]string{"--"}, helper("signals", "42")...)})
		ct.outHas("ready\n")
		if got := ct.stop(); got != 42 {
			t.Errorf("status %d, want 42", got)
		}
	})
	t.Run("not handled", func(t *testing.T) {
		ct := start(t, config{args: []string{"--", "/bin/sh", "-c", "echo ready; exec sleep 1000"}})
		ct.outHas("ready\n")
		if got := ct.stop(); got != 143 {
			t.Errorf("status %d, want 143", got)
		}
	})
}

func TestTiniSwitches(t *testing.T) {
	t.Run("-e maps a status to 0", func(t *testing.T) {
		ct := start(t, config{args: []string{"-e", "143", "--", "/bin/sh", "-c", "echo ready; exec sleep 1000"}})
		ct.outHas("ready\n")
		if got := ct.stop(); got != 0 {
			t.Errorf("status %d, want 0", got)
		}
	})
	t.Run("-e leaves other statuses", func(t *testing.T) {
		ct := start(t, config{args: []string{"-e", "143", "--", "/bin/sh", "-c", "exit 3"}})
		if got := ct.wait(); got != 3 {
			t.Errorf("status %d, want 3", got)
		}
	})
	// A shell that ignores USR1 itself, in a group with one that does not.
	group := `trap : USR2; env ` + helperVar + `=signals ` + self() + ` & echo up; wait; wait`
	for _, tt := range []struct {
		name string
		args []string
		env  []string
	}{
		{"-g signals the whole group", []string{"-g"}, nil},
		{"TINI_KILL_PROCESS_GROUP does too", nil, []string{"TINI_KILL_PROCESS_GROUP=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			used.Store("signals", true)
			ct := start(t, config{args: append(tt.args, "--", "/bin/sh", "-c", group), env: tt.env})
			ct.outHas("ready\n")
			ct.signal(unix.SIGUSR2)
			ct.outHas("got 12\n")
		})
	}
	t.Run("without -g only the command", func(t *testing.T) {
		ct := start(t, config{args: []string{"--", "/bin/sh", "-c",
			`trap "echo shell" USR1; ` + strings.Join(helper("signals"), " ") + ` & while :; do wait; done`}})
		ct.outHas("ready\n")
		ct.signal(unix.SIGUSR1)
		ct.outHas("shell\n")
		if strings.Contains(ct.out.String(), "got 10") {
			t.Errorf("the signal reached another process of the group\n%s", ct.dump())
		}
	})
	t.Run("-v and -w are accepted together", func(t *testing.T) {
		ct := start(t, config{args: []string{"-vw", "--", "/bin/sh", "-c", "(sleep 0.05 & exit 0); sleep 0.2"}})
		if got := ct.wait(); got != 0 {
			t.Errorf("status %d, want 0\n%s", got, ct.dump())
		}
		if !strings.Contains(ct.err.String(), "reaped") {
			t.Errorf("-w says nothing about the reaped orphan\n%s", ct.dump())
		}
	})
	t.Run("-p gives the signal of the parent's death to the command", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		// The shell is tend's parent, and ends when its input does.
		ct := start(t, config{
			shared: true,
			stdin:  r,
			prefix: []string{"/bin/sh", "-c", `"$@" & echo "tend $!"; read x`, "sh"},
			args:   append([]string{"-s", "-p", "USR1", "--"}, helper("signals", "0")...),
		})
		r.Close()
		ct.outHas("ready\n")
		var pid int
		_, after, _ := strings.Cut(ct.out.String(), "tend ")
		if _, err := fmt.Sscan(after, &pid); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(pid, unix.SIGTERM) })
		w.Close()
		ct.outHas("got 10\n")
	})
}

// TestSubreaper: not as PID 1, tend adopts what its command leaves behind by itself,
// and says nothing about it.
func TestSubreaper(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		env  []string
	}{
		{"by itself", nil, nil},
		{"-s", []string{"-s"}, nil},
		{"TINI_SUBREAPER", nil, []string{"TINI_SUBREAPER="}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ct := start(t, config{shared: true, env: tt.env,
				args: append(tt.args, "--", "/bin/sh", "-c", "(sleep 1000 & exit 0); exec sleep 1000")})
			ct.eventually("an adopted child", func() bool { return len(ct.children()) > 1 })
			if s := ct.err.String(); s != "" {
				t.Errorf("stderr %q, want nothing", s)
			}
			for pid := range ct.children() {
				_ = syscall.Kill(pid, unix.SIGKILL)
			}
			ct.wait()
		})
	}
}

// TestDescriptorsReachTheCommand: alone, the command gets all of tend's descriptors
// and no other, just as if it had been started without tend.
func TestDescriptorsReachTheCommand(t *testing.T) {
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	command := helper("fds")
	bare := exec.Command(command[0], command[1:]...)
	bare.ExtraFiles = []*os.File{file, file}
	want, err := bare.Output()
	if err != nil {
		t.Fatal(err)
	}
	ct := start(t, config{args: append([]string{"--"}, command...), files: bare.ExtraFiles})
	if got := ct.wait(); got != 0 || ct.out.String() != string(want) {
		t.Errorf("the command has %swithout tend it has %s", &ct.out, want)
	}
}

// TestCommandWaits: COMMAND beside jobs starts when the services are up and the tasks
// through. Those that have failed or wait for another event do not count. Whom it waits
// for is said.
func TestCommandWaits(t *testing.T) {
	until := "while [ ! -e @T@/go ]; do sleep 0.05; done\n"
	jobs := map[string]string{
		"slow.conf":  "start on startup\npre-start script\n" + until + "end script\nexec sleep 1000\n",
		"task.conf":  "start on startup\ntask\nscript\n" + until + "end script\n",
		"bad.conf":   "start on startup\nexec /no/such/program\n",
		"other.conf": "start on startup and nosuchevent\nexec sleep 1000\n",
		"up.conf":    service,
	}
	t.Run("for all", func(t *testing.T) {
		ct := start(t, config{jobs: jobs, args: []string{"--", "sh", "-c", "echo started; exit 7"}})
		ct.errHas("command: waits for slow (pre-start), task (running)\n")
		if strings.Contains(ct.out.String(), "started") {
			t.Errorf("the command has not waited\n%s", ct.dump())
		}
		if err := os.WriteFile(filepath.Join(ct.dir, "go"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := ct.wait(); got != 7 || !strings.Contains(ct.out.String(), "started\n") {
			t.Errorf("status %d, want 7\n%s", got, ct.dump())
		}
		_, before, _ := strings.Cut(ct.err.String(), "waits for")
		if i, j := strings.Index(before, "slow: started"), strings.Index(before, "command: started"); i < 0 || j < i {
			t.Errorf("the command was started before slow\n%s", ct.dump())
		}
	})
	t.Run("for a time", func(t *testing.T) {
		ct := start(t, config{jobs: jobs, args: []string{"--command-wait", "0.3", "--stop-timeout", "2", "--", "sh", "-c", "echo started; exit 7"}})
		if got := ct.wait(); got != 7 || !strings.Contains(ct.out.String(), "started\n") {
			t.Errorf("status %d, want 7\n%s", got, ct.dump())
		}
		if want := "command: starts after 0.30 s although these are not up: slow (pre-start), task (running)\n"; !strings.Contains(ct.err.String(), want) {
			t.Errorf("stderr does not say %q\n%s", want, ct.dump())
		}
	})
}

// TestMissingDirectory: a directory of job files that was asked for and is not there is
// said, though the command runs.
func TestMissingDirectory(t *testing.T) {
	for _, option := range []string{"--confdir", "--append-confdir", "--prepend-confdir"} {
		ct := start(t, config{args: []string{option, "/no/such", "--", "sh", "-c", "exit 3"}})
		if got := ct.wait(); got != 3 || ct.err.String() != "tend | no job files are read from /no/such: no such file or directory\n" {
			t.Errorf("%s: status %d, want 3 and one warning\n%s", option, got, ct.dump())
		}
	}
}

// TestTiniSwitchesBesideJobs: those that are not about the command alone hold there too.
func TestTiniSwitchesBesideJobs(t *testing.T) {
	t.Run("-w", func(t *testing.T) {
		ct := start(t, config{args: []string{"-w"}, jobs: map[string]string{
			"web.conf": service, "leave.conf": "start on startup\ntask\nexec sh -c '(sleep 0.2 &); exit 0'\n",
		}})
		ct.errHas("reaped 1 orphan\n")
	})
	t.Run("-p", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ct := start(t, config{args: []string{"-p", "TERM"}, jobs: map[string]string{"web.conf": service}, shared: true,
			prefix: []string{"/bin/sh", "-c", `"$@" & read line`, "sh"}, stdin: r})
		r.Close()
		ct.errHas("web: started")
		w.Close()
		ct.errHas("stopping: TERM received")
	})
}
