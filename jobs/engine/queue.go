package engine

import (
	"tend/jobs/environ"
	"tend/jobs/event"
)

// emission is an event on its way: pending, then handling as long as something
// blocks it, then finished (reference, section 4.1).
type emission struct {
	ev       event.Event
	serial   uint64
	blockers int32 // terms that hold it and jobs that it has started or stopped

	job      *job // that a job event is about, or one of whose processes has emitted it
	jobEvent bool
	awaited  bool // starting or stopping: the job waits, or has waited, for the end of it
	handled  bool
	finished bool
	failed   bool // a job that blocked it has failed

	request RequestID
	fds     *descriptors
	pair    [2]string // room for the variables that every job event has
}

type instanceName struct{ job, instance string }

// descriptors are counted: the event has them and each run that it has started.
type descriptors struct {
	fds  []int
	uses int
}

func (m *Machine) drop(d *descriptors) {
	if d == nil {
		return
	}
	if d.uses--; d.uses == 0 {
		m.do(CloseFDs{d.fds})
	}
}

// queue has the events that something is to be done with. Upstart walks over the
// list of all events, oldest first, again and again until nothing changes, handles
// those that are pending and ends those that nothing blocks. The queue gives the
// same order without looking at the blocked ones: by walk, then by age.
type queue struct {
	// Most turns come in that order and wait in a line, of which the first have been
	// taken; heap has those that came after a later one.
	line    []turn
	taken   int
	heap    []turn
	serial  uint64
	current turn
	budget  int
	found   []*condition // by offer, and
	causes  []*emission  // by Machine.causes: for a moment only, kept for their room
}

type turn struct {
	pass   uint64
	serial uint64
	e      *emission
}

func (a turn) before(b turn) bool {
	return a.pass < b.pass || a.pass == b.pass && a.serial < b.serial
}

func (q *queue) empty() bool { return q.taken == len(q.line) && len(q.heap) == 0 }

// add puts e in line: in this walk if the walk has not passed it, else in the next.
func (q *queue) add(e *emission) {
	t := turn{q.current.pass, e.serial, e}
	if e.serial <= q.current.serial {
		t.pass++
	}
	n := len(q.line)
	if n > q.taken && t.before(q.line[n-1]) {
		q.push(t)
		return
	}
	if n == cap(q.line) && q.taken > n/2 {
		n = copy(q.line, q.line[q.taken:])
		clear(q.line[n:])
		q.line, q.taken = q.line[:n], 0
	}
	q.line = append(q.line, t)
}

// next takes the turn that comes first.
func (q *queue) next() (t turn, ok bool) {
	switch {
	case q.empty():
		return turn{}, false
	case q.taken == len(q.line) || len(q.heap) > 0 && q.heap[0].before(q.line[q.taken]):
		return q.pop(), true
	}
	t, q.line[q.taken] = q.line[q.taken], turn{}
	if q.taken++; q.taken == len(q.line) {
		q.line, q.taken = q.line[:0], 0
	}
	return t, true
}

func (q *queue) push(t turn) {
	q.heap = append(q.heap, t)
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.heap[i].before(q.heap[parent]) {
			break
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

func (q *queue) pop() turn {
	top, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap[last] = turn{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if q.heap[c].before(q.heap[least]) {
				least = c
			}
		}
		if least == i {
			return top
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}

// turnsPerStep bounds the work of one Step. Job files can make events without end,
// as with "start on started JOB" and an instance that grows each time; the rest is
// left to the next Step, so that everything else is still heard.
const turnsPerStep = 200_000

// emit queues an event.
func (m *Machine) emit(name string, env environ.Env) *emission {
	e := &emission{ev: event.Event{Name: name, Env: env}}
	m.enqueue(e)
	return e
}

func (m *Machine) enqueue(e *emission) {
	m.queue.serial++
	e.serial = m.queue.serial
	m.queue.add(e)
}

// runQueue handles and ends events until nothing changes.
func (m *Machine) runQueue() {
	for ; m.queue.budget > 0; m.queue.budget-- {
		t, ok := m.queue.next()
		if !ok {
			// The next input begins a walk of its own. The room of a boot of thousands is
			// given back.
			if cap(m.queue.line)+cap(m.queue.heap) > manyActions {
				m.queue.line, m.queue.heap, m.queue.found = nil, nil, nil
			}
			m.queue.current = turn{pass: m.queue.current.pass + 1}
			return
		}
		m.queue.current = t
		if t.e.handled {
			m.finish(t.e)
		} else {
			m.offer(t.e)
		}
	}
}

// offer shows a pending event to all conditions that it may make true.
func (m *Machine) offer(e *emission) {
	m.tell(Notice{Kind: EventHandling, Event: &e.ev})
	m.queue.found = m.watch.candidates(e.ev, m.queue.found[:0])
	for _, c := range m.queue.found {
		switch {
		case c.gone() || !c.offer(m, e):
		case c.job != nil:
			m.stopByEvents(c.job)
		default:
			m.startByEvents(c.class)
		}
	}
	clear(m.queue.found)
	e.handled = true
	m.release(e)
}

// unblock takes one blocker from e.
func (m *Machine) unblock(e *emission) {
	e.blockers--
	if e.handled {
		m.release(e)
	}
}

// release lets an event go on that nothing blocks any more.
func (m *Machine) release(e *emission) {
	if e.blockers == 0 {
		m.queue.add(e)
	}
}

// finish ends an event: it lets the job go on that waits for it, answers its
// emitter, and tells of its failure.
func (m *Machine) finish(e *emission) {
	e.finished = true
	m.tell(Notice{Kind: EventFinished, Event: &e.ev})
	if j := e.job; e.awaited && j.blocked == e {
		j.blocked = nil
		m.advance(j)
	}
	m.answer(e)
	if e.failed && !isFailed(e.ev.Name) {
		m.emit(e.ev.Name+"/failed", e.ev.Env)
	}
	m.drop(e.fds)
}

func isFailed(name string) bool {
	const suffix = "/failed"
	return len(name) >= len(suffix) && name[len(name)-len(suffix):] == suffix
}

// answer replies to the emitter, once.
func (m *Machine) answer(e *emission) {
	if e.request == 0 {
		return
	}
	err := ""
	if e.failed {
		err = "Event failed"
	}
	m.reply(e.request, nil, err, "")
	e.request = 0
	for i, c := range m.callers {
		if c == e {
			m.callers = append(m.callers[:i], m.callers[i+1:]...)
			break
		}
	}
}

func (m *Machine) emitRequest(in Emit) {
	if err := checkName(in.Event.Name); err != "" {
		m.reply(in.Request, nil, err, "")
		m.closeFDs(in.FDs)
		return
	}
	if err := checkVars(in.Event.Env); err != "" {
		m.reply(in.Request, nil, err, "")
		m.closeFDs(in.FDs)
		return
	}
	e := m.emit(in.Event.Name, in.Event.Env)
	e.job = m.jobs[in.From]
	if len(in.FDs) > 0 {
		e.fds = &descriptors{fds: in.FDs, uses: 1}
	}
	switch {
	case in.NoWait:
		m.reply(in.Request, nil, "", "")
	case in.Request != 0:
		e.request = in.Request
		m.callers = append(m.callers, e)
	}
}

func (m *Machine) closeFDs(fds []int) {
	if len(fds) > 0 {
		m.do(CloseFDs{fds})
	}
}
