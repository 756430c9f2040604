package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// now is the clock that services stamp their records with, in ns.
func now() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// record is what a service has told, see service/service.c.
type record struct {
	kind   byte
	number int
	pid    int
	time   int64
	extra  int64
}

const recordSize = 32

func parseRecord(b []byte) record {
	o := binary.NativeEndian
	return record{b[0], int(o.Uint32(b[4:])), int(o.Uint32(b[8:])), int64(o.Uint64(b[16:])), int64(o.Uint64(b[24:]))}
}

// bench is the place in which peers are measured.
type bench struct {
	dir     string // of our own, removed at the end
	service string // path of the compiled service
	userns  bool   // we are not root: peers are root of a user namespace
	seq     atomic.Int32

	mu     sync.Mutex
	images []string // that have been made for the Docker engine
}

// close removes all traces. Programs under measurement end with us.
func (b *bench) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.images) > 0 {
		docker("rm", "-f", filepath.Base(b.dir))
	}
	for _, name := range b.images {
		docker("rmi", "-f", name)
	}
	os.RemoveAll(b.dir)
}

// life is one run of a peer from its exec to its end.
type life struct {
	peer     *peer
	services []service
	dir      string
	cmd      *exec.Cmd
	pid      int   // of the peer, on this machine
	began    int64 // its exec
	used     int64 // CPU time that was not its own
	events   *os.File
	group    string // its control group, if it has been given one

	mu      sync.Mutex
	news    *sync.Cond
	records []record
	ended   int64 // 0 while it runs
	result  string
}

func (b *bench) newLife(p *peer, services []service) *life {
	l := &life{peer: p, services: services, dir: filepath.Join(b.dir, fmt.Sprint("life", b.seq.Add(1)))}
	l.news = sync.NewCond(&l.mu)
	return l
}

// start runs a peer with its services in new namespaces.
func (b *bench) start(p *peer, services []service, v variant) (*life, error) {
	l := b.newLife(p, services)
	argv, err := l.prepare(v)
	if err == nil {
		err = l.exec(b, argv)
	}
	if err != nil {
		l.clean()
		return nil, err
	}
	return l, nil
}

// prepare makes the directories, the configuration and the FIFO of a life. It returns
// the command of the peer.
func (l *life) prepare(v variant) (argv []string, err error) {
	for _, dir := range []string{"cfg", "b"} {
		if err := os.MkdirAll(filepath.Join(l.dir, dir), 0o777); err != nil {
			return nil, err
		}
	}
	g := &genesis{dir: filepath.Join(l.dir, "cfg"), services: l.services, variant: v, files: l.peer.files}
	argv = l.peer.generate(g)
	if g.err != nil {
		return nil, g.err
	}
	age(g.dir)
	path := filepath.Join(l.dir, eventsPath)
	if err := unix.Mkfifo(path, 0o666); err != nil {
		return nil, err
	}
	// Read and write, so that it is never at end of file.
	if l.events, err = os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0); err != nil {
		return nil, err
	}
	unix.FcntlInt(l.events.Fd(), unix.F_SETPIPE_SZ, 1<<20)
	unix.SetNonblock(int(l.events.Fd()), true)
	return argv, nil
}

// age dates the configuration an hour back, as it is in an image: runsvdir waits when
// its directory has changed within the last second.
func age(dir string) {
	old := time.Now().Add(-time.Hour)
	filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			os.Chtimes(path, old, old)
		}
		return nil
	})
}

// exec starts the stage and waits until that has executed the peer.
func (l *life) exec(b *bench, argv []string) error {
	out, err := os.Create(filepath.Join(l.dir, "b", "out"))
	if err != nil {
		return err
	}
	defer out.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	l.cmd = &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{stageName, l.dir, filepath.Join(b.dir, "root", l.peer.name)}, argv...),
		Env: stageEnv(l.peer.env), Stdout: out, Stderr: out, ExtraFiles: []*os.File{w},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
			Setsid:     true, Pdeathsig: unix.SIGKILL,
		},
	}
	if b.userns {
		id := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		gid := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		l.cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		l.cmd.SysProcAttr.UidMappings, l.cmd.SysProcAttr.GidMappings = id, gid
	}
	err = l.cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("cannot make namespaces: %w", err)
	}
	l.pid = l.cmd.Process.Pid
	go l.read()
	go l.wait()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the stage has ended: %s", l.output())
	}
	if strings.HasPrefix(line, "! ") {
		return fmt.Errorf("%s", strings.TrimSpace(line[2:]))
	}
	_, err = fmt.Sscan(line, &l.began, &l.used)
	return err
}

// read takes the records of the services until the FIFO is closed.
func (l *life) read() {
	buf := make([]byte, 1<<16)
	held := 0
	for {
		n, err := l.events.Read(buf[held:])
		if err != nil {
			return
		}
		held += n
		l.mu.Lock()
		at := 0
		for ; at+recordSize <= held; at += recordSize {
			l.records = append(l.records, parseRecord(buf[at:]))
		}
		l.news.Broadcast()
		l.mu.Unlock()
		held = copy(buf, buf[at:held])
	}
}

func (l *life) wait() {
	var info unix.Siginfo
	for unix.Waitid(unix.P_PID, l.pid, &info, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	t := now()
	l.cmd.Wait()
	l.mu.Lock()
	l.ended = t
	l.result = l.cmd.ProcessState.String()
	l.news.Broadcast()
	l.mu.Unlock()
}

// until waits for a condition on records and end, which it evaluates under the lock;
// false when the time is over or the peer has ended without fulfilling it.
func (l *life) until(timeout time.Duration, condition func() bool) bool {
	expired := false
	timer := time.AfterFunc(timeout, func() {
		l.mu.Lock()
		expired = true
		l.news.Broadcast()
		l.mu.Unlock()
	})
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if condition() {
			return true
		}
		if expired || l.ended != 0 {
			return false
		}
		l.news.Wait()
	}
}

// count returns how many records of a kind there are. l.mu is held.
func (l *life) count(kind byte) int {
	n := 0
	for _, r := range l.records {
		if r.kind == kind {
			n++
		}
	}
	return n
}

// last returns the newest record of a kind.
func (l *life) last(kind byte) (r record, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.records) - 1; i >= 0; i-- {
		if l.records[i].kind == kind {
			return l.records[i], true
		}
	}
	return record{}, false
}

// boot waits for the exec of the last service and returns the time from the exec of
// the peer.
func (l *life) boot() (time.Duration, error) {
	started := make(map[int]bool)
	at, seen := int64(0), 0
	ok := l.until(20*time.Second, func() bool {
		for ; seen < len(l.records); seen++ {
			if r := l.records[seen]; r.kind == 'S' && !started[r.number] {
				started[r.number] = true
				at = max(at, r.time)
			}
		}
		return len(started) == len(l.services)
	})
	if !ok {
		return 0, fmt.Errorf("%d of %d services started: %s", len(started), len(l.services), l.output())
	}
	return time.Duration(at - l.began), nil
}

// signal sends a signal to the peer and returns when.
func (l *life) signal(sig unix.Signal) int64 {
	t := now()
	unix.Kill(l.pid, sig)
	return t
}

// stop asks the peer to stop and waits for its end.
func (l *life) stop(timeout time.Duration) (time.Duration, error) {
	t := l.signal(l.peer.stopSignal())
	if !l.until(timeout, func() bool { return l.ended != 0 }) {
		return 0, fmt.Errorf("not stopped within %v", timeout)
	}
	return time.Duration(l.ended - t), nil
}

// supervisorCPU is what the live processes of the peer have used since its exec.
func (l *life) supervisorCPU() time.Duration {
	var sum int64
	for _, pid := range supervisors(l.pid) {
		sum += cpu(pid)
	}
	return time.Duration(sum - l.used)
}

// output returns the end of what the peer has printed, for failures.
func (l *life) output() string {
	data, _ := os.ReadFile(filepath.Join(l.dir, "b", "out"))
	return string(bytes.TrimSpace(data[max(0, len(data)-300):]))
}

// countProcesses moves all processes into a control group. Peak then tells how many
// more than now there have been; false where the kernel does not say.
func (l *life) countProcesses() (peak func() (n int, ok bool)) {
	for _, top := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		l.group = filepath.Join(top, "tend-bench-"+strconv.Itoa(l.pid))
		if os.Mkdir(l.group, 0o755) == nil {
			break
		}
		l.group = ""
	}
	if l.group != "" {
		for _, s := range family(l.pid) {
			os.WriteFile(l.group+"/cgroup.procs", []byte(strconv.Itoa(s.pid)), 0)
		}
	}
	before, ok := readNumber(l.group + "/pids.current")
	return func() (int, bool) {
		n, ok2 := readNumber(l.group + "/pids.peak")
		return n - before, ok && ok2
	}
}

// end kills what is left and removes the traces.
func (l *life) end() {
	unix.Kill(l.pid, unix.SIGKILL)
	l.until(20*time.Second, func() bool { return l.ended != 0 })
	if l.group != "" {
		os.Remove(l.group)
	}
	l.clean()
}

func (l *life) clean() {
	if l.events != nil {
		l.events.Close()
	}
	os.RemoveAll(l.dir)
}
