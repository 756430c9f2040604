package console

import (
	"errors"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/fault"
	"tend/jobs/lock"
)

// The streams of a process; they index the pipes of an Output and the sinks.
const (
	stdout = 0
	stderr = 1
)

var streamNames = [...]string{stdout: "stdout", stderr: "stderr"}

// Spec says for which process an Output is.
type Spec struct {
	Job, Instance string
	Process       jobs.Process
	Console       jobs.Console
	// UID is the user that the process will run as: it must be able to open
	// /dev/stdout by path.
	UID int
}

// Output is what a process gets as descriptors 0 to 2. It is made right before the
// fork and closed right after it; reading goes on by itself until nobody has the
// pipes open any more.
type Output struct {
	Stdin, Stdout, Stderr int
	// Terminal says that Stdin is a terminal, which the process is to make its
	// controlling terminal (console owner).
	Terminal bool

	job   *job
	raw   bool // what is read is passed on without a prefix
	owned []int
}

// smallPipesFrom is the number of pipes from which on new ones are made small, and
// smallPipe their size, two pages. A user without privileges may hold
// pipe-user-pages-soft (16384) pages in all pipes together; the kernel gives later
// pipes two pages, and refuses to grow any. Small ones from the start leave room to
// grow those that turn out to be busy.
const (
	smallPipesFrom = 512
	smallPipe      = 8192
)

// Open makes the descriptors for a process. On an error nothing is left open.
func (c *Console) Open(s Spec) (*Output, error) {
	o := &Output{Stdin: -1, Stdout: -1, Stderr: -1}
	err := c.open(o, s)
	if err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

func (c *Console) open(o *Output, s Spec) error {
	mode := s.Console
	if mode == jobs.ConsoleDefault {
		mode = c.opts.Default
	}
	if mode == jobs.ConsoleOwner {
		if fd := c.openTerminal(o); fd >= 0 {
			o.Stdin, o.Stdout, o.Stderr, o.Terminal = fd, fd, fd, isTerminal(fd)
			c.log.sink.kick() // what has been logged goes before what the process will write
			return nil
		}
		mode = jobs.ConsoleOutput
	}
	in, out, err := c.null.open(c)
	if err != nil {
		return err
	}
	o.Stdin = in
	switch mode {
	case jobs.ConsoleNone:
		o.Stdout, o.Stderr = out, out
		return nil
	case jobs.ConsoleOutput:
		if c.inheritable(s.UID) {
			o.Stdout, o.Stderr = c.opts.Stdout, c.opts.Stderr
			c.log.sink.kick()
			return nil
		}
		o.raw = true
	}
	if err := c.openPipes(o, s); err != nil {
		return err
	}
	if o.raw && c.firstCopy(o.job) {
		c.log.Notice().Job(s.Job, s.Instance).Msg(
			"console output: user " + strconv.Itoa(s.UID) + " cannot be let open stdout and stderr by path; its output is copied")
	}
	return nil
}

// firstCopy tells whether nobody has been told yet that the job's output is copied.
func (c *Console) firstCopy(j *job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !j.copied
	j.copied = true
	return first
}

// openPipes makes the two pipes and hands their read ends over to the reader.
func (c *Console) openPipes(o *Output, s Spec) error {
	var ends [2]int
	for stream := range ends {
		p, err := newPipe(s.UID)
		if err != nil {
			if stream == stderr {
				syscall.Close(ends[stdout])
			}
			o.Close()
			return fault.Of("cannot make a pipe for the output", err)
		}
		ends[stream] = p[0]
		o.owned = append(o.owned, p[1])
	}
	o.Stdout, o.Stderr = o.owned[stdout], o.owned[stderr]

	c.mu.Lock()
	defer c.mu.Unlock()
	o.job = c.acquireJob(jobKey{s.Job, s.Instance})
	o.job.open += len(ends)
	pipes := make([]pipe, len(ends))
	for stream, fd := range ends {
		if c.live >= smallPipesFrom {
			unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, smallPipe)
		}
		pipes[stream] = pipe{fd: -1, job: o.job, process: s.Process, stream: uint8(stream), raw: o.raw}
	}
	if err := c.handOver(ends[:], pipes); err != nil {
		for range ends {
			c.releaseJob(o.job)
		}
		return fault.Of("cannot hand over a pipe for the output", err)
	}
	return nil
}

// newPipe makes a pipe. Its owner is the user of the process, and others may write to it,
// so that /dev/stdout can be opened by path also after a change of user; who has no
// descriptor of it cannot reach it at all.
func newPipe(uid int) ([2]int, error) {
	var p [2]int
	if err := syscall.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return p, err
	}
	// Each may be refused without CAP_CHOWN; the other is enough to write.
	_ = syscall.Fchmod(p[1], 0o622)
	if uid != unix.Geteuid() {
		_ = unix.Fchown(p[1], uid, -1)
	}
	return p, nil
}

// Close gives up our copies of the descriptors. It is called once the process has
// been forked, or could not be.
//
//go:noinline
func (o *Output) Close() {
	for _, fd := range o.owned {
		syscall.Close(fd)
	}
	o.owned = nil
}

// openTerminal returns the terminal for "console owner", else /dev/console whatever it
// is, else -1.
func (c *Console) openTerminal(o *Output) int {
	if isTerminal(0) {
		return 0
	}
	fd, err := syscall.Open("/dev/console", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	o.owned = append(o.owned, fd)
	return fd
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// inheritable tells whether a process of user uid can use our stdout and stderr as
// they are: also by path, which goes by the owner and mode of what is behind them.
func (c *Console) inheritable(uid int) bool {
	if uid == unix.Geteuid() {
		return true
	}
	return writableBy(c.opts.Stdout, uid) && writableBy(c.opts.Stderr, uid)
}

func writableBy(fd, uid int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false
	}
	if st.Mode&unix.S_IWOTH != 0 || int(st.Uid) == uid && st.Mode&unix.S_IWUSR != 0 {
		return st.Mode&unix.S_IFMT != unix.S_IFSOCK // no socket can be opened by path
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFIFO, unix.S_IFCHR:
		return syscall.Fchmod(fd, st.Mode&0o7777|unix.S_IWOTH) == nil
	}
	return false
}

// nullDevice is /dev/null, or what stands in for it in an image that has none: a
// pipe at its end to read from, and a pipe whose output is thrown away to write to.
type nullDevice struct {
	mu      lock.Mutex
	opened  bool
	in, out int
}

func (n *nullDevice) open(c *Console) (in, out int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.opened {
		return n.in, n.out, nil
	}
	if fd, err := openNull(); err == nil {
		n.opened, n.in, n.out = true, fd, fd
		return fd, fd, nil
	} else {
		c.log.Warning().Msg("/dev/null: " + err.Error() + "; a pipe stands in for it")
	}
	var p [2]int
	if err := syscall.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, fault.Of("cannot make a pipe in place of /dev/null", err)
	}
	syscall.Close(p[1])
	q, err := newPipe(unix.Geteuid())
	if err != nil {
		syscall.Close(p[0])
		return -1, -1, fault.Of("cannot make a pipe in place of /dev/null", err)
	}
	c.mu.Lock()
	err = c.handOver(q[:1], []pipe{{fd: -1}})
	c.mu.Unlock()
	if err != nil {
		syscall.Close(p[0])
		syscall.Close(q[1])
		return -1, -1, fault.Of("cannot hand over a pipe in place of /dev/null", err)
	}
	n.opened, n.in, n.out = true, p[0], q[1]
	return n.in, n.out, nil
}

// nullPath is a variable for the test that has no /dev/null.
var nullPath = "/dev/null"

func openNull() (int, error) {
	fd, err := syscall.Open(nullPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		syscall.Close(fd)
		return -1, errors.New("not the null device")
	}
	return fd, nil
}

func (n *nullDevice) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.opened {
		return
	}
	syscall.Close(n.in)
	if n.out != n.in {
		syscall.Close(n.out)
	}
	n.opened = false
}
