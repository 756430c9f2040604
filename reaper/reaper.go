package reaper

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs/lock"
)

// Owner is a number that the caller gives to whatever processes are started for.
// 0 is nobody.
type Owner uint64

// Exit says that a child has ended, or was stopped or continued.
type Exit struct {
	PID    int
	Status syscall.WaitStatus
	Owner  Owner
}

// child is an unreaped child of ours that belongs to somebody.
type child struct {
	owner Owner
	// tracked is false for a process that Heir has proposed and Track not yet taken.
	tracked bool
	// heirs says that Heir will be asked for if it ends with 0, or may be.
	heirs bool
	start uint64 // start time in clock ticks; 0: not known
}

// Reaper owns the children of this process.
type Reaper struct {
	self int           // our pid
	wake chan struct{} // capacity 1: that there is something is all it says
	born chan struct{} // the same: there has been a Spawn

	// mu keeps fork, reap and kill apart, and guards all that follows.
	mu       lock.Mutex
	children map[int]child
	posted   []Exit
	earlier  []Exit // posted before a process was started that has got a pid of theirs
	orphans  uint64
	proc     procFS
	owners   owners
}

// New makes this process the parent of the orphans below it and starts the reaping
// thread. A Reaper lives as long as the process; there can be one only. The error
// is one to be told and lived with: without /proc nothing is known about processes
// that are not children, and a process that is not PID 1 on a kernel without
// subreapers never gets its orphans.
//
// marks names the environment variables that tell whose a process is, see Mark.
func New(marks ...string) (*Reaper, error) {
	r := &Reaper{
		self:     os.Getpid(),
		wake:     make(chan struct{}, 1),
		born:     make(chan struct{}, 1),
		children: make(map[int]child),
	}
	r.owners.init(marks)
	var err error
	if r.self != 1 {
		if e := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); e != nil {
			err = errors.New("cannot become the parent of orphans: " + e.Error() + "; what jobs leave behind is neither followed nor stopped")
		}
	}
	if e := r.proc.open(r.self); e != nil && err == nil {
		err = errors.New("cannot list processes: " + e.Error() + "; what jobs leave behind is not found, so it is not stopped with its job")
	}
	ready := make(chan struct{})
	go r.reap(ready)
	<-ready
	return r, err
}

// IsInit says whether this process is PID 1.
func IsInit() bool { return os.Getpid() == 1 }

// C gets a value when Take has something, or when orphans have been reaped.
func (r *Reaper) C() <-chan struct{} { return r.wake }

// Take appends to dst what has happened to children that belong to somebody, in
// order, and forgets it. What it returns is newer than any list of processes read
// before, so the next question about them reads a new one.
func (r *Reaper) Take(dst []Exit) []Exit {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetEnded()
	dst = append(append(dst, r.earlier...), r.posted...)
	r.earlier, r.posted = nil, r.posted[:0]
	r.owners.outdate()
	return dst
}

// Earlier takes what had happened before the last Spawn, if that has been given the pid
// of a child whose end has not been taken. Pids may come round that fast, and whoever
// keeps processes by pid must hear of the old one's end before there is the new one.
func (r *Reaper) Earlier() []Exit {
	r.mu.Lock()
	defer r.mu.Unlock()
	exits := r.earlier
	r.earlier = nil
	return exits
}

// Reaped returns how many orphans that belonged to nobody have been reaped.
func (r *Reaper) Reaped() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.orphans
}

// Spawn calls fork, which must return the pid of a new child, and makes that child
// owner's. Nothing is reaped in between, so that no exit is missed, and fork may
// itself wait for a child that it could not set up. Heirs says that Heir will be asked
// for when the child has ended with 0; all processes are then looked at before it is
// reaped, if it has left any.
func (r *Reaper) Spawn(owner Owner, heirs bool, fork func() (int, error)) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := fork()
	if err != nil {
		return 0, err
	}
	select {
	case r.born <- struct{}{}:
	default:
	}
	if hasPID(r.posted, pid) {
		r.earlier, r.posted = append(r.earlier, r.posted...), nil
	}
	r.own(pid, owner, child{tracked: true, heirs: heirs})
	// A number that a new process has been given is in use nowhere else.
	r.owners.ids[pid] = &number{owner: owner}
	delete(r.owners.seen, pid)
	if len(r.owners.ids) > r.owners.limit {
		r.look()
		r.owners.limit = 2*len(r.owners.ids) + 1024
	}
	return pid, nil
}

// Signal sends sig to a child, unless it has been reaped or is no child of ours: it
// then returns ESRCH.
func (r *Reaper) Signal(pid int, sig syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.children[pid]; !ok {
		return unix.ESRCH
	}
	return unix.Kill(pid, sig)
}

// SignalGroup sends sig to the process group of a child, or to the child alone when
// it is still in our own group. Like Signal it needs the child to be unreaped:
// that keeps the number of its group from being used again. It is for ending the child,
// whose heir will not be asked for.
func (r *Reaper) SignalGroup(pid int, sig syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.children[pid]
	if !ok {
		return unix.ESRCH
	}
	if c.heirs {
		c.heirs = false
		r.children[pid] = c
	}
	pgid, err := unix.Getpgid(pid)
	if err == nil && (pgid == pid || pgid > 1 && pgid != unix.Getpgrp()) {
		return unix.Kill(-pgid, sig)
	}
	return unix.Kill(pid, sig)
}

// Alive says whether pid is an unreaped child that belongs to somebody.
func (r *Reaper) Alive(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.children[pid]
	return ok
}

// Children returns how many unreaped children belong to somebody.
func (r *Reaper) Children() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.children)
}
