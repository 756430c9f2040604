package engine

import (
	"strconv"
	"syscall"
	"time"

	"tend/jobs"
)

const (
	// respawnPatience is how long what is left of a run may take to end before it is
	// killed, when the job is to be respawned.
	respawnPatience = time.Second
	// killPatience is how long a process may take to go after KILL. One that takes
	// longer hangs in the kernel and is not waited for.
	killPatience = 2 * time.Second
)

// stage is how far the ending of processes has come: the hook of the state, or in
// killed and post-stop all that the job owns.
type stage uint8

const (
	untouched stage = iota
	patient         // may still end by itself
	asked           // has had the kill signal, or TERM
	killed          // has had KILL
)

// patience begins the time in which a hook found running by a stop may end by
// itself.
func (m *Machine) patience(j *job) {
	j.stage = patient
	m.wake(j, m.cut(j.def.KillTimeout))
}

// enterKilled asks main to go, and tells whether there is none.
func (m *Machine) enterKilled(j *job) (done bool) {
	if !j.runs(jobs.Main) {
		if (j.asked || j.ending) && j.def.Processes[jobs.Main] != nil && m.wantsSweep(j) {
			m.sweep(j, j.def.KillTimeout)
			return false
		}
		return true
	}
	// Main is ended by us, so what it leaves behind goes too.
	j.ending = true
	j.stage = patient
	m.pressOn(j)
	return false
}

// wantsSweep tells whether processes may be left that have to go now: those of a
// job that is stopped or goes round, not of one that ends by itself.
func (m *Machine) wantsSweep(j *job) bool {
	return j.left && j.def.KillScope == jobs.KillJob && (j.asked || j.ending || j.looping || j.goal == jobs.Start || m.halt != nil)
}

// sweep asks for the end of what the job owns besides tracked processes.
func (m *Machine) sweep(j *job, patience time.Duration) {
	j.sweeping = true
	j.stage = asked
	sig := syscall.SIGTERM
	if patience = m.cut(patience); patience == 0 {
		j.stage, sig, patience = killed, syscall.SIGKILL, killPatience
	}
	m.do(Sweep{j.id, sig})
	m.wake(j, patience)
}

// target is the tracked process that the state of j waits for.
func (j *job) target() (jobs.Process, bool) {
	p := jobs.Main
	switch j.state {
	case jobs.Security:
		p = jobs.SecurityProcess
	case jobs.PreStart:
		p = jobs.PreStartProcess
	case jobs.PostStart:
		p = jobs.PostStartProcess
	case jobs.PreStop:
		p = jobs.PreStopProcess
	case jobs.PostStop:
		p = jobs.PostStopProcess
	case jobs.Killed:
	default:
		return 0, false
	}
	return p, j.runs(p)
}

// pressOn takes the ending of what the state waits for one stage further: the kill
// signal, KILL, and in the end not to wait any longer.
func (m *Machine) pressOn(j *job) {
	p, there := j.target()
	if !there && !j.sweeping {
		return
	}
	if j.stage == killed {
		m.giveUp(j, p, there)
		return
	}
	wait := m.cut(j.def.KillTimeout)
	j.stage++
	if j.stage == asked && wait == 0 || m.halt != nil && m.halt.forcing {
		j.stage = killed
	}
	if j.stage == killed {
		wait = killPatience
	}
	if there {
		m.signalStage(j, p)
	}
	if j.sweeping {
		m.do(Sweep{j.id, stageSignal(j)})
	}
	m.wake(j, wait)
}

// signalStage sends what the stage demands to a process; when its pid is not known
// yet, spawned does so.
func (m *Machine) signalStage(j *job, p jobs.Process) {
	pid := j.pid(p)
	if pid == 0 || j.stage < asked {
		return
	}
	sig := j.def.KillSignal
	if j.stage == killed {
		sig = syscall.SIGKILL
	} else if m.halt != nil && m.halt.commandSignal != 0 && j.def.Foreground && p == jobs.Main {
		sig = m.halt.commandSignal
	}
	m.do(Signal{
		Job: j.id, Process: p, PID: pid, Sig: sig, Group: true,
		Deep: j.stage == killed && j.def.KillScope == jobs.KillJob,
	})
	m.notice(j, Notice{Kind: SignalSent, Process: p, PID: pid, Sig: sig})
}

func stageSignal(j *job) syscall.Signal {
	if j.stage == killed {
		return syscall.SIGKILL
	}
	return syscall.SIGTERM
}

// giveUp goes on without a process that KILL has not ended.
func (m *Machine) giveUp(j *job, p jobs.Process, there bool) {
	if there {
		if pid := j.pid(p); pid != 0 {
			m.notice(j, Notice{Kind: Warning, Process: p, PID: pid, Sig: syscall.SIGKILL,
				Text: p.String() + " process (" + strconv.Itoa(pid) + ") does not end after KILL; going on without it"})
		}
		if j.pids[p] != 0 {
			m.lost++
		}
		j.pids[p] = 0
		j.flying &^= 1 << p
	} else {
		m.notice(j, Notice{Kind: Warning, Sig: syscall.SIGKILL,
			Text: "processes that the job has left do not end after KILL; going on without them"})
	}
	j.sweeping, j.left = false, false
	if p == jobs.PostStopProcess && there {
		m.goOn(j)
		return
	}
	if j.state == jobs.PostStop {
		if m.afterSweep(j) {
			m.advance(j)
		}
		return
	}
	m.advance(j)
}

// goOn leaves post-stop, by way of what is left to be done there.
func (m *Machine) goOn(j *job) {
	m.timers.cancel(j.work)
	j.stage = untouched
	if m.afterPostStop(j) {
		m.advance(j)
	}
}

// mainGone goes on in killed when main has ended: with what it has left behind.
func (m *Machine) mainGone(j *job) {
	if !j.left || j.def.KillScope == jobs.KillGroup {
		m.advance(j)
		return
	}
	// The kill timeout goes on: it is one for main and for what main has left.
	j.sweeping = true
	m.do(Sweep{j.id, stageSignal(j)})
}

func (m *Machine) swept(in Swept) {
	j := m.jobs[in.Job]
	if j == nil || !j.sweeping || in.Left {
		return
	}
	j.sweeping, j.left = false, false
	m.timers.cancel(j.work)
	j.stage = untouched
	if j.state == jobs.PostStop && !m.afterSweep(j) {
		return
	}
	m.advance(j)
}
