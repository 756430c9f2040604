package engine

import (
	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/event"
)

//go:noinline
func (j *job) stat() jobs.Status {
	s := jobs.Status{Job: j.class.name, Instance: j.name, Goal: j.goal, State: j.state}
	for p, pid := range j.pids {
		if pid != 0 {
			s.Processes = append(s.Processes, jobs.RunningProcess{Process: jobs.Process(p), PID: int(pid)})
		}
	}
	return s
}

// Status returns the status of an instance; false when there is none, and then the
// status is that of a class without instances, stop/waiting.
func (m *Machine) Status(job, instance string) (jobs.Status, bool) {
	if c := m.classes[job]; c != nil {
		if j := c.instance(instance); j != nil {
			return j.stat(), true
		}
	}
	return jobs.Status{Job: job}, false
}

// Awaits tells whether the answer to a Spawn is still wanted: the job has not gone on
// without it, and no stop has overtaken it.
func (m *Machine) Awaits(id JobID, p jobs.Process) bool {
	j := m.jobs[id]
	return j != nil && j.flying.Has(p) && !j.unwanted(p)
}

// List returns the status of every instance and of every class that has none, by
// class and instance name.
func (m *Machine) List() []jobs.Status {
	list := make([]jobs.Status, 0, len(m.byName))
	for _, c := range m.byName {
		if len(c.instances) == 0 {
			list = append(list, jobs.Status{Job: c.name})
		}
		for _, j := range c.instances {
			list = append(list, j.stat())
		}
	}
	return list
}

// Live returns how many instances have a process, or are about to.
func (m *Machine) Live() (n int) {
	for _, c := range m.byName {
		for _, j := range c.instances {
			if j.alive() != 0 {
				n++
			}
		}
	}
	return n
}

// Resolve finds the instance that a status request means, as Command finds it. err
// is one of Upstart's texts (reference 7.4) or empty, usage the job's usage when err
// should quote it. A class without the instance is stop/waiting when nothing but
// its name was given.
func (m *Machine) Resolve(job string, exact bool, instance string, env environ.Env) (s jobs.Status, err, usage string) {
	t, err := m.resolve(job, exact, instance, env)
	switch {
	case err != "":
		return s, err, t.usage
	case t.job != nil:
		return t.job.stat(), "", ""
	case exact || len(env) > 0:
		return s, "Unknown instance: " + t.name, ""
	}
	return jobs.Status{Job: job}, "", ""
}

// Class returns the registered definition of a class.
func (m *Machine) Class(name string) (*jobs.Class, bool) {
	c := m.classes[name]
	if c == nil {
		return nil, false
	}
	return c.def, true
}

// Classes returns all registered definitions by name.
//
//go:noinline
func (m *Machine) Classes() []*jobs.Class {
	list := make([]*jobs.Class, len(m.byName))
	for i, c := range m.byName {
		list[i] = c.def
	}
	return list
}

// Instance returns the names and the definition of an instance.
func (m *Machine) Instance(id JobID) (job, instance string, class *jobs.Class, ok bool) {
	j := m.jobs[id]
	if j == nil {
		return "", "", nil, false
	}
	return j.class.name, j.name, j.def, true
}

// Lookup returns the number of an instance.
func (m *Machine) Lookup(job, instance string) (JobID, bool) {
	if c := m.classes[job]; c != nil {
		if j := c.instance(instance); j != nil {
			return j.id, true
		}
	}
	return 0, false
}

// Environ returns the environment of an instance, or the global job table when job
// is empty; errText is Upstart's text when there is no such instance.
func (m *Machine) Environ(job, instance string) (env environ.Env, errText string) {
	env, _, errText = m.table(job, instance)
	return env, errText
}

// Idle tells whether nothing can happen any more without an input from outside:
// there is no process, no timer, no event to be handled and no source that can
// still fire. Events that a half-true condition holds, and jobs that rest without a
// process, keep nobody waiting.
func (m *Machine) Idle() bool {
	if len(m.pids) > 0 || len(m.timers.heap) > 0 || !m.queue.empty() || m.inFlight() {
		return false
	}
	for _, c := range m.byName {
		if m.canStillStart(c.start) {
			return false
		}
	}
	return true
}

// canStillStart tells whether sources alone can make a condition true, with what is
// true of it already. What jobs do need not be looked at: where no job can start,
// none does anything.
func (m *Machine) canStillStart(c *condition) bool {
	i := 0
	var can func(o *event.Operator) bool
	can = func(o *event.Operator) bool {
		if o.Kind == event.Match {
			i++
			if c.terms[i-1].e != nil {
				return true
			}
			_, can := m.source(o)
			return can
		}
		left := can(o.Left)
		right := can(o.Right)
		if o.Kind == event.And {
			return left && right
		}
		return left || right
	}
	return c != nil && c.expr != nil && can(c.expr)
}

// inFlight tells whether an answer to an action is still to come.
func (m *Machine) inFlight() bool {
	for _, c := range m.byName {
		for _, j := range c.instances {
			if j.flying != 0 || j.sweeping {
				return true
			}
		}
	}
	return false
}

// source finds the source that makes events for t, and whether it still can.
func (m *Machine) source(t *event.Operator) (claimed, canFire bool) {
	for _, s := range m.sources {
		if s.Claims(t.Name) {
			claimed = true
			canFire = canFire || s.CanFire(t)
		}
	}
	return claimed, canFire
}

// Condition is what a class that has never started still waits for.
type Condition struct {
	Job   string
	Terms []*event.Operator // those that are not true
}

// Missing returns, by name, the classes with start on that have never started.
//
//go:noinline
func (m *Machine) Missing() []Condition {
	var missing []Condition
	for _, c := range m.byName {
		if c.started || len(c.start.terms) == 0 {
			continue
		}
		cond := Condition{Job: c.name}
		for _, t := range c.start.terms {
			if t.e == nil {
				cond.Terms = append(cond.Terms, t.op)
			}
		}
		missing = append(missing, cond)
	}
	return missing
}

// Outcome is how the last run of an instance ended.
type Outcome struct {
	Job, Instance string
	Failed        bool
	Status        int // of the failed process, as in InstanceRemoved
}

// Outcomes returns the instances whose last run has failed, in the order in which they
// ended.
func (m *Machine) Outcomes() []Outcome {
	return append([]Outcome(nil), m.outcomes...)
}

func (m *Machine) recordOutcome(job, instance string, failed bool, status int) {
	for i, o := range m.outcomes {
		if o.Job == job && o.Instance == instance {
			m.outcomes = append(m.outcomes[:i], m.outcomes[i+1:]...)
			break
		}
	}
	if failed {
		m.outcomes = append(m.outcomes, Outcome{job, instance, failed, status})
	}
}
