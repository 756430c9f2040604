//go:build !386 && !arm

package child

import "golang.org/x/sys/unix"

const (
	sysSetGroups = unix.SYS_SETGROUPS
	sysSetGID    = unix.SYS_SETGID
	sysSetUID    = unix.SYS_SETUID
)
