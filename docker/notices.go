package docker

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/console"
	"tend/jobs/engine"
)

// tell turns a fact from the machine into a line of the log, and passes it to the
// monitors. Default is a line for what a reader of docker logs wants to know of a
// job's life; every goal, state and event is there at info.
func (s *Supervisor) tell(n *engine.Notice) {
	s.monitors.notice(n)
	switch n.Kind {
	case engine.GoalChanged:
		s.log.Info().Job(n.Job, n.Instance).Goal(n.Goal).
			Msgf("goal changed from %v to %v", n.FromGoal, n.Goal)
	case engine.StateChanged:
		s.log.Info().Job(n.Job, n.Instance).State(n.State).
			Msgf("state changed from %v to %v", n.FromState, n.State)
	case engine.EventHandling:
		s.log.Info().Event(n.Event.Name).Msg("handling " + eventText(n))
	case engine.EventFinished:
		s.log.Debug().Event(n.Event.Name).Msg("finished " + n.Event.Name + " event")
	case engine.ProcessSpawned:
		s.log.Info().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID).
			Msgf("%v process (%d)", n.Process, n.PID)
	case engine.ProcessExited:
		s.tellExited(n)
	case engine.ProcessStopped:
		s.log.Info().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID).Signal(signalName(n.Sig)).
			Msgf("%v process (%d) stopped by %s signal", n.Process, n.PID, signalName(n.Sig))
	case engine.ProcessContinued:
		s.log.Info().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID).
			Msgf("%v process (%d) continued by CONT signal", n.Process, n.PID)
	case engine.ProcessBecame:
		s.log.Info().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID).
			Msgf("%v process (%d) became new process (%d)", n.Process, n.Count, n.PID)
	case engine.SignalSent:
		level := console.Info
		if n.Sig == unix.SIGKILL {
			level = console.Notice // someone did not end in time, which costs data at times
		}
		s.log.At(level).Job(n.Job, n.Instance).Process(n.Process).PID(n.PID).Signal(signalName(n.Sig)).
			Msgf("sending %s signal to %v process (%d)", signalName(n.Sig), n.Process, n.PID)
	case engine.JobReady:
		s.ranEver = true
		e := s.log.Notice().Job(n.Job, n.Instance)
		if n.PID == 0 {
			e.Msg("started")
		} else {
			e.PID(n.PID).Msgf("started, pid %d", n.PID)
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
		s.log.Notice().Job(n.Job, n.Instance).Msg(text)
	case engine.Respawning:
		e := s.log.Notice().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID)
		resultFields(e, n).Msg(respawnText(n))
	case engine.RespawnDelayed:
		s.log.Notice().Job(n.Job, n.Instance).Msg("next start in " + seconds(n.Interval))
	case engine.RespawnStopped:
		e := s.log.Error().Job(n.Job, n.Instance).Process(n.Process).PID(n.PID)
		resultFields(e, n).Msgf("respawning too fast, stopped: main process (%d) %s, more than %d times in %s (respawn limit)",
			n.PID, resultText(n), n.Limit, seconds(n.Interval))
	case engine.Warning:
		s.log.Warning().Job(n.Job, n.Instance).Msg(n.Text)
	}
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
	}
	e := s.log.Info()
	if (n.Process == jobs.PostStartProcess || n.Process == jobs.PreStopProcess) && !n.Normal && (n.Code != 0 || n.Sig != 0) {
		e = s.log.Warning()
	}
	e = e.Job(n.Job, n.Instance).Process(n.Process).PID(n.PID)
	resultFields(e, n).Msgf("%v process (%d) %s", n.Process, n.PID, resultText(n))
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
		return fmt.Sprintf("terminated with status %d", n.Code)
	}
	return "exited normally"
}

func respawnText(n *engine.Notice) string {
	text := fmt.Sprintf("main process (%d) %s, respawning", n.PID, resultText(n))
	if n.Limit > 0 {
		text += fmt.Sprintf(" (%d of %d in %s)", n.Count, n.Limit, seconds(n.Interval))
	}
	return text
}

func eventText(n *engine.Notice) string {
	return strings.TrimRight(n.Event.Name+" event "+strings.Join(n.Event.Env, " "), " ")
}

// who names an instance in a line about several.
func who(job, instance string) string { return jobs.InstanceName(job, instance) }

// updateQuiet tells the machine whether anybody wants to hear of every goal, state
// and event.
func (s *Supervisor) updateQuiet() {
	s.m.Quiet(!s.monitors.wanted() && !s.log.Enabled(console.Info))
}
