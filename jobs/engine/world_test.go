package engine_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tend/jobs"
	"tend/jobs/engine"
)

// world stands for the kernel and the driver: it carries out the actions of a
// machine with programs that are known by their first word.
//
//	true, false, exit N   end at once
//	sleep D               ends with 0 after D
//	missing               cannot be executed
//	scarce                is still in its set-up; when it ends that has failed for want
//	                      of something, and the next try goes well
//	stubborn              ends by KILL only
//	undead                does not even end by KILL
//	anything else         runs until it gets a signal
//
// A word leaves, leaves-stubborn or leaves-undead anywhere in the command makes the
// process leave another one behind that ends by TERM, by KILL, or not at all.
type world struct {
	m       *engine.Machine
	now     time.Duration
	pid     int
	live    map[int]*process
	left    map[engine.JobID][]string // what processes have left behind
	inputs  []engine.Input            // to come, in order
	manual  bool                      // Spawn is not answered by itself
	flying  []engine.Spawn            // not answered yet
	asking  map[engine.JobID]bool     // a Sweep waits for the last
	choose  func() int                // which of inputs is next, -1: they come later
	log     func(engine.Action)
	halted  bool
	busy    int // processes started at this moment
	stepped func(in engine.Input, out []engine.Action)
}

// Jobs that start and stop each other without end must let time pass at last: after so
// many processes at one moment each takes a breath.
const (
	mostAtOnce = 100
	breath     = 100 * time.Millisecond
)

type process struct {
	job  engine.JobID
	kind jobs.Process
	text string
	ends time.Duration // 0: not by itself
	dead bool          // its Exited is on the way
	dies bool          // before its exec
	sig  syscall.Signal
}

func newWorld(o engine.Options) *world {
	return &world{
		m: engine.New(o), pid: 100, live: map[int]*process{},
		left: map[engine.JobID][]string{}, asking: map[engine.JobID]bool{},
	}
}

// give hands in an input and all that follows from it without the passing of time.
func (w *world) give(in engine.Input) {
	w.inputs = append(w.inputs, in)
	w.busy = 0
	for steps := 0; len(w.inputs) > 0; steps++ {
		if steps > 20_000 {
			panic("the jobs find no rest")
		}
		at := 0
		if w.choose != nil {
			if at = w.choose(); at < 0 {
				return
			}
		}
		next := w.inputs[at]
		w.inputs = slices.Delete(w.inputs, at, at+1)
		switch in := next.(type) {
		case engine.Exited:
			delete(w.live, in.PID)
		case engine.SpawnFailed:
			delete(w.live, in.PID)
		}
		out := w.m.Step(w.now, next)
		if w.stepped != nil {
			w.stepped(next, out)
		}
		for _, a := range out {
			if w.log != nil {
				w.log(a)
			}
			w.carryOut(a)
		}
	}
}

// pass lets time pass, and all that falls into it happen.
func (w *world) pass(d time.Duration) {
	end := w.now + d
	for {
		at := end
		if t, ok := w.m.Deadline(); ok && t < at {
			at = max(t, w.now)
		}
		var ending *process
		pid := 0
		for _, p := range slices.Sorted(keys(w.live)) {
			if e := w.live[p].ends; e != 0 && !w.live[p].dead && (e < at || e == at && ending == nil) {
				at, ending, pid = e, w.live[p], p
			}
		}
		w.now = at
		switch {
		case ending != nil:
			w.end(pid, 0, ending.sig)
		case at == end:
			w.give(engine.Elapsed{})
			if t, ok := w.m.Deadline(); !ok || t > end {
				return
			}
		default:
			w.give(engine.Elapsed{})
		}
	}
}

func keys[V any](m map[int]V) func(func(int) bool) {
	return func(yield func(int) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// end ends a process and tells the machine.
func (w *world) end(pid, code int, sig syscall.Signal) {
	w.endWith(engine.Exited{PID: pid, Code: code, Sig: sig})
}

func (w *world) endWith(in engine.Exited) {
	p := w.live[in.PID]
	if p == nil || p.dead {
		return
	}
	w.give(w.endOf(p, in))
}

// endOf makes what the machine is told of the end of p.
func (w *world) endOf(p *process, in engine.Exited) engine.Input {
	p.dead = true
	if p.dies {
		return engine.SpawnFailed{Job: p.job, Process: p.kind, PID: in.PID, Again: true, Err: "cannot fork", Status: 1}
	}
	w.leave(p)
	in.Left = in.Left || len(w.left[p.job]) > 0
	return in
}

// leave notes what a process leaves behind.
func (w *world) leave(p *process) {
	for _, word := range strings.Fields(p.text) {
		if kind, ok := strings.CutPrefix(word, "leaves"); ok {
			w.left[p.job] = append(w.left[p.job], strings.TrimPrefix(kind, "-"))
		}
	}
}

func (w *world) carryOut(a engine.Action) {
	switch a := a.(type) {
	case engine.Spawn:
		if w.manual {
			w.flying = append(w.flying, a)
		} else {
			w.launch(a)
		}
	case engine.Signal:
		p := w.live[a.PID]
		if p == nil {
			panic(fmt.Sprintf("signal to a process that is not there: %+v", a))
		}
		if a.Deep {
			w.kill(a.Job, a.Sig)
		}
		switch {
		case p.dead || !deadly(word(p.text), a.Sig):
		case w.busy > mostAtOnce:
			p.ends, p.sig = w.now+breath, a.Sig
		default:
			w.inputs = append(w.inputs, w.endOf(p, engine.Exited{PID: a.PID, Sig: a.Sig}))
		}
	case engine.Sweep:
		w.kill(a.Job, a.Sig)
		left := len(w.left[a.Job]) > 0
		w.asking[a.Job] = left
		w.inputs = append(w.inputs, engine.Swept{Job: a.Job, Left: left})
	case engine.Inspect:
		if p := w.live[a.PID]; p != nil {
			w.inputs = append(w.inputs, engine.Inspected{Job: a.Job, Children: strings.Contains(p.text, "with-child")})
		}
	case engine.Track:
		if w.live[a.PID] == nil {
			w.live[a.PID] = &process{job: a.Job, text: "serve"}
		}
	case engine.Halted:
		w.halted = true
	}
}

func word(text string) string {
	first, _, _ := strings.Cut(text, " ")
	return first
}

func deadly(kind string, sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGCONT, syscall.SIGHUP, 0:
		return false
	case syscall.SIGKILL:
		return kind != "undead"
	}
	return kind != "stubborn" && kind != "undead"
}

// kill signals what a job has left behind.
func (w *world) kill(job engine.JobID, sig syscall.Signal) {
	w.left[job] = slices.DeleteFunc(w.left[job], func(kind string) bool { return deadly(kind, sig) })
	if w.asking[job] && len(w.left[job]) == 0 {
		w.asking[job] = false
		w.inputs = append(w.inputs, engine.Swept{Job: job})
	}
}

// launch answers a Spawn.
func (w *world) launch(a engine.Spawn) {
	text := a.Class.Processes[a.Process].Text
	if w.busy++; w.busy > mostAtOnce {
		text = "sleep " + breath.String()
	}
	if word(text) == "missing" {
		w.inputs = append(w.inputs, engine.SpawnFailed{
			Job: a.Job, Process: a.Process, Err: "unable to execute: no such file or directory", Status: 127,
		})
		return
	}
	w.pid++
	pid := w.pid
	p := &process{job: a.Job, kind: a.Process, text: text}
	w.live[pid] = p
	w.inputs = append(w.inputs, engine.Spawned{Job: a.Job, Process: a.Process, PID: pid})
	if word(text) == "scarce" && !a.Again {
		p.dies, p.ends = true, w.now+50*time.Millisecond
		return
	}
	w.inputs = append(w.inputs,
		engine.Execed{Job: a.Job, Process: a.Process, PID: pid})
	code, ended := 0, true
	args := strings.Fields(text)
	switch args[0] {
	case "true":
	case "false":
		code = 1
	case "exit":
		code, _ = strconv.Atoi(args[1])
	case "sleep":
		d, err := time.ParseDuration(args[1])
		if err != nil {
			panic(err)
		}
		p.ends, ended = w.now+d, false
	default:
		ended = false
	}
	if ended {
		w.inputs = append(w.inputs, w.endOf(p, engine.Exited{PID: pid, Code: code}))
	}
}

// pidOf finds a live process of a job by kind.
func (w *world) pidOf(job engine.JobID, kind jobs.Process) int {
	var found []int
	for pid, p := range w.live {
		if p.job == job && p.kind == kind && !p.dead {
			found = append(found, pid)
		}
	}
	if len(found) == 0 {
		return 0
	}
	return slices.MaxFunc(found, cmp.Compare[int])
}
