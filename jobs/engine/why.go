package engine

import (
	"slices"
	"strings"
	"time"

	"tend/jobs"
	"tend/jobs/event"
)

// Report tells why a job is in the state that it is in.
type Report struct {
	Job       string
	Known     bool // there is such a class
	Manual    bool // nothing but a command starts it
	Started   bool // it has been started, ever
	Instances []InstanceReport
	StartOn   []Term // of the class, left to right
	// Last is how the last run of an instance that is gone has ended, if any.
	Last *LastRun
}

// InstanceReport is the part of a Report about one instance.
type InstanceReport struct {
	Status jobs.Status
	Since  time.Duration // when it entered its state
	Wait   Wait
	// WaitsFor names the instances whose end or readiness lets the job go on (Wait is WaitEvent),
	// as jobs.InstanceName writes them.
	WaitsFor []string
	StopOn   []Term
	// Respawns counts within the interval of the respawn limit. RespawnAt is when
	// the next one is due, 0 if none is.
	Respawns  int
	RespawnAt time.Duration
	// KillAt is when the next signal is due, 0 if none is.
	KillAt time.Duration
	// Failure is the first failure of this run, empty if there is none.
	Failure string
}

// LastRun is how a run has ended.
type LastRun struct {
	Instance string
	Failed   bool
	Status   int
	Reason   string // of a failure
}

// Wait says what an instance waits for before it goes on.
type Wait uint8

// The kinds of waiting. WaitNothing is rest: the job runs.
const (
	WaitNothing Wait = iota
	WaitEvent        // its starting or stopping event, which others block
	WaitProcess      // the process of its state
	WaitReady        // main, to become ready as expect says
	WaitKilled       // processes that have been told to end
	WaitRespawn      // the respawn delay
)

var waitNames = [...]string{
	WaitNothing: "nothing", WaitEvent: "event", WaitProcess: "process",
	WaitReady: "readiness", WaitKilled: "end of processes", WaitRespawn: "respawn delay",
}

// String returns a word or two for people.
func (w Wait) String() string { return waitNames[w] }

// Term is one event of a condition.
type Term struct {
	Operator *event.Operator
	True     bool
	By       event.Event // that has made it true
	// Emitters names the classes that could emit the event: by their life, for
	// starting, started, stopping and stopped, or because they say so with emits.
	Emitters []string
	Source   bool // a source makes such events
	CanFire  bool // the source still can
	// Missed says that the event is about a job that is in that state already, so
	// that it will not come by itself: conditions are about events, not states.
	Missed bool
}

// Why tells what there is to know about the state of a job.
func (m *Machine) Why(name string) Report {
	r := Report{Job: name}
	c := m.classes[name]
	if c == nil {
		return r
	}
	r.Known, r.Manual, r.Started = true, c.def.StartOn == nil, c.started
	r.StartOn = m.terms(c.start)
	for _, j := range c.instances {
		r.Instances = append(r.Instances, m.why(j))
	}
	if c.last != nil {
		r.Last = &LastRun{c.last.instance, c.last.failed, c.last.status, c.last.reason}
	}
	return r
}

func (m *Machine) why(j *job) InstanceReport {
	r := InstanceReport{
		Status: j.stat(), Since: j.since, Failure: j.failure.why(),
		StopOn: m.terms(j.stop),
	}
	if j.rounds != nil {
		r.Respawns = j.rounds.count
	}
	switch {
	case j.delaying:
		r.Wait, r.RespawnAt = WaitRespawn, j.work.at
	case j.blocked != nil:
		r.Wait = WaitEvent
		r.WaitsFor = m.blockersOf(j.blocked)
	case j.sweeping || j.stage >= asked:
		r.Wait = WaitKilled
	case j.state == jobs.Spawned:
		r.Wait = WaitReady
	case j.state != jobs.Running:
		r.Wait = WaitProcess
	}
	if j.work != nil && j.work.running && (j.stage >= patient || j.sweeping) {
		r.KillAt = j.work.at
	}
	return r
}

// blockersOf names the jobs and half-true conditions that block an event.
func (m *Machine) blockersOf(e *emission) []string {
	var names []string
	for _, c := range m.byName {
		if c.start.holds(e) {
			names = append(names, c.name)
		}
		for _, j := range c.instances {
			if slices.Contains(j.blocking, e) || j.stop != nil && j.stop.holds(e) {
				names = append(names, j.display())
			}
		}
	}
	return slices.Compact(names)
}

func (m *Machine) terms(c *condition) []Term {
	if c == nil {
		return nil
	}
	var terms []Term
	for _, held := range c.terms {
		o := held.op
		t := Term{Operator: o, Emitters: m.emitters(o)}
		if held.e != nil {
			t.True, t.By = true, held.e.ev
		}
		t.Source, t.CanFire = m.source(o)
		t.Missed = !t.True && m.missed(o, c)
		terms = append(terms, t)
	}
	return terms
}

// emitters finds the classes that could emit what a term waits for.
func (m *Machine) emitters(t *event.Operator) []string {
	var names []string
	if isJobEvent(t.Name) {
		if name, ok := literalJob(t); ok {
			if m.classes[name] != nil {
				names = append(names, name)
			}
			return names
		}
	}
	for _, c := range m.byName {
		if slices.ContainsFunc(c.def.Emits, func(pattern string) bool { return event.FnMatch(pattern, t.Name) }) {
			names = append(names, c.name)
		}
	}
	return names
}

func isJobEvent(name string) bool {
	switch name {
	case "starting", "started", "stopping", "stopped":
		return true
	}
	return false
}

// missed tells whether a term waits for a job to start that is running already.
func (m *Machine) missed(t *event.Operator, c *condition) bool {
	if c.job != nil || t.Name != "started" && t.Name != "starting" {
		return false
	}
	name, ok := literalJob(t)
	if !ok || m.classes[name] == nil {
		return false
	}
	for _, other := range m.classes[name].instances {
		ev := event.Event{Name: t.Name, Env: other.eventEnv(false)}
		if other.state == jobs.Running && t.Matches(ev, m.patternVars(c)) {
			return true
		}
	}
	return false
}

// String says in one line how a term stands.
func (t Term) String() string {
	var b strings.Builder
	b.WriteString(t.Operator.String())
	switch {
	case t.True:
		b.WriteString(": true by " + t.By.Name)
	case t.Missed:
		b.WriteString(": is running already, so the event will not come")
	case t.Source && !t.CanFire:
		b.WriteString(": cannot come any more")
	default:
		b.WriteString(": has not come")
	}
	if len(t.Emitters) > 0 {
		b.WriteString("; emitted by " + strings.Join(t.Emitters, ", "))
	}
	return b.String()
}
