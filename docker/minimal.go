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
	if s.reaper.Children() == 0 && len(s.reaper.Orphans()) == 0 && !s.reaper.Unseen() {
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

// describe writes an input of the machine for whoever looks for the bug: its name, what
// it is about, and its numbers and flags in the order of its fields.
func describe(in engine.Input) string {
	name, about, numbers := "Elapsed", "", []int(nil)
	switch in := in.(type) {
	case engine.Load:
		name, about = "Load", in.Class.Name
	case engine.Unload:
		name, about = "Unload", in.Name
	case engine.Command:
		name, about = "Command", jobs.InstanceName(in.Job, in.Instance)+" "+strings.Join(in.Env, " ")
		numbers = []int{int(in.Verb), bit(in.Exact), bit(in.NoWait), int(in.Inside)}
	case engine.SignalJob:
		name, about, numbers = "SignalJob", jobs.InstanceName(in.Job, in.Instance), []int{bit(in.Exact), int(in.Signal)}
	case engine.Emit:
		name, about = "Emit", in.Event.Name+" "+strings.Join(in.Event.Env, " ")
		numbers = []int{bit(in.NoWait), int(in.From)}
	case engine.EnvRequest:
		name, about, numbers = "EnvRequest", jobs.InstanceName(in.Job, in.Instance), []int{int(in.Verb), bit(in.Retain)}
	case engine.Spawned:
		name, numbers = "Spawned", []int{int(in.Job), int(in.Process), in.PID}
	case engine.Execed:
		name, numbers = "Execed", []int{int(in.Job), int(in.Process), in.PID}
	case engine.SpawnFailed:
		name, about, numbers = "SpawnFailed", in.Err, []int{int(in.Job), int(in.Process), in.PID, bit(in.Again), in.Status}
	case engine.Exited:
		name, numbers = "Exited", []int{in.PID, in.Code, int(in.Sig), bit(in.Core), in.Heir, bit(in.Grandchild), bit(in.Left)}
	case engine.Stopped:
		name, numbers = "Stopped", []int{in.PID, int(in.Sig)}
	case engine.Continued:
		name, numbers = "Continued", []int{in.PID}
	case engine.Notified:
		name, about, numbers = "Notified", in.Status, []int{int(in.Job), bit(in.Ready), in.MainPID}
	case engine.Inspected:
		name, numbers = "Inspected", []int{int(in.Job), bit(in.Children)}
	case engine.Swept:
		name, numbers = "Swept", []int{int(in.Job), bit(in.Left)}
	case engine.Shutdown:
		name, about, numbers = "Shutdown", seconds(in.Timeout), []int{bit(in.Now)}
	}
	for _, n := range numbers {
		name += " " + strconv.Itoa(n)
	}
	if about != "" {
		name += " " + about
	}
	return name
}

//go:noinline
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
