package console

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/fault"
	"tend/jobs/jsonl"
	"tend/jobs/lock"
)

const (
	pageSize = 4096
	// readSize is what is read from a pipe at once, and the size to which the pipe
	// of a busy process is grown.
	readSize = 256 << 10
	// readEvents is how many ready pipes are looked at in a round.
	readEvents = 256
	// closesPerRound is how many pipes are closed in a round while others may have output,
	// and closesPerTurn after how many others may have the processor.
	closesPerRound = 32
	closesPerTurn  = 8
	// resend is how long pipes wait that could not be sent at once.
	resend = 10 * time.Millisecond
	// quiet is after how long without output memory and log files are given back.
	quiet = time.Second
	// flushMost bounds what a flush reads from one pipe: no pipe holds more, so the
	// rest has been written since.
	flushMost = 1 << 20
)

// pipe is the read end of a pipe. All but what never changes belongs to the reader.
type pipe struct {
	fd      int  // in the reader's table; -1 before it is there and after its end
	job     *job // nil: what is read is thrown away
	process jobs.Process
	stream  uint8
	raw     bool  // passed on without a prefix, whatever the format
	parked  bool  // not in the epoll set, since its sink has no room
	cont    bool  // the line in progress has had a part passed on
	fixed   bool  // it cannot be grown
	size    int32 // capacity; 0: not known yet
	read    int32 // bytes during a flush
	// carry is what has been read and not passed on: the start of a line, or more
	// when the sink had no room.
	carry []byte
}

// request is something that the reader is asked to do between two rounds.
type request struct {
	sync       *jobKey
	flush      bool
	retryFiles bool
	done       chan struct{} // closed when done; nil: nobody waits
}

// reader is the thread that reads all pipes.
type reader struct {
	c     *Console
	epoll int
	event int    // eventfd in the epoll set
	hand  [2]int // socket in the epoll set over which pipes come, and its other end
	buf   []byte // the carry of a pipe, then what is read after it

	mu       lock.Mutex
	requests []request

	// Of the thread alone.
	events   [readEvents]unix.EpollEvent
	ready    []*pipe
	ended    []int // descriptors of pipes that are out of the table, to be closed
	flushing []request
	// flushRound says that a flush needs another round: it began within this one, or
	// the epoll set has changed since it was asked. blocked says that it waits for
	// room in a sink.
	flushRound, blocked bool
	open                []*job // with a log file open
	unsaved             []*job // with output that could not be written to their file
	saved               int    // bytes of it
	busy                bool   // a pipe was full: more is about to come, and is written with it
	behind              bool   // some pipes are still to be sent
	touched             bool   // something is to be given back when it is quiet
	head                []byte // scratch for JSON
}

func (r *reader) init(c *Console) error {
	r.c = c
	var err error
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fault.Of("cannot make an epoll set", err)
	}
	if r.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fault.Of("cannot make an eventfd", err)
	}
	// Room for what a stalled sink leaves over, and a whole read after a partial line.
	r.buf, err = mapBuffer(readSize + 2*maxLine)
	if err != nil {
		return fault.Of("cannot map a buffer", err)
	}
	r.hand, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fault.Of("cannot make a socket for pipes", err)
	}
	if err := r.watch(r.hand[0]); err != nil {
		return err
	}
	return r.watch(r.event)
}

// letGo closes what the reader has opened, before its thread ends.
func (r *reader) letGo() {
	r.takePipes()
	r.closeEnded(readEvents)
	r.c.mu.Lock()
	for _, p := range r.c.pipes {
		if p != nil {
			r.closePipe(r.c.dropPipe(p))
		}
	}
	r.c.mu.Unlock()
	for _, j := range r.open {
		j.file.close()
	}
}

// free closes what init has opened, once the thread has ended.
func (r *reader) free() {
	for _, fd := range [...]int{r.event, r.epoll, r.hand[0], r.hand[1]} {
		syscall.Close(fd)
	}
	unmap(r.buf)
}

// watch adds a descriptor to the epoll set.
func (r *reader) watch(fd int) error {
	return unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (r *reader) wake() { signal(r.event) }

// post queues a request; it tells whether there is a reader to answer it.
func (r *reader) post(q request) bool {
	r.c.mu.Lock()
	closed := r.c.closed
	r.c.mu.Unlock()
	if closed {
		return false
	}
	r.mu.Lock()
	r.requests = append(r.requests, q)
	r.mu.Unlock()
	r.wake()
	return true
}

// enter puts a pipe into the table. Console.mu is held.
func (c *Console) enter(p *pipe) {
	for len(c.pipes) <= p.fd {
		c.pipes = append(c.pipes, nil)
	}
	c.pipes[p.fd] = p
}

// dropPipe takes a pipe out of the table, if it has got there, and returns the descriptor
// that is to be given to closePipe. Console.mu is held.
func (c *Console) dropPipe(p *pipe) (fd int) {
	c.live--
	if fd, p.fd = p.fd, -1; fd >= 0 {
		c.pipes[fd] = nil
	}
	if p.job != nil {
		c.releaseJob(p.job)
	}
	return fd
}

// closePipe closes what dropPipe has returned.
func (r *reader) closePipe(fd int) {
	if fd >= 0 {
		// In a table that is not the reader's own a close alone does not take it out of
		// the epoll set while a child between fork and exec holds a copy, and its end
		// would be reported all the time.
		_ = unix.EpollCtl(r.epoll, unix.EPOLL_CTL_DEL, fd, nil)
		syscall.Close(fd)
	}
}

// run is the thread that reads. It is never unlocked: it ends with its descriptor table.
func (r *reader) run() {
	runtime.LockOSThread()
	defer r.letGo()
	separate(0, 1, 2, r.epoll, r.event, r.hand[0], r.c.sinks[stdout].event, r.c.sinks[stderr].event)
	for r.round() {
	}
}

// round waits for pipes and reads each that is ready once.
func (r *reader) round() bool {
	n, err := unix.EpollWait(r.epoll, r.events[:], r.timeout())
	if err != nil {
		n, r.flushRound = 0, true
	}
	r.c.mu.Lock()
	if r.c.closed {
		r.c.mu.Unlock()
		return false
	}
	r.ready = r.ready[:0]
	busy := r.busy
	r.busy = false
	handed := false
	for _, e := range r.events[:n] {
		switch int(e.Fd) {
		case r.event:
			var b [8]byte
			_, _ = syscall.Read(r.event, b[:])
		case r.hand[0]:
			handed = true
		default:
			p := r.c.pipes[e.Fd]
			switch {
			case p == nil:
			case e.Events&(unix.EPOLLIN|unix.EPOLLHUP) == unix.EPOLLHUP && len(p.carry) == 0:
				// Nothing is in it and nobody writes to it any more.
				r.ended = append(r.ended, r.c.dropPipe(p))
			default:
				r.ready = append(r.ready, p)
			}
		}
	}
	r.c.mu.Unlock()
	if handed {
		r.takePipes()
	}
	r.behind = r.askForRest()

	r.unpark()
	// Of a process that has written to both, stdout is read first.
	for stream := uint8(0); stream < 2; stream++ {
		for _, p := range r.ready {
			if p.stream == stream && p.fd >= 0 && !p.parked {
				r.readPipe(p)
			}
		}
	}
	r.serve()
	r.finishFlush(n)
	r.closeEnded(n)
	if !r.busy || len(r.flushing) > 0 {
		for _, s := range r.c.sinks {
			s.kick()
		}
	}
	if n == 0 && err == nil && !busy && len(r.flushing) == 0 {
		r.trim()
	}
	return true
}

// closeEnded closes some of the pipes that are at their end, unless somebody waits for an
// answer: they are reported again in the next round, which is at once. Where they fill a
// round they are in the way of others, and all are closed.
//
// Nobody waits for that, so whoever else is to run on this processor goes first: when many
// processes end at a time, those and who reaps them.
func (r *reader) closeEnded(events int) {
	for closed := 1; len(r.ended) > 0; closed++ {
		if events < readEvents && (closed > closesPerRound || r.timeout() == 0 || !r.behind && r.asked()) {
			return
		}
		last := len(r.ended) - 1
		r.closePipe(r.ended[last])
		r.ended = r.ended[:last]
		if closed%closesPerTurn == 0 {
			_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		}
	}
}

// asked tells whether there is a request that has not been served.
func (r *reader) asked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests) > 0
}

// timeout is how long to wait for output, in milliseconds.
func (r *reader) timeout() int {
	switch {
	case len(r.flushing) > 0 && !r.blocked && !r.stalled():
		return 0
	case r.busy:
		return 1
	case r.behind:
		return int(resend.Milliseconds())
	case r.touched:
		return int(quiet.Milliseconds())
	}
	return -1
}

// trim gives back, once it is quiet, the memory and the descriptors that a burst of
// output has taken. Log files are opened again by the next output.
func (r *reader) trim() {
	r.touched = false
	_ = unix.Madvise(r.buf, unix.MADV_DONTNEED)
	for _, s := range r.c.sinks {
		s.trim()
	}
	for _, j := range r.open {
		j.file.close()
	}
	r.open = nil
}

// sink returns where the output of p is passed on to, or nil.
func (r *reader) sink(p *pipe) *sink {
	if p.job == nil || r.c.opts.Format == None && !p.raw {
		return nil
	}
	s := r.c.sinks[p.stream]
	if s.dead.Load() || s.terminal && r.c.muted.Load() {
		return nil
	}
	return s
}

// park leaves a pipe alone until its sink has room.
func (r *reader) park(s *sink, p *pipe) {
	p.parked = true
	_ = unix.EpollCtl(r.epoll, unix.EPOLL_CTL_DEL, p.fd, nil)
	s.parked = append(s.parked, p)
}

// unpark goes on with the pipes whose sinks have room again. What had been read of
// them already goes first.
func (r *reader) unpark() {
	for i, s := range r.c.sinks {
		if i > 0 && s == r.c.sinks[0] {
			break
		}
		for len(s.parked) > 0 {
			p := s.parked[0]
			if r.sink(p) != nil && s.reserve(sinkRoom) == nil {
				break
			}
			if len(p.carry) > 0 {
				n := copy(r.buf, p.carry)
				if !r.consume(p, r.buf[:n], false) {
					break
				}
			}
			s.parked = slices.Delete(s.parked, 0, 1)
			p.parked = false
			_ = r.watch(p.fd)
			r.flushRound = true
		}
	}
}

// stalled tells whether a sink without room holds up some pipe.
func (r *reader) stalled() bool {
	return len(r.c.sinks[stdout].parked)+len(r.c.sinks[stderr].parked) > 0
}

// readPipe reads once from a pipe that is ready, and tells whether there may be more.
func (r *reader) readPipe(p *pipe) bool {
	if s := r.sink(p); s != nil && s.reserve(sinkRoom) == nil {
		r.park(s, p)
		return false
	}
	start := copy(r.buf, p.carry)
	n, err := syscall.Read(p.fd, r.buf[start:start+readSize])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return false
	case err != nil || n == 0:
		r.end(p)
		return false
	}
	p.read += int32(n)
	if n >= pageSize {
		r.touched = true
		r.grow(p, n)
	}
	if !r.consume(p, r.buf[:start+n], false) {
		r.park(r.c.sinks[p.stream], p)
		return false
	}
	return true
}

// end passes on the unfinished last line of a pipe that nobody writes to any more,
// and closes it.
func (r *reader) end(p *pipe) {
	r.finishLine(p)
	r.c.mu.Lock()
	fd := r.c.dropPipe(p)
	r.c.mu.Unlock()
	r.closePipe(fd)
}

// finishLine passes on the unfinished last line of p, and tells whether there was
// room for it. There is when p has just been read.
func (r *reader) finishLine(p *pipe) bool {
	return len(p.carry) == 0 || r.consume(p, r.buf[:copy(r.buf, p.carry)], true)
}

// grow makes the pipe of a busy process larger, so that reader and writer change
// turns less often. The kernel refuses it to a user whose pipes are large already.
func (r *reader) grow(p *pipe, n int) {
	if p.size == 0 {
		size, _ := unix.FcntlInt(uintptr(p.fd), unix.F_GETPIPE_SZ, 0)
		p.size = int32(size)
	}
	now := int(p.size)
	r.busy = r.busy || n >= now/2
	if p.fixed || now <= 0 || now >= readSize || n < now/2 {
		return
	}
	for size := readSize; size > now; size /= 2 {
		if _, err := unix.FcntlInt(uintptr(p.fd), unix.F_SETPIPE_SZ, size); err == nil {
			p.size = int32(size)
			return
		}
	}
	p.fixed = true
}

// consume passes on the lines of data, which lies in buf; final asks also for an
// unfinished one. What is left becomes the carry of p. It tells whether all that
// could be passed on was; if not, the sink has no room.
func (r *reader) consume(p *pipe, data []byte, final bool) bool {
	if p.job == nil {
		return true
	}
	now := time.Now()
	n, ok := 0, true
	if s := r.sink(p); s == nil {
		n = r.skip(data, final)
	} else {
		n, ok = r.format(s, p, data, final, now)
	}
	if n > 0 {
		j := p.job
		r.c.mu.Lock()
		j.record(data[:n], p.process, p.stream, now)
		r.c.mu.Unlock()
		if r.c.opts.LogDir != "" && !p.raw {
			r.save(j, p, data[:n])
		}
	}
	p.carry = nil
	if n < len(data) {
		p.carry = append([]byte(nil), data[n:]...)
	}
	return ok
}

// skip returns the length of the lines of data, as format would pass them on.
func (r *reader) skip(data []byte, final bool) int {
	n := bytes.LastIndexByte(data, '\n') + 1
	for n < len(data) {
		_, more, _ := piece(data[n:], final)
		if more == 0 {
			break
		}
		n += more
	}
	return n
}

// format appends the lines of data to a sink. It returns how much of data that was,
// and false when the sink has no room for the rest.
func (r *reader) format(s *sink, p *pipe, data []byte, final bool, now time.Time) (done int, ok bool) {
	raw := p.raw || r.c.opts.Format == Raw
	asJSON := r.c.opts.JSON && !raw
	head, factor, extra := r.lineHead(p, raw, asJSON, now), 1, 2
	if asJSON {
		factor, extra = 6, len(jsonMore)
	}
	var out []byte
	for done < len(data) {
		text, n, more := piece(data[done:], final)
		if n == 0 {
			break
		}
		if need := len(head) + factor*len(text) + extra; cap(out)-len(out) < need {
			s.commit(len(out))
			if out = s.reserve(need); out == nil {
				return done, false
			}
			out = out[:0]
		}
		done += n
		if s.mid != nil && s.mid != p {
			out = append(out, '\n')
			s.mid = nil
		}
		switch {
		case p.cont && len(text) == 0 && s.mid != p:
			// The newline of a line whose text has been passed on.
		case raw:
			out = append(out, text...)
			if s.mid = p; !more {
				out = append(out, '\n')
				s.mid = nil
			}
		case asJSON:
			out = append(out, head...)
			out = jsonl.AppendText(out, text)
			if more {
				out = append(out, jsonMore...)
			} else {
				out = append(out, jsonTail...)
			}
		default:
			out = append(out, head...)
			if p.cont {
				out[len(out)-2] = '+'
			}
			out = append(out, text...)
			out = append(out, '\n')
		}
		p.cont = n == len(text)
	}
	s.commit(len(out))
	return done, true
}

// lineHead returns what stands before the text of each line of p.
func (r *reader) lineHead(p *pipe, raw, asJSON bool, now time.Time) []byte {
	j := p.job
	switch {
	case raw:
		return nil
	case asJSON:
		r.head = appendJSONHead(r.head[:0], j.key, p.process, p.stream, now)
		return r.head
	}
	r.c.mu.Lock()
	width := r.c.width
	r.c.mu.Unlock()
	if j.prefixWidth != width {
		j.prefix, j.prefixWidth = appendPrefix(nil, j.label, width), width
	}
	return j.prefix
}

// serve does what has been asked for since the last round, also for pipes that have come
// since. Pipes that could not be sent yet are waited for.
func (r *reader) serve() {
	r.mu.Lock()
	requests := r.requests
	if r.behind {
		requests = nil
	} else {
		r.requests = nil
	}
	r.mu.Unlock()
	if len(requests) > 0 {
		r.takePipes()
	}
	for _, q := range requests {
		switch {
		case q.sync != nil:
			r.drainJob(*q.sync)
		case q.flush:
			r.beginFlush(q)
			continue
		case q.retryFiles:
			r.retryFiles()
		}
		if q.done != nil {
			close(q.done)
			letWaitersRun()
		}
	}
}

// letWaitersRun is called when somebody may have waited for what has been done: without
// it they would have to wait until they are found in the queue of this thread.
func letWaitersRun() { runtime.Gosched() }

// drainJob reads what the pipes of a job hold now, and first those of stdout.
func (r *reader) drainJob(k jobKey) {
	var pipes [2][]*pipe
	r.c.mu.Lock()
	if j := r.c.jobs[k]; j != nil && j.open > 0 {
		for _, p := range r.c.pipes {
			if p != nil && p.job == j {
				pipes[p.stream] = append(pipes[p.stream], p)
			}
		}
	}
	r.c.mu.Unlock()
	for _, p := range slices.Concat(pipes[stdout], pipes[stderr]) {
		r.drain(p)
	}
}

// drain reads what a pipe holds now, up to an unfinished last line.
func (r *reader) drain(p *pipe) {
	if p.fd < 0 || p.parked {
		return
	}
	p.read = 0
	for p.read < flushMost && r.readPipe(p) {
	}
	if p.fd >= 0 && !p.parked {
		r.finishLine(p)
	}
}

func (r *reader) beginFlush(q request) {
	r.c.mu.Lock()
	for _, p := range r.c.pipes {
		if p != nil {
			p.read = 0
		}
	}
	r.c.mu.Unlock()
	r.flushing = append(r.flushing, q)
	r.flushRound = true
}

// finishFlush answers a flush once a whole round has found no pipe with output from
// before it, and the unfinished lines have found room.
func (r *reader) finishFlush(events int) {
	r.blocked = false
	if len(r.flushing) == 0 || r.stalled() {
		return
	}
	if r.flushRound || events == readEvents {
		r.flushRound = false
		return
	}
	for _, p := range r.ready {
		if p.fd >= 0 && p.read < flushMost {
			return
		}
	}
	r.c.mu.Lock()
	pipes := slices.Clone(r.c.pipes)
	r.c.mu.Unlock()
	for _, p := range pipes {
		if p != nil && !r.finishLine(p) {
			r.blocked = true
			return
		}
	}
	for _, q := range r.flushing {
		close(q.done)
	}
	r.flushing = nil
	letWaitersRun()
}
