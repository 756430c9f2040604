package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/jobs"
	"tend/jobs/engine"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// tally is a source of events named tick.
type tally struct {
	log  []string
	over bool
}

func (s *tally) Claims(name string) bool { return name == "tick" }
func (s *tally) Watch(class string, t *event.Operator) {
	s.log = append(s.log, "watch "+class+" "+t.String())
}
func (s *tally) Unwatch(class string, t *event.Operator) {
	s.log = append(s.log, "unwatch "+class+" "+t.String())
}
func (s *tally) CanFire(*event.Operator) bool { return !s.over }

func tick(every string) *event.Operator {
	return &event.Operator{Name: "tick", Args: []event.Arg{{Key: "EVERY", Pattern: every, Raw: "EVERY=" + every}}}
}

func TestSourceIsToldOfClasses(t *testing.T) {
	m := engine.New(engine.Options{})
	m.Step(0, engine.Load{Class: service("early", tick("1"))})
	s := &tally{}
	m.AddSource(s)
	m.Step(0, engine.Load{Class: service("late", tick("2"))})
	m.Step(0, engine.Load{Class: service("other", &event.Operator{Name: "boot"})})
	m.Step(0, engine.Load{Class: service("late", tick("3"))})
	m.Step(0, engine.Unload{Name: "early"})
	got := strings.Join(s.log, "; ")
	want := "watch early tick EVERY=1; watch late tick EVERY=2; unwatch late tick EVERY=2; watch late tick EVERY=3; unwatch early tick EVERY=1"
	if got != want {
		t.Errorf("the source was told\n%s\nwant\n%s", got, want)
	}
}

func TestSourceKeepsAlive(t *testing.T) {
	m := engine.New(engine.Options{})
	s := &tally{}
	m.AddSource(s)
	m.Step(0, engine.Load{Class: service("cron", tick("1"))})
	if m.Idle() {
		t.Error("idle while the source can still fire")
	}
	if r := m.Why("cron"); !r.StartOn[0].Source || !r.StartOn[0].CanFire {
		t.Errorf("Why(cron).StartOn[0] = %+v, want a source that can fire", r.StartOn[0])
	}
	s.over = true
	if !m.Idle() {
		t.Error("not idle though the source cannot fire any more")
	}
}

// TestIdleWeighsTheWholeCondition: a source that can fire keeps nothing alive as long
// as the rest of the condition cannot come true.
func TestIdleWeighsTheWholeCondition(t *testing.T) {
	and := func(a, b *event.Operator) *event.Operator { return &event.Operator{Kind: event.And, Left: a, Right: b} }
	boot := &event.Operator{Name: "boot"}
	m := engine.New(engine.Options{})
	m.AddSource(&tally{})
	m.Step(0, engine.Load{Class: service("web", and(boot, tick("1")))})
	if !m.Idle() {
		t.Error("not idle though boot does not come by itself")
	}
	m.Step(0, engine.Emit{Event: event.Event{Name: "boot"}, NoWait: true})
	if m.Idle() {
		t.Error("idle although only the source is waited for")
	}
	m.Step(0, engine.Load{Class: service("other", &event.Operator{Kind: event.Or, Left: &event.Operator{Name: "x"}, Right: tick("2")})})
	m.Step(0, engine.Unload{Name: "web"})
	if m.Idle() {
		t.Error("idle although the source makes one branch true")
	}
}

// TestEventsReachClassesByName loads classes in another order than that of their
// names, with terms that lie in different parts of the index.
func TestEventsReachClassesByName(t *testing.T) {
	m := engine.New(engine.Options{})
	terms := map[string]*event.Operator{
		"d": {Name: "go"},
		"b": {Name: "go", Args: []event.Arg{{Pattern: "1"}}},
		"c": {Name: "go", Args: []event.Arg{{Key: "X", Pattern: "1"}}},
		"a": {Name: "go", Args: []event.Arg{{Key: "X", Pattern: "?"}}},
		"e": {Name: "go", Args: []event.Arg{{Key: "X", Pattern: "2", Negate: true}}},
		"f": {Name: "go", Args: []event.Arg{{Pattern: "2"}}},
		"g": {
			Kind: event.Or, Left: &event.Operator{Name: "go"},
			Right: &event.Operator{Name: "go", Args: []event.Arg{{Pattern: "1"}}},
		},
	}
	for _, name := range []string{"d", "g", "b", "f", "e", "a", "c"} {
		m.Step(0, engine.Load{Class: service(name, terms[name])})
	}
	var started []string
	for _, a := range m.Step(0, engine.Emit{Event: event.Event{Name: "go", Env: environ.Env{"X=1"}}}) {
		if a, ok := a.(engine.InstanceAdded); ok {
			started = append(started, a.Name)
		}
	}
	if want := []string{"a", "b", "c", "d", "e", "g"}; !slices.Equal(started, want) {
		t.Errorf("started %v, want %v", started, want)
	}
}

// TestEventsWithoutEnd has a job without a process that starts itself whenever it has
// stopped: a Step does not take for ever, and the machine asks for the next one.
func TestEventsWithoutEnd(t *testing.T) {
	m := engine.New(engine.Options{})
	m.Quiet(true)
	c := jobs.NewClass("echo")
	c.StartOn = &event.Operator{
		Kind: event.Or, Left: &event.Operator{Name: "go"},
		Right: &event.Operator{Name: "stopped", Args: []event.Arg{{Pattern: "echo"}}},
	}
	c.StopOn = &event.Operator{Name: "started", Args: []event.Arg{{Pattern: "echo"}}}
	m.Step(0, engine.Load{Class: c})
	m.Step(0, engine.Emit{Event: event.Event{Name: "go"}, NoWait: true})
	if at, ok := m.Deadline(); !ok || at != 0 {
		t.Errorf("Deadline() = %v, %v, want now", at, ok)
	}
	// It still hears of other things.
	out := m.Step(time.Second, engine.Shutdown{Timeout: time.Second})
	for n := time.Duration(0); n < 20 && !halted(out); n++ {
		out = m.Step(time.Second+n*time.Second/10, engine.Elapsed{})
	}
	if !halted(out) {
		t.Error("no Halted by the deadline")
	}
}

func halted(out []engine.Action) bool {
	return slices.ContainsFunc(out, func(a engine.Action) bool { _, ok := a.(engine.Halted); return ok })
}

// TestShutdownSignalsAllByHalf has chains of all lengths whose jobs ignore their kill
// signal: each has it by half of the total, whatever its place in the order.
func TestShutdownSignalsAllByHalf(t *testing.T) {
	for n := 1; n <= 12; n++ {
		m, _ := boot(chain(n))
		const total, reserve = 9 * time.Second, time.Second
		signalled := map[engine.JobID]time.Duration{}
		killed := map[engine.JobID]time.Duration{}
		over := time.Duration(-1)
		now := time.Duration(0)
		out := m.Step(now, engine.Shutdown{Timeout: total, Reserve: reserve})
		for {
			for _, a := range out {
				switch a := a.(type) {
				case engine.Signal:
					if _, ok := signalled[a.Job]; !ok {
						signalled[a.Job] = now
					}
					if _, ok := killed[a.Job]; a.Deep && !ok {
						killed[a.Job] = now
					}
				case engine.Halted:
					over = now
				}
			}
			at, ok := m.Deadline()
			if over >= 0 || !ok {
				break
			}
			now = at
			out = m.Step(now, engine.Elapsed{})
		}
		for id := engine.JobID(1); id <= engine.JobID(n); id++ {
			if at, ok := signalled[id]; !ok || at > total/2 {
				t.Errorf("chain of %d: job %d is signalled at %v (%v), want by %v", n, id, at, ok, total/2)
			}
			if at, ok := killed[id]; !ok || at > total-reserve {
				t.Errorf("chain of %d: job %d is killed at %v (%v), want by %v", n, id, at, ok, total-reserve)
			}
		}
		if over < 0 || over > total {
			t.Errorf("chain of %d: over at %v, want by %v", n, over, total)
		}
	}
}

// TestLookAtFewConditions counts the allocations of an event that concerns one of
// many jobs on the same event name: they do not grow with the number of jobs.
func TestLookAtFewConditions(t *testing.T) {
	cost := func(n int) float64 {
		m, _ := boot(chain(n))
		ev := event.Event{Name: "started", Env: environ.Env{"JOB=" + jobName(n/2), "INSTANCE="}}
		return testing.AllocsPerRun(100, func() { m.Step(0, engine.Emit{Event: ev}) })
	}
	if few, many := cost(10), cost(5000); many > few+1 {
		t.Errorf("an event costs %v allocations among 5000 jobs, %v among 10", many, few)
	}
}

func TestQuiet(t *testing.T) {
	m := engine.New(engine.Options{})
	m.Quiet(true)
	m.Step(0, engine.Load{Class: service("web", nil)})
	var told []string
	step := func(now time.Duration, in engine.Input) (id engine.JobID) {
		for _, a := range m.Step(now, in) {
			switch a := a.(type) {
			case *engine.Notice:
				told = append(told, fmt.Sprint(a.Kind, " ", a.Sig))
			case engine.Spawn:
				id = a.Job
			}
		}
		return id
	}
	id := step(0, engine.Command{Job: "web"})
	step(0, engine.Spawned{Job: id, Process: jobs.Main, PID: 12})
	step(0, engine.Execed{Job: id, Process: jobs.Main, PID: 12})
	step(0, engine.Command{Job: "web", Verb: engine.VerbStop})
	step(time.Hour, engine.Elapsed{}) // sends KILL
	step(time.Hour, engine.Exited{PID: 12, Sig: syscall.SIGKILL})
	want := []string{
		fmt.Sprint(engine.JobReady, " ", syscall.Signal(0)),
		fmt.Sprint(engine.SignalSent, " ", syscall.SIGKILL),
		fmt.Sprint(engine.ProcessExited, " ", syscall.SIGKILL),
		fmt.Sprint(engine.JobEnded, " ", syscall.Signal(0)),
	}
	if !slices.Equal(told, want) {
		t.Errorf("notices %q, want %q", told, want)
	}
}

// Of many jobs that may stop side by side each Step stops some, and no time passes until
// all have their signal, also where some end in between.
func TestManyAreStoppedInTurns(t *testing.T) {
	const n = 100
	m, _ := boot(fan(n))
	signalled := map[int]bool{}
	steps, halted := 0, false
	step := func(in engine.Input) (pids []int) {
		steps++
		for _, a := range m.Step(time.Second, in) {
			switch a := a.(type) {
			case engine.Signal:
				if signalled[a.PID] {
					t.Errorf("%d is signalled twice", a.PID)
				}
				signalled[a.PID] = true
				pids = append(pids, a.PID)
			case engine.Halted:
				halted = true
			}
		}
		return pids
	}
	pids := step(engine.Shutdown{Timeout: 9 * time.Second, Reserve: time.Second})
	if len(pids) == 0 || len(pids) == n {
		t.Errorf("the first step signals %d of %d", len(pids), n)
	}
	for m.Hurries() && steps < n {
		if at, ok := m.Deadline(); !ok || at != time.Second {
			t.Fatalf("Deadline() = %v, %v in between, want now", at, ok)
		}
		pids = append(pids[1:], step(engine.Exited{PID: pids[0]})...)
		pids = append(pids, step(engine.Elapsed{})...)
	}
	if len(signalled) != n {
		t.Errorf("%d of %d are signalled after %d steps", len(signalled), n, steps)
	}
	if at, ok := m.Deadline(); !ok || at <= time.Second {
		t.Errorf("Deadline() = %v, %v, want a time to come", at, ok)
	}
	for _, pid := range pids {
		step(engine.Exited{PID: pid})
	}
	if !halted {
		t.Error("not halted when all have ended")
	}
}

func TestStatusOfAClassWithoutInstances(t *testing.T) {
	m := engine.New(engine.Options{})
	m.Step(0, engine.Load{Class: service("web", nil)})
	s, ok := m.Status("web", "x")
	if got, want := fmt.Sprint(s, ok), "web stop/waiting false"; got != want {
		t.Errorf("Status = %s, want %s", got, want)
	}
}
