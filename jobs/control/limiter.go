package control

import (
	"golang.org/x/sys/unix"

	"tend/jobs/lock"
)

// The connections of admins and of everyone else are counted apart, so that others
// cannot shut root out.
const (
	maxConnections = 2048
	minConnections = 16
	// maxLarge is how many large requests and replies one kind of peers may have in
	// memory at once; more wait for their turn.
	maxLarge = 8
)

// pool has the connections of one kind of peers. Several goroutines use it: the
// one that accepts and each connection's own.
type pool struct {
	max     int
	maxLine int           // bytes of a request
	large   chan struct{} // capacity: maxLarge

	mu    lock.Mutex
	conns map[*conn]struct{}
	next  uint64
}

func newPool(max, maxLine int) *pool {
	return &pool{max: max, maxLine: maxLine, large: make(chan struct{}, maxLarge), conns: map[*conn]struct{}{}}
}

// add takes c in. When the pool is full, the connection that has been idle longest
// makes room; when all wait for an answer, c is not taken.
func (p *pool) add(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) >= p.max {
		oldest := p.idle()
		if oldest == nil {
			return false
		}
		delete(p.conns, oldest)
		oldest.hangUp()
	}
	p.next++
	c.since = p.next
	p.conns[c] = struct{}{}
	return true
}

// idle returns the connection that has been without a request longest, or nil.
func (p *pool) idle() *conn {
	var oldest *conn
	for c := range p.conns {
		if !c.busy && (oldest == nil || c.since < oldest.since) {
			oldest = c
		}
	}
	return oldest
}

// busy notes whether c has a request that is not answered yet.
func (p *pool) busy(c *conn, busy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	c.busy, c.since = busy, p.next
}

func (p *pool) remove(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// hangUpIdle ends the connection that has been idle longest.
func (p *pool) hangUpIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if oldest := p.idle(); oldest != nil {
		delete(p.conns, oldest)
		oldest.hangUp()
	}
}

// hangUpAll ends every connection.
func (p *pool) hangUpAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.hangUp()
	}
}

// connectionLimit returns how many connections one kind of peers may have: most,
// but no more than an eighth of the descriptors that we may open, as the jobs need
// them.
func connectionLimit(most uint64) int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return minConnections
	}
	return int(max(minConnections, min(most, limit.Cur/8)))
}
