package reaper

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// ownSession and ownGroup are asked for each time: a process that was started by
// hand may become a leader after its start.
func ownSession() int { sid, _ := unix.Getsid(0); return sid }

func ownGroup() int { return unix.Getpgrp() }

// Observe looks at all processes now, unless that has been done since the last Take
// or Refresh. Called before the first signal of a stop, it sees descendants while
// their parents can still tell whose they are.
func (r *Reaper) Observe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh()
}

// left appends what lives of owner's processes besides its tracked children.
func (r *Reaper) left(owner Owner, dst []Proc) []Proc {
	for i := range r.owners.procs {
		p := &r.owners.procs[i]
		if p.owner == owner && !p.gone() && !r.children[p.PID].tracked {
			dst = append(dst, p.Proc)
		}
	}
	return dst
}

// Left returns the live processes of owner besides its tracked children.
func (r *Reaper) Left(owner Owner) []Proc {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nothingLeft(owner) {
		return nil
	}
	r.fresh()
	return r.left(owner, nil)
}

// nothingLeft tells, without a look at all processes, that owner has none but its
// tracked children: what a process leaves behind becomes our child, so where all
// our children are tracked, and none is the owner's, nobody has left anything.
func (r *Reaper) nothingLeft(owner Owner) bool {
	of := r.owners.known[owner]
	return (of == nil || len(of.children) == 0) && !r.hasStrangers()
}

// hasStrangers tells whether we may have a child that is not tracked.
func (r *Reaper) hasStrangers() bool {
	o := &r.owners
	if o.strangers == unasked {
		o.strangers = no
		err := r.proc.children(r.self, func(pid int) {
			if !r.children[pid].tracked {
				o.strangers = yes
			}
		})
		if err != nil {
			o.strangers = yes
		}
	}
	return o.strangers == yes
}

// sweepRounds bounds how often Sweep looks for processes that were forked while it
// was sending signals.
const sweepRounds = 10

// Sweep sends sig to every process of owner besides its tracked children, until no
// new one appears, and returns how many there were; 0 as sig only counts.
func (r *Reaper) Sweep(owner Owner, sig syscall.Signal) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nothingLeft(owner) {
		return 0
	}
	r.fresh()
	procs := r.left(owner, nil)
	if sig == 0 || len(procs) == 0 {
		return len(procs)
	}
	sent := make(map[int]uint64)
	for range sweepRounds {
		fresh := false
		for _, p := range procs {
			if sent[p.PID] == p.Start {
				continue
			}
			fresh = true
			if r.signal(p, sig) == nil {
				sent[p.PID] = p.Start
			}
		}
		if !fresh {
			break
		}
		r.look()
		procs = r.left(owner, procs[:0])
	}
	return len(procs)
}

// SignalProc sends sig to a process that Left or Orphans has returned, if it is
// still the same one with the same parent and session; else it returns ESRCH.
func (r *Reaper) SignalProc(p Proc, sig syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.signal(p, sig)
}

// signal holds on to the process before the second look: our own child cannot be
// reaped while mu is held, and any other is held by a pidfd. A kernel without pidfd
// leaves the moment between look and kill.
func (r *Reaper) signal(p Proc, sig syscall.Signal) error {
	fd := -1
	if p.PPID != r.self {
		var err error
		if fd, err = unix.PidfdOpen(p.PID, 0); err == nil {
			defer unix.Close(fd)
		} else if err == unix.ESRCH {
			return err
		}
	}
	again, err := r.proc.stat(p.PID)
	if err != nil || !again.same(p) || again.SID != p.SID || again.PPID != p.PPID || again.gone() {
		return unix.ESRCH
	}
	if fd >= 0 {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != unix.ENOSYS && err != unix.EPERM {
			return err
		}
	}
	return unix.Kill(p.PID, sig)
}

// ExpectHeir says whether Heir will be asked for owner's processes. While it is
// expected, processes are looked at before every reaping.
func (r *Reaper) ExpectHeir(owner Owner, expected bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if expected {
		r.owners.expecting[owner] = &expectation{since: now(), ended: make(map[int]string)}
	} else {
		delete(r.owners.expecting, owner)
	}
}

// Heir returns the live process that fits best to take the place of owner's ended
// process old, 0 when there is none: a child of ours, so an orphan, that was not
// forked by us. It prefers one that has left old's session, as daemons do, to one
// that has not, and then the one that was started first. The exit of an heir is
// reported as owner's from now on.
//
// When an orphan's ownership cannot be known, because it has left the session and
// its environment is hidden, it is still taken if it is younger than the expectation
// and has old's name, or if no other owner's process that awaits an heir has ended.
func (r *Reaper) Heir(owner Owner, old int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh()
	heir := r.bestHeir(func(p *found) bool { return p.owner == owner }, old)
	if e := r.owners.expecting[owner]; e != nil {
		name := e.ended[old]
		delete(e.ended, old)
		hidden := func(p *found) bool {
			return r.owners.still(p.owner) == 0 && p.asked && !p.readable && p.Start >= e.since
		}
		if heir == nil && name != "" {
			heir = r.bestHeir(func(p *found) bool { return hidden(p) && p.Comm == name }, old)
		}
		if heir == nil && !r.owners.othersEnded(owner) {
			heir = r.bestHeir(hidden, old)
		}
	}
	if heir == nil || !r.isChild(heir.Proc) {
		return 0
	}
	heir.owner = owner
	r.owners.seen[heir.PID] = heir.seen
	r.own(heir.PID, owner, child{start: heir.Start})
	return heir.PID
}

// othersEnded tells whether an orphan may be the heir of another's process.
func (o *owners) othersEnded(owner Owner) bool {
	for other, e := range o.expecting {
		if other != owner && len(e.ended) > 0 {
			return true
		}
	}
	return false
}

func (r *Reaper) bestHeir(fits func(*found) bool, old int) *found {
	var best *found
	for i := range r.owners.procs {
		p := &r.owners.procs[i]
		if p.PPID != r.self || p.gone() || r.children[p.PID].tracked || !fits(p) {
			continue
		}
		if best == nil || p.SID != old && best.SID == old ||
			(p.SID == old) == (best.SID == old) && p.Start < best.Start {
			best = p
		}
	}
	return best
}

// Grandchild tells whether old, which has ended, had forked twice to make pid: pid is
// in a session whose leader is neither of them and has ended.
func (r *Reaper) Grandchild(pid, old int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.proc.stat(pid)
	if err != nil || p.SID == pid || p.SID == old || p.SID <= 1 || p.SID == ownSession() {
		return false
	}
	leader, err := r.proc.stat(p.SID)
	return err == unix.ENOENT || err == unix.ESRCH || err == nil && leader.gone()
}

// isChild says whether p is an unreaped child of ours now.
func (r *Reaper) isChild(p Proc) bool {
	again, err := r.proc.stat(p.PID)
	return err == nil && again.same(p) && again.PPID == r.self && !again.gone()
}

// Track makes the process pid, which must be a child of ours, one of owner's
// tracked children: its exit is reported and it may be signalled by pid. ESRCH says
// that it is not there or not our child (so that nobody would hear of its end).
func (r *Reaper) Track(owner Owner, pid int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.children[pid]; ok && c.owner == owner {
		c.tracked = true
		r.children[pid] = c
		return nil
	}
	for _, e := range r.posted {
		if e.PID == pid && e.Owner == owner {
			return nil // it has ended in between; Take says so
		}
	}
	p, err := r.proc.stat(pid)
	if err != nil || r.children[pid].owner != 0 || !r.isChild(p) {
		return unix.ESRCH
	}
	r.own(pid, owner, child{tracked: true, start: p.Start})
	r.owners.outdate()
	return nil
}

// HadChild says whether pid has a live child, has waited for one that has ended, or
// has left one in its session. It looks anew.
func (r *Reaper) HadChild(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, err := r.proc.stat(pid); err == nil && p.Waited {
		return true
	}
	r.look()
	for i := range r.owners.procs {
		p := &r.owners.procs[i]
		if (p.PPID == pid || p.SID == pid && p.PID != pid) && !p.gone() {
			return true
		}
	}
	return false
}

// maxAncestry bounds the way up from a process to one that is known.
const maxAncestry = 64

// OwnerOf returns whose process pid is; ok is false when it is nobody's, or not
// known.
func (r *Reaper) OwnerOf(pid int) (owner Owner, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pid <= 0 || pid == r.self {
		return 0, false
	}
	// Mostly a child of ours leads the session or is a near ancestor.
	for at, n := pid, 0; at > 1 && at != r.self && n < maxAncestry; n++ {
		if c, ok := r.children[at]; ok {
			return c.owner, true
		}
		p, err := r.proc.stat(at)
		if err != nil {
			break
		}
		if c, ok := r.children[p.SID]; ok {
			return c.owner, true
		}
		at = p.PPID
	}
	r.look()
	if i, ok := r.owners.index[pid]; ok {
		owner = r.owners.still(r.owners.procs[i].owner)
	}
	return owner, owner != 0
}

// Orphans returns the live children of ours that are nobody's.
func (r *Reaper) Orphans() []Proc {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.hasStrangers() {
		return nil
	}
	r.fresh()
	var list []Proc
	for i := range r.owners.procs {
		p := &r.owners.procs[i]
		if _, ok := r.children[p.PID]; p.PPID == r.self && !p.gone() && r.owners.still(p.owner) == 0 && !ok {
			list = append(list, p.Proc)
		}
	}
	return list
}

// KillAll sends sig to every process but ourselves that we may signal; only PID 1
// may do that, for it is alone in what it would reach.
func (r *Reaper) KillAll(sig syscall.Signal) error {
	if r.self != 1 {
		return unix.EPERM
	}
	return unix.Kill(-1, sig)
}

// Doing tells what a process that does not end is doing, for a log line: its state
// and the function of the kernel that it waits in, as "state D in nfs_wait".
func (r *Reaper) Doing(pid int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.proc.stat(pid)
	if err != nil {
		return "state unknown"
	}
	text := "state " + string(p.State)
	if w, err := r.proc.read(pid, "wchan", 1); err == nil && len(w) > 0 && string(w) != "0" {
		text += " in " + string(w)
	}
	return text
}
