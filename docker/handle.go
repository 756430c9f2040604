package docker

import (
	"slices"
	"sort"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/console"
	"tend/jobs/control"
	"tend/jobs/engine"
	"tend/jobs/environ"
	"tend/jobs/event"
	"tend/jobs/jsonl"
	"tend/jobs/number"
)

// handle carries out the request of a client, or forgets one whose client has gone.
func (s *Supervisor) handle(call *control.Call) {
	if call.Bug != nil {
		s.log.Error().Msg("bug in tend: " + panicText(call.Bug) + "; a client has lost its connection")
		return
	}
	if gone := call.Cancels; gone != nil {
		if gone.Abandon != nil {
			gone.Abandon()
		}
		return
	}
	if err := call.Permit(func() bool { return s.ownJob(call) }); err != nil {
		call.Refuse(err.Error())
		return
	}
	if s.minimal && call.Command != control.CmdShutdown && call.Command != control.CmdLog && call.Command != control.CmdVersion {
		call.Refuse(hasFailed)
		return
	}
	switch call.Command {
	case control.CmdStart:
		s.change(call, engine.VerbStart)
	case control.CmdStop:
		s.change(call, engine.VerbStop)
	case control.CmdRestart:
		s.change(call, engine.VerbRestart)
	case control.CmdReload:
		s.handleReload(call)
	case control.CmdSignal:
		s.signalJob(call)
	case control.CmdStatus:
		s.handleStatus(call)
	case control.CmdList:
		s.list(call)
	case control.CmdEmit:
		s.handleEmit(call)
	case control.CmdReloadConfiguration:
		s.reload()
		call.Done()
	case control.CmdVersion:
		call.Reply(&control.Response{Text: jobs.VersionText()})
	case control.CmdLogPriority:
		s.logPriority(call)
	case control.CmdShowConfig:
		s.showConfig(call)
	case control.CmdCheckConfig:
		s.checkConfig(call)
	case control.CmdUsage:
		s.usage(call)
	case control.CmdGetEnv, control.CmdListEnv:
		s.readEnv(call)
	case control.CmdSetEnv:
		s.changeEnv(call, engine.EnvSet)
	case control.CmdUnsetEnv:
		s.changeEnv(call, engine.EnvUnset)
	case control.CmdResetEnv:
		s.changeEnv(call, engine.EnvReset)
	case control.CmdNotifyDiskWriteable:
		s.console.NotifyDiskWriteable()
		call.Done()
	case control.CmdMonitor:
		s.monitor(call)
	case control.CmdLog:
		s.showLog(call)
	case control.CmdWhy:
		s.why(call)
	case control.CmdHealth:
		s.health(call)
	case control.CmdRunlevel:
		s.handleRunlevel(call)
	case control.CmdShutdown:
		s.handleShutdown(call)
	default:
		call.Refuse("unknown command: " + jsonl.Quote(call.Command))
	}
}

// tellSocket puts the address of the socket into the environment of the jobs, when
// their initctl would not find it by looking.
func (s *Supervisor) tellSocket() {
	if address := control.Explicit(s.server.Address); address != "" {
		s.step(engine.EnvRequest{Verb: engine.EnvSet, Vars: []string{control.Environment + "=" + address}})
	}
}

// answerTime is how long clients may take to read their answers at the end.
const answerTime = 200 * time.Millisecond

// answerLast lets the answers that have been given reach their clients.
func (s *Supervisor) answerLast() {
	if s.server != nil {
		s.server.Flush(answerTime)
	}
}

// ownJob tells whether a call comes from a process of the very instance that it is
// about.
func (s *Supervisor) ownJob(call *control.Call) bool {
	id, ok := s.owner(call.Peer.PID)
	if !ok {
		return false
	}
	job, instance, _, ok := s.m.Instance(id)
	if !ok || job != call.Job {
		return false
	}
	if call.Instance != nil {
		return *call.Instance == instance
	}
	st, errText, _ := s.m.Resolve(call.Job, false, "", call.Env)
	return errText == "" && st.Instance == instance
}

// inside returns the job that a call comes from, 0 for none.
func (s *Supervisor) inside(call *control.Call) engine.JobID {
	id, _ := s.owner(call.Peer.PID)
	return id
}

// ask registers a call as the caller of a request to the machine.
//
//go:noinline
func (s *Supervisor) ask(call *control.Call, answer func(engine.Reply)) engine.RequestID {
	id := s.request(answer)
	call.Abandon = func() { delete(s.requests, id) }
	return id
}

func exactInstance(call *control.Call) (instance string, exact bool) {
	if call.Instance == nil {
		return "", false
	}
	return *call.Instance, true
}

// failure is the response for an error of the machine.
func failure(r engine.Reply) *control.Response {
	text := r.Err
	if r.Usage != "" {
		text += "\nUsage: " + r.Usage
	}
	return &control.Response{Error: text, Reason: r.Reason}
}

// plainAnswer answers with success or the error and nothing else.
func plainAnswer(call *control.Call) func(engine.Reply) {
	return func(r engine.Reply) {
		if r.Err != "" {
			call.Reply(failure(r))
			return
		}
		call.Done()
	}
}

// change is start, stop and restart.
func (s *Supervisor) change(call *control.Call, verb engine.Verb) {
	instance, exact := exactInstance(call)
	answer := func(r engine.Reply) {
		if r.Err != "" {
			call.Reply(failure(r))
			return
		}
		// An instance that has gone is shown as its class.
		st, _ := s.m.Status(r.Job, r.Instance)
		call.Reply(&control.Response{Status: control.NewStatus(st)})
	}
	s.step(engine.Command{
		Request: s.ask(call, answer), Verb: verb,
		Job: call.Job, Exact: exact, Instance: instance, Env: call.Env,
		NoWait: call.NoWait, Inside: s.inside(call),
	})
}

func (s *Supervisor) signalJob(call *control.Call) {
	sig, ok := parseSignal(call.Signal)
	if !ok {
		call.Refuse("unknown signal: " + call.Signal)
		return
	}
	instance, exact := exactInstance(call)
	s.step(engine.SignalJob{
		Request: s.ask(call, plainAnswer(call)),
		Job:     call.Job, Exact: exact, Instance: instance, Env: call.Env, Signal: sig,
	})
}

// parseSignal reads the name of a signal, with or without SIG, or its number.
func parseSignal(text string) (unix.Signal, bool) {
	if n, err := number.Int(text); err == nil {
		return unix.Signal(n), n >= 1 && n <= 64
	}
	return jobs.SignalNumber(jobs.Upper(text))
}

func (s *Supervisor) handleStatus(call *control.Call) {
	if call.Orphans {
		s.orphans(call)
		return
	}
	instance, exact := exactInstance(call)
	st, errText, usage := s.m.Resolve(call.Job, exact, instance, call.Env)
	if errText != "" {
		if s.pseudo(call.Job) {
			errText = s.unknownJob(call.Job)
		}
		call.Reply(failure(engine.Reply{Err: errText, Usage: usage}))
		return
	}
	call.Reply(&control.Response{Status: s.wireStatus(st)})
}

// unknownJob is the error about a job that is not there; of one that boot pretends
// to have it says so.
func (s *Supervisor) unknownJob(name string) string {
	switch {
	case name == "":
		return "Name may not be empty string"
	case s.pseudo(name):
		return "Unknown job: " + name + " (it exists as events only, which boot emits)"
	}
	return "Unknown job: " + name
}

// pseudo tells whether a job exists only as events that boot emits.
func (s *Supervisor) pseudo(job string) bool {
	_, loaded := s.m.Class(job)
	return !loaded && s.opts.Boot == BootAuto && slices.Contains(event.BootJobs(), job)
}

func (s *Supervisor) wireStatus(st jobs.Status) *control.Status {
	w := control.NewStatus(st)
	w.Masked = s.masks.masked(st.Job)
	return w
}

func (s *Supervisor) orphans(call *control.Call) {
	if err := s.reaper.ProcError(); err != nil {
		call.Refuse("cannot list processes: " + err.Error())
		return
	}
	s.reaper.Refresh()
	procs := s.reaper.Orphans()
	call.ReplyAll(func(yield func(*control.Response) bool) {
		for _, p := range procs {
			if !yield(&control.Response{Orphan: &control.Orphan{PID: p.PID, Command: p.Comm}}) {
				return
			}
		}
	})
}

// list sends a snapshot of all jobs.
func (s *Supervisor) list(call *control.Call) {
	all := s.m.List()
	masked := map[string]bool{}
	for _, name := range s.masks.list() {
		masked[name] = true
	}
	only := call.Masked
	call.ReplyAll(func(yield func(*control.Response) bool) {
		for _, st := range all {
			if only && !masked[st.Job] {
				continue
			}
			w := control.NewStatus(st)
			w.Masked = masked[st.Job]
			if !yield(&control.Response{Status: w}) {
				return
			}
		}
	})
}

func (s *Supervisor) handleEmit(call *control.Call) {
	if call.Event == "" {
		call.Refuse("Name may not be empty string")
		return
	}
	for _, entry := range call.Env {
		if _, _, ok := environ.Split(entry); !ok {
			call.Refuse("Env must be KEY=VALUE pairs")
			return
		}
	}
	s.step(engine.Emit{
		Request: s.ask(call, plainAnswer(call)),
		Event:   event.Event{Name: call.Event, Env: call.Env},
		NoWait:  call.NoWait, From: s.inside(call),
	})
}

func (s *Supervisor) logPriority(call *control.Call) {
	if call.Priority == "" {
		call.Reply(&control.Response{Text: s.log.Level().Priority()})
		return
	}
	level, ok := console.ParsePriority(call.Priority)
	if !ok {
		call.Refuse("The log priority given was not recognised")
		return
	}
	s.log.SetLevel(level)
	s.updateQuiet()
	call.Done()
}

// classes returns the classes that a call names, or all; false when a name is not
// known.
func (s *Supervisor) classes(call *control.Call) ([]*jobs.Class, bool) {
	if len(call.Jobs) == 0 {
		return s.m.Classes(), true
	}
	var list []*jobs.Class
	for _, name := range call.Jobs {
		class, ok := s.m.Class(name)
		if !ok {
			return nil, false
		}
		list = append(list, class)
	}
	return list, true
}

func (s *Supervisor) showConfig(call *control.Call) {
	classes, ok := s.classes(call)
	if !ok {
		call.Refuse("Unknown job: " + call.Jobs[0])
		return
	}
	call.ReplyAll(func(yield func(*control.Response) bool) {
		for _, class := range classes {
			if !yield(&control.Response{Config: control.NewConfig(class)}) {
				return
			}
		}
	})
}

func (s *Supervisor) checkConfig(call *control.Call) {
	classes, ok := s.classes(call)
	if !ok {
		call.Refuse("Invalid job class: " + call.Jobs[0])
		return
	}
	known, pseudo := call.Ignore, []string(nil)
	if s.opts.Boot == BootAuto {
		known, pseudo = append(known, event.BootNames()...), event.BootJobs()
	}
	all, warn := s.m.Classes(), call.Warn
	call.ReplyAll(func(yield func(*control.Response) bool) {
		control.NewChecker(all, known, pseudo, warn).Problems(classes)(yield)
	})
}

func (s *Supervisor) usage(call *control.Call) {
	class, ok := s.m.Class(call.Job)
	if !ok {
		call.Refuse(s.unknownJob(call.Job))
		return
	}
	call.Reply(&control.Response{Text: class.Usage})
}

// envTarget is the table that a call is about: the global one, or that of a job.
func envTarget(call *control.Call) (job, instance string) {
	if call.Global || call.Job == "" {
		return "", ""
	}
	instance, _ = exactInstance(call)
	return call.Job, instance
}

// readEnv is get-env and list-env.
func (s *Supervisor) readEnv(call *control.Call) {
	job, instance := envTarget(call)
	env, errText := s.m.Environ(job, instance)
	switch {
	case errText != "":
		call.Refuse(errText)
	case call.Command == control.CmdListEnv:
		vars := slices.Clone([]string(env))
		sort.Sort(sort.StringSlice(vars))
		call.Reply(&control.Response{Vars: vars})
	case len(call.Vars) != 1:
		call.Refuse("get-env takes one variable")
	default:
		value, ok := env.Lookup(call.Vars[0])
		if !ok {
			call.Refuse("No such variable: " + call.Vars[0])
			return
		}
		call.Reply(&control.Response{Text: value})
	}
}

func (s *Supervisor) changeEnv(call *control.Call, verb engine.EnvVerb) {
	job, instance := envTarget(call)
	s.step(engine.EnvRequest{
		Request: s.ask(call, plainAnswer(call)), Verb: verb,
		Job: job, Instance: instance, Vars: call.Vars, Retain: call.Retain,
	})
}

// stopRunlevel returns the variables of the runlevel event that a shutdown, halt or
// reboot means (reference 7.8); nil when the client asks for none in particular.
func stopRunlevel(level, previous, halt string) environ.Env {
	if level == "" {
		return nil
	}
	if previous == "" {
		previous = "N"
	}
	env := environ.Env{"RUNLEVEL=" + level, "PREVLEVEL=" + previous}
	if halt != "" {
		env = append(env, "INIT_HALT="+halt)
	}
	return env
}

// handleRunlevel tells the previous and the current runlevel; nothing when no event
// has told one yet.
func (s *Supervisor) handleRunlevel(call *control.Call) {
	if s.runlevel[1] == "" {
		call.Done()
		return
	}
	call.Reply(&control.Response{Text: s.runlevel[0] + " " + s.runlevel[1]})
}

func (s *Supervisor) handleShutdown(call *control.Call) {
	if code := call.ExitCode; code != nil && (*code < 0 || *code > 255) {
		call.Refuse("exit code " + strconv.Itoa(*code) + " is not in 0 to 255")
		return
	}
	// The answer goes out first: the stop may kill the client, or end with us.
	call.Done()
	reason := "shutdown requested"
	if id := s.inside(call); id != 0 {
		if job, instance, _, ok := s.m.Instance(id); ok {
			reason += " by " + who(job, instance)
		}
	}
	s.stopEvent = stopRunlevel(call.Runlevel, s.runlevel[1], call.Halt)
	s.beginStop(reason, 0, call.ExitCode)
	if call.Force {
		s.killNow()
	}
}
