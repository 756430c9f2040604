package engine

import (
	"slices"
	"strconv"
	"syscall"
	"time"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// job is an instance. It exists from its first start until it is waiting again. There
// may be thousands: what is small lies together, and what only some have behind a
// pointer.
type job struct {
	id    JobID
	class *class
	def   *jobs.Class   // what it runs by; may be older than what is on disk
	name  string        // of the instance
	since time.Duration // in this state

	goal   jobs.Goal
	state  jobs.State
	stage  stage      // how far the ending of a process has come
	flying jobs.Alive // spawned, but the pid is not known yet
	pids   [jobs.NumProcesses]int32
	status int32 // how main has ended

	asked    bool // the end of this run has been asked for, by a command or an event
	restart  bool // a restart goes through pre-stop
	execed   bool // main has reached its exec
	handed   bool // main has been handed over while starting
	left     bool // a process of this run has left others behind
	sweeping bool // a Sweep is on
	late     bool // a task of the shutdown: not in its order
	looping  bool // the run ends to begin anew: respawn
	ending   bool // the machine itself has begun to end the processes of this run
	delaying bool // rests in post-stop until the respawn is due
	edited   bool // run.base is the whole environment, by request of a client

	work    *timer // of the state; nil: never set, as the next one
	start   *timer // start timeout
	begun   time.Duration
	rounds  *rounds  // nil: never respawned
	probe   *probe   // of a main process that is expected to fork
	failure *failure // the first of this run, nil if there is none

	run     *run // what is running or has run
	next    *run // what the next start makes of it; nil: the same again
	stopEnv environ.Env

	stop     *condition // nil without stop on
	waiters  []waiter
	blocking []*emission // events that wait for this job
	blocked  *emission   // the starting or stopping event that the job waits for
}

// run is what a start has brought.
type run struct {
	base   environ.Env // the environment of the class, as it was then
	args   environ.Env // what the command or the events have laid over it
	fds    []*descriptors
	causes []cause // why it was started, for the stop order
}

// rounds is what is known of a job's respawns.
type rounds struct {
	count  int
	window time.Duration // begin of the respawn limit's interval
	delay  time.Duration // the last one
}

// failure is the first failure of a run, in the words of the job events.
type failure struct {
	process string // "main", "respawn", …
	exit    string // EXIT_STATUS=N, EXIT_SIGNAL=NAME or empty
	reason  string
	status  int
}

// waiter is a caller that waits for the end of its command.
type waiter struct {
	verb    Verb
	request RequestID
}

// instanceFor returns the instance of that name and makes it if need be.
func (m *Machine) instanceFor(c *class, name string) *job {
	i, ok := c.place(name)
	if ok {
		return c.instances[i]
	}
	m.lastID++
	j := &job{id: m.lastID, class: c, def: c.def, name: name, since: m.now}
	c.instances = append(c.instances, nil)
	copy(c.instances[i+1:], c.instances[i:])
	c.instances[i] = j
	m.jobs[j.id] = j
	m.setStopOn(j)
	m.do(InstanceAdded{Job: j.id, Name: c.name, Inst: name})
	return j
}

func (m *Machine) setStopOn(j *job) {
	if j.stop != nil {
		m.watch.remove(j.stop)
		j.stop.reset(m)
		j.stop = nil
	}
	if j.def.StopOn != nil {
		j.stop = newCondition(j.class, j, j.def.StopOn)
		m.watch.add(j.stop)
	}
}

// remove ends the life of an instance that is waiting.
func (m *Machine) remove(j *job) {
	m.timers.cancel(j.work)
	m.timers.cancel(j.start)
	if j.stop != nil {
		m.watch.remove(j.stop)
		j.stop.reset(m)
	}
	m.dropFDs(j.run)
	m.dropFDs(j.next)
	c := j.class
	if i, ok := c.place(j.name); ok {
		c.instances = slices.Delete(c.instances, i, i+1)
	}
	delete(m.jobs, j.id)
	if m.halt != nil {
		m.halt.gone(j.id)
	}
	failed, status := j.failure != nil, int(j.status)
	if failed {
		status = j.failure.status
	}
	c.last = &past{j.name, failed, status, j.failure.why()}
	m.notice(j, Notice{Kind: JobEnded, Normal: !failed, Text: j.failure.why()})
	m.do(InstanceRemoved{Job: j.id, Name: c.name, Inst: j.name, Failed: failed, Status: status})
	m.recordOutcome(c.name, j.name, failed, status)
	m.reconsider(c)
}

// why is the reason of a failure, empty for none.
//
//go:noinline
func (f *failure) why() string {
	if f == nil {
		return ""
	}
	return f.reason
}

// renew says what the next start of a job is made of.
//
//go:noinline
func (m *Machine) renew(j *job, r *run) {
	m.dropFDs(j.next)
	j.next = r
}

//go:noinline
func (m *Machine) dropFDs(r *run) {
	if r != nil {
		for _, d := range r.fds {
			m.drop(d)
		}
		r.fds = nil
	}
}

func (j *job) alive() jobs.Alive {
	a := j.flying
	for p, pid := range j.pids {
		if pid != 0 {
			a = a.With(jobs.Process(p))
		}
	}
	return a
}

// pid returns the process id of a process, 0 when it is not there or not known yet.
func (j *job) pid(p jobs.Process) int { return int(j.pids[p]) }

//go:noinline
func (j *job) runs(p jobs.Process) bool { return j.pids[p] != 0 || j.flying.Has(p) }

//go:noinline
func (j *job) named() instanceName { return instanceName{j.class.name, j.name} }

//go:noinline
func (j *job) display() string { return jobs.InstanceName(j.class.name, j.name) }

// environment composes the job environment for a new run (reference, 6.3). A
// restart without arguments keeps the old one, unless the definition has changed.
func (m *Machine) environment(j *job, redefined bool) {
	if j.next != nil {
		m.dropFDs(j.run)
		j.run, j.next = j.next, nil
		redefined = true
	}
	if redefined {
		j.run.base, j.edited = m.classEnv(j.class), false
	}
}

// env is the job environment.
//
//go:noinline
func (j *job) env() environ.Layers {
	if j.edited {
		return environ.Layers{Under: j.run.base}
	}
	return environ.Layers{Under: j.run.base, Over: j.run.args}
}

// processEnv is the environment of a process of j.
func (j *job) processEnv(p jobs.Process) environ.Env {
	over := j.stopEnv
	if p != jobs.PreStopProcess && p != jobs.PostStopProcess {
		over = nil
	}
	own := j.env()
	env := merge(2, own.Under, own.Over, over)
	env = put(env, j.class.jobVar)
	return put(env, "UPSTART_INSTANCE="+j.name)
}

// eventEnv is the environment of a job event.
func (j *job) eventEnv(results bool) environ.Env {
	return j.appendEventEnv(make(environ.Env, 0, 5+len(j.def.Export)), results)
}

func (j *job) appendEventEnv(env environ.Env, results bool) environ.Env {
	env = append(env, j.class.jobVar[len("UPSTART_"):], "INSTANCE="+j.name)
	if results {
		if j.failure == nil {
			env = append(env, "RESULT=ok")
		} else {
			env = append(env, "RESULT=failed", "PROCESS="+j.failure.process)
			if j.failure.exit != "" {
				env = append(env, j.failure.exit)
			}
		}
	}
	for _, key := range j.def.Export {
		if _, taken := env.Lookup(key); taken {
			continue
		}
		if value, ok := j.env().Lookup(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// emitJobEvent queues one of the four events of a job's life.
func (m *Machine) emitJobEvent(j *job, name string, results bool) *emission {
	e := &emission{job: j, jobEvent: true}
	e.ev = event.Event{Name: name, Env: j.appendEventEnv(e.pair[:0], results)}
	m.enqueue(e)
	return e
}

// done answers all who wait for the job, as success (reference, 5.6).
func (m *Machine) done(j *job) {
	m.settleWaiters(j, func(waiter) (err, reason string) { return "", "" })
	m.unblockAll(j)
}

// fail records a failure, of which the first in a run counts, and answers all who
// wait; after the first these are commands that want the job up again.
func (m *Machine) fail(j *job, f failure, n Notice) {
	first := j.failure == nil
	if first {
		j.failure = &f
		n.Kind = JobFailed
		n.Text = failureText(j, f)
		m.notice(j, n)
	}
	m.settleWaiters(j, func(w waiter) (err, reason string) {
		switch w.verb {
		case VerbStop:
			return "Job failed while stopping", f.reason
		case VerbRestart:
			return "Job failed to restart", f.reason
		}
		return "Job failed to start", f.reason
	})
	for _, e := range j.blocking {
		e.failed = true
	}
	m.unblockAll(j)
	if first {
		m.endEssential(j, f.reason)
	}
}

func failureText(j *job, f failure) string {
	switch {
	case j.state == jobs.PostStop:
		return "failed while stopping: " + f.reason
	case j.state < jobs.Running:
		return "failed to start: " + f.reason
	}
	return "failed: " + f.reason
}

// overtake answers all who wait for the job because its goal is changed by someone
// else. Upstart tells them success; so does tend when a process of the job itself
// has asked (inside), else a caller learns that its command did not come to its
// end. Events are not affected (reference 9, 23). A task without a main process that
// runs has nothing left to do but to be stopped: that is its end.
func (m *Machine) overtake(j *job, by Verb, inside bool) {
	over := j.state == jobs.Running && j.def.Task && j.def.Processes[jobs.Main] == nil
	m.settleWaiters(j, func(w waiter) (err, reason string) {
		switch {
		case inside || over || by == VerbRestart || by == w.verb:
			return "", ""
		case w.verb == VerbStart:
			return "Job start cancelled: " + j.display(), ""
		case w.verb == VerbStop:
			return "Job stop cancelled: " + j.display(), ""
		}
		return "Job restart cancelled: " + j.display(), ""
	})
	m.unblockAll(j)
}

func (m *Machine) settleWaiters(j *job, answer func(waiter) (err, reason string)) {
	for _, w := range j.waiters {
		err, reason := answer(w)
		m.reply(w.request, j, err, reason)
	}
	j.waiters = nil
}

func (m *Machine) unblockAll(j *job) {
	blocking := j.blocking
	j.blocking = nil
	for _, e := range blocking {
		m.unblock(e)
	}
}

// block makes events wait for the job, but for the one that it waits for itself, and
// those that were only remembered and have gone on to their end.
func (j *job) block(events []*emission) {
	for i, e := range events {
		if e.finished || e.awaited && e.job == j || slices.Contains(events[:i], e) {
			continue
		}
		e.blockers++
		j.blocking = append(j.blocking, e)
	}
}

// endEssential tells that an essential job has ended by itself, once a run.
func (m *Machine) endEssential(j *job, reason string) {
	if j.asked || m.halt != nil || !m.essential(j.class) {
		return
	}
	status := int(j.status)
	if f := j.failure; f != nil {
		switch f.process {
		case "main":
			status = f.status
		case "respawn":
			// A service that may not end has failed even if it ended with 0.
			status = max(status, 1)
		default:
			status = 1
		}
	}
	m.do(EssentialEnded{Job: j.class.name, Instance: j.name, Status: status, Text: reason})
}

// exitText says how a process has ended: "exited with status 3".
func exitText(code int, sig syscall.Signal, core bool) string {
	switch {
	case sig == 0:
		return "exited with status " + strconv.Itoa(code)
	case core:
		return "killed by " + signalText(sig) + " (core dumped)"
	}
	return "killed by " + signalText(sig)
}

func signalText(sig syscall.Signal) string {
	name := SignalName(sig)
	if name[0] >= '0' && name[0] <= '9' {
		return "signal " + name
	}
	return name + " signal"
}

// SignalName returns the name that EXIT_SIGNAL has: the number if there is none.
func SignalName(sig syscall.Signal) string {
	if name := jobs.SignalName(sig); name != "" {
		return name
	}
	return strconv.Itoa(int(sig))
}

// exitStatus is what a shell would say: the code, or 128 and the signal.
func exitStatus(code int, sig syscall.Signal) int {
	if sig != 0 {
		return 128 + int(sig)
	}
	return code
}

// exitVariable is EXIT_STATUS=N or EXIT_SIGNAL=NAME.
func exitVariable(code int, sig syscall.Signal) string {
	if sig != 0 {
		return "EXIT_SIGNAL=" + SignalName(sig)
	}
	return "EXIT_STATUS=" + strconv.Itoa(code)
}
