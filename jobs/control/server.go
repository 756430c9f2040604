package control

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs/alarm"
	"tend/jobs/fault"
	"tend/jobs/file"
	"tend/jobs/lock"
)

const (
	// maxLineAdmin and maxLineOther bound a request. An admin's may carry an
	// environment as large as execve(2) takes a string or a few.
	maxLineAdmin = 1 << 20
	maxLineOther = 64 << 10
	// backlog is how many clients the kernel lets wait to be accepted; hundreds of
	// jobs may call at the same moment.
	backlog = 4096
	// acceptPause is how long nothing is accepted when descriptors are used up.
	acceptPause = 100 * time.Millisecond
)

// Server listens on the socket. Its goroutines are one that accepts and one for
// each connection; all decisions are made by who reads Calls.
type Server struct {
	// Address is where it listens: a path, or @name.
	Address string

	file *os.File // the listening socket
	raw  syscall.RawConn
	own  uint32

	timeouts timeouts
	calls    chan *Call
	done     chan struct{}

	admins, others *pool

	unwritten atomic.Int32  // calls with an answer that is not all written
	written   chan struct{} // capacity one: unwritten has come down to nothing

	mu      lock.Mutex
	delayed map[*conn]struct{} // shutdowns whose time has not come
}

// Listen opens the first address that can be had and serves it. Without a live
// tend behind it a stale path is replaced; an address that another live tend has
// gets our own pid added. The error names every address and why it was not to be
// had.
func Listen(addresses []string) (*Server, error) {
	return listenAny(addresses, usualTimeouts)
}

func listenAny(addresses []string, t timeouts) (*Server, error) {
	var errs error
	for _, address := range addresses {
		fd, bound, err := listen(address)
		if err != nil {
			errs = errors.Join(errs, fault.Of("cannot listen on "+address, err))
			continue
		}
		return serve(fd, bound, t)
	}
	return nil, errs
}

// listen binds and listens on address, or on address with our pid in it, and
// returns which.
func listen(address string) (fd int, bound string, err error) {
	for _, bound := range []string{address, withPID(address)} {
		fd, err = bind(bound)
		if errors.Is(err, unix.EADDRINUSE) && bound[0] != '@' && !alive(bound) {
			if err = removeSocket(bound); err == nil {
				fd, err = bind(bound)
			}
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return fd, bound, err
		}
		// A stranger there would be asked by our clients before us, so that we had
		// better be found at the next address.
		if !ours(bound) {
			break
		}
	}
	return -1, "", err
}

// alive tells whether anyone listens on a path.
func alive(path string) bool {
	fd, err := connect(path, unix.SOCK_NONBLOCK)
	if err == nil {
		syscall.Close(fd)
	}
	return !errors.Is(err, unix.ECONNREFUSED)
}

// ours tells whether a server that our clients trust and take for ours listens on an
// address.
func ours(address string) bool {
	fd, err := connect(address, unix.SOCK_NONBLOCK)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	return trusted(fd) == nil && near(fd)
}

// removeSocket removes a socket, and nothing else that may be in its place.
func removeSocket(path string) error {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	switch {
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return unix.EEXIST
	}
	return unix.Unlink(path)
}

func withPID(address string) string {
	pid := "-" + strconv.Itoa(os.Getpid())
	if base, ok := strings.CutSuffix(address, ".sock"); ok {
		return base + pid + ".sock"
	}
	return address + pid
}

func bind(address string) (int, error) {
	sa, err := sockaddr(address)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, sa); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	// Everyone may connect; what a peer may do is decided by its uid. The mode is
	// set before anyone can connect, whatever the umask is.
	if address[0] != '@' {
		err = file.Chmod(address, 0o666)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// serve starts the goroutine that accepts on a listening non-blocking socket.
func serve(fd int, address string, t timeouts) (*Server, error) {
	file := os.NewFile(uintptr(fd), address)
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	limit := connectionLimit(maxConnections)
	s := &Server{
		Address: address,
		file:    file, raw: raw,
		own: uint32(os.Geteuid()), timeouts: t,
		// Without a buffer: a call counts as made when the supervisor has it, and a
		// busy supervisor holds back the clients.
		calls:   make(chan *Call),
		done:    make(chan struct{}),
		written: make(chan struct{}, 1),
		delayed: map[*conn]struct{}{},
		admins:  newPool(limit, maxLineAdmin),
		others:  newPool(limit/2, maxLineOther),
	}
	go s.accept()
	return s, nil
}

// Calls is where requests arrive.
func (s *Server) Calls() <-chan *Call { return s.calls }

// Flush waits until all answers that have been given are written, or until the
// timeout.
func (s *Server) Flush(timeout time.Duration) {
	expired := alarm.New(timeout)
	defer expired.Stop()
	for s.unwritten.Load() > 0 {
		select {
		case <-s.written:
		case <-expired.C:
			return
		}
	}
}

// Close stops listening, ends all connections and removes the path.
func (s *Server) Close() error {
	close(s.done)
	if s.Address[0] != '@' {
		// Another tend may have replaced it since; then there is nothing to remove.
		_ = os.Remove(s.Address)
	}
	err := s.file.Close()
	s.admins.hangUpAll()
	s.others.hangUpAll()
	return err
}

// accept4 is unix.Accept4 without the address of the client, which has none. The code
// that tells addresses of all families apart weighs 10,000 bytes.
func accept4(listener uintptr) (fd int, err error) {
	n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, listener, 0, 0, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

func (s *Server) accept() {
	for {
		var fd int
		var err error
		waitErr := s.raw.Read(func(l uintptr) bool {
			fd, err = accept4(l)
			return err != unix.EAGAIN
		})
		switch {
		case waitErr != nil:
			return // closed
		case err == nil:
			s.admit(fd)
		case err == unix.EINTR || err == unix.ECONNABORTED:
		default:
			// EMFILE, ENFILE, ENOBUFS, ENOMEM: the client stays in the backlog. Who
			// is idle gives up its descriptor.
			s.others.hangUpIdle()
			s.admins.hangUpIdle()
			select {
			case <-s.done:
				return
			case <-alarm.New(acceptPause).C:
			}
		}
	}
}

// admit starts serving an accepted connection, or closes it.
func (s *Server) admit(fd int) {
	peer, err := peerOf(fd)
	if err != nil {
		syscall.Close(fd)
		return
	}
	p := s.others
	if peer.Admin(s.own) {
		p = s.admins
	}
	c, err := newConn(s, p, fd, peer)
	if err != nil {
		return
	}
	if !p.add(c) {
		c.refuse("too many connections")
		c.hangUp()
		return
	}
	go c.serve()
}
