package engine

import (
	"time"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// Machine is the state of all jobs and events. It is not safe for concurrent use.
type Machine struct{}

// New returns a machine without classes.
func New(o Options) *Machine { return &Machine{} }

// AddSource plugs in a source of events. Classes that are already loaded are told
// to it at once.
func (m *Machine) AddSource(s Source) {}

// Step takes one input at the time now, which is monotonic and counted from the
// start of the program, and returns what is to be done, in order. The slice is
// valid until the next Step.
func (m *Machine) Step(now time.Duration, in Input) []Action { return nil }

// Deadline returns the time at which Step must be called with Elapsed at the
// latest; false means that no timer runs.
func (m *Machine) Deadline() (time.Duration, bool) { return 0, false }

// Status returns the status of an instance; false when there is none, and then
// the status is stop/waiting.
func (m *Machine) Status(job, instance string) (jobs.Status, bool) { return jobs.Status{}, false }

// List returns the status of every instance and of every class that has none, by
// class and instance name.
func (m *Machine) List() []jobs.Status { return nil }

// Resolve finds the instance that a status request means, as Command finds it. err is one of
// Upstart's texts (reference 7.4) or empty, usage the job's usage when err should
// quote it.
func (m *Machine) Resolve(job string, exact bool, instance string, env environ.Env) (s jobs.Status, err, usage string) {
	return
}

// Class returns the registered definition of a class.
func (m *Machine) Class(name string) (*jobs.Class, bool) { return nil, false }

// Classes returns all registered definitions by name.
func (m *Machine) Classes() []*jobs.Class { return nil }

// Instance returns the names and the definition of an instance.
func (m *Machine) Instance(id JobID) (job, instance string, class *jobs.Class, ok bool) { return }

// Lookup returns the number of an instance.
func (m *Machine) Lookup(job, instance string) (JobID, bool) { return 0, false }

// Environ returns the environment of an instance, or the global job table when
// job is empty; errText is Upstart's text when there is no such instance.
func (m *Machine) Environ(job, instance string) (env environ.Env, errText string) { return }

// Idle tells whether nothing can happen any more without an input from outside:
// no process, no timer, no event to be handled, no source that can still fire.
func (m *Machine) Idle() bool { return false }

// Condition is what a class that has never started still waits for.
type Condition struct {
	Job   string
	Terms []*event.Operator // those that are not true
}

// Missing returns, by name, the classes with start on that have never started.
func (m *Machine) Missing() []Condition { return nil }

// Outcome is how the last run of an instance ended.
type Outcome struct {
	Job, Instance string
	Failed        bool
	Status        int // of the failed process, as in InstanceRemoved
}

// Outcomes returns how the last run of each instance that has ended did so; those that
// failed come first, in the order of their failure.
func (m *Machine) Outcomes() []Outcome { return nil }

// StopOrder returns the levels in which a shutdown would stop the jobs: those of
// one level side by side, each level after the one before it.
func (m *Machine) StopOrder() [][]JobID { return nil }

// Quiet says whether the notices GoalChanged, StateChanged, EventHandling and
// EventFinished are left out, which nobody needs at the default log level and
// without a monitor.
func (m *Machine) Quiet(quiet bool) {}
