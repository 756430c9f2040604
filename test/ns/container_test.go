package ns

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// patience is how long a test waits for what must happen. It is far more than
// anything takes, so that only a hang reaches it.
const patience = 90 * time.Second

// output collects what a process writes and can be read meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// config says how tend is started.
type config struct {
	jobs   map[string]string // files of the configuration directory by name
	args   []string          // of tend, after its --confdir
	env    []string          // on top of a small fixed environment
	shared bool              // in the PID namespace of the test, where tend is a subreaper
	files  []*os.File        // inherited descriptors, from 3 on
	stdin  *os.File
	stdout *os.File // in place of the collected one
	attr   func(*syscall.SysProcAttr)
	prefix []string // a program to run tend under
}

// container is one run of tend.
type container struct {
	t        *testing.T
	dir      string // scratch directory, shared with the jobs; @T@ in job files
	cmd      *exec.Cmd
	out, err output
	done     chan struct{} // closed when tend has ended
}

// pidNamespace skips the test unless PID namespaces can be made here, as root or in
// a user namespace.
func pidNamespace(t *testing.T) {
	t.Helper()
	options := []string{"--pid", "--mount"}
	if os.Getuid() != 0 {
		options = append(options, "--user", "--map-root-user")
	}
	need.Namespaces(t, options...)
}

// start runs tend with the given configuration and ends it with the test.
func start(t *testing.T, c config) *container {
	t.Helper()
	ct := &container{t: t, dir: t.TempDir(), done: make(chan struct{})}
	if err := os.Chmod(ct.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	args := []string{need.Tend(t)}
	if c.jobs != nil {
		confdir := filepath.Join(ct.dir, "init")
		for name, text := range c.jobs {
			path := filepath.Join(confdir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "@T@", ct.dir)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		args = append(args, "--confdir", confdir)
	}
	args = append(args, c.args...)
	args = append(append([]string{}, c.prefix...), args...)
	attr := &syscall.SysProcAttr{Setpgid: true}
	if !c.shared {
		pidNamespace(t)
		used.Store("enter", true)
		args = append([]string{self()}, args...)
		attr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC
		if os.Getuid() != 0 {
			attr.Cloneflags |= unix.CLONE_NEWUSER
			attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
	}
	if c.attr != nil {
		c.attr(attr)
	}
	ct.cmd = exec.Command(args[0], args[1:]...)
	ct.cmd.SysProcAttr = attr
	ct.cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}, c.env...)
	if c.shared {
		ct.cmd.Env = append(ct.cmd.Env, "TEND_SOCKET="+ct.dir+"/tend.sock")
	} else {
		ct.cmd.Env = append(ct.cmd.Env, helperVar+"=enter")
	}
	ct.cmd.Stdout, ct.cmd.Stderr, ct.cmd.ExtraFiles = &ct.out, &ct.err, c.files
	if c.stdin != nil {
		ct.cmd.Stdin = c.stdin
	}
	if c.stdout != nil {
		ct.cmd.Stdout = c.stdout
	}
	// Jobs that outlive tend hold the pipes; waiting for their end would hang.
	ct.cmd.WaitDelay = 2 * time.Second
	if err := ct.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		// The status is in ProcessState; a delayed wait is no concern here.
		_ = ct.cmd.Wait()
		close(ct.done)
	}()
	t.Cleanup(func() {
		select {
		case <-ct.done:
		default:
			_ = ct.cmd.Process.Kill()
			<-ct.done
		}
	})
	return ct
}

// eventually polls a condition, and fails the test with what and tend's output when
// patience runs out or tend ends before the condition holds.
func (ct *container) eventually(what string, condition func() bool) {
	ct.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		// What was written before the end counts, so it is looked at after done.
		ended := ct.ended()
		if condition() {
			return
		}
		if ended {
			ct.t.Fatalf("tend has ended before %s\n%s", what, ct.dump())
		}
		if time.Now().After(deadline) {
			ct.t.Fatalf("waited in vain for %s\n%s", what, ct.dump())
		}
		pause()
	}
}

// pause is the interval of polling.
func pause() { <-time.After(5 * time.Millisecond) }

func (ct *container) ended() bool {
	select {
	case <-ct.done:
		return true
	default:
		return false
	}
}

func (ct *container) dump() string {
	return fmt.Sprintf("stdout:\n%s\nstderr:\n%s", &ct.out, &ct.err)
}

// outHas and errHas wait for a text on stdout and stderr.
func (ct *container) outHas(text string) {
	ct.t.Helper()
	ct.eventually(fmt.Sprintf("%q on stdout", text), func() bool { return strings.Contains(ct.out.String(), text) })
}

func (ct *container) errHas(text string) {
	ct.t.Helper()
	ct.eventually(fmt.Sprintf("%q on stderr", text), func() bool { return strings.Contains(ct.err.String(), text) })
}

// file waits until a job has made a file in the scratch directory and returns its
// text.
func (ct *container) file(name string) string {
	ct.t.Helper()
	var text []byte
	ct.eventually("file "+name, func() bool {
		var err error
		text, err = os.ReadFile(filepath.Join(ct.dir, name))
		return err == nil && bytes.HasSuffix(text, []byte("\n"))
	})
	return string(text)
}

// signal sends a signal to tend.
func (ct *container) signal(sig syscall.Signal) {
	ct.t.Helper()
	if err := ct.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		ct.t.Fatal(err)
	}
}

// wait returns tend's exit status, 128+n when signal n has killed it.
func (ct *container) wait() int {
	ct.t.Helper()
	select {
	case <-ct.done:
	case <-time.After(patience):
		ct.t.Fatalf("tend does not end\n%s", ct.dump())
	}
	status := ct.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// stop asks tend to stop and returns its exit status.
func (ct *container) stop() int {
	ct.t.Helper()
	ct.signal(unix.SIGTERM)
	return ct.wait()
}

// ctl runs a control command inside the container and returns its output and exit
// status.
func (ct *container) ctl(args ...string) (string, int) {
	ct.t.Helper()
	return ct.inside(append([]string{need.Tend(ct.t), "ctl"}, args...)...)
}

// inside runs a program in the container's namespaces, as docker exec does.
func (ct *container) inside(args ...string) (string, int) {
	ct.t.Helper()
	need.Program(ct.t, "nsenter")
	options := []string{"-t", strconv.Itoa(ct.cmd.Process.Pid), "--mount", "--pid"}
	if os.Getuid() != 0 {
		options = append(options, "--user", "--preserve-credentials")
	}
	out, err := exec.Command("nsenter", append(append(options, "--"), args...)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ct.t.Fatal(err)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// pid returns the pid of a job's main process as the container sees it, 0 when it
// has none.
func (ct *container) pid(job string) int {
	out, _ := ct.ctl("status", job)
	_, after, ok := strings.Cut(out, ", process ")
	if !ok {
		return 0
	}
	pid, _ := strconv.Atoi(strings.Fields(after)[0])
	return pid
}

// running waits until a job is in start/running.
func (ct *container) running(job string) {
	ct.t.Helper()
	ct.eventually(job+" running", func() bool {
		out, _ := ct.ctl("status", job)
		return strings.Contains(out, " start/running")
	})
}

// children lists the pids of tend's children, as the test sees them, with their
// states (R, S, Z, …).
func (ct *container) children() map[int]byte {
	states := map[int]byte{}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", ct.cmd.Process.Pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(text)) {
			pid, _ := strconv.Atoi(field)
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil {
				continue
			}
			if i := bytes.LastIndexByte(stat, ')'); i >= 0 && i+2 < len(stat) {
				states[pid] = stat[i+2]
			}
		}
	}
	return states
}

// zombies counts tend's children that wait to be reaped.
func (ct *container) zombies() int {
	n := 0
	for _, state := range ct.children() {
		if state == 'Z' {
			n++
		}
	}
	return n
}
