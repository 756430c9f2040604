package docker

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs/conf/confdir"
)

// watchConfiguration has the loop told whenever the configuration directories have
// changed. Without a watch, initctl reload-configuration and SIGHUP still look.
func (s *Supervisor) watchConfiguration(fd int, err error) {
	if err == nil {
		err = s.readable(fd, s.confRead)
	}
	if err != nil {
		s.log.Warning().Msg("cannot watch the configuration: " + err.Error() + "; changes are seen by initctl reload-configuration only")
	}
}

// readable starts a goroutine that posts to c when fd, which must be non-blocking,
// can be read. It posts again only when the receiver has read all there is and has
// answered on s.confDone.
func (s *Supervisor) readable(fd int, c chan<- struct{}) error {
	file := os.NewFile(uintptr(fd), "watch")
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	go func() {
		defer runtime.KeepAlive(file) // its finalizer would close fd
		for {
			err := raw.Read(func(fd uintptr) bool {
				// An edge from before this call is not reported again, so look.
				fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
				n, err := unix.Poll(fds, 0)
				return err == nil && n > 0
			})
			if err != nil {
				return
			}
			c <- struct{}{}
			<-s.confDone
		}
	}()
	return nil
}

// discard gets rid of an inotify descriptor just before the exit. The kernel waits 5 to
// 20 ms for a grace period in the one that closes it. So the last reference is left to a
// pair of sockets that holds itself: it is sent both of its own ends, and is found and freed
// by a worker of the kernel (unix(7), SCM_RIGHTS; in older kernels by whoever closes such a
// socket next).
func discard(fd int) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	// Without it the exit closes fd, a little later.
	_ = unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(fd, pair[0], pair[1]), nil, 0)
	for _, fd := range [...]int{pair[0], pair[1], fd} {
		syscall.Close(fd)
	}
}

// configurationChanged takes over what has changed in the configuration directories.
func (s *Supervisor) configurationChanged() {
	changes, problems := s.tree.Read()
	s.takeOver(changes, problems)
	s.confDone <- struct{}{}
}

// reload looks at all configuration directories anew. It starts no job by itself.
func (s *Supervisor) reload() {
	s.log.Info().Msg("reloading configuration")
	changes, problems := s.tree.Load()
	s.takeOver(changes, problems)
}

func (s *Supervisor) takeOver(changes []confdir.Change, problems []error) {
	report(s.log, problems)
	for _, c := range changes {
		if c.Class == nil {
			s.log.Info().Job(c.Name, "").Msg("definition has gone")
		} else {
			s.log.Info().Job(c.Name, "").Msg("definition loaded from " + c.Class.Path)
		}
	}
	s.load(changes)
}

// networkChanged announces interfaces that have come up.
func (s *Supervisor) networkChanged() {
	ifaces, err := interfaces()
	if err != nil {
		s.log.Warning().Msg("cannot list network interfaces: " + err.Error())
		return
	}
	for _, i := range s.late.fresh(ifaces) {
		for _, ev := range i.events() {
			s.emit(ev)
		}
	}
}
