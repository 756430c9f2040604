package engine

import (
	"strconv"
	"testing"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// TestFewConditionsAreLookedAt counts the conditions that an event is shown to: among
// thousands of jobs that wait for the same event name only those that name its job.
func TestFewConditionsAreLookedAt(t *testing.T) {
	const n = 5000
	for _, key := range []string{"", "JOB"} {
		m := New(Options{})
		for i := range n {
			c := jobs.NewClass("job" + strconv.Itoa(i))
			c.StartOn = &event.Operator{Name: "started", Args: []event.Arg{{Key: key, Pattern: "job" + strconv.Itoa(i+1)}}}
			m.Step(0, Load{Class: c})
		}
		for job, want := range map[string]int{"job1": 1, "job" + strconv.Itoa(n): 1, "job0": 0, "none": 0} {
			found := m.watch.candidates(event.Event{Name: "started", Env: environ.Env{"JOB=" + job, "INSTANCE="}}, nil)
			if len(found) != want {
				t.Errorf("started %s is shown to %d conditions with key %q, want %d", job, len(found), key, want)
			}
		}
		if found := m.watch.candidates(event.Event{Name: "stopped", Env: environ.Env{"JOB=job1"}}, nil); len(found) != 0 {
			t.Errorf("stopped is shown to %d conditions, want none", len(found))
		}
	}
}
