// Package control is how programs talk to tend: a unix socket, JSON lines on it,
// the server that hands requests to the supervisor, and a client. The protocol is
// described in docs/control.md.
package control

import (
	"errors"
	"strconv"

	"tend/jobs"
	"tend/jobs/jsonl"
)

// Protocol is the version of the protocol. It changes when a client of the old
// one would misunderstand the new one; a new command or field does not change it.
const Protocol = 1

// Request is one line from a client. Fields that a command does not use are left
// out.
type Request struct {
	V       int    `json:"v"`
	Command string `json:"command"`

	// Job names a class. With Instance it is the existing instance of that exact
	// name; without, the instance is found by expanding Env.
	Job      string   `json:"job,omitempty"`
	Instance *string  `json:"instance,omitempty"`
	Jobs     []string `json:"jobs,omitempty"`  // health: the jobs to look at
	Event    string   `json:"event,omitempty"` // emit
	Env      []string `json:"env,omitempty"`   // KEY=VALUE
	NoWait   bool     `json:"no_wait,omitempty"`

	Vars   []string `json:"vars,omitempty"`   // get-env, set-env, unset-env
	Global bool     `json:"global,omitempty"` // the *-env commands: not a job's table
	Retain bool     `json:"retain,omitempty"` // set-env: keep what is set

	Ignore   []string `json:"ignore,omitempty"`   // check-config: events to take as known
	Warn     bool     `json:"warn,omitempty"`     // check-config: "or" counts as "and"
	Priority string   `json:"priority,omitempty"` // log-priority
	Signal   string   `json:"signal,omitempty"`   // signal: name or number
	Lines    *int     `json:"lines,omitempty"`    // log: so many of the last lines
	Follow   bool     `json:"follow,omitempty"`   // log: go on with what comes
	Masked   bool     `json:"masked,omitempty"`   // list: masked jobs only
	Orphans  bool     `json:"orphans,omitempty"`  // status: processes of no job

	Runlevel string `json:"runlevel,omitempty"`  // shutdown: 0 or 6
	Halt     string `json:"halt,omitempty"`      // shutdown: INIT_HALT
	ExitCode *int   `json:"exit_code,omitempty"` // shutdown
	Force    bool   `json:"force,omitempty"`     // shutdown: KILL at once
	Delay    int    `json:"delay,omitempty"`     // shutdown: seconds to wait before
}

// Response is one line to a client. The last line of a reply has no More.
type Response struct {
	V     int    `json:"v"`
	Error string `json:"error,omitempty"` // complete, perhaps of several lines
	// Reason says why a job has failed, beside Error.
	Reason string `json:"reason,omitempty"`
	More   bool   `json:"more,omitempty"`
	// Lost counts the lines of a stream that were dropped before this one because
	// the client did not read.
	Lost int `json:"lost,omitempty"`

	Text    string   `json:"text,omitempty"` // version, usage, get-env, log-priority, runlevel
	Vars    []string `json:"vars,omitempty"` // list-env
	Status  *Status  `json:"status,omitempty"`
	Config  *Config  `json:"config,omitempty"`
	Problem *Problem `json:"problem,omitempty"` // check-config
	Notice  *Notice  `json:"notice,omitempty"`  // monitor
	Output  *Output  `json:"output,omitempty"`  // log
	Orphan  *Orphan  `json:"orphan,omitempty"`  // status of orphans
	Health  *Health  `json:"health,omitempty"`
	Why     *Why     `json:"why,omitempty"`
}

// Status is jobs.Status by names.
type Status struct {
	Job       string    `json:"job"`
	Instance  string    `json:"instance"`
	Goal      string    `json:"goal"`
	State     string    `json:"state"`
	Processes []Process `json:"processes,omitempty"`
	Masked    bool      `json:"masked,omitempty"`
}

// Process is a process of a job.
type Process struct {
	Process string `json:"process"` // main, pre-start, …
	PID     int    `json:"pid"`
}

// Orphan is a live process below tend that belongs to no job.
type Orphan struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}

// Config is what show-config tells about a class.
type Config struct {
	Job     string     `json:"job"`
	Emits   []string   `json:"emits,omitempty"`
	StartOn *Condition `json:"start_on,omitempty"`
	StopOn  *Condition `json:"stop_on,omitempty"`
}

// Condition is an event expression.
type Condition struct {
	Expression string `json:"expression"` // fully bracketed
	Terms      []Term `json:"terms"`      // left to right
}

// Term is one event of an expression, its arguments dequoted.
type Term struct {
	Event string   `json:"event"`
	Args  []string `json:"args,omitempty"`
}

// Problem is what check-config found in a class.
type Problem struct {
	Job   string   `json:"job"`
	Texts []string `json:"texts"` // start on: unknown event NAME
}

// Notice is one thing that monitor tells. Fields that do not apply are left out.
type Notice struct {
	Time     string   `json:"time"` // RFC 3339 with milliseconds
	Kind     string   `json:"kind"` // goal, state, event, event-finished, process-spawned, …
	Job      string   `json:"job,omitempty"`
	Instance string   `json:"instance,omitempty"`
	Event    string   `json:"event,omitempty"`
	Env      []string `json:"env,omitempty"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to,omitempty"`
	Process  string   `json:"process,omitempty"`
	PID      int      `json:"pid,omitempty"`
	Status   *int     `json:"status,omitempty"`
	Signal   string   `json:"signal,omitempty"`
	Text     string   `json:"text"` // the same in words
}

// Output is one line that a job wrote.
type Output struct {
	Time     string `json:"time,omitempty"`
	Job      string `json:"job"`
	Instance string `json:"instance,omitempty"`
	Process  string `json:"process,omitempty"`
	Stream   string `json:"stream,omitempty"`
	Msg      string `json:"msg"`
}

// Health is the answer of health.
type Health struct {
	OK      bool     `json:"ok"`
	Jobs    int      `json:"jobs"`              // looked at
	Reasons []Reason `json:"reasons,omitempty"` // why it is not OK
}

// Reason is why one job is not healthy.
type Reason struct {
	Job      string `json:"job"`
	Instance string `json:"instance,omitempty"`
	Text     string `json:"text"`
}

// Why explains a job in words.
type Why struct {
	Job   string   `json:"job"`
	Lines []string `json:"lines"`
}

// NewStatus turns a status into its form on the wire.
func NewStatus(s jobs.Status) *Status {
	w := &Status{Job: s.Job, Instance: s.Instance, Goal: s.Goal.String(), State: s.State.String()}
	for _, p := range s.Processes {
		w.Processes = append(w.Processes, Process{p.Process.String(), p.PID})
	}
	return w
}

// String returns the lines of initctl status without a last newline.
func (s *Status) String() string {
	status := jobs.Status{Job: s.Job, Instance: s.Instance}
	for g := jobs.Stop; g <= jobs.Respawn; g++ {
		if g.String() == s.Goal {
			status.Goal = g
		}
	}
	for _, st := range jobs.States {
		if st.String() == s.State {
			status.State = st
		}
	}
	for _, p := range s.Processes {
		for kind := range jobs.Process(jobs.NumProcesses) {
			if kind.String() == p.Process {
				status.Processes = append(status.Processes, jobs.RunningProcess{Process: kind, PID: p.PID})
			}
		}
	}
	return status.String()
}

// DecodeRequest reads a request from a line without its newline. Fields that are
// not known are ignored, so that a newer client can talk to an older tend.
func DecodeRequest(line []byte) (*Request, error) {
	req := new(Request)
	switch err := jsonl.Decode(line, req); {
	case err == jsonl.ErrNotObject:
		return nil, errors.New("a request is one JSON object")
	case err != nil:
		return nil, errors.New("malformed request: " + err.Error())
	}
	if req.V != Protocol {
		return nil, errors.New("protocol version " + strconv.Itoa(req.V) + " is not known, this is " + strconv.Itoa(Protocol))
	}
	if lookUp(req.Command) == nil {
		return nil, errors.New("unknown command: " + jsonl.Quote(req.Command))
	}
	return req, nil
}

// appendLine appends o and a newline to buf.
func appendLine(buf []byte, o jsonl.Object) []byte {
	return append(jsonl.Append(buf, o), '\n')
}
