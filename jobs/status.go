package jobs

import (
	"strconv"
	"strings"
)

// RunningProcess is one process of an instance that is alive.
type RunningProcess struct {
	Process Process
	PID     int
}

// Status is the state of an instance as status and list show it. Goal Stop and
// State Waiting stand for a class without an instance.
type Status struct {
	Job, Instance string
	Goal          Goal
	State         State
	Processes     []RunningProcess // in the order of the Process constants
}

// InstanceName returns "JOB", or "JOB (INST)" when the instance has a name.
//
//go:noinline
func InstanceName(job, instance string) string {
	if instance == "" {
		return job
	}
	return job + " (" + instance + ")"
}

// String returns the lines of initctl status without a last newline (Upstart
// reference, section 7.3).
func (s Status) String() string {
	var b strings.Builder
	b.WriteString(InstanceName(s.Job, s.Instance))
	b.WriteString(" " + s.Goal.String() + "/" + s.State.String())
	for i, p := range s.Processes {
		pid := " process " + strconv.Itoa(p.PID)
		switch {
		case i > 0:
			b.WriteString("\n\t" + p.Process.String() + pid)
		case p.Process == Main || p.Process == PreStartProcess || p.Process == PostStopProcess:
			b.WriteString("," + pid)
		default:
			b.WriteString(", (" + p.Process.String() + ")" + pid)
		}
	}
	return b.String()
}
