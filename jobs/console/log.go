package console

import (
	"strconv"
	"sync/atomic"
	"time"

	"tend/jobs"
	"tend/jobs/jsonl"
)

// Level says how much of tend's own log is written.
type Level uint8

// The levels, from the most urgent. The zero value is Notice; a threshold of Fatal
// writes nothing but what Fatal says.
const (
	Notice Level = iota
	Info
	Debug
	Fatal
	Error
	Warning
)

// rank orders the levels by urgency; the constants are ordered so that the zero
// value is the default.
var rank = [...]int{Fatal: 0, Error: 1, Warning: 2, Notice: 3, Info: 4, Debug: 5}

var levelNames = [...]string{Fatal: "fatal", Error: "error", Warning: "warning", Notice: "notice", Info: "info", Debug: "debug"}

// String returns our name of the level.
func (l Level) String() string { return levelNames[l] }

var priorities = [...]string{Fatal: "fatal", Error: "error", Warning: "warn", Notice: "message", Info: "info", Debug: "debug"}

// Priority returns Upstart's name of the level, as initctl log-priority shows it.
func (l Level) Priority() string { return priorities[l] }

// ParsePriority returns the level that initctl log-priority names.
func ParsePriority(s string) (Level, bool) {
	for l, name := range priorities {
		if s == name {
			return Level(l), true
		}
	}
	return Notice, false
}

// Log is tend's own log. It goes to stderr through a bounded buffer and never waits:
// what does not fit is counted, and the next line that fits says so.
type Log struct {
	sink  *sink
	json  bool
	level atomic.Uint32
}

func newLog(s *sink, json bool, level Level) *Log {
	l := &Log{sink: s, json: json}
	l.level.Store(uint32(level))
	return l
}

// SetLevel changes the threshold.
func (l *Log) SetLevel(level Level) { l.level.Store(uint32(level)) }

// Level returns the threshold.
func (l *Log) Level() Level { return Level(l.level.Load()) }

// Enabled tells whether entries of a level are written.
func (l *Log) Enabled(level Level) bool { return rank[level] <= rank[l.Level()] }

// Fatal begins an entry about the end of everything.
func (l *Log) Fatal() *Entry { return l.At(Fatal) }

// Error begins an entry about something that did not work.
//
//go:noinline
func (l *Log) Error() *Entry { return l.At(Error) }

// Warning begins an entry about something that someone should change.
//
//go:noinline
func (l *Log) Warning() *Entry { return l.At(Warning) }

// Notice begins an entry of the default level: starts, ends, failures.
//
//go:noinline
func (l *Log) Notice() *Entry { return l.At(Notice) }

// Info begins an entry about a goal, a state or an event.
//
//go:noinline
func (l *Log) Info() *Entry { return l.At(Info) }

// Debug begins an entry that helps to find a defect.
func (l *Log) Debug() *Entry { return l.At(Debug) }

// At begins an entry of a level. It returns nil, whose methods do nothing, when
// entries of that level are not written.
//
// This and the methods of Entry are called at some two hundred places, where their
// bodies would weigh 60,000 bytes.
//
//go:noinline
func (l *Log) At(level Level) *Entry {
	if !l.Enabled(level) {
		return nil
	}
	return &Entry{log: l, level: level}
}

// Entry is a line of the log in the making. Its methods add a field and return it;
// Msg writes it. The fields show in JSON only, except that the job leads the text:
// "tend | JOB (INST): msg".
type Entry struct {
	log                *Log
	level              Level
	hasProcess, hasSts bool
	process            jobs.Process
	pid, status        int
	job, instance      string
	signal, event      string
	state, goal        string

	_ [0]func() // not to be compared: the code for that weighs 1,000 bytes
}

// Job names the instance that the entry is about.
//
//go:noinline
func (e *Entry) Job(job, instance string) *Entry {
	if e != nil {
		e.job, e.instance = job, instance
	}
	return e
}

// Process names which of the job's processes the entry is about.
//
//go:noinline
func (e *Entry) Process(p jobs.Process) *Entry {
	if e != nil {
		e.process, e.hasProcess = p, true
	}
	return e
}

// PID gives the process id.
//
//go:noinline
func (e *Entry) PID(pid int) *Entry {
	if e != nil {
		e.pid = pid
	}
	return e
}

// Status gives an exit status.
//
//go:noinline
func (e *Entry) Status(status int) *Entry {
	if e != nil {
		e.status, e.hasSts = status, true
	}
	return e
}

// Signal names a signal without SIG.
//
//go:noinline
func (e *Entry) Signal(name string) *Entry {
	if e != nil {
		e.signal = name
	}
	return e
}

// Event names an event.
//
//go:noinline
func (e *Entry) Event(name string) *Entry {
	if e != nil {
		e.event = name
	}
	return e
}

// State gives the state of the job.
//
//go:noinline
func (e *Entry) State(s jobs.State) *Entry {
	if e != nil {
		e.state = s.String()
	}
	return e
}

// Goal gives the goal of the job.
//
//go:noinline
func (e *Entry) Goal(g jobs.Goal) *Entry {
	if e != nil {
		e.goal = g.String()
	}
	return e
}

// Msg writes the entry with its text, which is one line: control characters in it
// are shown as escapes. In text the job's name is put in front.
//
//go:noinline
func (e *Entry) Msg(text string) {
	if e != nil {
		e.log.sink.post(e.log.line(e, text), e.log)
	}
}

func (l *Log) line(e *Entry, text string) []byte {
	if l.json {
		return e.appendJSON(text)
	}
	b := make([]byte, 0, len("tend | ")+len(e.job)+len(e.instance)+len(text)+8)
	b = append(b, "tend | "...)
	if e.job != "" {
		b = appendClean(b, jobs.InstanceName(e.job, e.instance))
		b = append(b, ": "...)
	}
	return append(appendClean(b, text), '\n')
}

// dropped is the line that says how many lines did not fit.
func (l *Log) dropped(n int) []byte {
	return l.line(&Entry{log: l, level: Warning}, strconv.Itoa(n)+" lines of this log were dropped: stderr is not read")
}

func (e *Entry) appendJSON(text string) []byte {
	b := append(make([]byte, 0, 256+len(text)), `{"time":"`...)
	b = jsonl.AppendTime(b, time.Now(), timeDigits)
	b = append(b, '"')
	b = appendField(b, "level", e.level.String())
	b = jsonl.AppendString(append(b, `,"msg":`...), text)
	b = appendField(b, "job", e.job)
	b = appendField(b, "instance", e.instance)
	if e.hasProcess {
		b = appendField(b, "process", e.process.String())
	}
	if e.pid != 0 {
		b = strconv.AppendInt(append(b, `,"pid":`...), int64(e.pid), 10)
	}
	if e.hasSts {
		b = strconv.AppendInt(append(b, `,"status":`...), int64(e.status), 10)
	}
	b = appendField(b, "signal", e.signal)
	b = appendField(b, "event", e.event)
	b = appendField(b, "state", e.state)
	b = appendField(b, "goal", e.goal)
	return append(b, "}\n"...)
}

// appendField appends a field unless its value is empty.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return jsonl.AppendString(b, value)
}
