package console

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func forkExec(exe string, env []string, fds ...int) (int, error) {
	files := make([]uintptr, len(fds))
	for i, fd := range fds {
		files[i] = uintptr(fd)
	}
	return syscall.ForkExec(exe, []string{exe}, &syscall.ProcAttr{Env: append(os.Environ(), env...), Files: files})
}

func waitFor(t testing.TB, pid int) {
	t.Helper()
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &ws, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || ws.ExitStatus() != 0 {
			t.Fatalf("helper: %v, status %v", err, ws)
		}
		return
	}
}
