package reaper

import (
	"slices"
	"strings"
)

// owners is what is known about processes that are not our children, and about the
// numbers of sessions and groups.
//
// A process is found to be somebody's by the first of these that holds:
//
//  1. it was found to be somebody's before, and is still the same process;
//  2. its parent is somebody's;
//  3. the number of its session or of its process group is somebody's;
//  4. it carries the marks of somebody in its environment.
//
// The kernel gives the number of a process away again only when no process has it
// as its pid, group or session any more. A number that was an owner's is therefore
// still that owner's for a process that was in it at a time at which the owner
// surely held it, and as long as any process that is known to be the owner's stays
// in it. Otherwise it may have been used again, and says nothing.
type owners struct {
	known     map[Owner]*owner // that have not been forgotten
	keys      []string         // environment variables that make up a mark
	marks     map[string]Owner // by the joined values of keys
	ids       map[int]*number  // of sessions and process groups
	limit     int              // size of ids at which to look for unused ones
	seen      map[int]seen     // by pid
	procs     []found          // the last look
	index     map[int]int      // pid to procs
	stale     bool
	strangers answer // what hasStrangers has found since the list became stale
	expecting map[Owner]*expectation
	looks     uint64
}

// owner is what has to be undone when an owner ends. What else is kept by number
// of an owner that is not known any more is nobody's, and is dropped as it is met:
// thousands of owners may end at once, and none may cost a walk over all the rest.
type owner struct {
	marks    []string
	children []int // its unreaped children
}

// expectation is that Heir will be asked for.
type expectation struct {
	since uint64
	// ended has, by pid, the names of the owner's children that have ended and whose
	// heirs have not been asked for, as far as they are known.
	ended map[int]string
}

// answer is one that may not have been asked for yet.
type answer uint8

const (
	unasked answer = iota
	no
	yes
)

// number is the number of a session or group, or of both.
type number struct {
	owner  Owner
	held   uint64 // it was the owner's at this time (0: its process is unreaped)
	leader uint64 // start time of the live process of that number; 0: none is known
	looked uint64 // the last look in which a process of the owner was in it
}

// seen is what is kept about a process from one look to the next.
type seen struct {
	start    uint64
	owner    Owner
	asked    bool // the environment has been looked at
	readable bool
}

// found is a process of the last look.
type found struct {
	Proc
	seen
	resolved bool
}

func (o *owners) init(keys []string) {
	*o = owners{
		known:     make(map[Owner]*owner),
		keys:      keys,
		marks:     make(map[string]Owner),
		ids:       make(map[int]*number),
		limit:     1024,
		seen:      make(map[int]seen),
		index:     make(map[int]int),
		stale:     true,
		expecting: make(map[Owner]*expectation),
	}
}

// Mark says that a process whose environment has these values, in the order of the
// names given to New, is owner's.
func (r *Reaper) Mark(owner Owner, values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mark := strings.Join(values, "\x00")
	r.owners.marks[mark] = owner
	of := r.owners.of(owner)
	of.marks = append(of.marks, mark)
}

// of returns what is kept of an owner, which becomes known by that.
func (o *owners) of(n Owner) *owner {
	of := o.known[n]
	if of == nil {
		of = &owner{}
		o.known[n] = of
	}
	return of
}

// still returns n, or 0 when that owner is not known any more.
func (o *owners) still(n Owner) Owner {
	if _, ok := o.known[n]; !ok {
		return 0
	}
	return n
}

// number returns what is known of the number of a session or group, or nil.
func (o *owners) number(id int) *number {
	n := o.ids[id]
	if n == nil || o.still(n.owner) == 0 {
		return nil
	}
	return n
}

// Forget ends an owner. What it leaves behind is nobody's from now on.
func (r *Reaper) Forget(owner Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := &r.owners
	of := o.known[owner]
	if of == nil {
		return
	}
	delete(o.known, owner)
	for _, mark := range of.marks {
		if o.marks[mark] == owner {
			delete(o.marks, mark)
		}
	}
	for _, pid := range of.children {
		delete(r.children, pid)
		o.outdate() // it may be missing in the list
	}
	delete(o.expecting, owner)
}

// own makes pid, an unreaped child of ours, one of owner's.
func (r *Reaper) own(pid int, owner Owner, c child) {
	c.owner = owner
	if old, ok := r.children[pid]; !ok || old.owner != owner {
		of := r.owners.of(owner)
		of.children = append(of.children, pid)
	}
	r.children[pid] = c
}

// disown forgets a child that has been reaped.
func (r *Reaper) disown(pid int) {
	c, ok := r.children[pid]
	if !ok {
		return
	}
	delete(r.children, pid)
	if of := r.owners.known[c.owner]; of != nil {
		if i := slices.Index(of.children, pid); i >= 0 {
			of.children = slices.Delete(of.children, i, i+1)
		}
	}
}

// outdate makes the next question read the list of processes again.
func (o *owners) outdate() { o.stale, o.strangers = true, unasked }

// Refresh makes the next question read the list of processes again. Take does the
// same; a timer that asks again calls it.
func (r *Reaper) Refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owners.outdate()
}

// ProcError returns why processes cannot be listed, or nil.
func (r *Reaper) ProcError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc.err
}

// fresh makes sure that the last look is not stale.
func (r *Reaper) fresh() {
	if r.owners.stale {
		r.look()
	}
}

// look lists all processes and finds out whose they are. Children that we forked
// are in sessions and groups of their own number and need not be read. mu is held.
func (r *Reaper) look() {
	o := &r.owners
	o.procs, o.stale = o.procs[:0], false
	o.looks++
	clear(o.index)
	began := now()
	err := r.proc.pids(func(pid int) {
		if c, ok := r.children[pid]; ok && c.start == 0 {
			o.confirm(pid, 0, c.owner)
			r.ending(pid, c.owner)
			return
		}
		if pid == r.self {
			return
		}
		if p, err := r.proc.stat(pid); err == nil {
			o.index[pid] = len(o.procs)
			o.procs = append(o.procs, found{Proc: p})
		}
	})
	if err != nil {
		return
	}
	for i := range o.procs {
		p := &o.procs[i]
		if id := o.ids[p.PID]; id != nil && id.leader != p.Start {
			// Another process has got the number, so nobody was left in it.
			delete(o.ids, p.PID)
		}
		if s, ok := o.seen[p.PID]; ok && s.start == p.Start {
			p.seen = s
			p.owner = o.still(s.owner)
		}
		p.start = p.Start
		if c, ok := r.children[p.PID]; ok {
			p.owner = c.owner
			if e := o.expecting[c.owner]; e != nil && p.gone() {
				e.ended[p.PID] = p.Comm
			}
		}
		if p.owner != 0 {
			o.confirm(p.SID, p.PGID, p.owner)
		}
	}
	clear(o.seen)
	for i := range o.procs {
		owner := r.resolve(i)
		p := &o.procs[i]
		o.seen[p.PID] = p.seen
		if owner != 0 {
			r.adopt(p.SID, owner, began)
			r.adopt(p.PGID, owner, began)
		}
	}
	for id, n := range o.ids {
		// A minute, because a list of processes may miss one that moves about.
		if o.still(n.owner) == 0 || n.looked != o.looks && n.held != 0 && n.held+60*ticksPerSecond < began {
			delete(o.ids, id)
		}
	}
}

// ending notes the name of a child that has ended, while it is still there, if its
// heir is expected.
func (r *Reaper) ending(pid int, owner Owner) {
	e := r.owners.expecting[owner]
	if e == nil {
		return
	}
	if p, err := r.proc.stat(pid); err == nil && p.gone() {
		e.ended[pid] = p.Comm
	}
}

// taken notes what has ended in these exits, and forgets what ended before: its heir
// has been asked for, or never will be.
func (o *owners) taken(exits []Exit) {
	if len(o.expecting) == 0 {
		return
	}
	names := make(map[int]string, len(exits))
	for _, e := range o.expecting {
		for pid, name := range e.ended {
			names[pid] = name
		}
		clear(e.ended)
	}
	for _, exit := range exits {
		if e := o.expecting[exit.Owner]; e != nil && (exit.Status.Exited() || exit.Status.Signaled()) {
			e.ended[exit.PID] = names[exit.PID]
		}
	}
}

// reaped notes that pid may be given to another process from now on, perhaps within
// the same tick of the clock, which is all that start times tell apart.
func (o *owners) reaped(pid int) {
	delete(o.seen, pid)
	if i, ok := o.index[pid]; ok {
		o.procs[i].State = 'X'
	}
	if id := o.ids[pid]; id != nil {
		id.held = now()
	}
}

// confirm notes that a process of owner is in these numbers.
func (o *owners) confirm(sid, pgid int, owner Owner) {
	for _, id := range [...]int{sid, pgid} {
		if n := o.ids[id]; n != nil && n.owner == owner {
			n.looked = o.looks
		}
	}
}

// adopt notes that the number id is owner's, because a process of owner is in it.
// Our own session and group are everybody's.
func (r *Reaper) adopt(id int, owner Owner, began uint64) {
	o := &r.owners
	if id <= 1 || id == ownSession() || id == ownGroup() {
		return
	}
	n := o.number(id)
	if n == nil {
		n = &number{owner: owner}
		if i, ok := o.index[id]; ok {
			n.leader = o.procs[i].Start
		}
		o.ids[id] = n
	}
	if n.owner != owner {
		return
	}
	n.looked = o.looks
	if c, ok := r.children[id]; !ok || c.start != 0 {
		n.held = began
	}
}

// resolve finds out whose process i of the last look is.
func (r *Reaper) resolve(i int) Owner {
	o := &r.owners
	p := &o.procs[i]
	if p.resolved {
		return p.owner
	}
	p.resolved = true
	if p.owner != 0 {
		return p.owner
	}
	if p.owner = r.ofParent(p); p.owner != 0 {
		return p.owner
	}
	if p.owner = r.ofNumber(p, p.SID); p.owner != 0 {
		return p.owner
	}
	if p.owner = r.ofNumber(p, p.PGID); p.owner != 0 {
		return p.owner
	}
	if !p.asked && !p.gone() {
		p.owner = r.ofMarks(p)
	}
	return p.owner
}

func (r *Reaper) ofParent(p *found) Owner {
	if p.PPID <= 1 || p.PPID == r.self {
		return 0
	}
	owner := r.children[p.PPID].owner
	if i, ok := r.owners.index[p.PPID]; ok && owner == 0 {
		owner = r.resolve(i)
	}
	if owner == 0 {
		return 0
	}
	// The parent was looked at after its child. It is the same parent if it still
	// is the parent now.
	if again, err := r.proc.stat(p.PID); err != nil || !again.same(p.Proc) || again.PPID != p.PPID {
		return 0
	}
	return owner
}

func (r *Reaper) ofNumber(p *found, id int) Owner {
	n := r.owners.number(id)
	if n == nil {
		return 0
	}
	if c, ok := r.children[id]; ok && c.start == 0 {
		return n.owner // its process is ours and unreaped
	}
	if n.looked == r.owners.looks || p.Start <= n.held {
		return n.owner
	}
	return 0
}

func (r *Reaper) ofMarks(p *found) Owner {
	o := &r.owners
	if len(o.keys) == 0 {
		return 0
	}
	var values []string
	values, p.readable = r.proc.environ(p.PID, o.keys)
	p.asked = true
	if len(values) == 0 {
		return 0
	}
	owner := o.marks[strings.Join(values, "\x00")]
	if owner != 0 {
		// The pid may have changed hands between the two files.
		if again, err := r.proc.stat(p.PID); err != nil || !again.same(p.Proc) {
			return 0
		}
	}
	return owner
}
