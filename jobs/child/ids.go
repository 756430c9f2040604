package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The second stage changes the credentials of its own thread alone: exec keeps those
// (credentials(7)) and ends all others. The functions of syscall have every thread take
// part, by a signal that a limit sigpending of 0 holds up for ever.

// setGroups sets the supplementary groups of this thread; there is at least one.
func setGroups(groups []int) error {
	list := make([]uint32, len(groups))
	for i, g := range groups {
		list[i] = uint32(g)
	}
	return errnoOrNil(unix.RawSyscall(sysSetGroups, uintptr(len(list)), uintptr(unsafe.Pointer(&list[0])), 0))
}

func setGID(gid int) error { return errnoOrNil(unix.RawSyscall(sysSetGID, uintptr(gid), 0, 0)) }

func setUID(uid int) error { return errnoOrNil(unix.RawSyscall(sysSetUID, uintptr(uid), 0, 0)) }

func errnoOrNil(_, _ uintptr, errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}
