package docker

import (
	"strconv"
	"strings"

	"tend/jobs"
	"tend/jobs/engine"
	"tend/reaper"
)

// enterMinimal follows a bug in the core: what is known of it is printed, and the
// supervisor goes on without the machine. The processes stay as they are; orphans
// are reaped; a stop signal ends everything with TERM and then KILL.
func (s *Supervisor) enterMinimal(cause any, stack []byte) {
	again := s.minimal
	s.minimal = true
	if s.stop != nil {
		s.disown()
	}
	if again {
		s.log.Error().Msg("bug in tend: " + panicText(cause))
		return
	}
	s.log.Error().Msg("bug in tend: " + panicText(cause) + "; jobs are no longer supervised, a stop signal still ends the container")
	for _, line := range strings.Split(strings.TrimSpace(string(stack)), "\n") {
		s.log.Error().Msg("bug in tend: " + line)
	}
	for _, in := range s.recent.list() {
		s.log.Error().Msg("bug in tend: input " + in)
	}
	for id, fn := range s.requests {
		delete(s.requests, id)
		fn(engine.Reply{Request: id, Err: hasFailed})
	}
}

// hasFailed answers clients from then on.
const hasFailed = "tend has failed (see its log)"

// exitedMinimal ends the container with COMMAND, without the machine.
func (s *Supervisor) exitedMinimal(t tracked, e reaper.Exit) {
	r := s.runs[t.job]
	if r != nil && r.class == commandJob && t.process == jobs.Main && s.stop == nil {
		status := reaper.Status(e.Status)
		s.beginStop("the command has ended", 0, &status)
	}
}

// settledMinimal ends the container when no process is left.
func (s *Supervisor) settledMinimal() {
	if s.reaper.Children() == 0 && len(s.reaper.Orphans()) == 0 {
		status := exitBug
		s.beginStop("nothing runs any more", 0, &status)
	}
}

// disown makes all processes of jobs orphans, which the second stage of a shutdown
// ends without the machine.
func (s *Supervisor) disown() {
	s.stop.halted = true
	for id := range s.runs {
		s.reaper.Forget(reaper.Owner(id))
	}
}

// panicText is the text of what a panic was called with.
func panicText(cause any) string {
	switch c := cause.(type) {
	case error:
		return c.Error()
	case string:
		return c
	}
	return "a panic without a text"
}

// describe writes an input of the machine for whoever looks for the bug.
func describe(in engine.Input) string {
	number := func(n int) string { return " " + strconv.Itoa(n) }
	id := func(job engine.JobID) string { return " job" + number(int(job)) }
	flag := func(name string, set bool) string {
		if set {
			return " " + name
		}
		return ""
	}
	switch in := in.(type) {
	case engine.Load:
		return "Load " + in.Class.Name
	case engine.Unload:
		return "Unload " + in.Name
	case engine.Command:
		return "Command verb" + number(int(in.Verb)) + " " + jobs.InstanceName(in.Job, in.Instance) + " " + strings.Join(in.Env, " ") +
			flag("exact", in.Exact) + flag("nowait", in.NoWait) + " inside" + id(in.Inside)
	case engine.SignalJob:
		return "SignalJob " + jobs.InstanceName(in.Job, in.Instance) + number(int(in.Signal))
	case engine.Emit:
		return "Emit " + in.Event.Name + " " + strings.Join(in.Event.Env, " ") + flag("nowait", in.NoWait) +
			flag("ignorepartial", in.IgnorePartial) + " from" + id(in.From)
	case engine.EnvRequest:
		return "EnvRequest verb" + number(int(in.Verb)) + " " + jobs.InstanceName(in.Job, in.Instance)
	case engine.Spawned:
		return "Spawned" + id(in.Job) + " " + processText(in.Process, in.PID)
	case engine.Execed:
		return "Execed" + id(in.Job) + " " + processText(in.Process, in.PID)
	case engine.SpawnFailed:
		return "SpawnFailed" + id(in.Job) + " " + processText(in.Process, in.PID) + " " + in.Err + number(in.Status)
	case engine.Exited:
		return "Exited" + number(in.PID) + " code" + number(in.Code) + " signal" + number(int(in.Sig)) + " heir" + number(in.Heir) + flag("left", in.Left)
	case engine.Stopped:
		return "Stopped" + number(in.PID) + " signal" + number(int(in.Sig))
	case engine.Continued:
		return "Continued" + number(in.PID)
	case engine.Notified:
		return "Notified" + id(in.Job) + flag("ready", in.Ready) + " main" + number(in.MainPID)
	case engine.Inspected:
		return "Inspected" + id(in.Job) + flag("children", in.Children)
	case engine.Swept:
		return "Swept" + id(in.Job) + flag("left", in.Left)
	case engine.Shutdown:
		return "Shutdown in " + seconds(in.Timeout) + flag("now", in.Now)
	}
	return "Elapsed"
}
