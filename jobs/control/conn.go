package control

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs/alarm"
)

const (
	// smallLine is a request that needs no place among the large ones.
	smallLine = 4 << 10
	// writeChunk is how much of a long reply is gathered for one write.
	writeChunk = 16 << 10
)

// timeouts bound how long a client may keep what it uses.
type timeouts struct {
	// request is for a whole request, counted from the connection or from the last
	// reply.
	request time.Duration
	// write is how long a client may not read while a reply is written, and how long
	// it may have to wait for a place among the large ones.
	write time.Duration
	// large is for all of a large reply, since others wait for its place.
	large time.Duration
	// stream is as write, for a stream: someone may look at a page of it.
	stream time.Duration
}

var usualTimeouts = timeouts{request: 30 * time.Second, write: 10 * time.Second, large: time.Minute, stream: 5 * time.Minute}

var (
	errTooLong = errors.New("request too long")
	errBusy    = errors.New("too many large requests")
)

// conn is one connection. Its goroutine reads a request, hands it to the
// supervisor, waits for the answer or for the end of the client, and writes: one
// thing at a time, so a client has at most one request in work and what it sends
// meanwhile stays in the kernel.
type conn struct {
	server *Server
	pool   *pool
	file   *os.File
	raw    syscall.RawConn
	peer   Peer
	buf    []byte // read but not used

	busy  bool   // of the pool
	since uint64 // of the pool
}

// newConn takes fd over, also when it fails.
func newConn(s *Server, p *pool, fd int, peer Peer) (*conn, error) {
	file := os.NewFile(uintptr(fd), "client")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &conn{server: s, pool: p, file: file, raw: raw, peer: peer}, nil
}

// hangUp ends the connection; its goroutine notices.
//
//go:noinline
func (c *conn) hangUp() { c.file.Close() }

// serve is the life of a connection.
func (c *conn) serve() {
	defer c.survive()
	defer c.pool.remove(c)
	defer c.hangUp()
	for {
		req, err := c.request()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.refuse(err.Error())
			}
			return
		}
		c.pool.busy(c, true)
		if !c.call(req) {
			return
		}
		c.pool.busy(c, false)
	}
}

// survive tells the supervisor of a bug here, which costs this client its connection and
// nobody else anything.
func (c *conn) survive() {
	if cause := recover(); cause != nil {
		c.post(&Call{Bug: cause})
	}
}

// request reads the next request.
func (c *conn) request() (*Request, error) {
	line, err := c.line(time.Now().Add(c.server.timeouts.request))
	if err != nil {
		return nil, err
	}
	return DecodeRequest(line)
}

// line reads up to the next newline. What a long line needs is held only by a few
// connections at a time.
func (c *conn) line(deadline time.Time) ([]byte, error) {
	large := false
	defer func() {
		if large {
			<-c.pool.large
		}
	}()
	if c.buf == nil {
		c.buf = make([]byte, 0, 512)
	}
	searched := 0
	for {
		if i := bytes.IndexByte(c.buf[searched:], '\n'); i >= 0 {
			line := c.buf[:searched+i]
			c.rest(searched + i + 1)
			return line, nil
		}
		searched = len(c.buf)
		if searched >= c.pool.maxLine {
			return nil, errTooLong
		}
		if searched == cap(c.buf) {
			if searched >= smallLine && !large {
				if large = c.enter(); !large {
					return nil, errBusy
				}
			}
			c.buf = append(make([]byte, 0, min(2*cap(c.buf), c.pool.maxLine)), c.buf...)
		}
		if err := c.file.SetReadDeadline(deadline); err != nil {
			return nil, err
		}
		n, err := c.file.Read(c.buf[searched:cap(c.buf)])
		c.buf = c.buf[:searched+n]
		// The wake of an answer that has been written already may come only now.
		if errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			return nil, err
		}
	}
}

// rest keeps what follows the first n bytes, in a buffer of its own: the request
// may still be decoded from the old one.
func (c *conn) rest(n int) {
	rest := c.buf[n:]
	c.buf = nil
	if len(rest) > 0 {
		c.buf = append(make([]byte, 0, max(512, len(rest))), rest...)
	}
}

// enter waits for a place among the large ones.
func (c *conn) enter() bool {
	timeout := alarm.New(c.server.timeouts.write)
	defer timeout.Stop()
	select {
	case c.pool.large <- struct{}{}:
		return true
	case <-timeout.C:
	case <-c.server.done:
	}
	return false
}

// call hands a request to the supervisor and writes the answer. It reports whether
// the connection goes on.
func (c *conn) call(req *Request) bool {
	cmd := lookUp(req.Command)
	if req.Command == CmdCancelShutdown {
		return c.cancelDelayed(req)
	}
	if cmd.large {
		if !c.enter() {
			c.refuse(errBusy.Error())
			return false
		}
		defer func() { <-c.pool.large }()
	}
	if req.Command == CmdShutdown && !c.delay(time.Duration(req.Delay)*time.Second) {
		return false
	}
	call := c.newCall(req)
	defer call.finish()
	if !c.post(call) {
		return false
	}
	w := writer{conn: c, timeout: c.server.timeouts.write}
	switch {
	case cmd.stream:
		w.timeout = c.server.timeouts.stream
	case cmd.large:
		w.end = time.Now().Add(c.server.timeouts.large)
	}
	for {
		// In this order: an answer that comes after the deadline has been reset wakes
		// the wait below, one that came before is found here.
		if err := c.file.SetReadDeadline(time.Time{}); err != nil {
			return c.leave(call)
		}
		ended, err := w.drain(call)
		switch {
		case err != nil:
			return c.leave(call)
		case ended:
			return true
		}
		if err := c.waitHangUp(); !errors.Is(err, os.ErrDeadlineExceeded) {
			return c.leave(call)
		}
	}
}

// post hands a call to the supervisor.
func (c *conn) post(call *Call) bool {
	select {
	case c.server.calls <- call:
		return true
	case <-c.server.done:
		return false
	}
}

// leave tells the supervisor that nobody waits for call any more.
//
//go:noinline
func (c *conn) leave(call *Call) bool {
	call.finish()
	c.post(&Call{Cancels: call})
	return false
}

// waitHangUp waits until the client has gone, or until the read deadline. A client
// that has only shut down its sending side still waits for the answer.
//
//go:noinline
func (c *conn) waitHangUp() error {
	return c.raw.Read(func(fd uintptr) bool {
		// POLLHUP comes unasked (poll(2)), and the poller wakes us at every change.
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0)
		for err == unix.EINTR {
			n, err = unix.Poll(fds, 0)
		}
		return n > 0
	})
}

// send writes all of b, until the write deadline. Unlike a write to the file it makes no
// SIGPIPE of a client that has gone, which would look like one that was sent to us.
func (c *conn) send(b []byte) error {
	var failed error
	err := c.raw.Write(func(fd uintptr) bool {
		for len(b) > 0 && failed == nil {
			switch n, err := unix.SendmsgN(int(fd), b, nil, nil, unix.MSG_NOSIGNAL); err {
			case nil:
				b = b[n:]
			case unix.EINTR:
			case unix.EAGAIN:
				return false
			default:
				failed = err
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	return failed
}

// refuse writes an error, as far as the client's buffer takes it at once.
func (c *conn) refuse(text string) {
	line := appendLine(nil, &Response{V: Protocol, Error: text})
	// The connection ends anyway.
	_ = c.file.SetWriteDeadline(time.Now().Add(time.Second))
	_ = c.send(line)
}

// writer writes the answers of a call.
type writer struct {
	conn    *conn
	timeout time.Duration // for one write
	end     time.Time     // when all must be written; zero: no limit
	buf     []byte
}

// drain writes what is there of the call's answers and tells whether it was all.
func (w *writer) drain(call *Call) (ended bool, err error) {
	for {
		select {
		case a := <-call.answer:
			if err := w.answer(a); err != nil {
				return false, err
			}
			if !a.more {
				return true, w.flush()
			}
		default:
			return false, w.flush()
		}
	}
}

func (w *writer) answer(a answer) error {
	if a.items == nil {
		a.one.More = a.more
		return w.line(a.one)
	}
	for r := range a.items {
		r.More = true
		if err := w.line(r); err != nil {
			return err
		}
	}
	return w.line(new(Response))
}

func (w *writer) line(r *Response) error {
	r.V = Protocol
	w.buf = appendLine(w.buf, r)
	if len(w.buf) < writeChunk {
		return nil
	}
	return w.flush()
}

func (w *writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	deadline := time.Now().Add(w.timeout)
	if !w.end.IsZero() && w.end.Before(deadline) {
		deadline = w.end
	}
	if err := w.conn.file.SetWriteDeadline(deadline); err != nil {
		return err
	}
	err := w.conn.send(w.buf)
	w.buf = w.buf[:0]
	return err
}
