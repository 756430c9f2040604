package docker

import (
	"sort"
	"strings"
	"time"

	"tend/jobs"
	"tend/jobs/engine"
)

// commandJob is the reserved name of the job that COMMAND beside jobs is.
const commandJob = "command"

// How soon and how often it is said whom COMMAND waits for.
const (
	commandFirstWord = 2 * time.Second
	commandNextWord  = 30 * time.Second
)

// attached is COMMAND beside jobs: it starts when the services that boot has
// started are there, owns standard input and the terminal, and its end is the end
// of the container.
type attached struct {
	class   *jobs.Class
	awaited map[instance]bool // what boot has moved to goal start
	since   time.Duration
	started bool
	status  *int // once it has ended
}

// instance names an instance of a job.
type instance struct{ job, name string }

// newAttached makes the class of COMMAND.
func newAttached(argv []string) *attached {
	class := jobs.NewClass(commandJob)
	class.Processes[jobs.Main] = &jobs.Command{Argv: argv}
	class.Essential = true
	class.Foreground = true
	return &attached{class: class}
}

// await notes whom COMMAND has to wait for, when boot has emitted its events.
func (s *Supervisor) await() {
	c := s.command
	c.since = s.now()
	c.awaited = map[instance]bool{}
	for _, st := range s.m.List() {
		if st.Goal == jobs.Start {
			c.awaited[instance{st.Job, st.Instance}] = true
		}
	}
	s.timers.add(c.since+commandFirstWord, s.sayAwaited)
	if s.opts.CommandWait > 0 {
		s.timers.add(c.since+s.opts.CommandWait, func() {})
	}
}

// sayAwaited tells whom COMMAND is waiting for, again and again.
func (s *Supervisor) sayAwaited() {
	if s.command.started || s.stop != nil {
		return
	}
	s.log.Notice().Job(commandJob, "").Msg("waits for " + strings.Join(s.stillAwaited(), ", "))
	s.timers.add(s.now()+commandNextWord, s.sayAwaited)
}

// stillAwaited drops from awaited what is up (a service), through (a task) or has
// failed, and returns the rest with its state, sorted.
func (s *Supervisor) stillAwaited() []string {
	var out []string
	for i := range s.command.awaited {
		st, ok := s.m.Status(i.job, i.name)
		class, known := s.m.Class(i.job)
		up := known && !class.Task && st.State == jobs.Running
		if !ok || st.Goal != jobs.Start || up {
			delete(s.command.awaited, i)
			continue
		}
		out = append(out, who(i.job, i.name)+" ("+st.State.String()+")")
	}
	sort.Sort(sort.StringSlice(out))
	return out
}

// startCommand starts COMMAND as soon as its turn has come.
func (s *Supervisor) startCommand() {
	c := s.command
	if awaited := s.stillAwaited(); len(awaited) > 0 {
		if s.opts.CommandWait <= 0 || s.now() < c.since+s.opts.CommandWait {
			return
		}
		s.log.Warning().Job(commandJob, "").Msg("starts after " + seconds(s.opts.CommandWait) +
			" although these are not up: " + strings.Join(awaited, ", "))
	}
	c.started = true
	// What the jobs print would run into what COMMAND does on the terminal.
	s.console.Mute(s.onTerminal)
	// Between the two nothing may be settled, or the container could end as idle.
	s.queue = append(s.queue, engine.Load{Class: c.class})
	s.step(engine.Command{Verb: engine.VerbStart, Job: commandJob})
}

// commandPID is the pid of COMMAND's main process, 0 when it does not run.
func (s *Supervisor) commandPID() int {
	if s.command == nil {
		return 0
	}
	st, _ := s.m.Status(commandJob, "")
	for _, p := range st.Processes {
		if p.Process == jobs.Main {
			return p.PID
		}
	}
	return 0
}
