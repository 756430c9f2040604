package docker

import (
	"errors"
	"sort"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/child"
	"tend/jobs/console"
	"tend/jobs/engine"
	"tend/jobs/environ"
	"tend/reaper"
)

// The patience with a fork that fails for want of pids or memory: what is short now
// may be there in a moment, and a job that is given up is not respawned.
const (
	forkRetry    = 100 * time.Millisecond
	forkPatience = 10 * time.Second
)

// The pace at which processes are looked at that are not our children, while a job
// waits for the end of what it left. Our own wake the loop when they end.
const sweepPoll = 20 * time.Millisecond

// run is what the supervisor keeps of an instance.
type run struct {
	job      engine.JobID
	class    string
	instance string
	sweeping bool // Swept with Left has been answered; the end is to be told
	forks    bool // main is to hand over to a process that it leaves behind
	pending  *pendingFork
	until    time.Duration // when a start that fails for want of pids or memory is given up; 0: none does
	shortage error         // what the last second stage that may work in a moment has died of
	notify   *child.Notify // readiness socket, nil without one
	nextMain int           // process that main has named, while it is not our child
}

// pendingFork is a spawn that is tried again.
type pendingFork struct {
	spawn engine.Spawn
	timer int
}

// stageResult is the outcome of a second stage.
type stageResult struct {
	job     engine.JobID
	process jobs.Process
	pid     int
	skipped []*child.Error // steps that were left out
	err     *child.Error   // nil: exec has been reached
}

// act carries out one action of the machine.
func (s *Supervisor) act(a engine.Action) {
	switch a := a.(type) {
	case engine.Spawn:
		s.spawn(a)
	case engine.Signal:
		s.signal(a)
	case engine.Sweep:
		s.sweep(a)
	case engine.Inspect:
		s.queue = append(s.queue, engine.Inspected{Job: a.Job, Children: s.reaper.HadChild(a.PID)})
	case engine.Track:
		s.track(a)
	case engine.CloseFDs:
		for _, fd := range a.FDs {
			syscall.Close(fd)
		}
	case engine.Reply:
		s.replies = append(s.replies, a)
	case engine.InstanceAdded:
		s.runs[a.Job] = &run{job: a.Job, class: a.Name, instance: a.Inst}
		s.reaper.Mark(reaper.Owner(a.Job), a.Name, a.Inst)
	case engine.InstanceRemoved:
		if r := s.runs[a.Job]; r != nil {
			s.dropPending(r)
			if r.notify != nil {
				r.notify.Close()
			}
		}
		delete(s.runs, a.Job)
		s.reaper.Forget(reaper.Owner(a.Job))
		if a.Name == commandJob && s.wanted == "" {
			// Whoever has stopped it: its end is the end of the container.
			s.wanted = "the command has been stopped"
		}
	case *engine.Notice:
		s.tell(a)
	case engine.EssentialEnded:
		s.essentialEnded(a)
	case engine.Halted:
		s.handleHalted(a)
	}
}

// spawn starts a process and tells the machine how that went.
func (s *Supervisor) spawn(a engine.Spawn) {
	r := s.runs[a.Job]
	if r.pending != nil {
		s.dropPending(r) // of a process that the machine has given up
		r.until = 0
	}
	if a.Again && s.stop == nil {
		s.retryFork(a, r.shortage)
		return
	}
	started, err := s.fork(a)
	if err != nil {
		if temporary(err) && s.stop == nil {
			s.retryFork(a, err)
		} else {
			s.giveUpFork(a, err)
		}
		return
	}
	s.endEarlier(started.PID)
	s.procs[started.PID] = tracked{a.Job, a.Process}
	s.queue = append(s.queue, engine.Spawned{Job: a.Job, Process: a.Process, PID: started.PID})
	if started.Execed() {
		r.until = 0
		s.queue = append(s.queue, engine.Execed{Job: a.Job, Process: a.Process, PID: started.PID})
		return
	}
	s.inStage[started.PID] = true
	go func() {
		skipped, err := started.Wait()
		s.staged <- stageResult{a.Job, a.Process, started.PID, skipped, err}
	}()
}

// fork opens the descriptors of a process and starts it.
func (s *Supervisor) fork(a engine.Spawn) (*child.Started, error) {
	r := s.runs[a.Job]
	uid, err := child.UID(a.Class)
	if err != nil {
		err.Process = a.Process
		return nil, err
	}
	// COMMAND has what we were given.
	out, openErr := &console.Output{Stdin: 0, Stdout: 1, Stderr: 2}, error(nil)
	if !a.Class.Foreground {
		if out, openErr = s.console.Open(console.Spec{
			Job: r.class, Instance: r.instance, Process: a.Process, Console: s.consoleOf(a.Class), UID: uid,
		}); openErr != nil {
			return nil, openErr
		}
	}
	defer out.Close()
	socket := ""
	if expectsNotify(a.Class) {
		if socket, openErr = s.listenNotify(r); openErr != nil {
			return nil, openErr
		}
	}
	profile, groups, expandErr := confinement(a)
	if expandErr != nil {
		return nil, expandErr
	}
	spec := child.New(a.Class, a.Process, a.Env, child.Options{
		Stdin: out.Stdin, Stdout: out.Stdout, Stderr: out.Stderr, Terminal: out.Terminal,
		FDs: a.FDs, Base: s.baseEnv, Debug: s.opts.Verbosity >= LevelDebug, NotifySocket: socket, AppArmor: profile, CGroups: groups,
	})
	owner, heirs := reaper.Owner(a.Job), a.Process == jobs.Main && !a.Class.Task
	if heirs {
		r.forks = a.Class.Expect == jobs.ExpectFork || a.Class.Expect == jobs.ExpectDaemon
	}
	started, err := child.Start(spec, func(fork func() (int, error)) (int, error) { return s.reaper.Spawn(owner, heirs, fork) })
	if err != nil {
		return nil, err
	}
	return started, nil
}

// consoleOf is where the output of a class's processes goes.
func (s *Supervisor) consoleOf(c *jobs.Class) jobs.Console {
	mode := c.Console
	if mode == jobs.ConsoleDefault {
		mode = s.opts.DefaultConsole
	}
	if s.opts.NoLog && (mode == jobs.ConsoleDefault || mode == jobs.ConsoleLog) {
		mode = jobs.ConsoleNone
	}
	return mode
}

// temporary tells whether a fork may work in a moment.
func temporary(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// retryFork arranges for another try, without giving the machine an answer yet.
func (s *Supervisor) retryFork(a engine.Spawn, err error) {
	r := s.runs[a.Job]
	now := s.now()
	if r.until == 0 {
		r.until = now + forkPatience
		s.log.Warning().Job(r.class, r.instance).Process(a.Process).
			Msg("cannot start " + a.Process.String() + " process: " + withoutProcess(err, a.Process) + "; trying for " + seconds(forkPatience))
	}
	if now >= r.until {
		s.giveUpFork(a, err)
		return
	}
	p := &pendingFork{spawn: a}
	r.pending = p
	p.timer = s.timers.add(now+forkRetry, func() {
		if r.pending != p {
			return // given up by what ran just before
		}
		r.pending = nil
		a.Again = false
		if s.m.Awaits(a.Job, a.Process) {
			s.spawn(a)
		} else {
			s.giveUpFork(a, err)
		}
	})
}

// giveUpFork tells the machine that a process cannot be started.
//
//go:noinline
func (s *Supervisor) giveUpFork(a engine.Spawn, err error) {
	s.runs[a.Job].until = 0
	s.queue = append(s.queue, spawnFailed(a.Job, a.Process, 0, err))
}

// dropPending forgets the spawn that is tried again: nobody waits for it any more.
func (s *Supervisor) dropPending(r *run) {
	if r.pending != nil {
		s.timers.cancel(r.pending.timer)
		r.pending = nil
	}
}

// failPendingForks gives up what is being tried again: the container stops.
func (s *Supervisor) failPendingForks(why string) {
	for _, id := range s.jobsThat(func(r *run) bool { return r.pending != nil }) {
		if r := s.runs[id]; r != nil {
			p := r.pending
			s.dropPending(r)
			s.giveUpFork(p.spawn, errors.New(why))
		}
	}
}

// withoutProcess is the text of an error without the name of the process that it is about.
//
//go:noinline
func withoutProcess(err error, process jobs.Process) string {
	return strings.TrimPrefix(err.Error(), process.String()+": ")
}

func spawnFailed(job engine.JobID, process jobs.Process, pid int, err error) engine.SpawnFailed {
	in := engine.SpawnFailed{Job: job, Process: process, PID: pid, Err: withoutProcess(err, process), Status: 1}
	if e, ok := errors.AsType[*child.Error](err); ok {
		in.Status = e.Status()
	}
	return in
}

// handleStage takes the result of a second stage. When the process has been reaped
// meanwhile, its exit has been held back until now.
func (s *Supervisor) handleStage(r stageResult) {
	delete(s.inStage, r.pid)
	run := s.runs[r.job]
	if run != nil {
		for _, skipped := range r.skipped {
			s.log.Warning().Job(run.class, run.instance).Msg(skipped.Error())
		}
	}
	if r.err != nil {
		delete(s.procs, r.pid)
		delete(s.held, r.pid)
		in := spawnFailed(r.job, r.process, r.pid, r.err)
		if run != nil && temporary(r.err) {
			in.Again, run.shortage = true, r.err
		}
		s.step(in)
		return
	}
	if run != nil {
		run.until = 0
	}
	s.step(engine.Execed{Job: r.job, Process: r.process, PID: r.pid})
	if exit, ok := s.held[r.pid]; ok {
		delete(s.held, r.pid)
		s.exited(exit)
	}
}

// signal carries out engine.Signal. A process that has gone meanwhile is being
// reported as exited, so that is not worth a word.
func (s *Supervisor) signal(a engine.Signal) {
	s.reaper.Observe()
	send := s.reaper.Signal
	if a.Group {
		send = s.reaper.SignalGroup
	}
	if err := send(a.PID, a.Sig); err != nil && err != unix.ESRCH {
		r := s.runs[a.Job]
		s.log.Warning().Job(r.class, r.instance).Process(a.Process).PID(a.PID).
			Msg("cannot send " + signalName(a.Sig) + " signal to " + processText(a.Process, a.PID) + ": " + err.Error())
	}
	if a.Deep {
		s.reaper.Sweep(reaper.Owner(a.Job), a.Sig)
	}
}

// sweep carries out engine.Sweep and keeps an eye on what is left.
func (s *Supervisor) sweep(a engine.Sweep) {
	s.reaper.Refresh()
	left := s.reaper.Sweep(reaper.Owner(a.Job), a.Sig) > 0
	s.queue = append(s.queue, engine.Swept{Job: a.Job, Left: left})
	if r := s.runs[a.Job]; r != nil {
		r.sweeping = left
	}
	if left {
		s.pollSwept()
	}
}

// pollSwept looks again soon, since what is not our child ends without our notice.
func (s *Supervisor) pollSwept() {
	s.timers.cancel(s.sweepTimer)
	s.sweepTimer = s.timers.add(s.now()+sweepPoll, func() {
		s.reaper.Refresh()
		s.lookAtSwept()
	})
}

// lookAtSwept tells the machine of every job of whose left-overs nothing lives any
// more.
func (s *Supervisor) lookAtSwept() {
	again := false
	for _, id := range s.sweepingJobs() {
		if len(s.reaper.Left(reaper.Owner(id))) > 0 {
			again = true
			continue
		}
		s.runs[id].sweeping = false
		s.step(engine.Swept{Job: id})
	}
	if again {
		s.pollSwept()
	}
}

// sweepingJobs lists the jobs whose left-overs are awaited.
func (s *Supervisor) sweepingJobs() []engine.JobID {
	return s.jobsThat(func(r *run) bool { return r.sweeping })
}

// jobsThat lists, in order, the instances of which is holds.
func (s *Supervisor) jobsThat(is func(*run) bool) []engine.JobID {
	var ids []engine.JobID
	for id, r := range s.runs {
		if is(r) {
			ids = append(ids, id)
		}
	}
	sort.Sort(engine.ByID(ids))
	return ids
}

// track makes the process that main has been handed over to a tracked one.
func (s *Supervisor) track(a engine.Track) {
	if err := s.reaper.Track(reaper.Owner(a.Job), a.PID); err != nil {
		// It is not our child: a descendant that has a living parent, or gone. Its
		// end is noticed by looking.
		s.queue = append(s.queue, engine.Exited{PID: a.PID})
		return
	}
	s.procs[a.PID] = tracked{a.Job, jobs.Main}
}

// reap takes what has happened to children and tells the machine.
func (s *Supervisor) reap() {
	s.exits = s.reaper.Take(s.exits[:0])
	for _, e := range s.exits {
		s.changed(e)
	}
	if len(s.sweepingJobs()) > 0 {
		s.lookAtSwept()
	}
	s.settled()
}

// changed tells the machine of what has happened to a child.
func (s *Supervisor) changed(e reaper.Exit) {
	switch _, ok := s.procs[e.PID]; {
	case !ok:
	case e.Status.Stopped():
		s.step(engine.Stopped{PID: e.PID, Sig: e.Status.StopSignal()})
	case e.Status.Continued():
		s.step(engine.Continued{PID: e.PID})
	case s.inStage[e.PID]:
		s.held[e.PID] = e
	default:
		s.exited(e)
	}
}

// endEarlier queues the end of the process that had pid before the one that has just
// been started: where few pids are left they come round before the loop does.
func (s *Supervisor) endEarlier(pid int) {
	stepping := s.stepping
	s.stepping = true // the machine hears of all this in its turn
	for _, e := range s.reaper.Earlier() {
		s.changed(e)
	}
	for s.inStage[pid] {
		s.handleStage(<-s.staged) // it has ended, so this is there or about to be
	}
	s.stepping = stepping
}

// exited tells the machine of a tracked process's end, with what it has left.
func (s *Supervisor) exited(e reaper.Exit) {
	t := s.procs[e.PID]
	delete(s.procs, e.PID)
	in := engine.Exited{PID: e.PID}
	if e.Status.Signaled() {
		in.Sig, in.Core = e.Status.Signal(), e.Status.CoreDump()
	} else {
		in.Code = e.Status.ExitStatus()
	}
	if s.minimal {
		s.exitedMinimal(t, e)
		return
	}
	owner := reaper.Owner(t.job)
	if r := s.runs[t.job]; r != nil && e.Status == 0 && t.process == jobs.Main {
		in.Heir = s.reaper.Heir(owner, e.PID, r.forks, func() string { return s.mainText(t.job) })
		in.Grandchild = in.Heir != 0 && s.reaper.Grandchild(in.Heir, e.PID)
	}
	in.Left = len(s.reaper.Left(owner)) > 0
	if r := s.runs[t.job]; r != nil && t.process == jobs.Main {
		s.succeed(t.job, r)
	}
	s.step(in)
}

// mainText is what the main process of a job executes, with the variables of its
// environment in place where they can be: a script has others.
func (s *Supervisor) mainText(id engine.JobID) string {
	job, instance, class, ok := s.m.Instance(id)
	if !ok || class.Processes[jobs.Main] == nil {
		return ""
	}
	text := class.Processes[jobs.Main].Text
	env, _ := s.m.Environ(job, instance)
	env = env.Set("UPSTART_JOB=" + job).Set("UPSTART_INSTANCE=" + instance)
	if expanded, err := environ.Expand(text, env.Lookup); err == nil {
		return expanded
	}
	return text
}

// owner returns the job that a process belongs to.
func (s *Supervisor) owner(pid int) (engine.JobID, bool) {
	owner, ok := s.reaper.OwnerOf(pid)
	if !ok || s.runs[engine.JobID(owner)] == nil {
		return 0, false
	}
	return engine.JobID(owner), true
}
