package control

import (
	"iter"
	"os"
	"sync/atomic"
	"time"
)

// streamQueue is how many lines of a stream may wait for a slow reader, about a
// boot of a hundred jobs; what comes then is counted as lost.
const streamQueue = 1024

// Call is a request on its way to the supervisor, who answers it with Reply or
// ReplyAll, once, at any later time; or with Send, as often as needed, and Reply.
// These are for one goroutine at a time. None of them blocks, and after the client
// has gone they do nothing.
type Call struct {
	Request
	Peer Peer
	// Cancels, when not nil, is an earlier call whose client has gone before the
	// answer. Nothing else is set then, and no reply is expected.
	Cancels *Call
	// Bug is what a connection has panicked with, which has ended. Nothing else is set then.
	Bug any
	// Abandon is for the supervisor to keep what it has to do when this call is
	// cancelled.
	Abandon func()

	server   *Server
	answer   chan answer
	wake     *os.File // its read deadline wakes the connection's goroutine
	lost     int
	progress atomic.Int32
}

// The progress of a call.
const (
	open     = iota
	answered // by Reply or ReplyAll
	over     // written, or the client has gone
)

// answer is what goes back on a connection: one response, or all of items.
type answer struct {
	one   *Response
	items iter.Seq[*Response]
	more  bool
}

// longAgo as a deadline ends a wait at once.
var longAgo = time.Unix(1, 0)

// newCall makes the call for a request of the connection.
func (c *conn) newCall(req *Request) *Call {
	room := 0
	if lookUp(req.Command).stream {
		room = streamQueue
	}
	return &Call{Request: *req, Peer: c.peer, server: c.server, answer: make(chan answer, room+1), wake: c.file}
}

// Reply ends the call with r, which is the call's from then on.
//
//go:noinline
func (c *Call) Reply(r *Response) { c.end(answer{one: r}) }

// Done ends the call with nothing to say but that it is done.
//
//go:noinline
func (c *Call) Done() { c.Reply(new(Response)) }

// Refuse ends the call with an error.
//
//go:noinline
func (c *Call) Refuse(text string) { c.Reply(&Response{Error: text}) }

// ReplyAll ends the call with all of items. They are asked for on the connection's
// own goroutine, at the speed at which the client reads: they may touch only what
// does not change any more.
func (c *Call) ReplyAll(items iter.Seq[*Response]) { c.end(answer{items: items}) }

// Send sends r, which is the call's from then on, as a line of a stream. When the client reads too slowly r is
// dropped and counted. It reports false when the client has gone.
func (c *Call) Send(r *Response) bool {
	if c.progress.Load() != open {
		return false
	}
	// The last place is kept for Reply.
	if len(c.answer) >= cap(c.answer)-1 {
		c.lost += 1 + r.Lost
		return true
	}
	r.Lost, c.lost = r.Lost+c.lost, 0
	c.put(answer{one: r, more: true})
	return true
}

// end puts the last answer, once.
func (c *Call) end(a answer) {
	if c.progress.CompareAndSwap(open, answered) {
		c.server.unwritten.Add(1)
		c.put(a)
	}
}

// put never finds the channel full: Send and end see to that.
func (c *Call) put(a answer) {
	c.answer <- a
	// A connection that is closed has nobody to wake.
	_ = c.wake.SetReadDeadline(longAgo)
}

// finish is for the connection: nothing of the call will be written any more.
//
//go:noinline
func (c *Call) finish() {
	if c.progress.Swap(over) == answered && c.server.unwritten.Add(-1) == 0 {
		select {
		case c.server.written <- struct{}{}:
		default:
		}
	}
}
