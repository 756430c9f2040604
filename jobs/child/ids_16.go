//go:build 386 || arm

package child

import "golang.org/x/sys/unix"

// The calls without a number in their names take ids of 16 bits here.
const (
	sysSetGroups = unix.SYS_SETGROUPS32
	sysSetGID    = unix.SYS_SETGID32
	sysSetUID    = unix.SYS_SETUID32
)
