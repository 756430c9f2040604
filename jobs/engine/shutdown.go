package engine

import (
	"maps"
	"slices"
	"sort"
	"syscall"
	"time"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// shutdown is the orderly stop of everything. Jobs are stopped as soon as all jobs
// that are to stop before them have gone, or when the time of their level has come.
//
//	begin            events; jobs of the first level are stopped
//	level            the order has been held long enough: the next level too
//	half             every job has its kill signal, and nothing waits for events
//	deadline-reserve KILL to everything but post-stop
//	a quarter of it  before the deadline: KILL to post-stop too
//	deadline         over, whatever is left
type shutdown struct {
	limited          bool
	deadline, killAt time.Duration
	halfAt           time.Duration
	reserve          time.Duration
	commandSignal    syscall.Signal

	planned bool
	half    bool
	forcing bool // past killAt
	over    bool

	levels  [][]JobID
	current int // level that has been stopped
	place   map[JobID]int
	present []int             // jobs left, by level
	after   map[JobID][]JobID // who waits for a job
	waits   map[JobID]int     // for how many
	ready   []JobID           // to be stopped
	budget  int               // how many of them in this step
	started map[instanceName]bool

	level, halfway, kill, last, end timer
}

// stopsPerStep bounds how many jobs one Step stops, so that the first of many have their
// signal while the others are seen to.
const stopsPerStep = 16

// shutdownEvents are what a host would say; nothing waits for them.
var shutdownEvents = []event.Event{
	{Name: "runlevel", Env: environ.Env{"RUNLEVEL=0", "PREVLEVEL=2", "INIT_HALT=POWEROFF"}},
	{Name: "shutdown"},
	{Name: "deconfiguring-networking"},
	{Name: "unmounted-remote-filesystems"},
}

// Hurries tells whether a Step is wanted at once, before anything else: a shutdown has more
// jobs to stop now than one Step does.
func (m *Machine) Hurries() bool { return m.halt != nil && !m.halt.over && len(m.halt.ready) > 0 }

func (m *Machine) halted() bool { return m.halt != nil && m.halt.over }

func (m *Machine) shutdown(in Shutdown) {
	h := m.halt
	first := h == nil
	if first {
		h = &shutdown{commandSignal: in.CommandSignal, started: map[instanceName]bool{}}
		h.level.kind, h.halfway.kind, h.kill.kind, h.last.kind, h.end.kind = timerLevel, timerHalf, timerReserve, timerLast, timerEnd
		m.halt = h
	}
	if in.Now {
		in.Timeout, in.Reserve = max(in.Reserve, killPatience), max(in.Reserve, killPatience)
	}
	if in.Timeout > 0 && (!h.limited || m.now+in.Timeout < h.deadline) {
		h.limited = true
		h.reserve = min(in.Reserve, in.Timeout)
		h.deadline = m.now + in.Timeout
		h.killAt = h.deadline - h.reserve
		h.halfAt = min(m.now+in.Timeout/2, h.killAt)
		m.timers.set(&h.halfway, m.now, h.halfAt-m.now)
		m.timers.set(&h.kill, m.now, h.killAt-m.now)
		m.timers.set(&h.last, m.now, h.deadline-h.reserve/4-m.now)
		m.timers.set(&h.end, m.now, in.Timeout)
	} else if in.Now {
		// The deadline is nearer than that, and stays.
		h.halfAt, h.killAt = m.now, m.now
		m.timers.set(&h.halfway, m.now, 0)
		m.timers.set(&h.kill, m.now, 0)
	}
	if !first {
		return
	}
	for _, c := range m.byName {
		if c.start != nil {
			c.start.letGo(m)
		}
	}
	for _, ev := range shutdownEvents {
		if ev.Name == "runlevel" {
			if in.Announced {
				continue
			}
			if in.Runlevel != nil {
				ev.Env = in.Runlevel
			}
		}
		m.emit(ev.Name, ev.Env)
	}
}

// outOfTime tells whether the deadline of a shutdown has come.
func (m *Machine) outOfTime() bool {
	return m.halt != nil && m.halt.limited && m.now >= m.halt.end.at
}

// cut shortens a time to what a shutdown leaves of it.
func (m *Machine) cut(d time.Duration) time.Duration {
	if m.halt == nil || !m.halt.limited {
		return d
	}
	return max(0, min(d, m.halt.killAt-m.now))
}

// startsInShutdown tells whether a job may still be started: a task by one of the
// events of the shutdown itself, once.
func (m *Machine) startsInShutdown(c *class, causes []*emission) bool {
	return c.def.Task && !m.halt.half && !m.halt.over && slices.ContainsFunc(causes, func(e *emission) bool {
		switch e.ev.Name {
		case "runlevel", "shutdown", "stopping", "stopped":
			return true
		}
		return false
	})
}

// announcesShutdown tells whether an event is what a signal that begins a shutdown
// emits just before it. A task that it starts belongs to the shutdown.
func announcesShutdown(causes []*emission) bool {
	return slices.ContainsFunc(causes, func(e *emission) bool {
		return e.ev.Name == "control-alt-delete" || e.ev.Name == "power-status-changed"
	})
}

// steer takes the next step of a shutdown once all events have been handled. It
// tells whether it has done something.
func (m *Machine) steer() bool {
	h := m.halt
	switch {
	case h.over:
		return false
	case !h.planned:
		m.plan()
		return true
	case len(h.ready) > 0:
		n := min(len(h.ready), h.budget)
		ready := h.ready[:n]
		h.ready = h.ready[n:]
		h.budget -= n
		for _, id := range ready {
			if j := m.jobs[id]; j != nil {
				m.stopForShutdown(j)
			}
		}
		return n > 0
	}
	if h.current < len(h.levels) && h.present[h.current] == 0 {
		h.current++
		m.holdLevel()
		return true
	}
	if len(m.jobs) == 0 && m.queue.empty() || m.deadlocked() {
		m.finishShutdown()
	}
	return false
}

// plan computes the order when the events of the shutdown have been seen by all. The
// order is for what runs: a job that is still starting, or about to start again, is
// stopped at once, or it could wait for one that the order puts after it.
func (m *Machine) plan() {
	h := m.halt
	h.planned = true
	for _, j := range m.inOrder() {
		if !j.late && j.state != jobs.Running && j.state != jobs.PreStop {
			m.stopForShutdown(j)
		}
	}
	edges := m.stopEdges()
	ids := slices.DeleteFunc(m.ids(), func(id JobID) bool { return m.jobs[id].late })
	edges = slices.DeleteFunc(edges, func(e Edge) bool { return m.jobs[e.Before].late || m.jobs[e.After].late })
	levels, dropped := Levels(ids, edges)
	for _, e := range dropped {
		edges = slices.DeleteFunc(edges, func(x Edge) bool { return x == e })
		j := m.jobs[e.Before]
		m.warn(j, "left out of the stop order, because it makes a cycle: "+j.display()+" before "+m.jobs[e.After].display())
	}
	h.levels = levels
	h.present = make([]int, len(levels))
	h.place = make(map[JobID]int, len(ids))
	h.after, h.waits = neighbours(edges)
	for n, level := range levels {
		h.present[n] = len(level)
		for _, id := range level {
			h.place[id] = n
		}
	}
	if len(levels) > 0 {
		h.ready = slices.Clone(levels[0])
	}
	m.holdLevel()
}

// holdLevel limits how long the order may wait for the current level: an equal
// share of what is left, and so little that the last level has its turn by half of
// the total.
func (m *Machine) holdLevel() {
	h := m.halt
	m.timers.cancel(&h.level)
	left := len(h.levels) - h.current
	if !h.limited || left < 2 {
		return
	}
	share := (h.killAt - m.now) / time.Duration(left)
	toHalf := (h.halfAt - m.now) / time.Duration(left-1)
	m.timers.set(&h.level, m.now, max(0, min(share, toHalf)))
}

// gone notes the end of a job: those that have waited only for it are next.
func (h *shutdown) gone(id JobID) {
	n, ok := h.place[id]
	if !ok {
		return
	}
	delete(h.place, id)
	h.present[n]--
	for _, a := range h.after[id] {
		if h.waits[a]--; h.waits[a] == 0 {
			h.ready = append(h.ready, a)
		}
	}
}

// stopForShutdown stops a job without waiting for anyone. Its stop environment is
// what the events of the shutdown have left.
func (m *Machine) stopForShutdown(j *job) {
	if j.goal == jobs.Stop {
		return
	}
	m.overtake(j, VerbStop, false)
	m.stopJob(j)
}

func (m *Machine) fireShutdown(kind timerKind) {
	h := m.halt
	switch kind {
	case timerLevel:
		h.current++
		if h.current < len(h.levels) {
			h.ready = append(h.ready, h.levels[h.current]...)
		}
		m.holdLevel()
	case timerHalf:
		h.half = true
		for _, j := range m.inOrder() {
			m.hurry(j)
		}
	case timerReserve:
		h.half, h.forcing = true, true
		for _, j := range m.inOrder() {
			m.hurry(j)
			if j.stage < killed && (j.state != jobs.PostStop || j.sweeping) {
				m.pressOn(j)
			}
		}
	case timerLast:
		for _, j := range m.inOrder() {
			if j.stage < killed {
				m.pressOn(j)
			}
		}
	case timerEnd:
		m.finishShutdown()
	}
}

// hurry makes a job go on that still waits for something other than the end of what
// has had its kill signal.
func (m *Machine) hurry(j *job) {
	m.stopForShutdown(j)
	switch j.state {
	case jobs.Starting, jobs.Stopping:
		if j.blocked != nil {
			j.blocked = nil
			m.advance(j)
		}
	case jobs.Security, jobs.PreStart, jobs.PostStart, jobs.PreStop:
		if j.stage <= patient {
			j.stage = patient
			m.pressOn(j)
		}
	}
}

// deadlocked tells whether jobs are left that nothing can move any more: they have
// no process but such as have been given up, and wait for each other.
func (m *Machine) deadlocked() bool {
	return len(m.pids) == m.lost && m.queue.empty() &&
		!slices.ContainsFunc(m.timers.heap, func(t *timer) bool { return t.job != nil }) && !m.inFlight()
}

// finishShutdown ends the machine: what still runs gets KILL, and everyone who
// waits an answer.
func (m *Machine) finishShutdown() {
	h := m.halt
	h.over = true
	var stuck []Stuck
	pids := slices.Collect(maps.Keys(m.pids))
	sort.Sort(sort.IntSlice(pids))
	for _, pid := range pids {
		t := m.pids[pid]
		s := Stuck{Process: t.process, PID: pid}
		if j := t.job; j != nil {
			s.Job, s.Instance = j.class.name, j.name
			if j.pid(t.process) == pid {
				m.do(Signal{Job: j.id, Process: t.process, PID: pid, Sig: syscall.SIGKILL, Group: true, Deep: true})
			}
		}
		stuck = append(stuck, s)
	}
	for _, j := range m.inOrder() {
		m.settleWaiters(j, func(waiter) (err, reason string) { return shuttingDown, "" })
	}
	for _, e := range m.callers {
		m.reply(e.request, nil, shuttingDown, "")
		e.request = 0
	}
	m.callers = nil
	m.timers.heap = nil
	m.do(Halted{Stuck: stuck})
}

// refuse answers what comes after the end.
func (m *Machine) refuse(in Input) {
	var request RequestID
	switch in := in.(type) {
	case Command:
		request = in.Request
	case SignalJob:
		request = in.Request
	case EnvRequest:
		request = in.Request
	case Emit:
		request = in.Request
		m.closeFDs(in.FDs)
	}
	m.reply(request, nil, shuttingDown, "")
}
