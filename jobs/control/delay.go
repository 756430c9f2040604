package control

import (
	"errors"
	"os"
	"time"
)

// maxDelay bounds how far ahead a shutdown may be asked for.
const maxDelay = 365 * 24 * time.Hour

// A shutdown at a later time is held by its connection: the client waits, and when
// it leaves, or somebody cancels, there will be no shutdown.

// delay waits for d and reports whether the request is still wanted.
func (c *conn) delay(d time.Duration) bool {
	if d <= 0 || !c.peer.Admin(c.server.own) {
		return true // others are refused by the supervisor, at once
	}
	at := time.Now().Add(min(d, maxDelay))
	c.server.hold(c, true)
	defer c.server.hold(c, false)
	for {
		if err := c.file.SetReadDeadline(at); err != nil {
			return false
		}
		// After the deadline has been set, or a cancellation in between would be
		// overwritten.
		if !c.server.held(c) {
			c.refuse("Shutdown cancelled")
			return false
		}
		if err := c.waitHangUp(); !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		if !time.Now().Before(at) && c.server.held(c) {
			return true
		}
	}
}

// cancelDelayed answers CmdCancelShutdown.
func (c *conn) cancelDelayed(req *Request) bool {
	call := c.newCall(req)
	err := call.Permit(nil)
	if err == nil && !c.server.cancelHeld() {
		err = errors.New("no shutdown is pending")
	}
	w := writer{conn: c, timeout: c.server.timeouts.write}
	var r Response
	if err != nil {
		r.Error = err.Error()
	}
	if w.line(&r) != nil || w.flush() != nil {
		return false
	}
	return true
}

func (s *Server) hold(c *conn, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.delayed[c] = struct{}{}
	} else {
		delete(s.delayed, c)
	}
}

func (s *Server) held(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.delayed[c]
	return ok
}

// cancelHeld lets go of all shutdowns that wait and tells whether there was one.
func (s *Server) cancelHeld() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	any := len(s.delayed) > 0
	for c := range s.delayed {
		// A connection that is closed has nothing to wake.
		_ = c.file.SetReadDeadline(longAgo)
	}
	clear(s.delayed)
	return any
}
