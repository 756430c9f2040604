package control

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Peer is who has connected, by the kernel's word at that moment (SO_PEERCRED,
// unix(7)).
type Peer struct {
	PID int // 0: a process of another PID namespace that we cannot see
	UID uint32
	GID uint32
}

// Admin tells whether the peer may do everything: root and tend's own uid (own),
// but nobody from outside the PID namespace, where a uid of 0 may be another root.
func (p Peer) Admin(own uint32) bool {
	return p.PID > 0 && (p.UID == 0 || p.UID == own)
}

// Permit returns nil when the call's peer may make it, else the refusal. owner tells
// whether the peer is a process of the job that the request is about, and is asked
// only when that decides.
func (c *Call) Permit(owner func() bool) error {
	cmd := lookUp(c.Command)
	switch {
	case cmd.access == forAll && !c.Orphans,
		c.Peer.Admin(c.server.own),
		cmd.access == forOwner && c.Peer.PID > 0 && owner():
		return nil
	}
	doing := cmd.doing
	switch {
	case doing == modifyJob:
		doing += c.Job
	case c.Orphans:
		doing = "query processes"
	}
	return errors.New("You do not have permission to " + doing)
}

// peerOf returns who is at the other end of the connected socket fd.
func peerOf(fd int) (Peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, err
	}
	return Peer{PID: int(cred.Pid), UID: cred.Uid, GID: cred.Gid}, nil
}
