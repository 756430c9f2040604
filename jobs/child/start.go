package child

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/reaper/self"
)

// Started is a process that has been forked.
type Started struct {
	PID     int
	process jobs.Process
	result  *os.File // of the second stage; nil once exec is known to be reached
}

// Execed says whether the process is known to have reached its exec. If not, Wait
// tells.
func (s *Started) Execed() bool { return s.result == nil }

// Start forks a process and, on the direct way, waits for its exec. Everything that
// can be prepared is done before the fork, which happens within a call of spawn;
// that runs it so that the new process is known before it can be reaped. The
// descriptors of the specification stay the caller's.
//
// When the process is still being set up by its second stage, Wait must be called,
// and an exit of the pid means nothing before Wait has returned.
func Start(s *Spec, spawn func(fork func() (int, error)) (int, error)) (*Started, *Error) {
	var owned owned
	defer owned.close()
	files, err := s.open(&owned)
	if err != nil {
		err.Process = s.Process
		return nil, err
	}
	if s.direct() {
		st, fatal := s.startDirect(files, spawn)
		if st != nil || fatal != nil {
			return st, fatal
		}
	}
	return s.startStaged(files, spawn)
}

// startDirect returns neither a process nor an error when the second stage should
// try and tell more.
func (s *Spec) startDirect(files []int, spawn func(func() (int, error)) (int, error)) (*Started, *Error) {
	attr := &syscall.ProcAttr{Dir: s.Dir, Files: words(files), Sys: s.session(files)}
	env := s.Env
	if s.User != "" || s.Group != "" {
		id, err := lookUp(s.User, s.Group)
		if err != nil {
			err.Process = s.Process
			return nil, err
		}
		env = id.environment(env, s.UserKeys)
		attr.Sys.Credential = id.credential()
		if s.Script != "" {
			unix.Fchown(files[scriptFD], id.uid, id.gid)
		}
	}
	file, exact := lookPath(s.Argv[0], pathOf(s.Env))
	if !exact {
		return nil, nil
	}
	attr.Env = env
	pid, err := spawn(func() (int, error) { return syscall.ForkExec(file, s.Argv, attr) })
	switch err {
	case nil:
		return &Started{PID: pid, process: s.Process}, nil
	case unix.EAGAIN, unix.ENOMEM:
		return nil, forkError(s.Process, err)
	}
	return nil, nil
}

func (id *identity) credential() *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid), NoSetGroups: unix.Geteuid() != 0}
	for _, g := range id.groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// session returns what decides about session, group and terminal.
func (s *Spec) session(files []int) *syscall.SysProcAttr {
	if !s.Foreground {
		return &syscall.SysProcAttr{Setsid: true, Setctty: s.Terminal}
	}
	return &syscall.SysProcAttr{Setpgid: true, Foreground: ownsTerminal(files[0]), Ctty: files[0]}
}

// ownsTerminal says whether fd is our controlling terminal and ours to hand over:
// our group is its foreground group, or that group has died. One that a shell keeps
// while we run in its background is not.
func ownsTerminal(fd int) bool {
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPGRP)
	pgid := int(int32(n))
	return err == nil && (pgid == unix.Getpgrp() || pgid > 0 && unix.Kill(-pgid, 0) == unix.ESRCH)
}

func forkError(p jobs.Process, err error) *Error {
	e := &Error{Process: p, Stage: StageFork, Errno: toErrno(err)}
	if e.Errno == unix.EAGAIN {
		e.Hint = "is the pids limit of the container or a limit nproc reached?"
	}
	return e
}

// startStaged forks the second stage. It gets its specification, the pipe of its result
// and the standard error of the program in the three descriptors above all others. Its
// own standard error is the pipe, where the Go runtime says what it dies of. Its
// environment is ours to choose, as it steers the runtime.
func (s *Spec) startStaged(files []int, spawn func(func() (int, error)) (int, error)) (*Started, *Error) {
	spec, err := memoryFile("tend-spec", s.encode())
	if err != nil {
		return nil, forkError(s.Process, err)
	}
	defer syscall.Close(spec)
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, forkError(s.Process, err)
	}
	defer syscall.Close(pipe[1])
	at := len(files)
	sys := s.session(files)
	sys.Setctty = false // so that the second stage can say why it could not
	files = append(append([]int{}, files...), spec, pipe[1], files[2])
	files[2] = pipe[1]
	attr := &syscall.ProcAttr{
		Files: words(files),
		Env:   []string{"GOMAXPROCS=1", "GOGC=off"},
		Sys:   sys,
	}
	argv := []string{stageName, strconv.Itoa(at)}
	pid, err := spawn(func() (int, error) { return syscall.ForkExec(self.Path(), argv, attr) })
	if err != nil {
		syscall.Close(pipe[0])
		e := forkError(s.Process, err)
		if e.Errno != unix.EAGAIN && e.Errno != unix.ENOMEM {
			e.Stage, e.Arg, e.Hint = StageFork, "the second stage", self.Path()
		}
		return nil, e
	}
	syscall.SetNonblock(pipe[0], true)
	return &Started{PID: pid, process: s.Process, result: os.NewFile(uintptr(pipe[0]), "result")}, nil
}

// Wait waits for the second stage to reach the exec of the program. It returns what
// has been left out on the way, and the error that ended it, if any. It blocks in
// the poller, not in a thread.
func (s *Started) Wait() (skipped []*Error, failed *Error) {
	if s.result == nil {
		return nil, nil
	}
	var b []byte
	buf := make([]byte, 512)
	for {
		n, err := s.result.Read(buf)
		b = append(b, buf[:n]...)
		if err != nil {
			break
		}
	}
	s.result.Close()
	s.result = nil
	return readResult(b, s.process)
}

// readResult reads the records of the result pipe up to its end of file.
func readResult(b []byte, p jobs.Process) (skipped []*Error, failed *Error) {
	r := reader{b: b}
	reached := false
	for len(r.b) > 0 && r.err == nil {
		kind := r.b[0]
		rest := r.b
		r.b = r.b[1:]
		switch kind {
		case recordExec:
			reached = true
		case recordSkipped:
			skipped = append(skipped, r.error(p))
		case recordError:
			failed = r.error(p)
		default:
			return skipped, died(rest, p)
		}
	}
	if failed == nil && (!reached || r.err != nil) {
		failed = died(nil, p)
	}
	return skipped, failed
}

// noThread is what the Go runtime says when it cannot make a thread that it needs. Its
// system monitor is one, so the second stage needs some processes of a pids limit.
const noThread = "failed to create new OS thread"

// died is the error of a second stage that has ended without a word of its own, by what
// the Go runtime has said.
func died(said []byte, p jobs.Process) *Error {
	if bytes.Contains(said, []byte(noThread)) {
		return forkError(p, unix.EAGAIN)
	}
	e := &Error{Process: p, Stage: StageExec, Arg: "the program", Hint: "its set-up was ended by a signal"}
	if line, _, _ := bytes.Cut(said, []byte("\n")); len(line) > 0 {
		e.Hint = "its set-up has failed: " + string(line)
	}
	return e
}

// owned are descriptors that Start has opened for itself.
type owned []int

func (o *owned) add(fd int) int { *o = append(*o, fd); return fd }

func (o *owned) close() {
	for _, fd := range *o {
		syscall.Close(fd)
	}
}

// open returns the descriptors that the child is to have, with /dev/null and the
// script in their places.
func (s *Spec) open(o *owned) ([]int, *Error) {
	files := append([]int{}, s.Files...)
	for i := range min(3, len(files)) {
		if files[i] >= 0 {
			continue
		}
		fd, err := syscall.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil && i == 0 {
			fd, err = emptyPipe()
		}
		if err != nil {
			return nil, &Error{Stage: StageConsole, Arg: "/dev/null", Errno: toErrno(err)}
		}
		files[i] = o.add(fd)
	}
	if s.Script != "" {
		fd, err := memoryFile("script", []byte(s.Script))
		if err != nil {
			return nil, &Error{Stage: StageScript, Errno: toErrno(err)}
		}
		files[scriptFD] = o.add(fd)
	}
	return files, nil
}

// emptyPipe returns what reads as end of file, for images without /dev/null.
func emptyPipe() (int, error) {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return -1, err
	}
	syscall.Close(pipe[1])
	return pipe[0], nil
}

// memoryFile returns a file with that content, to be read from its start. A pipe
// serves where there are no memory files and the content fits, so that writing does
// not block.
func memoryFile(name string, content []byte) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return filledPipe(content, err)
	}
	for rest := content; len(rest) > 0; {
		n, err := syscall.Write(fd, rest)
		if err != nil && err != unix.EINTR {
			syscall.Close(fd)
			return -1, err
		}
		rest = rest[max(n, 0):]
	}
	if _, err := syscall.Seek(fd, 0, 0); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	return fd, nil
}

func filledPipe(content []byte, cause error) (int, error) {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return -1, err
	}
	defer syscall.Close(pipe[1])
	if size, err := unix.FcntlInt(uintptr(pipe[0]), unix.F_GETPIPE_SZ, 0); err != nil || size < len(content) {
		syscall.Close(pipe[0])
		return -1, cause
	}
	if _, err := syscall.Write(pipe[1], content); err != nil {
		syscall.Close(pipe[0])
		return -1, err
	}
	return pipe[0], nil
}

func words(files []int) []uintptr {
	w := make([]uintptr, len(files))
	for i, fd := range files {
		w[i] = uintptr(fd)
	}
	return w
}

//go:noinline
func toErrno(err error) syscall.Errno {
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return unix.EINVAL
}

func errnoOf(n int) syscall.Errno {
	if n < 0 || n > 4095 {
		return unix.EINVAL
	}
	return syscall.Errno(n)
}
