package child

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/test/need"
)

// terminal opens a pseudo-terminal and returns its two ends.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		need.Skip(t, "%v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		need.Skip(t, "%v", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// groups is a script that prints the process group, the session and the foreground
// group of its shell.
const groups = "set -- $(cat /proc/$$/stat); echo $5 $6 $8 $$"

// onTerminal runs main of a class with descriptor 0 as it is here.
func onTerminal(t *testing.T, c *jobs.Class, o Options) (pgid, sid, foreground, pid int) {
	t.Helper()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	o.Stdout, o.Stderr = pipe[1], 2
	st, failed := Start(New(c, jobs.Main, path, o), func(fork func() (int, error)) (int, error) { return fork() })
	unix.Close(pipe[1])
	if failed != nil {
		t.Fatal(failed)
	}
	if _, failed := st.Wait(); failed != nil {
		t.Fatal(failed)
	}
	syscall.Wait4(st.PID, nil, 0, nil)
	f := os.NewFile(uintptr(pipe[0]), "output")
	defer f.Close()
	if n, err := fmt.Fscan(f, &pgid, &sid, &foreground, &pid); n != 4 {
		t.Fatalf("no answer: %v", err)
	}
	return pgid, sid, foreground, pid
}

func TestForegroundOwnsTheTerminal(t *testing.T) {
	if !alone(t, func(cmd *exec.Cmd) {
		_, slave := terminal(t)
		cmd.Stdin = slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}) {
		return
	}
	own, _ := unix.Getsid(0)
	for _, staged := range []bool{false, true} {
		c := class(groups, true, func(c *jobs.Class) { c.Foreground = true })
		if staged {
			c.Umask = 0
		}
		// The last one's group has died and left the terminal to nobody.
		pgid, sid, fg, pid := onTerminal(t, c, Options{Stdin: 0})
		if pgid != pid || sid != own || fg != pid {
			t.Errorf("staged %v: group %d, session %d, foreground %d of process %d; want its own group in session %d, in the foreground", staged, pgid, sid, fg, pid, own)
		}
	}
	pgid, sid, fg, pid := onTerminal(t, class(groups, true), Options{Stdin: -1})
	if pgid != pid || sid != pid || fg != -1 {
		t.Errorf("another job: group %d, session %d, foreground %d of process %d; want a session of its own without a terminal", pgid, sid, fg, pid)
	}
}

func TestConsoleOwnerGetsTheTerminal(t *testing.T) {
	_, slave := terminal(t)
	for _, staged := range []bool{false, true} {
		c := class(groups, true)
		if staged {
			c.Umask = 0
		}
		pgid, sid, fg, pid := onTerminal(t, c, Options{Stdin: int(slave.Fd()), Terminal: true})
		if pgid != pid || sid != pid || fg != pid {
			t.Errorf("staged %v: group %d, session %d, foreground %d of process %d; want all its own", staged, pgid, sid, fg, pid)
		}
	}
	// Foreground without any terminal.
	c := class(groups, true, func(c *jobs.Class) { c.Foreground = true })
	if pgid, sid, fg, pid := onTerminal(t, c, Options{Stdin: -1}); pgid != pid || sid == pid || fg > 0 && fg == pid {
		t.Errorf("without a terminal: group %d, session %d, foreground %d of process %d", pgid, sid, fg, pid)
	}
}
