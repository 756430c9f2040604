package engine

import (
	"slices"
	"strconv"
	"strings"

	"tend/jobs"
	"tend/jobs/environ"
)

// shuttingDown is the answer to what comes too late.
const shuttingDown = "shutting down"

func checkName(name string) string {
	if name == "" {
		return "Name may not be empty string"
	}
	return ""
}

func checkVars(env environ.Env) string {
	for _, entry := range env {
		if _, _, ok := environ.Split(entry); !ok {
			return "Env must be KEY=VALUE pairs"
		}
	}
	return ""
}

// target is what a command is about: a class, and an instance that may not exist.
type target struct {
	class *class
	job   *job
	name  string // of the instance
	usage string // for an error in expanding it
}

// resolve finds the target of a command. The error is one of Upstart's texts.
func (m *Machine) resolve(name string, exact bool, instance string, env environ.Env) (t target, err string) {
	if err := checkName(name); err != "" {
		return t, err
	}
	t.class = m.classes[name]
	if t.class == nil {
		return t, "Unknown job: " + name
	}
	if err := checkVars(env); err != "" {
		return t, err
	}
	t.name = instance
	if !exact && t.class.def.Instance != "" {
		expanded, err := t.class.instanceName(merge(0, m.classEnv(t.class), env))
		if err != nil {
			t.usage = t.class.def.Usage
			return t, err.Error()
		}
		t.name = expanded
	} else if !exact {
		t.name = ""
	}
	t.job = t.class.instance(t.name)
	return t, ""
}

func (m *Machine) command(in Command) {
	t, err := m.resolve(in.Job, in.Exact, in.Instance, in.Env)
	if err == "" {
		err = m.refusal(in, t)
	}
	if err != "" {
		if in.Request != 0 {
			if in.Verb == VerbRestart {
				t.usage = ""
			}
			m.do(Reply{Request: in.Request, Err: err, Job: in.Job, Instance: t.name, Usage: t.usage})
		}
		return
	}
	switch in.Verb {
	case VerbStart:
		m.startByCommand(in, t)
	case VerbStop:
		m.stopByCommand(in, t.job)
	case VerbRestart:
		m.restartByCommand(in, t.job)
	case VerbReload:
		m.sendToMain(t.job, t.job.def.ReloadSignal)
		m.reply(in.Request, t.job, "", "")
	}
}

// refusal says why a command cannot be carried out, empty when it can.
func (m *Machine) refusal(in Command, t target) string {
	j := t.job
	if m.halt != nil && (in.Verb == VerbStart || in.Verb == VerbRestart) {
		return shuttingDown
	}
	if in.Verb == VerbStart && !in.Exact {
		if j != nil && j.goal != jobs.Stop {
			return "Job is already running: " + j.display()
		}
		return ""
	}
	if j == nil {
		return "Unknown instance: " + t.name
	}
	switch {
	case in.Verb == VerbStart && j.goal != jobs.Stop:
		return "Job is already running: " + j.display()
	case (in.Verb == VerbStop || in.Verb == VerbRestart) && j.goal == jobs.Stop:
		return "Job has already been stopped: " + j.display()
	case in.Verb == VerbReload && j.pid(jobs.Main) == 0:
		return "Job is not running: " + j.display()
	}
	return ""
}

// answerLater makes the caller of a command wait, or answers it at once.
func (m *Machine) answerLater(j *job, in Command) {
	if in.NoWait {
		m.reply(in.Request, j, "", "")
	} else if in.Request != 0 {
		j.waiters = append(j.waiters, waiter{in.Verb, in.Request})
	}
}

func (m *Machine) startByCommand(in Command, t target) {
	j := m.instanceFor(t.class, t.name)
	if !in.Exact {
		m.renew(j, &run{args: in.Env})
		j.late = false
	}
	m.overtake(j, VerbStart, in.Inside == j.id)
	m.answerLater(j, in)
	m.changeGoal(j, jobs.Start)
}

func (m *Machine) stopByCommand(in Command, j *job) {
	j.stopEnv = nil
	if !in.Exact {
		j.stopEnv = in.Env
	}
	m.overtake(j, VerbStop, in.Inside == j.id)
	m.answerLater(j, in)
	m.stopJob(j)
}

// stopJob turns a job to its stop because someone has asked for it.
func (m *Machine) stopJob(j *job) {
	j.asked, j.restart = true, false
	m.changeGoal(j, jobs.Stop)
}

// restartByCommand stops and starts in one step. Before running there is nothing to
// restart yet but a main process that is not ready: the goal turns twice and the
// start goes on.
func (m *Machine) restartByCommand(in Command, j *job) {
	if in.Exact {
		m.renew(j, nil)
	} else {
		m.renew(j, &run{args: in.Env, causes: j.run.causes})
	}
	j.stopEnv = nil
	m.overtake(j, VerbRestart, in.Inside == j.id)
	m.answerLater(j, in)
	if j.delaying {
		j.asked = true // the new run has the newest definition
		m.advance(j)
		return
	}
	restart := j.state == jobs.Running || j.state == jobs.PreStop
	m.stopJob(j)
	j.restart = restart
	m.changeGoal(j, jobs.Start)
}

// startByEvents starts the instance that the events of a true start condition ask
// for (reference, 3.5). A class whose instance cannot be named stops nobody else
// from being offered the event (9, 31).
func (m *Machine) startByEvents(c *class) {
	causes := m.causes(c.start)
	defer c.start.reset(m)
	if m.halt != nil && !m.startsInShutdown(c, causes) {
		return
	}
	args := variables(causes, startEvents)
	name := ""
	if c.def.Instance != "" {
		expanded, err := c.instanceName(merge(0, m.classEnv(c), args))
		if err != nil {
			m.tell(Notice{Kind: Warning, Job: c.name, Text: "cannot name the instance: " + err.Error()})
			return
		}
		name = expanded
	}
	if j := c.instance(name); j != nil && (j.goal != jobs.Stop || m.halt != nil) {
		return // during a shutdown no stop is taken back
	}
	if m.halt != nil {
		who := instanceName{c.name, name}
		if m.halt.started[who] {
			return
		}
		m.halt.started[who] = true
	}
	j := m.instanceFor(c, name)
	j.late = m.halt != nil || c.def.Task && announcesShutdown(causes)
	r := &run{causes: startCauses(causes), fds: takeFDs(causes)}
	if fds := descriptorList(r.fds); fds != "" {
		args = put(args, "UPSTART_FDS="+fds)
	}
	r.args = args
	m.renew(j, r)
	m.overtake(j, VerbStart, fromInside(j, causes))
	j.block(causes)
	m.changeGoal(j, jobs.Start)
}

// fromInside tells whether a process of the job itself has emitted one of the events.
func fromInside(j *job, causes []*emission) bool {
	return slices.ContainsFunc(causes, func(e *emission) bool { return e.job == j && !e.jobEvent })
}

func takeFDs(causes []*emission) []*descriptors {
	var taken []*descriptors
	for _, e := range causes {
		if e.fds != nil && !e.finished {
			e.fds.uses++
			taken = append(taken, e.fds)
		}
	}
	return taken
}

func descriptorList(ds []*descriptors) string {
	var numbers []string
	for _, d := range ds {
		for _, fd := range d.fds {
			numbers = append(numbers, strconv.Itoa(fd))
		}
	}
	return strings.Join(numbers, " ")
}

// stopByEvents stops an instance whose stop condition is true (reference, 3.4).
// During a shutdown the events are only noted, for the hooks: when the job stops is
// a matter of the order.
func (m *Machine) stopByEvents(j *job) {
	defer j.stop.reset(m)
	if m.halt != nil {
		if j.state < jobs.Stopping {
			j.stopEnv = variables(m.causes(j.stop), stopEvents)
		}
		return
	}
	if j.goal == jobs.Stop {
		return
	}
	causes := m.causes(j.stop)
	j.stopEnv = variables(causes, stopEvents)
	m.overtake(j, VerbStop, fromInside(j, causes))
	j.block(causes)
	m.stopJob(j)
}

func (m *Machine) signalJob(in SignalJob) {
	t, err := m.resolve(in.Job, in.Exact, in.Instance, in.Env)
	switch {
	case err != "":
	case t.job == nil:
		err = "Unknown instance: " + t.name
	case t.job.pids[jobs.Main] == 0:
		err = "Job is not running: " + t.job.display()
	default:
		m.sendToMain(t.job, in.Signal)
	}
	if in.Request != 0 {
		m.do(Reply{Request: in.Request, Err: err, Job: in.Job, Instance: t.name, Usage: t.usage})
	}
}

// envRequest changes the global job table or the environment of an instance.
func (m *Machine) envRequest(in EnvRequest) {
	table, j, err := m.table(in.Job, in.Instance)
	if err != "" {
		m.reply(in.Request, nil, err, "")
		return
	}
	switch in.Verb {
	case EnvSet:
		for _, entry := range in.Vars {
			key, _, ok := environ.Split(entry)
			if !ok {
				key, entry = entry, entry+"="
			}
			if _, set := table.Lookup(key); !set || !in.Retain {
				table = table.Set(entry)
			}
		}
	case EnvUnset:
		for _, key := range in.Vars {
			table = table.Unset(key)
		}
	case EnvReset:
		if table = m.opts.Env; j != nil {
			table = merge(0, m.classEnv(j.class), j.run.args)
		}
	}
	if j != nil {
		j.run.base, j.edited = table, true
	} else {
		m.env = table
		m.envSerial++
	}
	m.reply(in.Request, j, "", "")
}

// table returns the environment that a request is about; without a job it is the
// global one.
func (m *Machine) table(name, instance string) (environ.Env, *job, string) {
	if name == "" {
		return m.env, nil, ""
	}
	c := m.classes[name]
	if c == nil {
		return nil, nil, "Unknown job: " + name
	}
	j := c.instance(instance)
	if j == nil {
		return nil, nil, "Unknown instance: " + instance + " of job " + name
	}
	env := j.env()
	return merge(0, env.Under, env.Over), j, ""
}
