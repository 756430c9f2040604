package conf

import (
	"time"

	"tend/jobs"
)

// stanza names the function that reads the words behind the first one.
type stanza struct {
	name string
	read func(*file)
	ours bool // unknown to Upstart 1.13
}

// stanzas has every stanza, in the order of the manual.
var stanzas = [...]stanza{
	{name: "exec", read: func(f *file) { f.exec(jobs.Main) }},
	{name: "script", read: func(f *file) { f.script(jobs.Main) }},
	{name: "pre-start", read: func(f *file) { f.process(jobs.PreStartProcess) }},
	{name: "post-start", read: func(f *file) { f.process(jobs.PostStartProcess) }},
	{name: "pre-stop", read: func(f *file) { f.process(jobs.PreStopProcess) }},
	{name: "post-stop", read: func(f *file) { f.process(jobs.PostStopProcess) }},
	{name: "start", read: (*file).start},
	{name: "stop", read: (*file).stop},
	{name: "manual", read: (*file).manual},
	{name: "env", read: (*file).env},
	{name: "export", read: func(f *file) { f.class.Export = f.args(f.class.Export); f.end() }},
	{name: "instance", read: func(f *file) { f.class.Instance = f.shared(); f.end() }},
	{name: "description", read: func(f *file) { f.about().Description = f.text(); f.end() }},
	{name: "author", read: func(f *file) { f.about().Author = f.shared(); f.end() }},
	{name: "version", read: func(f *file) { f.about().Version = f.shared(); f.end() }},
	{name: "usage", read: func(f *file) { f.class.Usage = f.text(); f.end() }},
	{name: "emits", read: func(f *file) { f.class.Emits = f.args(f.class.Emits); f.end() }},
	{name: "task", read: func(f *file) { f.class.Task = true; f.end() }},
	{name: "essential", read: func(f *file) { f.class.Essential = true; f.end() }, ours: true},
	{name: "respawn", read: (*file).respawn},
	{name: "normal", read: (*file).normal},
	{name: "expect", read: (*file).expect},
	{name: "kill", read: (*file).kill},
	{name: "reload", read: (*file).reload},
	{name: "console", read: (*file).console},
	{name: "umask", read: (*file).umask},
	{name: "nice", read: (*file).nice},
	{name: "oom", read: (*file).oom},
	{name: "limit", read: (*file).limit},
	{name: "chroot", read: func(f *file) { f.class.Chroot = f.shared(); f.end() }},
	{name: "chdir", read: func(f *file) { f.class.Chdir = f.shared(); f.end() }},
	{name: "setuid", read: func(f *file) { f.class.SetUID = f.shared(); f.end() }},
	{name: "setgid", read: func(f *file) { f.class.SetGID = f.shared(); f.end() }},
	{name: "apparmor", read: (*file).apparmor},
	{name: "cgroup", read: (*file).cgroup},
	{name: "debug", read: (*file).debug},
}

// process reads "pre-start exec …", "pre-start script" and the like.
func (f *file) process(kind jobs.Process) {
	switch t := f.keyword(); string(t.text) {
	case "exec":
		f.exec(kind)
	case "script":
		f.script(kind)
	default:
		f.unknown(t, kind.String()+" takes exec or script")
	}
}

// exec reads a command line. It is kept as it is written, for the shell.
func (f *file) exec(kind jobs.Process) {
	t := f.next(endOfLine, false)
	f.define(kind, &jobs.Command{Text: string(t.text), Line: int32(f.begin.line)})
	f.end()
}

// define sets what a process runs; the last one counts.
func (f *file) define(kind jobs.Process, c *jobs.Command) {
	what := "the process"
	if kind != jobs.Main {
		what = kind.String()
	}
	f.again(what, &f.defined[kind], "")
	f.class.Processes[kind] = c
}

// script reads the lines up to "end script".
func (f *file) script(kind jobs.Process) {
	f.end()
	if f.wrong {
		return
	}
	text, ok := f.block()
	if !ok {
		f.after = nowhere
		f.report(f.pos, 0, "Unterminated block; script opened at "+f.place(f.begin))
		return
	}
	f.define(kind, &jobs.Command{Text: text, Script: true, Line: int32(f.begin.line)})
}

func (f *file) start() {
	t := f.keyword()
	switch {
	case f.wrong:
	case string(t.text) == "on":
		f.class.StartOn = f.expression()
		f.again("start on", &f.startOn, "; conditions are joined by or")
	case string(t.text) == "timeout":
		f.ours(t)
		f.class.StartTimeout = f.seconds("Illegal interval, expected number of seconds")
		f.end()
	default:
		f.unknown(t, "start takes on or timeout")
	}
}

func (f *file) stop() {
	t := f.keyword()
	if string(t.text) != "on" {
		f.unknown(t, "stop takes on")
	}
	f.class.StopOn = f.expression()
	f.again("stop on", &f.stopOn, "; conditions are joined by or")
}

// manual and debug do not ask for the end of the line: what follows them is a
// stanza of its own.
func (f *file) manual() {
	f.class.StartOn, f.startOn = nil, 0
	f.nothingBehind("manual")
}

func (f *file) debug() {
	f.class.Debug = true
	f.nothingBehind("debug")
}

func (f *file) nothingBehind(name string) {
	if !f.atEnd() {
		f.warn(f.pos, f.wordLen(), name+" takes no arguments; what follows is read as another stanza")
	}
}

func (f *file) env() {
	f.class.Env = append(f.class.Env, f.shared())
	f.end()
}

func (f *file) respawn() {
	if f.atEnd() {
		f.class.Respawn = true
		f.end()
		return
	}
	t := f.keyword()
	switch {
	case f.wrong:
	case string(t.text) == "limit":
		f.respawnLimit()
	case string(t.text) == "delay":
		f.ours(t)
		f.respawnDelay()
	default:
		f.unknown(t, "respawn stands alone or takes limit or delay")
	}
}

// respawnLimit reads the count and the interval; a zero in either is no limit.
func (f *file) respawnLimit() {
	const msg = "Illegal limit, expected 'unlimited' or integer"
	count, interval := 0, time.Duration(0)
	if t := f.arg(); string(t.text) != "unlimited" {
		count = int(f.number(t, 0, maxInt, msg))
		interval = f.seconds("Illegal interval, expected number of seconds")
	}
	if count == 0 || interval == 0 {
		count, interval = 0, 0
	}
	f.class.RespawnLimit, f.class.RespawnInterval = count, interval
	f.end()
}

func (f *file) respawnDelay() {
	const msg = "Illegal interval, expected number of seconds"
	f.class.RespawnDelay, f.class.RespawnDelayMax = f.seconds(msg), 0
	if !f.wrong && !f.atEnd() {
		t := f.arg()
		f.class.RespawnDelayMax = f.duration(t, msg)
		if !f.wrong && f.class.RespawnDelayMax < f.class.RespawnDelay {
			f.illegal(t, "Illegal interval, expected no less than the first one", "")
		}
	}
	f.end()
}

func (f *file) normal() {
	if t := f.keyword(); string(t.text) != "exit" {
		f.unknown(t, "normal takes exit")
	}
	for first := true; !f.wrong && (first || !f.atEnd()); first = false {
		t := f.arg()
		if sig, ok := jobs.SignalNumber(string(t.text)); ok {
			f.class.NormalExit = append(f.class.NormalExit, jobs.ExitStatus{Signal: sig})
			continue
		}
		code := f.number(t, 0, maxInt, "Illegal exit status, expected integer")
		f.class.NormalExit = append(f.class.NormalExit, jobs.ExitStatus{Code: int(code)})
	}
	f.end()
}

func (f *file) expect() {
	switch t := f.arg(); string(t.text) {
	case "none":
		f.class.Expect = jobs.ExpectNone
	case "stop":
		f.class.Expect = jobs.ExpectStop
	case "fork":
		f.class.Expect = jobs.ExpectFork
	case "daemon":
		f.class.Expect = jobs.ExpectDaemon
	case "notify":
		f.class.Expect = jobs.ExpectNotify
		f.ours(t)
	default:
		f.unknown(t, "expect takes stop, daemon, fork, notify or none"+nearest(string(t.text), "stop", "daemon", "fork", "notify", "none"))
	}
	f.end()
}

func (f *file) kill() {
	t := f.keyword()
	switch {
	case f.wrong:
	case string(t.text) == "timeout":
		f.class.KillTimeout = f.seconds("Illegal interval, expected number of seconds")
	case string(t.text) == "signal":
		f.class.KillSignal = f.signal(1)
	case string(t.text) == "scope":
		f.ours(t)
		switch t := f.arg(); string(t.text) {
		case "job":
			f.class.KillScope = jobs.KillJob
		case "group":
			f.class.KillScope = jobs.KillGroup
		default:
			f.unknown(t, "kill scope takes job or group")
		}
	default:
		f.unknown(t, "kill takes timeout, signal or scope")
	}
	f.end()
}

func (f *file) reload() {
	if t := f.keyword(); string(t.text) != "signal" {
		f.unknown(t, "reload takes signal")
	}
	// Files in use write 0 for a service that cannot be reloaded.
	f.class.ReloadSignal = f.signal(0)
	f.end()
}

func (f *file) console() {
	switch t := f.arg(); string(t.text) {
	case "none":
		f.class.Console = jobs.ConsoleNone
	case "log":
		f.class.Console = jobs.ConsoleLog
	case "output":
		f.class.Console = jobs.ConsoleOutput
	case "owner":
		f.class.Console = jobs.ConsoleOwner
	default:
		f.unknown(t, "console takes none, log, output or owner"+nearest(string(t.text), "none", "log", "output", "owner"))
	}
	f.end()
}

func (f *file) umask() {
	t := f.arg()
	n, ok := parseUint(t.text, 8)
	if !ok || n > 0o777 {
		f.illegal(t, "Illegal file creation mask, expected octal integer", "")
	}
	f.class.Umask = int(n)
	f.end()
}

func (f *file) nice() {
	n := int(f.number(f.arg(), -20, 19, "Illegal nice value, expected -20 to 19"))
	f.class.Nice = &n
	f.end()
}

// oom reads a score, or an adjustment of the older kind, which is scaled.
func (f *file) oom() {
	score := -1000
	switch t := f.arg(); string(t.text) {
	case "never":
	case "score":
		if t := f.arg(); string(t.text) != "never" {
			score = int(f.number(t, -1000, 1000, "Illegal oom score adjustment, expected -1000 to 1000 or 'never'"))
		}
	default:
		score = int(f.number(t, -17, 15, "Illegal oom adjustment, expected -17 to 15 or 'never'"))
		if score < 0 {
			score = score * 1000 / 17
		} else {
			score = score * 1000 / 15
		}
	}
	f.class.OOMScore = &score
	f.end()
}

func (f *file) limit() {
	t := f.arg()
	resource, ok := resourceNumber(string(t.text))
	if !ok {
		f.unknown(t, "no such resource limit"+nearest(string(t.text), resourceNames()...))
	}
	l := jobs.Limit{Resource: resource, Name: f.word(t.text)}
	l.Soft = f.limitValue()
	l.Hard = f.limitValue()
	f.end()
	f.class.Limits = setLimit(f.class.Limits, l)
}

func (f *file) limitValue() uint64 {
	t := f.arg()
	if string(t.text) == "unlimited" {
		return jobs.Unlimited
	}
	n, ok := parseUint(t.text, 10)
	if !ok {
		f.illegal(t, "Illegal limit, expected 'unlimited' or integer", "")
	}
	return n
}

func (f *file) apparmor() {
	switch t := f.keyword(); string(t.text) {
	case "load":
		f.class.AppArmorLoad = f.shared()
	case "switch":
		f.class.AppArmorSwitch = f.shared()
	default:
		f.unknown(t, "apparmor takes load or switch")
	}
	f.end()
}

// cgroup reads CONTROLLER [NAME] [KEY VALUE].
func (f *file) cgroup() {
	words := make([]string, 0, 4)
	for first := true; !f.wrong && len(words) < cap(words) && (first || !f.atEnd()); first = false {
		words = append(words, f.shared())
	}
	f.end()
	if f.wrong {
		return
	}
	g := jobs.CGroup{Controller: words[0]}
	if n := len(words); n > 2 {
		g.Key, g.Value, words = words[n-2], words[n-1], words[:n-2]
	}
	if len(words) == 2 {
		g.Name = words[1]
	}
	f.class.CGroups = append(f.class.CGroups, g)
}

// signal reads a signal by name or by a number from lo on.
func (f *file) signal(lo int64) signal {
	t := f.arg()
	if sig, ok := jobs.SignalNumber(string(t.text)); ok || f.wrong {
		return sig
	}
	n, ok := parseInt(t.text)
	if !ok || n < lo || n > maxSignal {
		hint := "expected a name or 1 to 64"
		if _, ok := jobs.SignalNumber(jobs.Upper(string(t.text))); ok {
			hint += "; did you mean " + jobs.Upper(string(t.text)) + "?"
		}
		f.illegal(t, "Illegal signal status, expected integer", hint)
	}
	return signal(n)
}
