package console

import (
	"bytes"
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tend/jobs/alarm"
	"tend/jobs/fault"
	"tend/jobs/lock"
)

const (
	// sinkSize is the size of a sink's buffer: a few turns of reader and writer at
	// full speed. Its pages are used from the front, so a quiet container touches one.
	sinkSize = 512 << 10
	// sinkRoom is the free space without which no pipe is read for the sink. The
	// longest line must fit: in JSON each byte may become six.
	sinkRoom = 128 << 10
	// sinkWrite bounds one write, so that room is made while a slow reader takes it.
	sinkWrite = 128 << 10
	// logSize bounds the lines of tend's own log that wait.
	logSize = 64 << 10
	// logLine bounds one of them.
	logLine = 16 << 10
)

// sink is stdout or stderr: a ring of bytes that the reader fills and one thread
// writes out, and the waiting lines of tend's own log.
type sink struct {
	c        *Console
	fd       int
	name     string
	terminal bool
	event    int         // eventfd on which the thread waits
	dead     atomic.Bool // nobody will ever read it: output is thrown away

	// Of the reader.
	parked []*pipe // left alone until there is room
	mid    *pipe   // whose line is not finished (format Raw)

	mu  lock.Mutex
	buf []byte
	// The bytes to write are buf[r:w], or when wrap is not negative buf[r:wrap] and
	// then buf[:w]. Regions are contiguous so that a line never has to be cut.
	r, w, wrap int
	top        int   // pages of buf below this have been touched
	in, out    int64 // bytes committed and written in all
	log, spare []byte
	marks      []mark
	lost       int  // lines of the log that did not fit
	held       bool // lines of the log wait for more
	sleeping   bool
	starved    bool // the reader wants to know of room
	closed     bool
	waiters    []chan struct{} // closed when all has been written

	// Of the thread alone.
	midline bool
	said    bool // that writing does not work
	dropped int64
}

// mark is the end of some lines of tend's own log that came when jobs had written
// after bytes in all. Those go first, so that a job's last words stand before our
// line about its end.
type mark struct {
	after int64
	end   int
}

func newSink(c *Console, fd int, name string) (*sink, error) {
	buf, err := mapBuffer(sinkSize)
	if err != nil {
		return nil, fault.Of("cannot map the buffer of "+name, err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fault.Of("cannot make an eventfd", err)
	}
	return &sink{c: c, fd: fd, name: name, terminal: isTerminal(fd), event: event, buf: buf, wrap: -1}, nil
}

func (s *sink) free() {
	syscall.Close(s.event)
	unmap(s.buf)
}

// mapBuffer returns memory that takes up none until it is used, and can be given back. It
// is not unix.Mmap, which brings along a table of what is mapped.
func mapBuffer(size int) ([]byte, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), size), nil
}

func unmap(buf []byte) { _ = unix.MunmapPtr(unsafe.Pointer(&buf[0]), uintptr(len(buf))) }

// reserve returns a free region of at least min bytes to fill and commit, or nil
// when there is none; then the reader is woken once there is more room. The reader
// alone calls it.
func (s *sink) reserve(min int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.r == s.w && s.wrap < 0 {
		s.r, s.w = 0, 0
	}
	switch {
	case s.wrap >= 0:
		if s.r-s.w >= min {
			return s.buf[s.w:s.r:s.r]
		}
	case len(s.buf)-s.w >= min:
		return s.buf[s.w:]
	case s.r >= min:
		s.wrap, s.w = s.w, 0
		return s.buf[0:s.r:s.r]
	}
	s.starved = true
	return nil
}

// commit hands over n bytes of the region that reserve returned last. The writer is
// woken at once only when there is much to write; see kick.
func (s *sink) commit(n int) {
	s.mu.Lock()
	s.w += n
	s.in += int64(n)
	s.top = max(s.top, s.w)
	wake := s.sleeping && (s.wrap >= 0 || s.w-s.r >= sinkWrite/2)
	if wake {
		s.sleeping = false
	}
	s.mu.Unlock()
	if wake {
		signal(s.event)
	}
}

// pending tells whether there is something to write. mu is held.
func (s *sink) pending() bool { return s.wrap >= 0 || s.w != s.r || len(s.log) > 0 }

// kick wakes the writer if there is something to write.
func (s *sink) kick() {
	s.mu.Lock()
	wake := s.sleeping && (s.pending() || s.closed || len(s.waiters) > 0)
	if wake {
		s.sleeping = false
	}
	s.mu.Unlock()
	if wake {
		signal(s.event)
	}
}

// post adds a line of tend's own log, or counts it as lost.
func (s *sink) post(line []byte, l *Log) {
	if len(line) > logLine {
		line = append(line[:logLine:logLine], '\n')
	}
	s.mu.Lock()
	switch {
	case len(s.log)+len(line) > logSize:
		s.lost++
	case s.lost > 0:
		s.log = append(s.log, l.dropped(s.lost)...)
		s.lost = 0
		fallthrough
	default:
		s.log = append(s.log, line...)
		if n := len(s.marks); n == 0 || s.marks[n-1].after != s.in {
			s.marks = append(s.marks, mark{after: s.in})
		}
		s.marks[len(s.marks)-1].end = len(s.log)
	}
	wait := s.held && len(s.log) < pageSize
	s.mu.Unlock()
	if !wait {
		s.kick()
	}
}

// hold says whether lines of the log are to wait for more of them.
func (s *sink) hold(on bool) {
	s.mu.Lock()
	s.held = on
	s.mu.Unlock()
	if !on {
		s.kick()
	}
}

// trim gives back the pages of an empty buffer after a burst.
func (s *sink) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.r == s.w && s.wrap < 0 && s.top > pageSize {
		s.r, s.w, s.top = 0, 0, 0
		_ = unix.Madvise(s.buf, unix.MADV_DONTNEED)
	}
}

// flush waits until all has been written, or until deadline; it tells which.
func (s *sink) flush(deadline time.Time) bool {
	s.mu.Lock()
	if s.sleeping && !s.pending() {
		// A thread that sleeps and has nothing to do has written all.
		s.mu.Unlock()
		return true
	}
	done := make(chan struct{})
	s.waiters = append(s.waiters, done)
	s.mu.Unlock()
	s.kick()
	t := alarm.New(time.Until(deadline))
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

func (s *sink) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.kick()
}

// run is the thread that writes.
func (s *sink) run() {
	runtime.LockOSThread()
	// That nobody reads what is written here is no signal for anyone: PIPE goes to the
	// thread that writes.
	var pipe unix.Sigset_t
	pipe.Val[0] = 1 << (unix.SIGPIPE - 1)
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &pipe, nil)
	for {
		log, out, ok := s.next()
		if !ok {
			return
		}
		if len(log) > 0 && s.midline {
			s.write([]byte{'\n'})
		}
		s.write(log)
		s.write(out)
		s.release(log, len(out))
	}
}

// next waits for something to write: lines of the log, and a region of the ring that
// ends with a line where that is possible.
func (s *sink) next() (log, out []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.wrap >= 0 && s.r == s.wrap {
			s.r, s.wrap = 0, -1
		}
		if s.wrap >= 0 {
			out = s.buf[s.r:s.wrap]
		} else {
			out = s.buf[s.r:s.w]
		}
		if len(out) > 0 || len(s.log) > 0 {
			break
		}
		if len(s.waiters) > 0 {
			for _, w := range s.waiters {
				close(w)
			}
			s.waiters = nil
			s.mu.Unlock()
			letWaitersRun()
			s.mu.Lock()
			continue
		}
		if s.closed {
			return nil, nil, false
		}
		s.sleeping = true
		s.mu.Unlock()
		waitSignal(s.event)
		s.mu.Lock()
		s.sleeping = false
	}
	if len(out) > sinkWrite {
		if i := bytes.LastIndexByte(out[:sinkWrite], '\n'); i >= 0 {
			out = out[:i+1]
		} else {
			out = out[:sinkWrite]
		}
	}
	return s.takeLog(), out[:s.untilMark(len(out))], true
}

// takeLog returns the lines of the log that are due.
func (s *sink) takeLog() []byte {
	due := 0
	for due < len(s.marks) && s.marks[due].after <= s.out {
		due++
	}
	if due == 0 {
		return nil
	}
	log, end := s.log[:s.marks[due-1].end], s.marks[due-1].end
	s.log = append(s.spare[:0], s.log[end:]...)
	s.spare = nil
	s.marks = s.marks[:copy(s.marks, s.marks[due:])]
	for i := range s.marks {
		s.marks[i].end -= end
	}
	return log
}

// untilMark returns how many of the next n bytes of jobs go before a line of the log.
func (s *sink) untilMark(n int) int {
	if len(s.marks) == 0 {
		return n
	}
	return int(min(int64(n), s.marks[0].after-s.out))
}

// release takes back what next has given.
func (s *sink) release(log []byte, n int) {
	s.mu.Lock()
	s.r += n
	s.out += int64(n)
	if log != nil && cap(log) <= pageSize {
		s.spare = log
	}
	wake := false
	if s.starved {
		used := s.w - s.r
		if s.wrap >= 0 {
			used += s.wrap
		}
		if wake = used <= len(s.buf)/2; wake {
			s.starved = false
		}
	}
	s.mu.Unlock()
	if wake {
		s.c.rd.wake()
	}
}

// write writes all of b, waiting as long as it takes, or throws it away when nobody
// will ever read it. Someone else may have made the descriptor non-blocking.
func (s *sink) write(b []byte) {
	if len(b) > 0 {
		s.midline = b[len(b)-1] != '\n'
	}
	for len(b) > 0 && !s.dead.Load() {
		n, err := syscall.Write(s.fd, b)
		switch {
		case err == nil:
			b = b[n:]
			if s.said {
				s.said = false
				s.c.log.Warning().Msg(s.name + " can be written again; " + strconv.FormatInt(s.dropped, 10) + " bytes were lost")
				s.dropped = 0
			}
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
			_, _ = unix.Poll(fds, -1)
		default:
			s.fail(err, len(b))
			return
		}
	}
}

// fail says once that b could not be written: on stderr, or if that is what does not
// work, on stdout. A full disk or a terminal that hung up may recover, a pipe
// without a reader does not.
func (s *sink) fail(err error, lost int) {
	s.dropped += int64(lost)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EBADF) {
		s.dead.Store(true)
	}
	if s.said {
		return
	}
	s.said = true
	text := "cannot write to " + s.name + ": " + err.Error() + "; what goes there is lost"
	if s == s.c.sinks[stderr] {
		s.c.sinks[stdout].post(s.c.log.line(&Entry{log: s.c.log, level: Error}, text), s.c.log)
		return
	}
	s.c.log.Error().Msg(text)
}

// signal adds to an eventfd, which is never full.
func signal(fd int) {
	one := [8]byte{1, 1, 1, 1}
	_, _ = syscall.Write(fd, one[:])
}

// waitSignal waits until there has been a signal.
func waitSignal(fd int) {
	var b [8]byte
	for {
		if _, err := syscall.Read(fd, b[:]); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
