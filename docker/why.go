package docker

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"tend/jobs"
	"tend/jobs/console"
	"tend/jobs/control"
	"tend/jobs/engine"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// whyLines is how many of its last lines of output why shows of a job that failed.
const whyLines = 5

// why explains a job in plain words.
func (s *Supervisor) why(call *control.Call) {
	r := s.m.Why(call.Job)
	if !r.Known {
		call.Refuse(s.unknownJob(call.Job))
		return
	}
	e := explanation{s: s, now: s.now()}
	e.report(&r)
	call.Reply(&control.Response{Why: &control.Why{Job: r.Job, Lines: e.lines}})
}

// explanation collects the lines of why.
type explanation struct {
	s     *Supervisor
	now   time.Duration
	lines []string
}

//go:noinline
func (e *explanation) say(line string) { e.lines = append(e.lines, line) }

func (e *explanation) report(r *engine.Report) {
	if len(r.Instances) == 0 {
		e.notRunning(r)
	}
	for i := range r.Instances {
		e.instance(&r.Instances[i])
	}
	if r.Last != nil && r.Last.Failed {
		e.lastFailure(r)
	}
	e.startOn(r)
}

func (e *explanation) notRunning(r *engine.Report) {
	e.say(jobs.Status{Job: r.Job}.String())
	switch {
	case e.s.stop != nil:
		e.say("  the container is stopping, so nothing starts any more")
	case !r.Started:
		e.say("  it has never been started")
	case r.Last != nil && !r.Last.Failed:
		e.say("  its last run has ended well")
	}
}

// instance explains an instance: where it is, since when, what it waits for, and
// what will happen next.
func (e *explanation) instance(r *engine.InstanceReport) {
	st := r.Status
	e.lines = append(e.lines, strings.Split(st.String(), "\n")...)
	e.say("  in this state for " + ago(e.now-r.Since))
	switch r.Wait {
	case engine.WaitEvent:
		line := "  waits until the event " + st.State.String() + " has been handled"
		if len(r.WaitsFor) > 0 {
			line += ", which is held up by " + strings.Join(r.WaitsFor, ", ")
		}
		e.say(line)
	case engine.WaitProcess:
		e.say("  waits for its " + st.State.String() + " process to end")
	case engine.WaitReady:
		e.say("  waits for its main process to become ready" + e.readiness(st.Job))
	case engine.WaitKilled:
		e.say("  waits for its processes to end")
	case engine.WaitRespawn:
		e.say("  waits before the next respawn, due in " + ago(r.RespawnAt-e.now))
	case engine.WaitNothing:
	}
	if r.KillAt > e.now {
		e.say("  the next signal is sent in " + ago(r.KillAt-e.now))
	}
	if r.Respawns > 0 {
		line := "  respawned " + times(r.Respawns) + " within the interval of its limit"
		if class, ok := e.s.m.Class(st.Job); ok && class.RespawnLimit > 0 {
			line += " (" + strconv.Itoa(class.RespawnLimit) + " in " + seconds(class.RespawnInterval) + ")"
		}
		e.say(line)
	}
	if r.Failure != "" {
		e.say("  has failed: " + r.Failure)
		e.output(st.Job, st.Instance)
	}
	for _, t := range r.StopOn {
		e.say("  stop on " + e.term(&t))
	}
}

// readiness says how the job's main process becomes ready.
func (e *explanation) readiness(job string) string {
	class, ok := e.s.m.Class(job)
	if !ok {
		return ""
	}
	switch class.Expect {
	case jobs.ExpectStop:
		return " by stopping itself (expect stop)"
	case jobs.ExpectFork:
		return " by forking once (expect fork)"
	case jobs.ExpectDaemon:
		return " by forking twice (expect daemon)"
	case jobs.ExpectNotify:
		return " by sending READY=1 (expect notify)"
	}
	return ""
}

func (e *explanation) lastFailure(r *engine.Report) {
	e.say("the last run of " + who(r.Job, r.Last.Instance) + " has failed: " + r.Last.Reason + " (status " + strconv.Itoa(r.Last.Status) + ")")
	e.output(r.Job, r.Last.Instance)
}

func (e *explanation) output(job, instance string) {
	lines := e.s.console.Tail(job, instance, whyLines)
	if len(lines) == 0 {
		return
	}
	e.say("  its last output:")
	for _, l := range lines {
		e.say("    " + printable(l))
	}
}

func printable(l console.Line) string {
	var b []byte
	for _, c := range []byte(l.Text) {
		if c >= ' ' && c != 0x7f || c == '\t' {
			b = append(b, c)
		}
	}
	return string(b)
}

// startOn explains the start condition, term by term.
func (e *explanation) startOn(r *engine.Report) {
	switch class, _ := e.s.m.Class(r.Job); {
	case e.s.masks.masked(r.Job):
		why := "in a container, since it manages a host"
		if e.s.opts.MaskSet {
			why = "since --mask names it"
		}
		e.say("events do not start it " + why + "; " + r.Job + ".override or --mask none changes that")
	case r.Manual:
		e.say("it has no start on: only a command starts it (start " + r.Job + ")")
	default:
		e.say("start on " + class.StartOn.String())
		for i := range r.StartOn {
			e.say("  " + e.term(&r.StartOn[i]))
		}
	}
}

// term says how a term stands and who could make it true.
func (e *explanation) term(t *engine.Term) string {
	text := t.Operator.String() + ": "
	switch {
	case t.True:
		return text + "true, by " + strings.Join(append([]string{t.By.Name}, t.By.Env...), " ")
	case t.Missed:
		return text + "not true; that job is running already, and events are not repeated"
	}
	return text + "not true; " + e.emitters(t)
}

func (e *explanation) emitters(t *engine.Term) string {
	var by []string
	for _, name := range t.Emitters {
		by = append(by, "job "+name)
	}
	if t.Source {
		text := "a source of tend's own"
		if !t.CanFire {
			text += ", but not any more"
		}
		by = append(by, text)
	}
	name := t.Operator.Name
	if e.s.opts.Boot == BootAuto && slices.Contains(event.BootNames(), name) || name == e.s.opts.StartupEvent {
		by = append(by, "tend itself, "+occasion(t.Operator))
	}
	if len(by) == 0 {
		return "nobody is known to emit it (initctl emit " + name + " does)"
	}
	return "emitted by " + strings.Join(by, ", ")
}

// occasion says when tend emits an event of its own.
func occasion(o *event.Operator) string {
	switch o.Name {
	case "control-alt-delete":
		return "on the signal INT"
	case "power-status-changed":
		return "on the signal PWR"
	case "shutdown", "deconfiguring-networking", "unmounted-remote-filesystems":
		return "at shutdown"
	case "runlevel":
		if !o.Matches(event.Event{Name: o.Name, Env: bootRunlevel}, environ.Layers{}) {
			return "at shutdown"
		}
	}
	return "at boot"
}

// ago writes a duration for people, to the second.
func ago(d time.Duration) string {
	switch d = max(0, d); {
	case d < time.Minute:
		return decimal(d, 1) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min " + strconv.Itoa(int(d%time.Minute/time.Second)) + " s"
	}
	return strconv.Itoa(int(d/time.Hour)) + " h " + strconv.Itoa(int(d%time.Hour/time.Minute)) + " min"
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}
