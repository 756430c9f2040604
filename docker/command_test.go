package docker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
	"tend/test/tty"
)

// noJobs keeps a run from reading the machine's own job files.
func noJobs(t *testing.T) string { return "--confdir=" + t.TempDir() }

// TestCommandInheritsEverything: variables that steer the Go runtime, the umask and the
// limits reach the command as tend was given them.
func TestCommandInheritsEverything(t *testing.T) {
	const settings = "umask 027; ulimit -Sn 500; "
	const report = "umask; ulimit -Sn; ulimit -Hn; env"
	tend := need.Tend(t)
	for _, tt := range []struct {
		name string
		env  []string
	}{
		{"plain", nil},
		{"variables of the Go runtime", []string{"GODEBUG=madvdontneed=1", "GOMAXPROCS=64", "GOGC=off", "GOMEMLIMIT=1GiB", "GOTRACEBACK=crash"}},
		{"variables of other inits", []string{"NOTIFY_SOCKET=@x", "LISTEN_FDS=1", "UPSTART_JOB=x", "TEND_QUIET=1", "EMPTY=", "LINES=a\nb"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := func(script string, args ...string) string {
				c := exec.Command("/bin/sh", append([]string{"-c", settings + script, "sh"}, args...)...)
				c.Env = append([]string{"PATH=/usr/bin:/bin"}, tt.env...)
				out, err := c.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				return string(out)
			}
			want := run(`exec "$@"`, "/bin/sh", "-c", report)
			got := run(`exec "$@"`, tend, noJobs(t), "--", "/bin/sh", "-c", report)
			if sorted(got) != sorted(want) {
				t.Errorf("the command has\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// startCommandProcess starts tend and waits until the command has written a line.
func startCommandProcess(t *testing.T, args ...string) (c *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	c = exec.Command(need.Tend(t), append([]string{noJobs(t)}, args...)...)
	stderr = &bytes.Buffer{}
	c.Stderr = stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the command has written nothing: %v, %s", err, stderr)
	}
	return c, stderr
}

// TestStopTimeoutOfCommand: a command that ignores the stop signal is killed, but only
// when --stop-timeout was given; other signals never lead to that.
func TestStopTimeoutOfCommand(t *testing.T) {
	const deaf = `trap "" TERM; trap "echo usr1" USR1; echo ready; while :; do sleep 0.01; done`
	c, stderr := startCommandProcess(t, "--stop-timeout", "0.05", "--", "/bin/sh", "-c", deaf)
	c.Process.Signal(syscall.SIGUSR1)
	c.Process.Signal(syscall.SIGTERM)
	c.Wait()
	if got, want := c.ProcessState.ExitCode(), 128+int(syscall.SIGKILL); got != want {
		t.Errorf("exit status %d, want %d", got, want)
	}
	if !strings.Contains(stderr.String(), "/bin/sh has not ended within 0.05 s, killing it") {
		t.Errorf("stderr = %q", stderr)
	}
}

// TestStoppedCommand: a command stopped by a signal is still there, and goes on.
func TestStoppedCommand(t *testing.T) {
	c, _ := startCommandProcess(t, "--", "/bin/sh", "-c", `trap "exit 9" USR1; echo ready; while :; do sleep 0.01; done`)
	command := childOf(t, c.Process.Pid)
	t.Cleanup(func() { syscall.Kill(command, syscall.SIGKILL) })
	// Signals that come together are delivered by number, so the stop is waited for.
	c.Process.Signal(syscall.SIGTSTP)
	untilState(t, command, func(state byte) bool { return state == 'T' })
	c.Process.Signal(syscall.SIGCONT)
	untilState(t, command, func(state byte) bool { return state != 'T' })
	// These two are about tend's own place at the terminal and stop nobody.
	c.Process.Signal(syscall.SIGTTIN)
	c.Process.Signal(syscall.SIGTTOU)
	c.Process.Signal(syscall.SIGUSR1)
	c.Wait()
	if got := c.ProcessState.ExitCode(); got != 9 {
		t.Errorf("exit status %d, want 9", got)
	}
}

// childOf returns the child of a process that has one.
func childOf(t *testing.T, parent int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skipf("/proc: %v", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if _, ppid := stateOf(pid); ppid == parent {
			return pid
		}
	}
	t.Fatalf("process %d has no child", parent)
	return 0
}

// stateOf returns the state of a process and its parent, zeros when it is gone
// (proc_pid_stat(5)).
func stateOf(pid int) (state byte, ppid int) {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0, 0
	}
	ppid, _ = strconv.Atoi(fields[1])
	return fields[0][0], ppid
}

func untilState(t *testing.T, pid int, is func(state byte) bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	deadline := time.After(20 * time.Second)
	for {
		state, _ := stateOf(pid)
		if is(state) {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("process %d is in state %c", pid, state)
		}
	}
}

func TestCommandErrorsInJSON(t *testing.T) {
	out, err := exec.Command(need.Tend(t), noJobs(t), "--log-format", "json", "no-such\tprogram").CombinedOutput()
	if err == nil {
		t.Fatal("a program that does not exist has been executed")
	}
	var line struct{ Time, Level, Msg string }
	if err := json.Unmarshal(out, &line); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	if line.Time == "" || line.Level != "error" || !strings.Contains(line.Msg, "no-such\tprogram: not found in PATH") {
		t.Errorf("line %+v", line)
	}
}

// session starts a program as the leader of a session with a terminal.
func session(t *testing.T, env []string, argv ...string) (*exec.Cmd, *tty.Terminal) {
	t.Helper()
	term := tty.Open(t)
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdin, c.Stdout, c.Stderr = term.Other, term.Other, term.Other
	c.Env = append([]string{"PATH=/usr/bin:/bin", "TERM=dumb", "PS1=ready> "}, env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	term.Other.Close()
	return c, term
}

// TestTerminalGoesBack: a script goes on reading from the terminal after tend.
func TestTerminalGoesBack(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/web.conf", "start on startup\nexec sleep 1000\n", 0o644)
	for name, jobs := range map[string]string{"alone": noJobs(t), "beside jobs": "--confdir=" + dir} {
		t.Run(name, func(t *testing.T) {
			c, term := session(t, nil, "/bin/sh", "-c", `stty tostop; "$@"; echo "status $?"; read x; echo "read $x"`,
				"sh", need.Tend(t), jobs, "--", "/bin/sh", "-c", "read y; exit 5")
			term.Type("a\n")
			term.Expect("status 5")
			term.Type("word\n")
			term.Expect("read word")
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTerminalOfSomebodyElse: in the background of a shell, tend does not take the
// terminal away from it.
func TestTerminalOfSomebodyElse(t *testing.T) {
	need.Program(t, "bash")
	c, term := session(t, nil, "/bin/bash", "--norc", "--noprofile", "-i")
	term.Expect("ready> ")
	term.Type(need.Tend(t) + " " + noJobs(t) + " -- sh -c 'echo run''ning; sleep 1000' &\n")
	term.Expect("running")
	term.Type("echo $((40+2))\n")
	term.Expect("42")
	term.Type("kill %1; wait %1; exit 6\n")
	c.Wait()
	if got := c.ProcessState.ExitCode(); got != 6 {
		t.Errorf("exit status %d, want 6: %q", got, term.Screen())
	}
}

// TestTerminalAndRuntimeVariables: the stage that hands the terminal over is not steered
// by what is meant for the command, and leaves no trace in its environment.
func TestTerminalAndRuntimeVariables(t *testing.T) {
	c, term := session(t, []string{"GODEBUG=inittrace=1", "GOMAXPROCS=3"}, need.Tend(t), noJobs(t), "--",
		"/bin/sh", "-c", `echo "$GODEBUG $GOMAXPROCS"; env | grep -c -e TEND -e HIDDEN; exit 4`)
	term.Expect("inittrace=1 3\r\n0\r\n")
	c.Wait()
	if got := c.ProcessState.ExitCode(); got != 4 {
		t.Errorf("exit status %d, want 4: %q", got, term.Screen())
	}
}

// TestTerminalAndBadCommand: with a terminal, too, what cannot be executed is explained
// and has its status.
func TestTerminalAndBadCommand(t *testing.T) {
	bare := put(t, t.TempDir()+"/bare", "echo\n", 0o755)
	c, term := session(t, nil, need.Tend(t), noJobs(t), "--", bare)
	term.Expect("it is a script without an interpreter line")
	c.Wait()
	if got := c.ProcessState.ExitCode(); got != 126 {
		t.Errorf("exit status %d, want 126: %q", got, term.Screen())
	}
}

func TestRuntimeVariablesAreHidden(t *testing.T) {
	env := []string{"A=1", "GODEBUG=x", "GOGC=1", "GOMAXPROCS=", "GOMEMLIMIT=1", "GOTRACEBACK=all", "GOPATH=/go", "NOVALUE"}
	inside := hidden(env)
	for _, e := range inside {
		if name, _, _ := strings.Cut(e, "="); slices.Contains([]string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK"}, name) {
			t.Errorf("hidden leaves %s", e)
		}
	}
	if got := shown(inside); !slices.Equal(got, env) {
		t.Errorf("shown(hidden(%q)) = %q", env, got)
	}
}

func TestAddSignal(t *testing.T) {
	for s := syscall.Signal(1); s <= 64; s++ {
		var set, old, now unix.Sigset_t
		addSignal(&set, s)
		if s == unix.SIGKILL || s == unix.SIGSTOP || s == 32 || s == 33 || s == unix.SIGURG || s == unix.SIGPROF {
			continue // the kernel or the runtime does not let them be blocked
		}
		if err := blockHere(&set, &old, &now); err != nil {
			t.Fatal(err)
		}
		if now != set {
			t.Errorf("after blocking signal %d the mask is %v, want %v", s, now, set)
		}
	}
}

// blockHere blocks a set on a thread of its own, which ends with the goroutine, and
// returns the mask that the kernel then has.
func blockHere(set, old, now *unix.Sigset_t) error {
	result := make(chan error)
	go func() {
		// The thread is never unlocked, so the changed mask goes with it.
		runtime.LockOSThread()
		err := unix.PthreadSigmask(unix.SIG_SETMASK, set, old)
		if err == nil {
			err = unix.PthreadSigmask(unix.SIG_SETMASK, nil, now)
		}
		result <- err
	}()
	return <-result
}

func TestDescriptorKind(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if got := descriptorKind(int(r.Fd())); got != "pipe" {
		t.Errorf("descriptorKind(pipe) = %q", got)
	}
	if got := descriptorKind(int(null.Fd())); got != "/dev/null" {
		t.Errorf("descriptorKind(/dev/null) = %q", got)
	}
	if got := descriptorKind(-1); got != "closed" {
		t.Errorf("descriptorKind(-1) = %q", got)
	}
}
