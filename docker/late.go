package docker

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs/event"
)

// lateInterfaces emits the events of network interfaces that come up after boot. It
// is the engine's Source for them, and listens only while a job waits for one.
type lateInterfaces struct {
	waiting map[*event.Operator]bool
	known   map[string]bool // interfaces whose events have been emitted
	changed chan<- struct{} // capacity one: something about the interfaces changed
	socket  *os.File
	failed  bool // listening is not possible, which was said once
	warn    func(text string)
}

func newLateInterfaces(changed chan<- struct{}, warn func(text string)) *lateInterfaces {
	return &lateInterfaces{waiting: map[*event.Operator]bool{}, known: map[string]bool{}, changed: changed, warn: warn}
}

// Claims implements engine.Source.
func (l *lateInterfaces) Claims(name string) bool {
	return name == "net-device-up" || name == "net-device-added"
}

// Watch implements engine.Source.
func (l *lateInterfaces) Watch(_ string, term *event.Operator) { l.waiting[term] = true }

// Unwatch implements engine.Source.
func (l *lateInterfaces) Unwatch(_ string, term *event.Operator) { delete(l.waiting, term) }

// CanFire implements engine.Source: an interface may be added at any time, except
// the loopback, whose events boot has emitted.
func (l *lateInterfaces) CanFire(term *event.Operator) bool { return !l.failed && !onlyLoopback(term) }

func onlyLoopback(term *event.Operator) bool {
	for i, arg := range term.Args {
		name := i == 0 && arg.Key == "" || arg.Key == "IFACE" || arg.Key == "INTERFACE" || arg.Key == "LOGICAL"
		if name && !arg.Negate && arg.Pattern == "lo" {
			return true
		}
	}
	return false
}

// listen opens the netlink socket once a job waits for an interface; before that
// it costs nothing.
func (l *lateInterfaces) listen() {
	if l.socket != nil || l.failed || len(l.waiting) == 0 {
		return
	}
	fd, err := openNetlink(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		l.failed = true
		l.warn("cannot listen for network interfaces: " + err.Error() + "; those that come up later are not noticed")
		return
	}
	l.socket = os.NewFile(uintptr(fd), "netlink")
	go l.read(l.socket)
}

// read runs until the socket is closed. What a message says does not matter: the
// loop asks anew, so that one lost to a full buffer (ENOBUFS) does no harm.
func (l *lateInterfaces) read(socket *os.File) {
	buf := make([]byte, 8192)
	for {
		_, err := socket.Read(buf)
		if err != nil && !isENOBUFS(err) {
			return
		}
		select {
		case l.changed <- struct{}{}:
		default: // the loop has not looked yet and will see this change too
		}
	}
}

func isENOBUFS(err error) bool {
	pathErr, ok := err.(*os.PathError)
	return ok && pathErr.Err == unix.ENOBUFS
}

// fresh returns the interfaces among those given whose events are still to be
// emitted, and forgets those that have gone so that they may come again.
//
//go:noinline
func (l *lateInterfaces) fresh(now []iface) []iface {
	var out []iface
	present := make(map[string]bool, len(now))
	for _, i := range now {
		present[i.name] = true
		if !l.known[i.name] {
			l.known[i.name] = true
			out = append(out, i)
		}
	}
	for name := range l.known {
		if !present[name] {
			delete(l.known, name)
		}
	}
	return out
}

// sayAwaitedSources tells after boot which jobs wait for an interface that is not
// there: they keep the container up, and someone may wonder why they do not run.
func (s *Supervisor) sayAwaitedSources() {
	if s.opts.Boot != BootAuto {
		return
	}
	for _, c := range s.m.Missing() {
		for _, term := range c.Terms {
			if s.late.Claims(term.Name) && s.late.CanFire(term) {
				s.log.Notice().Job(c.Job, "").Msg("waits for " + term.String() + ": no such network interface is up yet")
			}
		}
	}
}
