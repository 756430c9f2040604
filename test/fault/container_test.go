// Package fault runs the program as PID 1 of fresh namespaces in bad surroundings:
// limits that are reached, file systems that are missing or full, processes that do
// not end, daemons that are not what their job files say.
package fault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	need.Clean()
	os.Exit(code)
}

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
	jobs   map[string]string // text of job files by job; @T@ is the scratch directory
	args   []string          // of tend
	env    []string
	before string // shell commands in the namespaces, before tend
	cgroup string // directory to be a member of
	redir  string // redirections of tend, for the shell
	// program is another build of tend.
	program string
}

// container is one run of tend.
type container struct {
	t    *testing.T
	dir  string // scratch directory
	cmd  *exec.Cmd
	pid  int // of tend, as the test sees it
	out  output
	done chan struct{}
}

// root skips the test unless it may make namespaces and control groups.
func root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		need.Skip(t, "not root")
	}
	need.Namespaces(t, "--pid", "--mount")
	need.Program(t, "nsenter")
}

// start runs tend with the given configuration and ends it with the test.
func start(t *testing.T, c config) *container {
	t.Helper()
	root(t)
	ct := &container{t: t, dir: t.TempDir(), done: make(chan struct{})}
	must(t, os.Chmod(ct.dir, 0o777))
	confdir := filepath.Join(ct.dir, "init")
	must(t, os.Mkdir(confdir, 0o755))
	for name, text := range c.jobs {
		ct.write("init/"+name+".conf", strings.ReplaceAll(text, "@T@", ct.dir))
	}
	script := "mount -t tmpfs -o mode=755 run /run\n" + strings.ReplaceAll(c.before, "@T@", ct.dir) +
		"\nexec \"$@\" " + strings.ReplaceAll(c.redir, "@T@", ct.dir)
	if c.program == "" {
		c.program = need.Tend(t)
	}
	args := []string{c.program, "--confdir", confdir}
	for _, arg := range c.args {
		args = append(args, strings.ReplaceAll(arg, "@T@", ct.dir))
	}
	line := append([]string{"unshare", "--fork", "--pid", "--mount-proc", "--mount", "--kill-child", "/bin/sh", "-e", "-c", script, "sh"}, args...)
	if c.cgroup != "" {
		line = append([]string{"/bin/sh", "-c", "echo 0 >" + c.cgroup + "/cgroup.procs; exec \"$@\"", "sh"}, line...)
	}
	ct.cmd = exec.Command(line[0], line[1:]...)
	ct.cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, c.env...)
	ct.cmd.Stdout, ct.cmd.Stderr = &ct.out, &ct.out
	ct.cmd.WaitDelay = 2 * time.Second
	must(t, ct.cmd.Start())
	go func() {
		// The status is in ProcessState; a delayed wait is no concern here.
		_ = ct.cmd.Wait()
		close(ct.done)
	}()
	t.Cleanup(func() {
		if ct.ended() {
			return
		}
		// PID 1 ends after all others of its namespace, and unshare after PID 1: when
		// it is over nobody writes to the scratch directory any more. Were unshare
		// itself killed, some could still do.
		for _, pid := range children(ct.cmd.Process.Pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		select {
		case <-ct.done:
		case <-time.After(patience):
			_ = ct.cmd.Process.Kill()
			<-ct.done
		}
	})
	ct.eventually("tend", func() bool {
		for _, pid := range children(ct.cmd.Process.Pid) {
			if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(comm) == "tend\n" {
				ct.pid = pid
			}
		}
		return ct.pid != 0
	})
	return ct
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (ct *container) path(name string) string { return filepath.Join(ct.dir, name) }

func (ct *container) write(name, text string) {
	ct.t.Helper()
	must(ct.t, os.WriteFile(ct.path(name), []byte(text), 0o644))
}

func (ct *container) ended() bool {
	select {
	case <-ct.done:
		return true
	default:
		return false
	}
}

// eventually polls a condition; it fails the test when patience runs out, or tend
// ends before the condition holds.
func (ct *container) eventually(what string, condition func() bool) {
	ct.t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(5 * time.Millisecond) {
		ended := ct.ended()
		if condition() {
			return
		}
		if ended {
			ct.t.Fatalf("tend has ended before %s\n%s", what, &ct.out)
		}
		if time.Now().After(end) {
			ct.t.Fatalf("waited in vain for %s\n%s", what, &ct.out)
		}
	}
}

// says waits for a text in the log.
func (ct *container) says(text string) {
	ct.t.Helper()
	ct.eventually(strconv.Quote(text), func() bool { return strings.Contains(ct.out.String(), text) })
}

// file waits for a file that a job makes and returns its first line.
func (ct *container) file(name string) (line string) {
	ct.t.Helper()
	ct.eventually("file "+name, func() bool {
		text, _ := os.ReadFile(ct.path(name))
		var ok bool
		line, _, ok = strings.Cut(string(text), "\n")
		return ok
	})
	return line
}

// ctl runs a control command inside the container, and fails the test when there is
// no answer.
func (ct *container) ctl(args ...string) string {
	ct.t.Helper()
	return ct.inside(append([]string{need.Tend(ct.t), "ctl"}, args...)...)
}

// inside runs a program in the container's namespaces, as docker exec does.
func (ct *container) inside(args ...string) string {
	ct.t.Helper()
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(ct.pid), "--mount", "--pid", "--"}, args...)...)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	must(ct.t, cmd.Start())
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		ct.t.Fatalf("no answer to %v\n%s\n%s", args, &out, &ct.out)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ct.t.Fatal(err)
	}
	return out.String()
}

// main returns the pid of a job's main process as the container sees it, 0 without.
func (ct *container) main(job string) int {
	ct.t.Helper()
	_, after, ok := strings.Cut(ct.ctl("status", job), ", process ")
	if !ok {
		return 0
	}
	pid, _ := strconv.Atoi(strings.Fields(after)[0])
	return pid
}

// running waits until a job is up, and returns its pid.
func (ct *container) running(job string) (pid int) {
	ct.t.Helper()
	ct.eventually(job+" running", func() bool {
		pid = 0
		if strings.Contains(ct.ctl("status", job), " start/running") {
			pid = ct.main(job)
		}
		return pid != 0
	})
	return pid
}

// waiting waits until a job is down.
func (ct *container) waiting(job string) {
	ct.t.Helper()
	ct.eventually(job+" waiting", func() bool { return strings.Contains(ct.ctl("status", job), " stop/waiting") })
}

func (ct *container) signal(sig syscall.Signal) {
	ct.t.Helper()
	if err := syscall.Kill(ct.pid, sig); err != nil && err != unix.ESRCH {
		ct.t.Fatal(err)
	}
}

// stop asks tend to stop and returns its exit status.
func (ct *container) stop() int {
	ct.t.Helper()
	ct.signal(unix.SIGTERM)
	return ct.wait()
}

func (ct *container) wait() int {
	ct.t.Helper()
	select {
	case <-ct.done:
	case <-time.After(patience):
		ct.t.Fatalf("tend does not end\n%s", &ct.out)
	}
	return ct.cmd.ProcessState.ExitCode()
}

// wantStop stops tend and fails the test unless it ends as if nothing had happened.
func (ct *container) wantStop() {
	ct.t.Helper()
	if got := ct.stop(); got != 0 {
		ct.t.Errorf("status %d, want 0\n%s", got, &ct.out)
	}
	ct.unhurt()
}

// unhurt fails the test if the log tells of a bug.
func (ct *container) unhurt() {
	ct.t.Helper()
	for _, sign := range []string{"bug in tend", "panic", "goroutine ", "fatal error"} {
		if strings.Contains(ct.out.String(), sign) {
			ct.t.Fatalf("the log tells of a %q\n%s", sign, &ct.out)
		}
	}
}

// threads counts the threads of PID 1.
func (ct *container) threads() int {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", ct.pid))
	return len(tasks)
}

// descriptors counts the open files of PID 1, in the tables of all its threads: the one
// that reads output has its own.
func (ct *container) descriptors() (n int) {
	tables := map[string]bool{}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/fd", ct.pid))
	for _, task := range tasks {
		fds, _ := os.ReadDir(task)
		table := ""
		for _, fd := range fds {
			target, _ := os.Readlink(task + "/" + fd.Name())
			table += fd.Name() + " " + target + "\n"
		}
		if !tables[table] {
			tables[table] = true
			n += len(fds)
		}
	}
	return n
}

// children lists the children of a process, as the test sees them.
func children(pid int) (pids []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(text)) {
			n, _ := strconv.Atoi(field)
			pids = append(pids, n)
		}
	}
	return pids
}

// cgroup makes a group of a controller of version 1 and removes it with the test.
func cgroup(t *testing.T, controller string) string {
	t.Helper()
	root(t)
	dir := fmt.Sprintf("/sys/fs/cgroup/%s/tend-fault-%d-%d", controller, os.Getpid(), time.Now().UnixNano())
	if err := os.Mkdir(dir, 0o755); err != nil {
		need.Skip(t, "%v", err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(patience); os.Remove(dir) != nil && time.Now().Before(end); {
			<-time.After(10 * time.Millisecond)
		}
	})
	if _, err := os.Stat(dir + "/cgroup.procs"); err != nil {
		need.Skip(t, "%s is no control group of version 1", dir)
	}
	return dir
}

// set writes to a file of a control group.
func set(t *testing.T, dir, file string, value any) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	_, err = io.WriteString(f, fmt.Sprint(value))
	must(t, err)
}
