package engine

import (
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tend/jobs"
)

func (m *Machine) spawned(in Spawned) {
	j := m.jobs[in.Job]
	if j == nil || !j.flying.Has(in.Process) {
		// The job has gone on without it; its exit is still to be taken note of.
		m.pids[in.PID] = tracked{}
		m.lost++
		return
	}
	j.flying &^= 1 << in.Process
	j.pids[in.Process] = int32(in.PID)
	m.pids[in.PID] = tracked{j, in.Process}
	m.notice(j, Notice{Kind: ProcessSpawned, Process: in.Process, PID: in.PID})
	if p, ok := j.target(); ok && p == in.Process {
		m.signalStage(j, p)
	}
}

func (m *Machine) execed(in Execed) {
	j := m.jobs[in.Job]
	if j == nil || in.Process != jobs.Main || j.pid(jobs.Main) == 0 || in.PID != 0 && in.PID != j.pid(jobs.Main) {
		return
	}
	m.mainExeced(j)
}

func (m *Machine) mainExeced(j *job) {
	if j.execed {
		return
	}
	j.execed = true
	j.begun = m.now
	if j.state == jobs.Spawned {
		m.expect(j)
	}
}

// spawnFailed handles a process that has not come to its exec (reference, 5.3). A
// main process that could not be started is not tried again: the cause would still
// be there.
func (m *Machine) spawnFailed(in SpawnFailed) {
	j := m.jobs[in.Job]
	if in.PID != 0 {
		if _, ok := m.takeOff(in.PID); !ok {
			return
		}
	}
	if j == nil || in.PID == 0 && !j.flying.Has(in.Process) {
		return
	}
	if pid := j.pid(in.Process); pid != 0 {
		m.takeOff(pid)
	}
	j.pids[in.Process] = 0
	j.flying &^= 1 << in.Process
	if in.Again && in.PID != 0 && m.wantsAgain(j, in.Process) && m.askFor(j, in.Process, true) {
		return
	}
	reason := in.Process.String() + ": " + in.Err
	p, state := in.Process, j.state
	switch {
	case p == jobs.PostStartProcess && state == jobs.PostStart, p == jobs.PreStopProcess && state == jobs.PreStop:
		m.warn(j, reason)
		m.advance(j)
	case p == jobs.Main && state == jobs.Killed:
		m.warn(j, reason)
		m.mainGone(j)
	case p == jobs.Main && state != jobs.Spawned && !j.mainRuns():
		// It has been overtaken by a stop, which goes on by itself.
		m.warn(j, reason)
	default:
		m.fail(j, failure{process: p.String(), reason: reason, status: max(in.Status, 1)}, Notice{Process: p})
		m.setGoal(j, jobs.Stop)
		switch {
		case p == jobs.PostStopProcess:
			m.goOn(j)
		case p == jobs.Main && j.hookBesideMain():
			// It ends first.
		default:
			m.advance(j)
		}
	}
}

// mainRuns tells whether the state of j is one with a main process that is up. What says
// that before its exec is one that stops itself there for a debugger.
func (j *job) mainRuns() bool {
	return j.state == jobs.PostStart || j.state == jobs.Running || j.state == jobs.PreStop
}

// hookBesideMain tells whether the state of j waits for a hook that runs beside main.
func (j *job) hookBesideMain() bool {
	return j.state == jobs.PostStart && j.runs(jobs.PostStartProcess) || j.state == jobs.PreStop && j.runs(jobs.PreStopProcess)
}

// wantsAgain tells whether the state of j is still that which has asked for p, which is
// not there any more.
func (m *Machine) wantsAgain(j *job, p jobs.Process) bool {
	if m.halt != nil || j.unwanted(p) {
		return false
	}
	if p == jobs.Main {
		return j.state == jobs.Spawned
	}
	target, _ := j.target()
	return target == p
}

// unwanted tells whether a stop has overtaken the start of p. It needs its own hooks only.
func (j *job) unwanted(p jobs.Process) bool {
	return j.goal == jobs.Stop && p != jobs.PreStopProcess && p != jobs.PostStopProcess
}

// exited handles the end of a process. One that nothing points to any more has
// been given up before.
func (m *Machine) exited(in Exited) {
	t, ok := m.takeOff(in.PID)
	if !ok {
		return
	}
	j, p := t.job, t.process
	j.left = j.left || in.Left
	if p == jobs.Main && j.state == jobs.Spawned {
		// A process that cannot be set up says so before it ends. This one has come
		// to its exec and ended before that was seen (9, 12).
		m.mainExeced(j)
	}
	normal := m.exitIsNormal(j, p, in)
	m.notice(j, Notice{
		Kind: ProcessExited, Process: p, PID: in.PID, Code: in.Code, Sig: in.Sig, Core: in.Core,
		Normal: normal, Goal: j.goal, State: j.state,
	})
	if p == jobs.Main && m.follow(j, in) {
		return
	}
	j.pids[p] = 0
	if p == jobs.Main {
		m.mainExited(j, in, normal)
		return
	}
	m.hookExited(j, p, in)
}

// takeOff takes a process that has ended out of the table. It is false for one that
// nothing points to any more, or that was never there.
func (m *Machine) takeOff(pid int) (t tracked, ok bool) {
	t, ok = m.pids[pid]
	if !ok {
		return t, false
	}
	delete(m.pids, pid)
	if t.job == nil || t.job.pid(t.process) != pid {
		m.lost--
		return t, false
	}
	return t, true
}

// exitIsNormal tells whether an exit was asked for or is none to worry about.
func (m *Machine) exitIsNormal(j *job, p jobs.Process, in Exited) bool {
	if in.Code == 0 && in.Sig == 0 || isNormalExit(j.def, in) {
		return true
	}
	target, _ := j.target()
	return j.stage >= asked && target == p || p == jobs.Main && j.state == jobs.Killed
}

func isNormalExit(def *jobs.Class, in Exited) bool {
	return slices.ContainsFunc(def.NormalExit, func(s jobs.ExitStatus) bool {
		if in.Sig != 0 {
			return s.Signal == in.Sig
		}
		return s.Signal == 0 && s.Code == in.Code
	})
}

// hookExited handles the end of any process but main (reference, 5.3).
func (m *Machine) hookExited(j *job, p jobs.Process, in Exited) {
	if target, _ := j.target(); target != p || j.state == jobs.Killed {
		return
	}
	signalled := j.stage >= asked
	if signalled && j.goal != jobs.Stop && (p == jobs.SecurityProcess || p == jobs.PreStartProcess) {
		// A stop had ended it, and has been taken back: the start needs it once more.
		m.timers.cancel(j.work)
		if j.stage = untouched; m.spawn(j, p) {
			return
		}
	}
	failing := in.Code != 0 || in.Sig != 0
	if failing && !signalled && (p == jobs.PreStartProcess || p == jobs.PostStopProcess) {
		m.fail(j, failure{
			process: p.String(),
			exit:    exitVariable(in.Code, in.Sig),
			reason:  p.String() + " " + exitText(in.Code, in.Sig, in.Core),
			status:  exitStatus(in.Code, in.Sig),
		}, Notice{Process: p, Code: in.Code, Sig: in.Sig})
		m.setGoal(j, jobs.Stop)
	}
	if p == jobs.PostStopProcess {
		m.goOn(j)
		return
	}
	m.advance(j)
}

// mainExited handles the end of main (reference, 5.5), also while it is starting:
// there it is a death like any other (9, 11).
func (m *Machine) mainExited(j *job, in Exited, normal bool) {
	j.status = int32(exitStatus(in.Code, in.Sig))
	switch j.state {
	case jobs.Killed:
		m.mainGone(j)
		return
	case jobs.Spawned, jobs.PostStart, jobs.Running, jobs.PreStop:
	default:
		// In stopping the event is still to come to its end.
		return
	}
	// A hook that runs beside main ends first; the goal tells it where to go on.
	hook := j.hookBesideMain()
	byItself := j.goal == jobs.Start && !j.restart
	status := in.Code != 0 || in.Sig != 0
	failing := byItself && (status || j.def.Respawn && !j.def.Task) && !isNormalExit(j.def, in)
	switch {
	case failing && j.def.Respawn && m.halt == nil:
		m.respawn(j, in, hook)
	case failing:
		// During a shutdown nothing is respawned: what ends with 0 then has ended well.
		if status {
			m.fail(j, m.mainFailure(in), Notice{Process: jobs.Main, PID: in.PID, Code: in.Code, Sig: in.Sig})
		}
		m.setGoal(j, jobs.Stop)
	case byItself:
		m.setGoal(j, jobs.Stop)
		if !j.def.Task {
			if in.Heir != 0 && j.def.Expect == jobs.ExpectNone {
				m.adviseFork(j, in)
			}
			m.endEssential(j, m.mainFailure(in).reason)
		}
	}
	if !hook {
		m.advance(j)
	}
}

func (m *Machine) mainFailure(in Exited) failure {
	return failure{
		process: jobs.Main.String(),
		exit:    exitVariable(in.Code, in.Sig),
		reason:  "main " + exitText(in.Code, in.Sig, in.Core),
		status:  exitStatus(in.Code, in.Sig),
	}
}

// respawn decides whether main may be started once more.
func (m *Machine) respawn(j *job, in Exited, hook bool) {
	def := j.def
	if j.rounds == nil {
		j.rounds = &rounds{}
	}
	if m.tooFast(j) {
		m.notice(j, Notice{
			Kind: RespawnStopped, PID: in.PID, Code: in.Code, Sig: in.Sig, Core: in.Core,
			Limit: def.RespawnLimit, Interval: def.RespawnInterval,
		})
		m.fail(j, failure{
			process: "respawn",
			reason:  "respawning too fast; main " + exitText(in.Code, in.Sig, in.Core),
			status:  exitStatus(in.Code, in.Sig),
		}, Notice{Process: jobs.Main, PID: in.PID, Code: in.Code, Sig: in.Sig, Limit: def.RespawnLimit})
		m.setGoal(j, jobs.Stop)
		return
	}
	m.notice(j, Notice{
		Kind: Respawning, Process: jobs.Main, PID: in.PID, Code: in.Code, Sig: in.Sig,
		Count: j.rounds.count, Limit: def.RespawnLimit, Interval: def.RespawnInterval,
	})
	j.looping = true
	j.rounds.delay = m.nextDelay(j)
	if hook || j.state == jobs.Spawned {
		m.setGoal(j, jobs.Respawn)
	}
}

// tooFast counts a respawn. The window is fixed: the first respawn opens it, and
// times are whole seconds, as in Upstart.
func (m *Machine) tooFast(j *job) bool {
	r, now := j.rounds, m.now.Truncate(time.Second)
	interval := j.def.RespawnInterval.Truncate(time.Second)
	if r.count > 0 && now-r.window < interval {
		r.count++
		return j.def.RespawnLimit > 0 && interval > 0 && r.count > j.def.RespawnLimit
	}
	r.window, r.count = now, 1
	return false
}

// nextDelay doubles the delay up to its maximum. A run longer than the maximum has
// been a good one, and the delay begins anew. The jitter only shortens delays that
// have been doubled: what the job file says first is kept exactly.
func (m *Machine) nextDelay(j *job) time.Duration {
	first := j.def.RespawnDelay
	limit := max(first, j.def.RespawnDelayMax)
	last := j.rounds.delay
	if last == 0 || m.now-j.begun > limit {
		return first
	}
	d := min(2*last, limit)
	if d > first && m.opts.Random != nil {
		d -= min(time.Duration(m.opts.Random()*float64(d)/4), d-first)
	}
	return d
}

func (m *Machine) stopped(in Stopped) {
	t := m.pids[in.PID]
	j := t.job
	if j == nil || j.pid(t.process) != in.PID {
		return
	}
	m.notice(j, Notice{Kind: ProcessStopped, Process: t.process, PID: in.PID, Sig: in.Sig})
	if t.process != jobs.Main || j.state != jobs.Spawned || j.def.Expect != jobs.ExpectStop || in.Sig != syscall.SIGSTOP {
		return
	}
	m.do(Signal{Job: j.id, Process: jobs.Main, PID: in.PID, Sig: syscall.SIGCONT})
	m.advance(j)
}

func (m *Machine) continued(in Continued) {
	t := m.pids[in.PID]
	if j := t.job; j != nil && j.pid(t.process) == in.PID {
		m.notice(j, Notice{Kind: ProcessContinued, Process: t.process, PID: in.PID})
	}
}

// become makes pid the main process of a job.
func (m *Machine) become(j *job, pid int) {
	old := j.pid(jobs.Main)
	delete(m.pids, old)
	j.pids[jobs.Main] = int32(pid)
	m.pids[pid] = tracked{j, jobs.Main}
	m.do(Track{Job: j.id, PID: pid})
	m.notice(j, Notice{Kind: ProcessBecame, Process: jobs.Main, PID: pid, Count: old})
}

// seconds writes a duration with as many decimals, up to three, as it needs.
func seconds(d time.Duration) string {
	whole := strconv.FormatInt(int64(d/time.Second), 10)
	thousandths := strconv.FormatInt(1000+d.Milliseconds()%1000, 10)[1:]
	return strings.TrimRight(strings.TrimRight(whole+"."+thousandths, "0"), ".") + " s"
}
