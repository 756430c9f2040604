package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEntries compares with os.ReadDir, over more names than one read returns.
func TestEntries(t *testing.T) {
	dir := t.TempDir()
	for i := range 1500 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%d", i*7919%1500)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "a-directory"), 0o755), os.Symlink("a-directory", filepath.Join(dir, ".link")),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{dir, "/dev", "/proc/self", t.TempDir()} {
		got, err := Entries(dir)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d entries, want %d", dir, len(got), len(want))
		}
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range got {
			if e.Name != want[i].Name() || e.IsDir() != want[i].IsDir() || (e.Mode == unix.S_IFREG) != want[i].Type().IsRegular() ||
				(e.Mode == unix.S_IFLNK) != (want[i].Type() == os.ModeSymlink) {
				t.Errorf("%s: entry %d is %+v, want %v", dir, i, e, want[i])
			}
			if mode := modeOf(fd, e.Name, unix.DT_UNKNOWN); mode != e.Mode {
				t.Errorf("%s/%s says its type is %#o, its directory %#o", dir, e.Name, mode, e.Mode)
			}
		}
		unix.Close(fd)
	}
	if _, err := Entries(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Entries(filepath.Join(dir, "fifo")); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("no directory: %v", err)
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if Exists(path) {
		t.Error("exists before it is written")
	}
	if _, err := Read(path); !os.IsNotExist(err) {
		t.Errorf("missing: %v", err)
	}
	text := make([]byte, 100_000)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil || len(got) != len(text) || !Exists(path) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, most := range []int{0, 1, 4095, 4096, 50_000, 99_999, 100_000, 200_000} {
		got, err := ReadSome(path, most)
		if err != nil || len(got) <= most && len(got) != len(text) {
			t.Errorf("ReadSome of %d: %d bytes, %v", most, len(got), err)
		}
	}
	if got, err := ReadSome(path, 1000); err != nil || len(got) > 10_000 {
		t.Errorf("ReadSome of 1000: %d bytes, %v", len(got), err)
	}
	if got, err := Read("/proc/self/status"); err != nil || len(got) == 0 {
		t.Errorf("/proc: %d bytes, %v", len(got), err)
	}
}
