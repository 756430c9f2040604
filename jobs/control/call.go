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
	// Abandon is for the supervisor to keep what it has to do when this call is
	// cancelled.
	Abandon func()

	own    uint32 // tend's uid
	answer chan answer
	wake   *os.File // its read deadline wakes the connection's goroutine
	lost   int
	gone   atomic.Bool
}

// answer is what goes back on a connection: one response, or all of items.
type answer struct {
	one   Response
	items iter.Seq[Response]
	more  bool
}

// longAgo as a deadline ends a wait at once.
var longAgo = time.Unix(1, 0)

func newCall(req *Request, peer Peer, own uint32, wake *os.File) *Call {
	room := 1
	if commands[req.Command].stream {
		room = streamQueue
	}
	return &Call{Request: *req, Peer: peer, own: own, answer: make(chan answer, room+1), wake: wake}
}

// Reply ends the call with r.
func (c *Call) Reply(r Response) { c.put(answer{one: r}) }

// Refuse ends the call with an error.
func (c *Call) Refuse(text string) { c.Reply(Response{Error: text}) }

// ReplyAll ends the call with all of items. They are asked for on the connection's
// own goroutine, at the speed at which the client reads: they may touch only what
// does not change any more.
func (c *Call) ReplyAll(items iter.Seq[Response]) { c.put(answer{items: items}) }

// Send sends r as a line of a stream. When the client reads too slowly r is
// dropped and counted. It reports false when the client has gone.
func (c *Call) Send(r Response) bool {
	if c.gone.Load() {
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

func (c *Call) put(a answer) {
	if c.answer == nil || c.gone.Load() {
		return
	}
	select {
	case c.answer <- a:
		// A closed connection is what Gone tells.
		_ = c.wake.SetReadDeadline(longAgo)
	default: // answered already
	}
}
