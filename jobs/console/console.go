// Package console carries the output of jobs: pipes that processes write to, the
// lines that go on to the container's stdout and stderr, the log files, the last
// lines of every job, and tend's own log.
//
// Three threads do all of it, and exist from New on. The reader waits in epoll for
// every pipe there is, and for nothing else; it formats whole lines into the buffer
// of a sink, and writes the log files. Its descriptors are its own, see handover.go.
// Each sink (stdout, stderr; only one when both are the same file) has a thread that
// writes its buffer out, since descriptors 0 to 2 are shared with other programs and
// are never made non-blocking. When a sink's buffer is full the reader leaves the pipes
// that go there alone until there is room: their writers block, everything else goes
// on, and nothing is lost.
//
// The threads wait in the kernel (epoll, eventfd), never in Go's scheduler, so each
// keeps its thread for good and none is made later.
package console

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/alarm"
	"tend/jobs/lock"
)

// Format says how jobs' output is passed on to stdout and stderr.
type Format uint8

// The values of --job-output. The zero value is Prefix.
const (
	Prefix Format = iota // "JOB | text", or JSON lines
	Raw                  // as it is
	None                 // not at all
)

var formatNames = [...]string{Prefix: "prefix", Raw: "raw", None: "none"}

// String returns the word of --job-output.
func (f Format) String() string { return formatNames[f] }

// Options set up a Console.
type Options struct {
	Format Format
	JSON   bool  // tend's own log, and jobs' lines in the format Prefix, are JSON
	Level  Level // of tend's own log
	// Stdout and Stderr are the descriptors to write to, normally 1 and 2. They are
	// neither closed nor changed.
	Stdout, Stderr int
	// LogDir is where log files go; empty for none.
	LogDir string
	// LogMaxSize is the size in bytes beyond which a log file is rotated; 0: never.
	LogMaxSize int64
	// LogFiles is how many files of a job are kept, the current one included.
	LogFiles int
	// Default replaces jobs.ConsoleDefault; its own zero value stands for ConsoleLog.
	Default jobs.Console
}

// Console carries the output of all jobs. Its methods may be called from any
// goroutine; none waits for a reader of our output or for a disk, unless it says so.
type Console struct {
	opts  Options
	log   *Log
	sinks [2]*sink // by stream; twice the same when stdout and stderr are one file
	muted atomic.Bool
	rd    reader
	null  nullDevice

	mu      lock.Mutex
	pipes   []*pipe      // by descriptor of the read end, in the reader's table
	unsent  []handedOver // for the reader, whose socket has no room
	handed  []*pipe      // in that socket, in order
	live    int          // pipes in the table and on their way
	most    int          // of them
	jobs    map[jobKey]*job
	gone    goneJobs
	width   int // of the longest label so far, within maxPad
	closed  bool
	threads sync.WaitGroup
}

// New starts the threads. It reads nothing and writes nothing until there is output.
func New(o Options) (*Console, error) {
	c, err := prepare(o)
	if err != nil {
		return nil, err
	}
	c.start(c.sinks[stdout].run)
	if c.sinks[stderr] != c.sinks[stdout] {
		c.start(c.sinks[stderr].run)
	}
	c.start(c.rd.run)
	return c, nil
}

// prepare makes a Console without its threads.
func prepare(o Options) (*Console, error) {
	if o.Default == jobs.ConsoleDefault {
		o.Default = jobs.ConsoleLog
	}
	o.LogFiles = max(o.LogFiles, 1)
	c := &Console{opts: o, jobs: make(map[jobKey]*job), most: mostPipes()}
	if err := c.rd.init(c); err != nil {
		return nil, err
	}
	out, err := newSink(c, o.Stdout, "stdout")
	if err != nil {
		return nil, err
	}
	c.sinks = [2]*sink{out, out}
	if !sameFile(o.Stdout, o.Stderr) {
		if c.sinks[stderr], err = newSink(c, o.Stderr, "stderr"); err != nil {
			return nil, err
		}
	}
	c.log = newLog(c.sinks[stderr], o.JSON, o.Level)
	return c, nil
}

func (c *Console) start(thread func()) {
	c.threads.Add(1)
	go func() {
		defer c.threads.Done()
		thread()
	}()
}

// sameFile tells whether two descriptors are open on the same file, so that the
// order of lines between them can be kept by writing both through one.
func sameFile(a, b int) bool {
	var x, y unix.Stat_t
	if unix.Fstat(a, &x) != nil || unix.Fstat(b, &y) != nil {
		return false
	}
	return x.Dev == y.Dev && x.Ino == y.Ino
}

// Log returns tend's own log.
func (c *Console) Log() *Log { return c.log }

// Mute says that COMMAND owns the terminal (or no longer does): while it does,
// jobs' output is not printed on a terminal. Files and last lines are kept.
func (c *Console) Mute(on bool) {
	c.muted.Store(on)
	c.rd.wake() // a terminal that is stopped may hold up some pipes
}

// NotifyDiskWriteable says that log files may be written now: what could not be
// written so far is tried again.
func (c *Console) NotifyDiskWriteable() {
	c.rd.post(request{retryFiles: true})
}

// Sync waits until what the processes of an instance have written so far is in the
// log file and among the last lines, an unfinished last line included, or until
// timeout has passed; it tells which. Output that a stalled stdout or stderr holds up
// is left in the pipe. It is for the moment after a process has died.
func (c *Console) Sync(jobName, instance string, timeout time.Duration) bool {
	return c.wait(request{sync: &jobKey{jobName, instance}}, time.Now().Add(timeout))
}

// Flush waits until everything that is in the pipes and buffers has been written,
// or until deadline; it tells which. It is for the moment before the end.
func (c *Console) Flush(deadline time.Time) bool {
	c.mu.Lock()
	ended := c.live == 0
	c.mu.Unlock()
	// Where no pipe is open all has been passed on.
	if !ended && !c.wait(request{flush: true}, deadline) {
		return false
	}
	ok := c.sinks[stdout].flush(deadline)
	if c.sinks[stderr] != c.sinks[stdout] {
		ok = c.sinks[stderr].flush(deadline) && ok
	}
	return ok
}

func (c *Console) wait(r request, deadline time.Time) bool {
	c.HandOver()
	r.done = make(chan struct{})
	if !c.rd.post(r) {
		return false
	}
	t := alarm.New(time.Until(deadline))
	defer t.Stop()
	select {
	case <-r.done:
		return true
	case <-t.C:
		return false
	}
}

// Close ends the threads and closes every descriptor of the Console. It waits for a
// write to stdout or stderr that is under way. PID 1 never calls it: it exits.
func (c *Console) Close() {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return
	}
	c.rd.wake()
	for _, s := range c.sinks {
		s.close()
	}
	c.threads.Wait()
	c.rd.free()
	c.sinks[stdout].free()
	if c.sinks[stderr] != c.sinks[stdout] {
		c.sinks[stderr].free()
	}
	c.null.close()
}
