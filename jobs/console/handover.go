package console

import (
	"errors"
	"math"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs/fault"
	"tend/jobs/file"
)

// The reader has a descriptor table of its own, in which the read ends of all pipes are.
// In that of the other threads they would make each fork slower: the kernel copies the
// table for the child and closes every entry again in its exec, which with a thousand
// jobs takes longer than all the rest. They are handed over as descriptors in a message
// (unix(7), SCM_RIGHTS):
//
//	who forks                          reader
//	pipe2, twice
//	handed <- both pipes
//	sendmsg: both read ends    ->      recvmsg: both, with numbers of its own
//	close: both read ends              handed -> both pipes

// reserved is how many descriptors of the reader's table are kept for other things than
// pipes, log files first; where the limit is low, half of it.
const reserved = 64

// maxRights is how many descriptors are put into one message, and how many wait for it. The
// kernel allows 253, but a table of descriptors has room for 64 at first, and the one that
// makes it larger waits 10 ms for all processors when threads share it.
const maxRights = 32

// gap is how many numbers without a descriptor are taken for the end of what was opened
// before any process.
const gap = 64

// closeRange is a variable for the test of a kernel that has no such call.
var closeRange = unix.CloseRange

// separate gives the calling thread a descriptor table of its own, with the given ones
// and those that the Go runtime uses on any thread: its epoll set and eventfd, which the
// start of a collection polls. A kernel before Linux 5.9, or a filter of system calls, may
// refuse it; then the reader goes on in the table of all. The thread must end with its
// goroutine.
func separate(keep ...int) {
	if startPoller() != nil || closeRange(math.MaxUint32, math.MaxUint32, unix.CLOSE_RANGE_UNSHARE) != nil {
		return
	}
	fd := 0
	for free := 0; free < gap; fd++ {
		switch open, needed := runtimes(fd); {
		case !open:
			free++
		case !needed && !slices.Contains(keep, fd):
			_ = syscall.Close(fd)
			fallthrough
		default:
			free = 0
		}
	}
	// What has been opened for processes meanwhile may lie beyond a gap.
	_ = closeRange(uint(max(fd, slices.Max(keep)+1)), math.MaxUint32, 0)
}

// runtimes tells whether a descriptor is open, and whether it may be one of the runtime's:
// no file is behind it (so it has no type), and it is not one that tells how much can be
// read, as one of inotify does.
func runtimes(fd int) (open, maybe bool) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false, false
	}
	if st.Mode&unix.S_IFMT != 0 {
		return true, false
	}
	_, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	return true, err != nil
}

// startPoller makes the runtime open those descriptors, which it does when it first needs
// them.
func startPoller() error {
	r, w, err := os.Pipe()
	if err == nil {
		r.Close()
		w.Close()
	}
	return err
}

// mostPipes is how many pipes the limit of descriptors allows.
func mostPipes() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur) - min(reserved, int(limit.Cur)/2)
}

// handedOver is a pipe whose read end is still in the table of the other threads.
type handedOver struct {
	pipe *pipe
	end  int
}

// handOver queues the read ends of pipes for the reader. Its one error is EMFILE, when there
// are as many pipes as there may be; then they are closed. Console.mu is held.
//
// The reader is woken for many at once: for each alone it would cost more than the fork.
func (c *Console) handOver(ends []int, pipes []pipe) error {
	if c.live+len(pipes) > c.most {
		for _, fd := range ends {
			syscall.Close(fd)
		}
		return unix.EMFILE
	}
	c.live += len(pipes)
	for i := range pipes {
		c.unsent = append(c.unsent, handedOver{&pipes[i], ends[i]})
	}
	if len(c.unsent) >= maxRights {
		c.send()
	}
	return nil
}

// Hold has the lines of tend's own log wait from now on until there is a page of them, or
// for HandOver. It is for the time in which many may come: to wake the writer for each
// would cost more than all the rest of it.
func (c *Console) Hold() { c.log.sink.hold(true) }

// HandOver has the output of the processes read for which Open has been called, and
// undoes Hold. It is for the moment when no more are about to be started.
func (c *Console) HandOver() {
	c.log.sink.hold(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.send(); len(c.unsent) > 0 {
		c.rd.wake()
	}
}

// send sends what is unsent, as far as that is possible now: the reader's socket may be
// full, or the processes of this user have too many descriptors in messages. Console.mu is
// held.
func (c *Console) send() {
	for len(c.unsent) > 0 {
		batch := c.unsent[:min(len(c.unsent), maxRights)]
		ends := make([]int, len(batch))
		for i, h := range batch {
			ends[i] = h.end
		}
		if unix.Sendmsg(c.rd.hand[1], []byte{byte(len(batch))}, unix.UnixRights(ends...), nil, 0) != nil {
			return
		}
		for _, h := range batch {
			syscall.Close(h.end)
			c.handed = append(c.handed, h.pipe)
		}
		c.unsent = slices.Delete(c.unsent, 0, len(batch))
	}
}

// askForRest has what is unsent sent, by a thread in whose table it is, and tells whether
// there is any.
func (r *reader) askForRest() bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if len(r.c.unsent) == 0 {
		return false
	}
	go func() {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		r.c.send()
	}()
	return true
}

// takePipes takes the pipes that have been handed over. Those that have ended are closed
// first, since they do not count against mostPipes any more.
func (r *reader) takePipes() {
	r.c.mu.Lock()
	n := len(r.c.handed)
	r.c.mu.Unlock()
	if n == 0 {
		return
	}
	r.closeEnded(readEvents)
	var b [1]byte
	control := make([]byte, unix.CmsgSpace(4*maxRights))
	for {
		_, n, err := file.Receive(r.hand[0], b[:], control)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return
		}
		var ends []int
		if messages, _ := unix.ParseSocketControlMessage(control[:n]); len(messages) > 0 {
			ends, _ = unix.ParseUnixRights(&messages[0])
		}
		r.take(int(b[0]), ends)
	}
}

// take enters the next n pipes into the table, and watches them. A message has fewer
// descriptors when there was no room for more in our table, against mostPipes.
func (r *reader) take(n int, ends []int) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	for i, p := range r.c.handed[:n] {
		err := error(unix.EMFILE)
		if i < len(ends) {
			p.fd = ends[i]
			r.c.enter(p)
			_, _ = unix.FcntlInt(uintptr(p.fd), unix.F_SETFL, unix.O_NONBLOCK)
			err = r.watch(p.fd)
		}
		if err != nil {
			r.closePipe(r.c.dropPipe(p))
			r.c.log.Error().Job(p.owner()).Msg(fault.Of("cannot watch a pipe for the output", err).Error() + "; what is written to it is lost")
		}
	}
	r.c.handed = slices.Delete(r.c.handed, 0, n)
}

// owner returns the job and the instance that write to p; none for what stands in for
// /dev/null.
func (p *pipe) owner() (job, instance string) {
	if p.job == nil {
		return "", ""
	}
	return p.job.key.job, p.job.key.instance
}
