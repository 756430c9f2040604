package reaper

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnseen: without /proc it is known whether an orphan is left when nobody's
// children are, and PID 1 can end it.
func TestUnseen(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	if err := unix.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	r, _ := New("UPSTART_JOB")
	if r.Unseen() {
		t.Error("Unseen = true without any child")
	}
	file := filepath.Join(t.TempDir(), "pid")
	pid := spawn(t, r, 1, "(setsid sh -c 'echo $$ >"+file+"; exec sleep 100' &); exec sleep 100")
	waitFile(t, file)
	if r.Unseen() {
		t.Error("Unseen = true while owned children live")
	}
	kill(t, r, pid)
	if !r.Unseen() {
		t.Error("Unseen = false, want true for the orphan")
	}
	if err := r.KillAll(unix.SIGTERM); err != nil {
		t.Errorf("KillAll = %v", err)
	}
	until(t, "the orphan's end", func() bool { return !r.Unseen() })
}
