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

// startHelperAs runs a mode of helper as another user, from a copy that this user
// can reach.
func startHelperAs(o *Output, uid uint32, mode string) (int, error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("/tmp", "console")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	program, err := os.ReadFile(exe)
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(dir+"/helper", program, 0o755); err != nil {
		return 0, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return 0, err
	}
	return syscall.ForkExec(dir+"/helper", []string{"helper"}, &syscall.ProcAttr{
		Dir: "/", Env: []string{"CONSOLE_TEST_HELPER=" + mode},
		Files: []uintptr{uintptr(o.Stdin), uintptr(o.Stdout), uintptr(o.Stderr)},
		Sys:   &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}},
	})
}
