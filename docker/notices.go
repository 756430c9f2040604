package docker

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/console"
	"tend/jobs/engine"
	"tend/reaper"
)

// tell turns a fact from the machine into a line of the log, and passes it to the
// monitors. Default is a line for what a reader of docker logs wants to know of a
// job's life; every goal, state and event is there at info.
func (s *Supervisor) tell(n *engine.Notice) {
	s.monitors.notice(n)
	switch n.Kind {
	case engine.GoalChanged:
		s.log.Info().Job(n.Job, n.Instance).Goal(n.Goal).
			Msg("goal changed from " + n.FromGoal.String() + " to " + n.Goal.String())
	case engine.StateChanged:
		s.log.Info().Job(n.Job, n.Instance).State(n.State).
			Msg("state changed from " + n.FromState.String() + " to " + n.State.String())
	case engine.EventHandling:
		s.log.Info().Event(n.Event.Name).Msg("handling " + eventText(n))
	case engine.EventFinished:
		s.log.Debug().Event(n.Event.Name).Msg("finished " + n.Event.Name + " event")
	case engine.ProcessSpawned:
		s.log.Info().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID).
			Msg(processText(n.Process, n.PID))
	case engine.ProcessExited:
		s.tellExited(n)
	case engine.ProcessStopped:
		s.log.Info().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID).Signal(signalName(n.Sig)).
			Msg(processText(n.Process, n.PID) + " stopped by " + signalName(n.Sig) + " signal")
	case engine.ProcessContinued:
		s.log.Info().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID).
			Msg(processText(n.Process, n.PID) + " continued by CONT signal")
	case engine.ProcessBecame:
		s.log.Info().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID).
			Msg(processText(n.Process, n.Count) + " became new process (" + strconv.Itoa(n.PID) + ")")
	case engine.SignalSent:
		level := console.Info
		if n.Sig == unix.SIGKILL {
			level = console.Notice // someone did not end in time, which costs data at times
		}
		s.log.At(level).Job(n.Job, n.Instance).Process(n.Process).PID(n.PID).Signal(signalName(n.Sig)).
			Msg("sending " + signalName(n.Sig) + " signal to " + processText(n.Process, n.PID))
	case engine.JobReady:
		s.ranEver = true
		e := s.log.Notice().Job(n.Job, n.Instance)
		if n.PID == 0 {
			e.Msg("started")
		} else {
			e.PID(n.PID).Msg("started, pid " + strconv.Itoa(n.PID))
		}
	case engine.JobFailed:
		level := console.Error
		if n.Limit > 0 {
			level = console.Info // RespawnStopped has said it
		}
		e := s.log.At(level).Job(n.Job, n.Instance).Process(n.Process)
		resultFields(e, n).Msg(n.Text)
	case engine.JobEnded:
		text := "stopped"
		if c, ok := s.m.Class(n.Job); ok && c.Task && n.Normal {
			text = "finished"
		}
		if s.stop != nil {
			s.stop.last, s.stop.lastAt = who(n.Job, n.Instance), s.now()
		}
		s.log.Notice().Job(n.Job, n.Instance).Msg(text)
	case engine.Respawning:
		e := s.log.Notice().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID)
		resultFields(e, n).Msg(respawnText(n))
	case engine.RespawnDelayed:
		s.log.Notice().Job(n.Job, n.Instance).Msg("next start in " + seconds(n.Interval))
	case engine.RespawnStopped:
		e := s.log.Error().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID)
		resultFields(e, n).Msg("respawning too fast, stopped: " + processText(jobs.Main, n.PID) + " " + resultText(n) +
			", more than " + strconv.Itoa(n.Limit) + " times in " + seconds(n.Interval) + " (respawn limit)")
	case engine.Warning:
		s.log.Warning().Job(n.Job, n.Instance).Msg(n.Text + s.survivors(n))
	}
}

// survivors tells what those are doing that KILL has not ended.
func (s *Supervisor) survivors(n *engine.Notice) string {
	if n.Sig != unix.SIGKILL {
		return ""
	}
	if n.PID != 0 {
		return " (" + s.reaper.Doing(n.PID) + ")"
	}
	text := ""
	for id, r := range s.runs {
		if r.class == n.Job && r.instance == n.Instance {
			for _, p := range s.reaper.Left(reaper.Owner(id)) {
				text += ", " + names([]reaper.Proc{p}) + " in " + s.reaper.Doing(p.PID)
			}
		}
	}
	return text
}

// tellExited reports the end of a process. Mostly that is a detail, since the job's
// failure, respawn or end has a line of its own that says it. A failure that has no
// consequences, that of post-start and pre-stop, would not be seen otherwise.
func (s *Supervisor) tellExited(n *engine.Notice) {
	if n.Job == commandJob && n.Process == jobs.Main {
		status := n.Code
		if n.Sig != 0 {
			status = 128 + int(n.Sig)
		}
		s.command.status = &status
		takeTerminalBack(n.PID)
	}
	e := s.log.Info()
	if (n.Process == jobs.PostStartProcess || n.Process == jobs.PreStopProcess) && !n.Normal && (n.Code != 0 || n.Sig != 0) {
		e = s.log.Warning()
	}
	if e == nil {
		return
	}
	e = e.Job(n.Job, n.Instance).Process(n.Process).PID(n.PID)
	resultFields(e, n).Msg(processText(n.Process, n.PID) + " " + resultText(n))
}

// resultFields adds the status or the signal of a process's end.
func resultFields(e *console.Entry, n *engine.Notice) *console.Entry {
	if n.Sig != 0 {
		return e.Signal(signalName(n.Sig))
	}
	return e.Status(n.Code)
}

// resultText says how a process ended, in Upstart's words (reference 6.8).
func resultText(n *engine.Notice) string {
	switch {
	case n.Sig != 0 && n.Core:
		return "killed by " + signalName(n.Sig) + " signal (core dumped)"
	case n.Sig != 0:
		return "killed by " + signalName(n.Sig) + " signal"
	case n.Code != 0:
		return "terminated with status " + strconv.Itoa(n.Code)
	}
	return "exited normally"
}

func respawnText(n *engine.Notice) string {
	text := processText(jobs.Main, n.PID) + " " + resultText(n) + ", respawning"
	if n.Limit > 0 {
		text += " (" + strconv.Itoa(n.Count) + " of " + strconv.Itoa(n.Limit) + " in " + seconds(n.Interval) + ")"
	}
	return text
}

func eventText(n *engine.Notice) string {
	return strings.TrimRight(n.Event.Name+" event "+strings.Join(n.Event.Env, " "), " ")
}

// who names an instance in a line about several.
//
//go:noinline
func who(job, instance string) string { return jobs.InstanceName(job, instance) }

// updateQuiet tells the machine whether anybody wants to hear of every goal, state
// and event.
//
//go:noinline
func (s *Supervisor) updateQuiet() {
	s.m.Quiet(!s.monitors.wanted() && !s.log.Enabled(console.Info))
}
