package engine

import (
	"time"

	"tend/jobs"
)

// setGoal only turns the goal; where the job is going shows when the work of its
// state is done.
func (m *Machine) setGoal(j *job, g jobs.Goal) {
	if j.goal == g {
		return
	}
	from := j.goal
	j.goal = g
	m.notice(j, Notice{Kind: GoalChanged, FromGoal: from, Goal: g})
}

// changeGoal turns the goal and, in the states that would not end by themselves,
// makes the job move: waiting, running, a main process that is not ready yet
// (reference 9, 16) and the delay before a respawn. A hook that is found running by
// a stop gets one kill timeout to end by itself (9, 15).
func (m *Machine) changeGoal(j *job, g jobs.Goal) {
	if g == jobs.Start && j.mainDied() {
		g = jobs.Respawn // or it would go on to running without a process
	}
	m.setGoal(j, g)
	if g != jobs.Stop {
		if j.state > jobs.Waiting && j.state < jobs.Stopping && !j.restart {
			j.asked = false
			if g == jobs.Start && j.state < jobs.Running {
				// The run goes on, and is to come to running all the same.
				j.ending, j.failure = false, nil
				m.beginStart(j)
			}
		}
		switch j.state {
		case jobs.Waiting:
			m.advance(j)
		case jobs.Security, jobs.PreStart, jobs.PostStart:
			// One that has been signalled is seen to its end.
			if j.stage < asked {
				j.stage = untouched
				m.timers.cancel(j.work)
			}
		}
		return
	}
	switch j.state {
	case jobs.Spawned, jobs.Running:
		m.advance(j)
	case jobs.Security, jobs.PreStart, jobs.PostStart:
		if j.stage == untouched {
			m.patience(j)
		}
	case jobs.PostStop:
		if j.delaying {
			m.advance(j)
		}
	}
}

// mainDied tells whether main has ended while a hook runs beside it.
func (j *job) mainDied() bool {
	return (j.state == jobs.PostStart || j.state == jobs.PreStop) && j.def.Processes[jobs.Main] != nil && !j.runs(jobs.Main)
}

// advance takes the job from a state whose work is done to the next, and through
// all states that have nothing to do.
func (m *Machine) advance(j *job) {
	for done := true; done; {
		next := jobs.Next(j.state, j.goal, j.alive(), j.restart)
		if j.goal == jobs.Respawn {
			m.setGoal(j, jobs.Start)
		}
		from := j.state
		j.state, j.since = next, m.now
		m.timers.cancel(j.work)
		j.stage, j.delaying = untouched, false
		m.notice(j, Notice{Kind: StateChanged, FromState: from, State: next})
		done = m.enter(j, from)
	}
}

// enter does what belongs to the beginning of a state and tells whether the state
// is done with that.
func (m *Machine) enter(j *job, from jobs.State) bool {
	switch j.state {
	case jobs.Waiting:
		m.enterWaiting(j)
		return false
	case jobs.Starting:
		m.enterStarting(j, from)
		return false
	case jobs.Security:
		return !m.spawn(j, jobs.SecurityProcess)
	case jobs.PreStart:
		return !m.spawn(j, jobs.PreStartProcess)
	case jobs.Spawned:
		j.execed, j.handed = false, false
		return !m.spawn(j, jobs.Main)
	case jobs.PostStart:
		return !m.spawn(j, jobs.PostStartProcess)
	case jobs.Running:
		return m.enterRunning(j, from)
	case jobs.PreStop:
		return !m.spawn(j, jobs.PreStopProcess)
	case jobs.Stopping:
		m.timers.cancel(j.start)
		if j.stop != nil {
			j.stop.letGo(m)
		}
		e := m.emitJobEvent(j, "stopping", true)
		if m.halt != nil && m.halt.half {
			return true // there is no time to wait for others any more
		}
		m.await(j, e)
		return false
	case jobs.Killed:
		return m.enterKilled(j)
	case jobs.PostStop:
		if m.spawn(j, jobs.PostStopProcess) {
			return false
		}
		return m.afterPostStop(j)
	}
	panic("engine: no such state")
}

// enterStarting begins a run: with a new environment when there are new arguments,
// and with the newest definition when the job has been stopped on the way (9, 22).
func (m *Machine) enterStarting(j *job, from jobs.State) {
	c := j.class
	redefined := false
	if from == jobs.PostStop && j.asked && c.next != nil && len(c.instances) == 1 {
		m.define(c, c.next)
		j.def = c.def
		m.setStopOn(j)
		redefined = true
	}
	m.environment(j, redefined)
	j.stopEnv = nil
	j.failure, j.status = nil, 0
	j.asked, j.restart, j.looping, j.ending, j.left = false, false, false, false, false
	j.begun = m.now
	c.started = true
	m.beginStart(j)
	m.await(j, m.emitJobEvent(j, "starting", false))
}

// beginStart sets the start timeout of a run.
func (m *Machine) beginStart(j *job) {
	if d := m.startTimeout(j); d > 0 {
		if j.start == nil {
			j.start = &timer{job: j, kind: timerStart}
		}
		m.timers.set(j.start, m.now, d)
	}
}

// await makes a job wait for the end of its own event.
//
//go:noinline
func (m *Machine) await(j *job, e *emission) {
	j.blocked, e.awaited = e, true
}

func (m *Machine) startTimeout(j *job) time.Duration {
	if j.def.StartTimeout == 0 && j.def.Expect == jobs.ExpectNotify {
		return jobs.NotifyStartTimeout
	}
	return j.def.StartTimeout
}

func (m *Machine) enterRunning(j *job, from jobs.State) (done bool) {
	if from == jobs.PreStop {
		j.stopEnv = nil
		j.asked = false
		m.done(j)
		return false
	}
	m.timers.cancel(j.start)
	m.emitJobEvent(j, "started", false)
	m.notice(j, Notice{Kind: JobReady, PID: j.pid(jobs.Main)})
	if !j.def.Task {
		m.done(j)
	}
	if m.halt != nil && !j.runs(jobs.Main) {
		// Nothing but a stop would ever end it, and it may hold up others.
		j.asked = true
		m.setGoal(j, jobs.Stop)
		return true
	}
	return false
}

func (m *Machine) enterWaiting(j *job) {
	m.emitJobEvent(j, "stopped", true)
	m.done(j)
	m.remove(j)
}

// afterPostStop ends what the run has left behind when the job was stopped or goes
// round, then waits until the respawn is due. It tells whether the state is done.
func (m *Machine) afterPostStop(j *job) bool {
	if m.wantsSweep(j) {
		patience := j.def.KillTimeout
		if j.looping && !j.asked {
			patience = min(patience, respawnPatience)
		}
		m.sweep(j, patience)
		return false
	}
	return m.afterSweep(j)
}

func (m *Machine) afterSweep(j *job) (done bool) {
	if !j.looping || j.asked || j.goal == jobs.Stop || j.rounds.delay == 0 {
		return true
	}
	j.delaying = true
	m.notice(j, Notice{Kind: RespawnDelayed, Interval: j.rounds.delay})
	m.wake(j, j.rounds.delay)
	return false
}

// spawn asks for a process, if the class has it.
func (m *Machine) spawn(j *job, p jobs.Process) bool { return m.askFor(j, p, false) }

// askFor is spawn, for the first time or again.
func (m *Machine) askFor(j *job, p jobs.Process, again bool) bool {
	if j.def.Processes[p] == nil || m.outOfTime() {
		return false
	}
	j.flying = j.flying.With(p)
	s := Spawn{Job: j.id, Class: j.def, Instance: j.name, Process: p, Again: again, Env: j.processEnv(p)}
	for _, d := range j.run.fds {
		s.FDs = append(s.FDs, d.fds...)
	}
	m.do(s)
	return true
}

// wake makes a job go on when d has passed, unless it does so before.
//
//go:noinline
func (m *Machine) wake(j *job, d time.Duration) {
	if j.work == nil {
		j.work = &timer{job: j, kind: timerWork}
	}
	m.timers.set(j.work, m.now, d)
}

// fire does what is due.
func (m *Machine) fire(t *timer) {
	j := t.job
	switch t.kind {
	case timerStart:
		m.startTimedOut(j)
	case timerWork:
		switch {
		case j.delaying:
			m.advance(j)
		case j.state == jobs.Spawned:
			m.probeExpect(j)
		default:
			m.pressOn(j)
		}
	default:
		m.fireShutdown(t.kind)
	}
}

// startTimedOut fails a job that has not come to running in time.
func (m *Machine) startTimedOut(j *job) {
	process := jobs.Main
	switch j.state {
	case jobs.Starting, jobs.Spawned:
	case jobs.Security:
		process = jobs.SecurityProcess
	case jobs.PreStart:
		process = jobs.PreStartProcess
	case jobs.PostStart:
		process = jobs.PostStartProcess
	default:
		return
	}
	reason := "start timeout of " + m.startTimeout(j).String() + " has passed in " + j.state.String()
	m.fail(j, failure{process: process.String(), reason: reason, status: 1}, Notice{Process: process})
	m.setGoal(j, jobs.Stop)
	j.ending = true
	switch {
	case j.state == jobs.Spawned:
		m.advance(j)
	case j.state != jobs.Starting && j.stage <= patient:
		j.stage = patient
		m.pressOn(j)
	}
}
