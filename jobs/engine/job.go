package engine

import (
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tend/jobs"
	"tend/jobs/environ"
)

// job is an instance. It exists from its first start until it is waiting again.
type job struct {
	id    JobID
	class *class
	def   *jobs.Class // what it runs by; may be older than what is on disk
	name  string      // of the instance
	goal  jobs.Goal
	state jobs.State
	since time.Duration // in this state

	pids   [jobs.NumProcesses]int
	flying jobs.Alive // spawned, but the pid is not known yet
	stage  stage      // how far the ending of a process has come
	work   timer
	start  timer // start timeout

	env     environ.Env // the job environment, fixed at start
	args    environ.Env // what the start command or events added to it
	stopEnv environ.Env
	pending bool // args are newer than env
	fds     []*descriptors
	newFDs  []*descriptors // for the next run

	stop     *condition // nil without stop on
	waiters  []waiter
	blocking []*emission // events that wait for this job
	blocked  *emission   // the starting or stopping event that the job waits for
	causes   []cause     // why it was started, for the stop order

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

	failed  bool // first failure of this run
	failure failure
	status  int // how main has ended
	begun   time.Duration

	respawns int
	window   time.Duration // begin of the respawn limit's interval
	delay    time.Duration // the last one
	probe    probe
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
	j.work = timer{job: j, kind: timerWork}
	j.start = timer{job: j, kind: timerStart}
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
		j.stop.dead = true
		j.stop.reset(m)
		j.stop = nil
	}
	if j.def.StopOn != nil {
		terms := j.class.stopTerms
		if j.def != j.class.def {
			terms = j.def.StopOn.Terms(nil)
		}
		j.stop = &condition{class: j.class, job: j, expr: j.def.StopOn, terms: terms}
		m.watch.add(j.stop)
	}
}

// remove ends the life of an instance that is waiting.
func (m *Machine) remove(j *job) {
	m.timers.cancel(&j.work)
	m.timers.cancel(&j.start)
	if j.stop != nil {
		m.watch.remove(j.stop)
		j.stop.dead = true
		j.stop.reset(m)
	}
	m.dropFDs(&j.fds)
	m.dropFDs(&j.newFDs)
	c := j.class
	if i, ok := c.place(j.name); ok {
		c.instances = slices.Delete(c.instances, i, i+1)
	}
	delete(m.jobs, j.id)
	if m.halt != nil {
		m.halt.gone(j.id)
	}
	status := j.status
	if j.failed {
		status = j.failure.status
	}
	c.last = &past{j.name, j.failed, status, j.failure.reason}
	m.notice(j, Notice{Kind: JobEnded, Normal: !j.failed, Text: j.failure.reason})
	m.do(InstanceRemoved{Job: j.id, Name: c.name, Inst: j.name, Failed: j.failed, Status: status})
	m.recordOutcome(c.name, j.name, j.failed, status)
	m.reconsider(c)
}

func (m *Machine) dropFDs(ds *[]*descriptors) {
	for _, d := range *ds {
		m.drop(d)
	}
	*ds = nil
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

//go:noinline
func (j *job) runs(p jobs.Process) bool { return j.pids[p] != 0 || j.flying.Has(p) }

//go:noinline
func (j *job) display() string { return jobs.InstanceName(j.class.name, j.name) }

// environment composes the job environment for a new run (reference, 6.3). A
// restart without arguments keeps the old one, unless the definition has changed.
func (m *Machine) environment(j *job, redefined bool) {
	if j.pending {
		m.dropFDs(&j.fds)
		j.fds, j.newFDs = j.newFDs, nil
	}
	if j.pending || redefined || j.env == nil {
		j.env = merge(2, m.classEnv(j.class), j.args)
		j.pending = false
	}
}

// processEnv is the environment of a process of j.
func (j *job) processEnv(p jobs.Process) environ.Env {
	over := j.stopEnv
	if p != jobs.PreStopProcess && p != jobs.PostStopProcess {
		over = nil
	}
	env := merge(2, j.env, over)
	env = put(env, j.class.jobVar)
	return put(env, "UPSTART_INSTANCE="+j.name)
}

// eventEnv is the environment of a job event.
func (j *job) eventEnv(results bool) environ.Env {
	env := make(environ.Env, 0, 5+len(j.def.Export))
	env = append(env, j.class.jobVar[len("UPSTART_"):], "INSTANCE="+j.name)
	if results {
		if !j.failed {
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
		if value, ok := j.env.Lookup(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// emitJobEvent queues one of the four events of a job's life.
func (m *Machine) emitJobEvent(j *job, name string, results bool) *emission {
	e := m.emit(name, j.eventEnv(results))
	e.subject = instanceName{j.class.name, j.name}
	e.jobEvent = true
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
	first := !j.failed
	if first {
		j.failed, j.failure = true, f
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

// block makes events wait for the job, but for the one that it waits for itself.
func (j *job) block(events []*emission) {
	for i, e := range events {
		if e.owner == j || slices.Contains(events[:i], e) {
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
	status := j.status
	if j.failed {
		switch f := j.failure; f.process {
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

// signalNames are Upstart's: the first name where a signal has several.
var signalNames = strings.Fields(
	"HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT " +
		"CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS")

// SignalName returns the name that EXIT_SIGNAL has: the number if there is none.
func SignalName(sig syscall.Signal) string {
	if n := int(sig); n >= 1 && n <= len(signalNames) {
		return signalNames[n-1]
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
