package console

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"tend/jobs"
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
func (l *Log) Fatal() Entry { return Entry{log: l, level: Fatal} }

// Error begins an entry about something that did not work.
func (l *Log) Error() Entry { return Entry{log: l, level: Error} }

// Warning begins an entry about something that someone should change.
func (l *Log) Warning() Entry { return Entry{log: l, level: Warning} }

// Notice begins an entry of the default level: starts, ends, failures.
func (l *Log) Notice() Entry { return Entry{log: l, level: Notice} }

// Info begins an entry about a goal, a state or an event.
func (l *Log) Info() Entry { return Entry{log: l, level: Info} }

// Debug begins an entry that helps to find a defect.
func (l *Log) Debug() Entry { return Entry{log: l, level: Debug} }

// At begins an entry of a level.
func (l *Log) At(level Level) Entry { return Entry{log: l, level: level} }

// Entry is a line of the log in the making. Its methods return it with a field
// added; Msg writes it. The fields show in JSON only, except that the job leads the
// text: "tend | JOB (INST): msg".
type Entry struct {
	log                *Log
	level              Level
	hasProcess, hasSts bool
	process            jobs.Process
	pid, status        int
	job, instance      string
	signal, event      string
	state, goal        string
}

// Job names the instance that the entry is about.
func (e Entry) Job(job, instance string) Entry { e.job, e.instance = job, instance; return e }

// Process names which of the job's processes the entry is about.
func (e Entry) Process(p jobs.Process) Entry { e.process, e.hasProcess = p, true; return e }

// PID gives the process id.
func (e Entry) PID(pid int) Entry { e.pid = pid; return e }

// Status gives an exit status.
func (e Entry) Status(status int) Entry { e.status, e.hasSts = status, true; return e }

// Signal names a signal without SIG.
func (e Entry) Signal(name string) Entry { e.signal = name; return e }

// Event names an event.
func (e Entry) Event(name string) Entry { e.event = name; return e }

// State gives the state of the job.
func (e Entry) State(s jobs.State) Entry { e.state = s.String(); return e }

// Goal gives the goal of the job.
func (e Entry) Goal(g jobs.Goal) Entry { e.goal = g.String(); return e }

// Msgf is Msg with formatting.
func (e Entry) Msgf(format string, args ...any) {
	if e.log.Enabled(e.level) {
		e.Msg(fmt.Sprintf(format, args...))
	}
}

// Msg writes the entry with its text, which is one line: control characters in it
// are shown as escapes. In text the job's name is put in front.
func (e Entry) Msg(text string) {
	if !e.log.Enabled(e.level) {
		return
	}
	e.log.sink.post(e.log.line(e, text), e.log)
}

func (l *Log) line(e Entry, text string) []byte {
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
	return l.line(Entry{log: l, level: Warning}, fmt.Sprintf("%d lines of this log were dropped: stderr is not read", n))
}

// lineBuffer takes the one line that a zerolog event writes.
type lineBuffer struct{ b []byte }

func (w *lineBuffer) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (e Entry) appendJSON(text string) []byte {
	var w lineBuffer
	z := zerolog.New(&w)
	ev := z.Log().Str("time", string(appendTime(nil, time.Now()))).
		Str("level", e.level.String()).Str("msg", text)
	if e.job != "" {
		ev = ev.Str("job", e.job)
	}
	if e.instance != "" {
		ev = ev.Str("instance", e.instance)
	}
	if e.hasProcess {
		ev = ev.Str("process", e.process.String())
	}
	if e.pid != 0 {
		ev = ev.Int("pid", e.pid)
	}
	if e.hasSts {
		ev = ev.Int("status", e.status)
	}
	for _, f := range [...]struct{ name, value string }{
		{"signal", e.signal}, {"event", e.event}, {"state", e.state}, {"goal", e.goal},
	} {
		if f.value != "" {
			ev = ev.Str(f.name, f.value)
		}
	}
	ev.Send()
	return w.b
}
