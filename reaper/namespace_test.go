package reaper

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// insideEnv names the test that a copy of the test binary runs as PID 1.
const insideEnv = "REAPER_TEST_INSIDE"

// inside says whether this is the copy of the test binary that runs the calling test
// as PID 1 of namespaces of its own. If not, it starts that copy and passes on what
// it reports; meanwhile, when not nil, is called with the copy's pid.
func inside(t *testing.T, meanwhile func(pid int)) bool {
	t.Helper()
	if os.Getenv(insideEnv) == t.Name() {
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			t.Fatalf("mount /proc: %v", err)
		}
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), insideEnv+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		need.Skip(t, "namespaces: %v", err)
	}
	if meanwhile != nil {
		meanwhile(cmd.Process.Pid)
	}
	err := cmd.Wait()
	text := out.String()
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "=== RUN") && !strings.HasPrefix(line, "PASS") {
			t.Log(strings.TrimRight(line, "\n"))
		}
	}
	if err != nil {
		t.Errorf("inside: %v", err)
	}
	return false
}

// start makes the Reaper of this process.
func start(t *testing.T, marks ...string) *Reaper {
	t.Helper()
	r, err := New(marks...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// spawn starts a shell script in a session of its own.
func spawn(t testing.TB, r *Reaper, owner Owner, script string, env ...string) int {
	t.Helper()
	pid, err := r.Spawn(owner, true, func() (int, error) {
		return syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{
			Env:   append([]string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"}, env...),
			Files: []uintptr{0, 1, 2},
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

const patience = 20 * time.Second

// until polls a condition.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		pause()
	}
}

// pause lets others run between two looks at a condition.
func pause() {
	ts := unix.NsecToTimespec(int64(time.Millisecond))
	unix.Nanosleep(&ts, nil)
}

// exitOf waits until the end of pid is posted.
func exitOf(t testing.TB, r *Reaper, pid int) Exit {
	t.Helper()
	end := time.After(patience)
	for {
		for _, e := range r.Take(nil) {
			if e.PID == pid && (e.Status.Exited() || e.Status.Signaled()) {
				return e
			}
		}
		select {
		case <-r.C():
		case <-end:
			t.Fatalf("no exit of %d within %v", pid, patience)
		}
	}
}

// waitFile waits for a file that a script makes, and returns the number in it.
func waitFile(t testing.TB, path string) int {
	t.Helper()
	n := 0
	until(t, path, func() bool {
		b, err := os.ReadFile(path)
		if err != nil || !bytes.HasSuffix(b, []byte("\n")) {
			return false
		}
		var ok bool
		n, ok = number10(append(bytes.TrimSpace(b), 0))
		return ok
	})
	return n
}

// lives says whether pid is there and not a zombie. A file of that name in /proc is
// not enough: one of our own threads may have got the number.
func lives(pid int) bool {
	if _, err := os.Stat("/proc/self/task/" + itoa(pid)); err == nil {
		return false
	}
	b, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	p, err := parseStat(b)
	return err == nil && !p.gone()
}
