package docker

import (
	"strconv"
	"strings"
	"time"

	"tend/jobs"
	"tend/jobs/control"
	"tend/jobs/engine"
	"tend/jobs/jsonl"
)

// monitors are the clients of initctl monitor.
type monitors struct{ calls []*control.Call }

// wanted tells whether anybody listens.
func (m *monitors) wanted() bool { return len(m.calls) > 0 }

func (m *monitors) add(c *control.Call) { m.calls = append(m.calls, c) }

func (m *monitors) remove(c *control.Call) {
	for i := range m.calls {
		if m.calls[i] == c {
			m.calls = append(m.calls[:i:i], m.calls[i+1:]...)
			return
		}
	}
}

// notice passes a fact on to all of them.
func (m *monitors) notice(n *engine.Notice) {
	if !m.wanted() {
		return
	}
	w := onWire(n)
	w.Time = wireTime(time.Now())
	for _, c := range m.calls {
		c.Send(&control.Response{Notice: w})
	}
}

// wireTime is RFC 3339 in UTC with milliseconds, so that times sort as text.
func wireTime(t time.Time) string { return string(jsonl.AppendTime(nil, t, 3)) }

// onWire is a notice as clients see it: the fields that its kind has, and the same
// in words.
func onWire(n *engine.Notice) *control.Notice {
	w := control.Notice{Job: n.Job, Instance: n.Instance} // not on the heap, where each store is dear in code
	process := func(kind string) string {
		w.Kind, w.Process, w.PID = kind, n.Process.String(), n.PID
		return processText(n.Process, n.PID) + " "
	}
	result := func() {
		if n.Sig != 0 {
			w.Signal = signalName(n.Sig)
		} else {
			w.Status = &n.Code
		}
	}
	switch n.Kind {
	case engine.GoalChanged:
		w.Kind, w.From, w.To = "goal", n.FromGoal.String(), n.Goal.String()
		w.Text = "goal changed from " + w.From + " to " + w.To
	case engine.StateChanged:
		w.Kind, w.From, w.To = "state", n.FromState.String(), n.State.String()
		w.Text = "state changed from " + w.From + " to " + w.To
	case engine.EventHandling:
		w.Kind, w.Event, w.Env = "event", n.Event.Name, n.Event.Env
		w.Text = strings.Join(append([]string{"event", n.Event.Name}, n.Event.Env...), " ")
	case engine.EventFinished:
		w.Kind, w.Event, w.Env = "event-finished", n.Event.Name, n.Event.Env
		w.Text = "event " + n.Event.Name + " finished"
	case engine.ProcessSpawned:
		w.Text = process("process-started") + "started"
	case engine.ProcessExited:
		w.Text = process("process-ended") + resultText(n)
		result()
	case engine.ProcessStopped:
		w.Text = process("process-stopped") + "stopped by " + signalName(n.Sig) + " signal"
		w.Signal = signalName(n.Sig)
	case engine.ProcessContinued:
		w.Text = process("process-continued") + "continued"
	case engine.ProcessBecame:
		process("process-became")
		w.Text = processText(n.Process, n.Count) + " became new process (" + strconv.Itoa(n.PID) + ")"
	case engine.SignalSent:
		w.Text = process("signal") + "is sent " + signalName(n.Sig) + " signal"
		w.Signal = signalName(n.Sig)
	case engine.JobReady:
		w.Kind, w.PID, w.Text = "ready", n.PID, "ready"
	case engine.JobFailed:
		w.Kind, w.Process, w.Text = "failed", n.Process.String(), n.Text
		result()
	case engine.JobEnded:
		w.Kind, w.Text = "ended", "ended"
	case engine.Respawning:
		w.Kind, w.Process, w.PID, w.Text = "respawning", n.Process.String(), n.PID, respawnText(n)
		result()
	case engine.RespawnDelayed:
		w.Kind, w.Text = "respawn-delayed", "next start in "+seconds(n.Interval)
	case engine.RespawnStopped:
		w.Kind, w.Text = "respawn-stopped", "respawning too fast, stopped"
	case engine.Warning:
		w.Kind, w.Text = "warning", n.Text
	}
	if n.Job != "" {
		w.Text = jobs.InstanceName(n.Job, n.Instance) + ": " + w.Text
	}
	out := w
	return &out
}
