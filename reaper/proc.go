package reaper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Proc is a process as /proc/PID/stat shows it (proc_pid_stat(5)).
type Proc struct {
	PID, PPID, PGID, SID int
	State                byte   // R, S, D, Z, …
	Threads              int    // that have not ended
	Waited               bool   // it has waited for a child: their page faults are its own (cminflt)
	Start                uint64 // in clock ticks since boot
	Comm                 string
}

// gone says that all of the process has ended, though it may not be reaped yet. A
// zombie with other threads is a live process whose first thread has ended.
//
//go:noinline
func (p *Proc) gone() bool {
	return p.State == 'X' || p.State == 'Z' && p.Threads <= 1
}

// same says that p and q are the same process, not two with the same pid.
func (p *Proc) same(q Proc) bool { return p.PID == q.PID && p.Start == q.Start }

// ticksPerSecond is USER_HZ, the unit of start times, the same on every
// architecture that Go runs on.
const ticksPerSecond = 100

// now returns the time in the unit of Proc.Start.
func now() uint64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return uint64(ts.Nano()) / (1e9 / ticksPerSecond)
}

// procFS reads /proc through a descriptor of its root. No method blocks for long.
type procFS struct {
	dir     int
	err     error // why nothing can be read
	dirents []byte
	text    []byte
}

var errForeignProc = errors.New("/proc is that of another PID namespace")

func (f *procFS) open(self int) error {
	f.dir, f.err = syscall.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if f.err != nil {
		f.err = &os.PathError{Op: "open", Path: "/proc", Err: f.err}
		return f.err
	}
	var link [16]byte
	n, err := unix.Readlinkat(f.dir, "self", link[:])
	switch {
	case err != nil:
		f.err = &os.PathError{Op: "read", Path: "/proc/self", Err: err}
	case string(link[:n]) != strconv.Itoa(self):
		f.err = errForeignProc
	}
	if f.err != nil {
		syscall.Close(f.dir)
	}
	return f.err
}

// The directory of a process is shown at the position of its pid and this, or one less
// (proc_pid_readdir in the kernel).
const firstProcess = 258

const (
	probeMost  = 64  // up to how many pids are rather tried one by one than listed
	fewDirents = 128 // bytes, for four processes
)

// others calls each for every process but those that are known, in the order of their
// pids; known is sorted. Whoever is listed gets an entry in the kernel's cache of names
// which must be torn down when it is reaped, and that takes longer than all the rest of
// its reaping. So the known are stepped over, and only the gaps between them are looked
// at.
func (f *procFS) others(known []int, each func(pid int)) error {
	if f.err != nil {
		return f.err
	}
	next := 1
	for _, pid := range known {
		if err := f.between(next, pid, each); err != nil {
			return err
		}
		next = pid + 1
	}
	return f.list(next, math.MaxInt, each)
}

// between calls each for every process with a pid from next to below end.
func (f *procFS) between(next, end int, each func(pid int)) error {
	if end-next > probeMost {
		return f.list(next, end, each)
	}
	for ; next < end; next++ {
		switch fd, err := unix.PidfdOpen(next, 0); err {
		case nil:
			syscall.Close(fd)
			each(next)
		case unix.ESRCH:
		case unix.EINVAL, unix.ENOENT:
			// A thread that is not the first of its process.
		default:
			return f.list(next, end, each)
		}
	}
	return nil
}

// list is between by way of the directory.
func (f *procFS) list(next, end int, each func(pid int)) error {
	if f.dirents == nil {
		f.dirents = make([]byte, 32<<10)
	}
	buf := f.dirents
	if end != math.MaxInt {
		buf = buf[:fewDirents] // what comes after the end would be listed in vain
	}
	if _, err := syscall.Seek(f.dir, int64(next+firstProcess-1), 0); err != nil {
		return err
	}
	for {
		n, err := unix.Getdents(f.dir, buf)
		if err != nil || n == 0 {
			return err
		}
		// struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name.
		for b := buf[:n]; len(b) > 19; {
			size := int(binary.NativeEndian.Uint16(b[16:]))
			pid, ok := number10(b[19:size])
			if pid >= end {
				return nil
			}
			if ok && pid >= next {
				each(pid)
			}
			b = b[size:]
		}
	}
}

// children calls each for every child of the first thread of a process, dead ones
// included (CONFIG_PROC_CHILDREN). The first thread of ours is the one that gets all
// orphans; what we fork is a child of the thread that did it. The kernel may leave some
// out when others are reaped meanwhile, which the caller prevents by holding mu.
func (f *procFS) children(pid int, each func(pid int)) error {
	text, err := f.read(pid, "task/"+strconv.Itoa(pid)+"/children", math.MaxInt)
	if err != nil {
		return err
	}
	child := 0
	for _, c := range text {
		if c == ' ' {
			each(child)
			child = 0
			continue
		}
		child = 10*child + int(c-'0')
	}
	return nil
}

// number10 reads a decimal number that ends in NUL.
func number10(b []byte) (n int, ok bool) {
	for _, c := range b {
		switch {
		case c == 0:
			return n, ok
		case c < '0' || c > '9':
			return 0, false
		}
		n, ok = n*10+int(c-'0'), true
	}
	return 0, false
}

// decimal reads a whole word of digits.
func decimal(word string) (n int64, ok bool) {
	for _, c := range []byte(word) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(word) > 0
}

// read returns the content of /proc/PID/name, at most max bytes of it. It is valid
// until the next call.
func (f *procFS) read(pid int, name string, max int) ([]byte, error) {
	if f.err != nil {
		return nil, f.err
	}
	fd, err := unix.Openat(f.dir, strconv.Itoa(pid)+"/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	if f.text == nil {
		f.text = make([]byte, 4096)
	}
	for got := 0; ; {
		n, err := syscall.Read(fd, f.text[got:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if got += n; n == 0 || got >= max {
			return f.text[:got], nil
		}
		if got == len(f.text) {
			f.text = append(f.text, make([]byte, len(f.text))...)
		}
	}
}

// stat returns the process pid.
func (f *procFS) stat(pid int) (Proc, error) {
	b, err := f.read(pid, "stat", 1)
	if err != nil {
		return Proc{}, err
	}
	return parseStat(b)
}

// parseStat reads "PID (COMM) STATE PPID PGID SID …". COMM may hold anything, also
// blanks and parentheses.
func parseStat(b []byte) (p Proc, err error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open || end+4 > len(b) {
		return p, unix.EINVAL
	}
	p.Comm = string(b[open+1 : end])
	p.State = b[end+2]
	numbers := [...]struct {
		field int // as counted in proc_pid_stat(5)
		value int64
	}{{field: 4}, {field: 5}, {field: 6}, {field: 11}, {field: 20}, {field: 22}}
	field, next := 3, 0
	for _, word := range strings.Fields(string(b[end+2:])) {
		if numbers[next].field == field {
			n, ok := decimal(word)
			if !ok {
				return p, unix.EINVAL
			}
			numbers[next].value = n
			if next++; next == len(numbers) {
				break
			}
		}
		field++
	}
	pid, ok := number10(append(bytes.TrimSpace(b[:open:open]), 0))
	if next < len(numbers) || !ok {
		return p, unix.EINVAL
	}
	p.PID = pid
	p.PPID, p.PGID, p.SID = int(numbers[0].value), int(numbers[1].value), int(numbers[2].value)
	p.Waited = numbers[3].value > 0
	p.Threads, p.Start = int(numbers[4].value), uint64(numbers[5].value)
	return p, nil
}

// maxEnviron bounds how much of an environment is searched for marks.
const maxEnviron = 1 << 20

// environ returns the values of keys in the environment that the process got at its
// exec. readable is false when the kernel does not show it, or shows none: programs
// write their titles there.
func (f *procFS) environ(pid int, keys []string) (values []string, readable bool) {
	b, err := f.read(pid, "environ", maxEnviron)
	if err != nil || len(b) == 0 {
		return nil, false
	}
	for _, key := range keys {
		found := false
		for rest := b; len(rest) > 0 && !found; {
			var entry []byte
			entry, rest, _ = bytes.Cut(rest, []byte{0})
			if len(entry) > len(key) && entry[len(key)] == '=' && string(entry[:len(key)]) == key {
				values = append(values, string(entry[len(key)+1:]))
				found = true
			}
		}
		if !found {
			return nil, !titled(b)
		}
	}
	return values, true
}

// execing tells whether the process is between the two moments of an exec at which it
// gets a new memory and at which that has an environment: env_end is 0 then.
func (f *procFS) execing(pid int) bool {
	const envEnd = 51 // as counted in proc_pid_stat(5), where the state is 3
	b, err := f.read(pid, "stat", 1)
	if err != nil {
		return false
	}
	words := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	return len(words) > envEnd-3 && words[envEnd-3] == "0" && f.traceable(pid)
}

// traceable tells whether we are shown what only those see who may trace the process.
func (f *procFS) traceable(pid int) bool {
	fd, err := unix.Openat(f.dir, strconv.Itoa(pid)+"/environ", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		syscall.Close(fd)
	}
	return err == nil
}

// titled tells whether a program has written its title over an environment, as nginx
// does: what it then begins with is the end of a title, and the rest is wiped out.
func titled(environ []byte) bool {
	first, _, _ := bytes.Cut(environ, []byte{0})
	return bytes.IndexByte(first, '=') < 0 || bytes.Contains(environ, []byte{0, 0})
}
