package docker

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inotifies counts the inotify descriptors and the sockets of this process, which are what
// discard takes and makes.
func inotifies(t *testing.T) (inotifies, sockets int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range list {
		target, _ := os.Readlink("/proc/self/fd/" + entry.Name())
		switch {
		case strings.Contains(target, "inotify"):
			inotifies++
		case strings.HasPrefix(target, "socket:"):
			sockets++
		}
	}
	return inotifies, sockets
}

func TestDiscardLeavesNoDescriptor(t *testing.T) {
	watches, sockets := inotifies(t)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.InotifyAddWatch(fd, t.TempDir(), unix.IN_CREATE); err != nil {
		t.Fatal(err)
	}
	if n, _ := inotifies(t); n != watches+1 {
		t.Fatalf("%d inotify descriptors, want %d", n, watches+1)
	}
	discard(fd)
	if n, m := inotifies(t); n != watches || m != sockets {
		t.Errorf("%d inotify descriptors and %d sockets are left, want %d and %d", n, m, watches, sockets)
	}
}
