package docker

import (
	"slices"
	"strconv"
	"time"

	"tend/jobs"
	"tend/jobs/console"
	"tend/jobs/control"
	"tend/jobs/engine"
	"tend/jobs/environ"
)

// monitor begins to send every notice to a client.
func (s *Supervisor) monitor(call *control.Call) {
	s.monitors.add(call)
	s.updateQuiet()
	call.Abandon = func() {
		s.monitors.remove(call)
		s.updateQuiet()
	}
}

// allLines is more lines than are kept of a job.
const allLines = 1 << 20

// showLog sends the last lines of an instance's output, and with Follow those that
// come.
func (s *Supervisor) showLog(call *control.Call) {
	instance, errText := s.instanceName(call)
	if errText != "" {
		call.Refuse(errText)
		return
	}
	n := allLines
	if call.Lines != nil {
		n = *call.Lines
	}
	wire := func(l console.Line) *control.Response {
		return &control.Response{Output: &control.Output{
			Time: wireTime(time.Unix(0, l.Time)), Job: call.Job, Instance: instance,
			Process: l.Process.String(), Stream: l.Stream, Msg: l.Text,
		}}
	}
	if !call.Follow {
		lines := s.console.Tail(call.Job, instance, n)
		call.ReplyAll(func(yield func(*control.Response) bool) {
			for _, l := range lines {
				if !yield(wire(l)) {
					return
				}
			}
		})
		return
	}
	lines, follower := s.console.Follow(call.Job, instance, n)
	left := make(chan struct{})
	call.Abandon = func() { close(left) }
	// It ends when the client leaves; the console's reader never waits for it.
	go func() {
		defer follower.Close()
		for _, l := range lines {
			call.Send(wire(l))
		}
		for {
			select {
			case l := <-follower.Lines():
				r := wire(l)
				r.Lost = follower.Lost()
				call.Send(r)
			case <-left:
				return
			}
		}
	}()
}

// instanceName finds the name of the instance that a call is about, which need not
// exist any more: its output is kept.
func (s *Supervisor) instanceName(call *control.Call) (instance, errText string) {
	class, ok := s.m.Class(call.Job)
	switch {
	case !ok:
		return "", s.unknownJob(call.Job)
	case call.Instance != nil:
		return *call.Instance, ""
	case class.Instance == "":
		return "", ""
	}
	global, _ := s.m.Environ("", "")
	env := global.Overlay(class.Env).Overlay(call.Env)
	name, err := environ.Expand(class.Instance, env.Lookup)
	if err != nil {
		return "", err.Error()
	}
	return name, ""
}

// health tells whether the named jobs are up, or, when none is named, all that have
// been started.
func (s *Supervisor) health(call *control.Call) {
	h := &control.Health{}
	named := map[string]bool{}
	for _, name := range call.Jobs {
		if _, ok := s.m.Class(name); !ok {
			call.Refuse(s.unknownJob(name))
			return
		}
		named[name] = true
	}
	failed := s.m.Outcomes()
	bad := func(job, instance, text string) {
		h.Reasons = append(h.Reasons, control.Reason{Job: job, Instance: instance, Text: text})
	}
	for _, st := range s.m.List() {
		wanted := named[st.Job]
		if len(call.Jobs) > 0 && !wanted {
			continue
		}
		class, _ := s.m.Class(st.Job)
		exists := st.Goal != jobs.Stop || st.State != jobs.Waiting
		switch {
		case !exists && wanted && !class.Task:
			if !slices.ContainsFunc(failed, func(o engine.Outcome) bool { return o.Job == st.Job }) {
				bad(st.Job, "", "is not running")
			}
		case !exists:
		case st.Goal == jobs.Start && st.State == jobs.Running:
			h.Jobs++
		case class.Task && st.Goal == jobs.Start:
		case wanted || st.Goal != jobs.Stop:
			bad(st.Job, st.Instance, "is "+st.Goal.String()+"/"+st.State.String())
		}
	}
	for _, o := range failed {
		wanted := named[o.Job]
		if _, exists := s.m.Lookup(o.Job, o.Instance); exists || len(call.Jobs) > 0 && !wanted {
			continue
		}
		bad(o.Job, o.Instance, "has failed, status "+strconv.Itoa(o.Status))
	}
	h.OK = len(h.Reasons) == 0
	call.Reply(&control.Response{Health: h})
}
