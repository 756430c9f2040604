package docker

import (
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/alarm"
	"tend/jobs/conf/confdir"
	"tend/jobs/console"
	"tend/jobs/control"
	"tend/jobs/engine"
	"tend/jobs/environ"
	"tend/reaper"
)

// Supervisor runs jobs: it carries out what the engine decides and tells it what
// happens. One goroutine runs its loop and owns all its fields; everything else posts
// to the channels that the loop reads. It is not locked to a thread: it then goes on in
// whichever one has seen what it waits for, and no other has to be woken.
type Supervisor struct {
	opts    *Options
	baseEnv environ.Env // what the jobs' environment begins with
	isInit  bool        // we are PID 1
	// onTerminal says that standard input is a terminal.
	onTerminal  bool
	stopTimeout time.Duration // the total deadline of a stop, 0 for none
	m           *engine.Machine
	reaper      *reaper.Reaper
	console     *console.Console
	log         *console.Log
	tree        *confdir.Tree
	server      *control.Server // nil when no socket could be opened
	masks       masks
	late        *lateInterfaces

	began time.Time
	// skew is how long the clock of the machine has been held while we were
	// frozen, so that a timer does not run out during a pause (docker pause).
	skew   time.Duration
	seen   time.Duration // when thaw last looked at the clock
	thawed time.Duration // the deadline that was last found to be too late
	timers timers

	queue    []engine.Input // inputs to be stepped, in order
	stepping bool
	requests map[engine.RequestID]func(engine.Reply)
	lastID   engine.RequestID
	replies  []engine.Reply // to be delivered once the queue is empty

	procs      map[int]tracked // tracked processes by pid
	runs       map[engine.JobID]*run
	exits      []reaper.Exit       // what reap takes, kept for its memory
	inStage    map[int]bool        // pids whose second stage has not reached exec
	held       map[int]reaper.Exit // exits of those, until the result is there
	sweepTimer int
	monitors   monitors

	signals  <-chan os.Signal
	staged   chan stageResult // results of second stages
	confRead chan struct{}    // the configuration directories have changed
	confDone chan struct{}    // the answer to that
	notified chan notification
	netRead  chan struct{} // capacity one: the interfaces have changed

	booted   bool
	runlevel [2]string // previous and current runlevel
	command  *attached // COMMAND beside jobs, nil without one
	ranEver  bool      // a job has reached running
	reaped   uint64    // orphans that -w has told of

	// wanted is why the container is to stop as soon as the machine has settled;
	// wantedStatus is the exit status of that reason, nil for none of its own, and
	// culprit the job it is about.
	wanted       string
	wantedStatus *int
	culprit      instance
	idle         string      // a line per job that no event has started, when none ever ran
	stopEvent    environ.Env // variables of the runlevel event that stops; nil for the usual
	announced    bool        // it has been emitted by whoever wants the stop
	stop         *stopping   // the shutdown, nil before one
	done         bool
	status       int

	recent  recent // the last inputs, for the report of a bug
	minimal bool   // the core has failed; only reap and stop
}

// tracked is a process that the engine knows.
type tracked struct {
	job     engine.JobID
	process jobs.Process
}

// now is the machine's clock: monotonic, without the time in which we were frozen.
//
//go:noinline
func (s *Supervisor) now() time.Duration { return time.Since(s.began) - s.skew }

// queueKept is the room for inputs that is kept; a boot of many jobs needs more.
const queueKept = 256

// step feeds one input to the machine and carries out its actions, and then the
// inputs that these make, until nothing is left to do. Replies to requests are
// delivered after that, so that they see a settled machine.
func (s *Supervisor) step(in engine.Input) {
	s.queue = append(s.queue, in)
	if s.stepping {
		return
	}
	s.stepping = true
	for i := 0; i < len(s.queue); i++ {
		in := s.queue[i]
		s.queue[i] = nil
		if emit, ok := in.(engine.Emit); ok {
			s.noteEvent(emit.Event)
		}
		for _, a := range s.guarded(in) {
			s.thaw()
			s.act(a)
		}
		if i == len(s.queue)-1 && !s.minimal && s.m.Hurries() {
			s.queue = append(s.queue, engine.Elapsed{})
		}
	}
	if s.queue = s.queue[:0]; cap(s.queue) > queueKept {
		s.queue = nil
	}
	s.stepping = false
	s.deliver()
	s.settled()
}

// guarded calls Step and survives a bug in it: a PID 1 that panics takes the
// container with it. What is known of the bug is printed, and from then on the
// supervisor only reaps and stops.
func (s *Supervisor) guarded(in engine.Input) (actions []engine.Action) {
	if s.minimal {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			s.enterMinimal(r, debug.Stack())
			actions = nil
		}
	}()
	s.recent.add(in)
	s.thaw()
	return s.m.Step(s.now(), in)
}

// recent keeps the last inputs of the machine.
type recent struct {
	inputs [16]engine.Input
	n      int
}

func (r *recent) add(in engine.Input) {
	r.inputs[r.n%len(r.inputs)] = in
	r.n++
}

func (r *recent) list() []string {
	var out []string
	for i := max(0, r.n-len(r.inputs)); i < r.n; i++ {
		out = append(out, describe(r.inputs[i%len(r.inputs)]))
	}
	return out
}

// request registers the caller of a request; fn is called once with its reply.
func (s *Supervisor) request(fn func(engine.Reply)) engine.RequestID {
	s.lastID++
	s.requests[s.lastID] = fn
	return s.lastID
}

// deliver hands out the replies. A reply may make further inputs.
func (s *Supervisor) deliver() {
	for len(s.replies) > 0 {
		replies := s.replies
		s.replies = nil
		for _, r := range replies {
			if fn := s.requests[r.Request]; fn != nil {
				delete(s.requests, r.Request)
				fn(r)
			}
		}
	}
}

// loop runs until the container is to end.
func (s *Supervisor) loop() {
	timer := alarm.New(time.Hour)
	defer timer.Stop()
	for !s.done {
		s.turn(timer)
	}
}

// turn waits for one thing to happen and deals with it. It is the only place where
// the loop waits. A bug in what it calls does not end the container, see guarded.
func (s *Supervisor) turn(timer *alarm.Alarm) {
	var call *control.Call
	defer func() {
		if r := recover(); r != nil {
			s.queue, s.stepping = nil, false
			s.enterMinimal(r, debug.Stack())
			if call != nil {
				call.Refuse(hasFailed)
			}
		}
	}()
	var expired <-chan struct{}
	due, ok := s.deadline()
	if ok {
		timer.Reset(max(0, due-s.now()))
		expired = timer.C
	}
	var calls <-chan *control.Call
	if s.server != nil {
		calls = s.server.Calls()
	}
	s.late.listen()
	s.console.HandOver()
	// What comes first after a freeze need not be the timer, so each case looks.
	select {
	case <-s.reaper.C():
		s.woke()
		s.reap()
		s.warnOfReaped()
	case sig := <-s.signals:
		s.woke()
		s.handleSignal(sig.(unix.Signal))
	case <-expired:
		s.woke()
		s.elapsed()
	case r := <-s.staged:
		s.woke()
		s.handleStage(r)
	case call = <-calls:
		s.woke()
		// What has ended by now the client may have seen end.
		s.reap()
		s.handle(call)
	case <-s.confRead:
		s.woke()
		s.configurationChanged()
	case <-s.netRead:
		s.woke()
		s.networkChanged()
	case n := <-s.notified:
		s.woke()
		s.handleNotify(n)
	}
}

// woke is called when the loop has waited.
func (s *Supervisor) woke() {
	s.console.Hold()
	s.thaw()
}

// warnOfReaped is -w: it tells how many orphans have been reaped since it was last called.
func (s *Supervisor) warnOfReaped() {
	if n := s.reaper.Reaped(); s.opts.WarnReaped && n > s.reaped {
		s.log.Warning().Msg("reaped " + count(int(n-s.reaped), "orphan"))
		s.reaped = n
	}
}

// deadline is when the loop must wake up for the machine or for itself.
func (s *Supervisor) deadline() (time.Duration, bool) {
	due, ok := s.timers.next()
	if at, has := s.m.Deadline(); has && !s.minimal && (!ok || at < due) {
		return at, true
	}
	return due, ok
}

// pauseThreshold is by how much a timer must be late for us to conclude that the
// container was frozen and not merely busy.
const pauseThreshold = time.Second

// thaw is called by woke, and before each step and action, as a freeze
// does not wait for the loop to sleep. A deadline that has passed by far since the last
// call was held up by a freeze of the whole container, in which the jobs could not use
// their time either: all timers are extended by the lateness. When the freeze has begun
// is not known; so that a job gets what it had left, they are extended by as much again
// as may have been left, but only once, as a machine may just be slow.
func (s *Supervisor) thaw() {
	now := s.now()
	due, ok := s.deadline()
	if late := now - max(due, s.seen); ok && late > pauseThreshold {
		extension := late
		if due != s.thawed {
			extension += max(0, min(due-s.seen, late))
		}
		s.thawed = due
		s.skew += extension
		now -= extension
		s.log.Notice().Msg("was frozen for " + decimal(late, 1) + " s or more; all timeouts are extended by it")
	}
	s.seen = now
}

// elapsed runs what is due.
func (s *Supervisor) elapsed() {
	for _, fn := range s.timers.due(s.now()) {
		fn()
	}
	s.step(engine.Elapsed{})
}

// timers are the supervisor's own, on the machine's clock. There are few of them.
type timers struct {
	list []timer
	last int
}

type timer struct {
	id int
	at time.Duration
	fn func()
}

// add arranges for fn to be called once at the given time.
//
//go:noinline
func (t *timers) add(at time.Duration, fn func()) (id int) {
	t.last++
	t.list = append(t.list, timer{t.last, at, fn})
	return t.last
}

// cancel drops the timer, if it is still there.
//
//go:noinline
func (t *timers) cancel(id int) {
	for i := range t.list {
		if t.list[i].id == id {
			t.list = append(t.list[:i], t.list[i+1:]...)
			return
		}
	}
}

func (t *timers) next() (at time.Duration, ok bool) {
	for i, timer := range t.list {
		if i == 0 || timer.at < at {
			at = timer.at
		}
	}
	return at, len(t.list) > 0
}

// due removes and returns what is to be called now, in the order it was added.
func (t *timers) due(now time.Duration) []func() {
	var out []func()
	kept := t.list[:0]
	for _, timer := range t.list {
		if timer.at <= now {
			out = append(out, timer.fn)
		} else {
			kept = append(kept, timer)
		}
	}
	t.list = kept
	return out
}
