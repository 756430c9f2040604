// Package file reads files, directories and messages with less code than os and x/sys
// bring along.
//
// Whatever uses os.Stat, os.ReadFile, os.ReadDir, os.MkdirAll or os.Getwd brings
// time.Time.String into the program, and with it time zones and layouts: 75,000 bytes.
package file

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read returns all of a file.
func Read(path string) ([]byte, error) { return ReadSome(path, math.MaxInt) }

// ReadSome returns a file up to a size: of a longer one more than most bytes, but not
// all.
func ReadSome(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Rest(f, most)
}

// Rest is ReadSome for what has not been read of an open file.
func Rest(f *os.File, most int) ([]byte, error) {
	data := make([]byte, 0, 4<<10)
	for len(data) <= most {
		data = slices.Grow(data, 1)
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return data, err
		}
	}
	return data, nil
}

// Exists tells whether there is something at a path.
func Exists(path string) bool { return Access(path, unix.F_OK) == nil }

// Access is unix.Access, without what faccessat(2) takes to know flags: it asks for the
// real user.
func Access(path string, mode uint32) error { return byPath(unix.SYS_FACCESSAT, path, mode) }

// Chmod changes the mode of a file.
func Chmod(path string, mode uint32) error { return byPath(unix.SYS_FCHMODAT, path, mode) }

// byPath makes a system call whose arguments are a directory, a path and a number.
func byPath(call uintptr, path string, arg uint32) error {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	dir := unix.AT_FDCWD
	if _, _, errno := unix.Syscall(call, uintptr(dir), uintptr(unsafe.Pointer(name)), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// Entry is what a directory says of a file in it.
type Entry struct {
	Name string
	Mode uint32 // its type, as in unix.S_IFMT
}

// IsDir tells whether it is a directory, and no link to one.
func (e *Entry) IsDir() bool { return e.Mode == unix.S_IFDIR }

// byName orders entries; unlike sort.Slice and the generic sorts it shares its code
// with all that sort.Sort sorts.
type byName []Entry

func (l byName) Len() int           { return len(l) }
func (l byName) Less(i, j int) bool { return l[i].Name < l[j].Name }
func (l byName) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// Entries returns what is in a directory in the order of names. With an error it
// returns what could be read before it.
func Entries(dir string) ([]Entry, error) {
	fd, err := syscall.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var list []Entry
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			sort.Sort(byName(list))
			return list, err
		}
		// struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name.
		for b := buf[:n]; len(b) > 19; b = b[binary.NativeEndian.Uint16(b[16:]):] {
			name, _, _ := bytes.Cut(b[19:binary.NativeEndian.Uint16(b[16:])], []byte{0})
			if s := string(name); s != "." && s != ".." {
				// The types of getdents(2) are those of stat(2) without their zeroes.
				list = append(list, Entry{s, modeOf(fd, s, uint32(b[18])<<12)})
			}
		}
	}
}

// modeOf is mode, or when the file system does not tell it in its directories, what
// the file itself says.
func modeOf(dir int, name string, mode uint32) uint32 {
	var st unix.Stat_t
	if mode == unix.DT_UNKNOWN && unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		return st.Mode & unix.S_IFMT
	}
	return mode
}

// Receive is unix.Recvmsg without the sender's address: it returns how much of buf and
// of control has been filled; descriptors are closed on exec. The code that tells
// addresses of all families apart weighs 10,000 bytes.
func Receive(fd int, buf, control []byte) (n, controls int, err error) {
	iov := unix.Iovec{Base: &buf[0]}
	iov.SetLen(len(buf))
	msg := unix.Msghdr{Iov: &iov, Control: &control[0]}
	msg.SetIovlen(1)
	msg.SetControllen(len(control))
	got, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_CMSG_CLOEXEC)
	if errno != 0 {
		return 0, 0, errno
	}
	return int(got), int(msg.Controllen), nil
}
