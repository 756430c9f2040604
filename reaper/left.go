package reaper

import (
	"slices"
	"strings"
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
	return append(r.left(owner, nil), r.unclear()...)
}

// unclear returns the orphans that will show in a moment whose they are: whoever waits
// for the end of what is left waits for that too.
func (r *Reaper) unclear() (list []Proc) {
	for i := range r.owners.procs {
		p := &r.owners.procs[i]
		if p.unclear && p.PPID == r.self && !p.gone() {
			list = append(list, p.Proc)
		}
	}
	return list
}

// nothingLeft tells, without a look at all processes, that owner has none but its
// tracked children: what a process leaves behind becomes our child, so where it has no
// children, and all untracked children of ours are known to be others', it has left
// nothing.
func (r *Reaper) nothingLeft(owner Owner) bool {
	of := r.owners.known[owner]
	return (of == nil || len(of.children) == 0) && !slices.ContainsFunc(r.strangers(), func(s stranger) bool {
		return s.known == nil || s.known.owner == owner
	})
}

// strangers lists our unreaped children that are not tracked.
func (r *Reaper) strangers() []stranger {
	o := &r.owners
	if o.listed {
		return o.strangers
	}
	o.strangers, o.listed = o.strangers[:0], true
	err := r.proc.children(r.self, func(pid int) {
		if !r.children[pid].tracked {
			o.strangers = append(o.strangers, stranger{r.known(pid)})
		}
	})
	if err != nil {
		o.strangers = append(o.strangers, stranger{})
	}
	return o.strangers
}

// known returns what the last look has found of pid, which is an unreaped child of ours,
// if it was one then.
func (r *Reaper) known(pid int) *found {
	i, ok := r.owners.index[pid]
	if !ok {
		return nil
	}
	p := &r.owners.procs[i]
	// A pid that has been used again since has been reaped in between, by us.
	if p.PPID != r.self || p.State == 'X' || p.unclear {
		return nil
	}
	return p
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
		return len(procs) + len(r.unclear())
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
	return len(procs) + len(r.unclear())
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
			defer syscall.Close(fd)
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

// Heir returns the live process that fits best to take the place of owner's process
// old, which has ended with 0, and 0 when there is none: a child of ours, so an
// orphan, that was not forked by us. It prefers one that has left old's session, as
// daemons do, to one that has not, and then the one that was started first. The exit
// of an heir is reported as owner's from now on. It is to be asked before the Take
// that follows the one that told of old's end.
//
// When an orphan's ownership cannot be known, because it has left the session and its
// environment is hidden, it is still taken if it was there when old ended, is no older
// than old, and is what old was to start: its command line or its name is in what text
// returns, or its name is old's. Where it is certain that there is an heir, one without such
// evidence is taken too, if it is the only one and no other process that has ended may
// rather have left it.
func (r *Reaper) Heir(owner Owner, old int, certain bool, text func() string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.owners.ended[old]
	if e == nil || e.owner != owner {
		return 0
	}
	e.asked = true
	r.fresh()
	for range heirRounds {
		heir := r.bestHeir(func(p *found) bool { return p.owner == owner }, old)
		if heir == nil {
			heir = r.hiddenHeir(e, certain, text)
		}
		if heir == nil {
			break
		}
		if r.isChild(heir.Proc) {
			heir.owner = owner
			r.owners.seen[heir.PID] = heir.seen
			// It may end before Track, and its own heir be asked for all the same.
			r.own(heir.PID, owner, child{heirs: true, start: heir.Start})
			return heir.PID
		}
		// It has ended since the look, and may have left another.
		r.look()
	}
	return 0
}

// heirRounds bounds how often Heir looks for what an heir that has just ended has left.
const heirRounds = 10

// mayBeLeft tells whether e may have left p, though nothing shows it.
func (r *Reaper) mayBeLeft(e *ending, p *found) bool {
	return p.PPID == r.self && !p.gone() && r.children[p.PID].owner == 0 && r.owners.still(p.owner) == 0 &&
		p.asked && !p.readable && p.Start >= e.start
}

// hiddenHeir returns the process that e has left according to the best evidence.
func (r *Reaper) hiddenHeir(e *ending, certain bool, text func() string) *found {
	var best *found
	most, ties, words := -1, 0, text()
	for _, pid := range e.hidden {
		i, ok := r.owners.index[pid]
		if !ok || !r.mayBeLeft(e, &r.owners.procs[i]) {
			continue
		}
		p := &r.owners.procs[i]
		weight := 2 * r.evidence(e, p, words)
		if !r.owners.othersLeft(e, pid) {
			weight++
		}
		if weight > most {
			best, most, ties = p, weight, 0
		} else if weight == most {
			ties++
		}
	}
	if most < 2 && (!certain || most < 1 || ties > 0) {
		return nil
	}
	return best
}

// evidence weighs what speaks for p being what e was to start.
func (r *Reaper) evidence(e *ending, p *found, text string) int {
	line, _ := r.proc.read(p.PID, "cmdline", maxEnviron)
	for i, c := range line {
		if c == 0 {
			line[i] = ' '
		}
	}
	command := strings.TrimRight(string(line), " ")
	switch {
	case command != "" && hasWord(text, command):
		return 3
	case p.Comm == e.name:
		return 2
	case hasWord(text, p.Comm):
		return 1
	}
	return 0
}

// hasWord tells whether text has word between characters that no name has.
func hasWord(text, word string) bool {
	name := func(c byte) bool {
		return c == '-' || c == '_' || c == '.' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
	}
	for at := 0; word != ""; at++ {
		i := strings.Index(text[at:], word)
		if i < 0 {
			break
		}
		at += i
		end := at + len(word)
		if (at == 0 || !name(text[at-1])) && (end == len(text) || !name(text[end])) {
			return true
		}
	}
	return false
}

// othersLeft tells whether another process than e, which had no more to choose from and
// has not been asked for, may have left pid.
func (o *owners) othersLeft(e *ending, pid int) bool {
	for _, other := range o.ended {
		if other != e && !other.asked && len(other.hidden) <= len(e.hidden) && slices.Contains(other.hidden, pid) {
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
// tracked children, as if it had been spawned with heirs. ESRCH says
// that it is not there or not our child (so that nobody would hear of its end).
func (r *Reaper) Track(owner Owner, pid int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.children[pid]; ok && c.owner == owner {
		c.tracked, c.heirs = true, true
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
	r.own(pid, owner, child{tracked: true, heirs: true, start: p.Start})
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
	if len(r.strangers()) == 0 {
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
