package engine

import (
	"syscall"
	"time"

	"tend/jobs"
	"tend/jobs/environ"
)

// Machine is the state of all jobs and events. It is not safe for concurrent use.
type Machine struct {
	opts  Options
	now   time.Duration
	out   []Action
	told  []Notice // what out points to, with room for more of it
	quiet bool

	env       environ.Env // the global job table
	envSerial uint64      // changes with env, so that classes know when to recompute

	classes map[string]*class
	byName  []*class // all of classes, sorted
	sources []Source

	jobs   map[JobID]*job
	lastID JobID
	pids   map[int]tracked
	lost   int // of pids: those that no job points to any more

	watch  index
	queue  queue
	timers timers

	callers  []*emission // with a Reply to come
	outcomes []Outcome   // failures, in order
	halt     *shutdown
}

// tracked is a process whose Exited is still to come. A process that has been given
// up is tracked on without a job's slot pointing to it.
type tracked struct {
	job     *job
	process jobs.Process
}

// manyActions is more than a Step gives but at the boot or the end of many jobs.
const manyActions = 1024

// New returns a machine without classes.
func New(o Options) *Machine {
	return &Machine{
		opts:      o,
		env:       o.Env,
		envSerial: 1,
		classes:   map[string]*class{},
		jobs:      map[JobID]*job{},
		pids:      map[int]tracked{},
		watch:     index{},
	}
}

// AddSource plugs in a source of events. Classes that are already loaded are told
// to it at once.
func (m *Machine) AddSource(s Source) {
	m.sources = append(m.sources, s)
	for _, c := range m.byName {
		tell(s, c, s.Watch)
	}
}

// Quiet says whether the notices GoalChanged, StateChanged, EventHandling, EventFinished,
// ProcessSpawned and SignalSent are left out, which nobody needs at the default log level
// and without a monitor. SignalSent is told all the same of KILL.
func (m *Machine) Quiet(quiet bool) { m.quiet = quiet }

// Step takes one input at the time now, which is monotonic and counted from the
// start of the program, and returns what is to be done, in order. The slice is
// valid until the next Step. Time in which the processes could not run either, as
// while the whole container is paused, is the caller's to leave out.
//
// The input comes first, then the timers that are due (so that an exit that
// arrives together with the end of its kill timeout is an exit), then events until
// nothing changes.
func (m *Machine) Step(now time.Duration, in Input) []Action {
	m.now = max(m.now, now)
	// What was done is not kept alive, and the room of a boot of thousands is given back.
	clear(m.out)
	if m.out = m.out[:0]; cap(m.out) > manyActions {
		m.out = nil
	}
	m.told = m.told[:0]
	if m.halted() {
		m.refuse(in)
		return m.out
	}
	m.handle(in)
	m.settle()
	for !m.halted() {
		t := m.timers.due(m.now)
		if t == nil {
			break
		}
		m.fire(t)
		m.settle()
	}
	return m.out
}

// Deadline returns the time at which Step must be called with Elapsed at the
// latest; false means that no timer runs.
func (m *Machine) Deadline() (time.Duration, bool) {
	if !m.queue.empty() || m.Hurries() {
		return m.now, true
	}
	if len(m.timers.heap) == 0 {
		return 0, false
	}
	return m.timers.heap[0].at, true
}

// settle handles events until nothing changes, and lets a shutdown take its next
// step when nothing else can.
func (m *Machine) settle() {
	m.queue.budget = turnsPerStep
	if m.halt != nil {
		m.halt.budget = stopsPerStep
	}
	m.runQueue()
	for m.halt != nil && m.steer() {
		m.runQueue()
	}
}

func (m *Machine) handle(in Input) {
	switch in := in.(type) {
	case Load:
		m.load(in.Class)
	case Unload:
		m.unload(in.Name)
	case Command:
		m.command(in)
	case SignalJob:
		m.signalJob(in)
	case Emit:
		m.emitRequest(in)
	case EnvRequest:
		m.envRequest(in)
	case Spawned:
		m.spawned(in)
	case Execed:
		m.execed(in)
	case SpawnFailed:
		m.spawnFailed(in)
	case Exited:
		m.exited(in)
	case Stopped:
		m.stopped(in)
	case Continued:
		m.continued(in)
	case Notified:
		m.notified(in)
	case Inspected:
		m.inspected(in)
	case Swept:
		m.swept(in)
	case Shutdown:
		m.shutdown(in)
	case Elapsed:
	}
}

//go:noinline
func (m *Machine) do(a Action) { m.out = append(m.out, a) }

// tell adds a notice. When the room is full the actions keep it, and there is a new
// one.
//
//go:noinline
func (m *Machine) tell(n Notice) {
	if m.quiet && (n.Kind < ProcessExited || n.Kind == SignalSent && n.Sig != syscall.SIGKILL) {
		return
	}
	if len(m.told) == cap(m.told) {
		m.told = make([]Notice, 0, 16)
	}
	m.told = append(m.told, n)
	m.do(&m.told[len(m.told)-1])
}

// notice tells a fact about a job.
//
//go:noinline
func (m *Machine) notice(j *job, n Notice) {
	n.Job, n.Instance, n.ID = j.class.name, j.name, j.id
	m.tell(n)
}

//go:noinline
func (m *Machine) warn(j *job, text string) {
	m.notice(j, Notice{Kind: Warning, Text: text})
}

//go:noinline
func (m *Machine) reply(r RequestID, j *job, err, reason string) {
	if r == 0 {
		return
	}
	a := Reply{Request: r, Err: err, Reason: reason}
	if j != nil {
		a.Job, a.Instance = j.class.name, j.name
	}
	m.do(a)
}
