package reaper

import (
	"slices"
	"sort"
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
//  4. it descends from us and carries the marks of somebody in its environment.
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
	own       []int            // ourselves and the children that we have forked, in the last look
	procs     []found          // the last look
	index     map[int]int      // pid to procs
	stale     bool
	strangers []stranger // since the list became stale, if listed
	listed    bool
	ended     map[int]*ending
	looks     uint64
}

// owner is what has to be undone when an owner ends. What else is kept by number
// of an owner that is not known any more is nobody's, and is dropped as it is met:
// thousands of owners may end at once, and none may cost a walk over all the rest.
type owner struct {
	marks    []string
	children []int // its unreaped children
}

// ending is what is kept of a child that has ended with 0 and left processes, by its
// pid, from before its reaping until the Take after the one that tells of it.
type ending struct {
	owner Owner
	name  string
	start uint64
	asked bool // its heir has been asked for
	// hidden has the processes that it may have left though nothing shows it.
	hidden []int
}

// stranger is an unreaped child of ours that is not tracked.
type stranger struct {
	// known is what the last look has found, at which it was our child already: nothing
	// can have changed since. nil: only a look can tell whose it is.
	known *found
}

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
	// young says that it had begun in the very tick of the look, so that its start time
	// does not tell it from another one with its pid; parent and session must do so.
	young     bool
	ppid, sid int
}

// is tells whether p is the process that was seen.
func (s *seen) is(p *Proc, self int) bool {
	return s.start == p.Start && (!s.young || s.ppid == p.PPID || s.sid == p.SID && p.PPID == self)
}

// found is a process of the last look.
type found struct {
	Proc
	seen
	resolved bool
	unclear  bool // it is in the middle of an exec, and its environment not there yet
}

func (o *owners) init(keys []string) {
	*o = owners{
		known: make(map[Owner]*owner),
		keys:  keys,
		marks: make(map[string]Owner),
		ids:   make(map[int]*number),
		limit: 1024,
		seen:  make(map[int]seen),
		index: make(map[int]int),
		stale: true,
		ended: make(map[int]*ending),
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
func (o *owners) outdate() { o.stale, o.listed = true, false }

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
	o.procs, o.stale, o.listed = o.procs[:0], false, false
	o.looks++
	clear(o.index)
	began := now()
	own := append(o.own[:0], r.self)
	for pid, c := range r.children {
		if c.start == 0 {
			o.confirm(pid, 0, c.owner)
			own = append(own, pid)
		}
	}
	sort.Sort(sort.IntSlice(own))
	o.own = own
	err := r.proc.others(own, func(pid int) {
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
		if s, ok := o.seen[p.PID]; ok && s.is(&p.Proc, r.self) {
			p.seen = s
			p.owner = o.still(s.owner)
		}
		p.start, p.young, p.ppid, p.sid = p.Start, p.Start >= began, p.PPID, p.SID
		if c, ok := r.children[p.PID]; ok {
			p.owner = c.owner
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

// bequeath looks at all processes before pid is reaped, if it has ended with 0 and its
// heir will be asked for, or if it was an heir itself: what it has left is now our child,
// but still in its session, and its own children can still tell by it whose they are. An
// heir may have made a session of its own since it was found, whose number is known only
// now. Whoever has left nothing costs no look, nor does an orphan that is reaped.
func (r *Reaper) bequeath(pid, status int) {
	c := r.children[pid]
	heirs := c.heirs && status == 0
	if !heirs && c.start == 0 {
		return
	}
	r.owners.listed = false
	if len(r.strangers()) == 0 {
		return
	}
	if !heirs {
		r.look()
		return
	}
	p, _ := r.proc.stat(pid)
	e := &ending{owner: c.owner, name: p.Comm, start: p.Start}
	if !slices.ContainsFunc(r.strangers(), func(s stranger) bool {
		return s.known == nil || s.known.owner == e.owner || r.mayBeLeft(e, s.known)
	}) {
		return
	}
	r.look()
	r.owners.ended[pid] = e
	if r.bestHeir(func(p *found) bool { return p.owner == e.owner }, pid) != nil {
		return
	}
	for i := range r.owners.procs {
		if p := &r.owners.procs[i]; r.mayBeLeft(e, p) {
			e.hidden = append(e.hidden, p.PID)
		}
	}
}

// forgetEnded forgets what has ended before the exits that are posted: its heir has
// been asked for, or never will be.
func (r *Reaper) forgetEnded() {
	for pid := range r.owners.ended {
		if !hasPID(r.posted, pid) && !hasPID(r.earlier, pid) {
			delete(r.owners.ended, pid)
		}
	}
}

func hasPID(exits []Exit, pid int) bool {
	return slices.ContainsFunc(exits, func(e Exit) bool { return e.PID == pid })
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
	if !p.asked && !p.gone() && r.below(p) {
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

// below tells whether a process descends from us. Where we are not PID 1 there may be
// another of our kind, whose processes carry the same marks and are none of our business.
func (r *Reaper) below(p *found) bool {
	for range len(r.owners.procs) {
		if p.PPID == r.self {
			return true
		}
		if _, ok := r.children[p.PPID]; ok {
			return true
		}
		i, ok := r.owners.index[p.PPID]
		if !ok {
			return false
		}
		p = &r.owners.procs[i]
	}
	return false
}

func (r *Reaper) ofMarks(p *found) Owner {
	o := &r.owners
	if len(o.keys) == 0 {
		return 0
	}
	var values []string
	// An exec may end between the look at the environment, which it has not filled yet,
	// and the look at whether there is an exec; another may follow it at once.
	for range 3 {
		values, p.readable = r.proc.environ(p.PID, o.keys)
		p.unclear = values == nil && !p.readable && r.proc.execing(p.PID)
		if p.readable || p.unclear {
			break
		}
	}
	p.asked = !p.unclear
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
