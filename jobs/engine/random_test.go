package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/jobs/engine"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// TestRandom gives the machine long random sequences of inputs and checks after
// each what must always hold. A failing sequence is cut to the shortest prefix that
// still fails before it is printed.
func TestRandom(t *testing.T) { tryMany(t, 80, 300, func(*chaos) {}) }

// TestRandomOrder is TestRandom with answers that come late and overtake each other, as
// far as those of one process may not.
func TestRandomOrder(t *testing.T) { tryMany(t, 900, 200, (*chaos).disorder) }

// tryMany plays so many sequences of a length, fewer in a short run.
func tryMany(t *testing.T, runs uint64, length int, how func(*chaos)) {
	if testing.Short() {
		runs /= 3
	}
	for seed := uint64(1); seed <= runs; seed++ {
		if err := try(seed, length, how); err != nil {
			shortest := length
			for n := 1; n < length; n++ {
				if e := try(seed, n, how); e != nil {
					shortest, err = n, e
					break
				}
			}
			t.Fatalf("seed %d, %d inputs: %v", seed, shortest, err)
		}
	}
}

// disorder has inputs come at random: what is asked of the machine at once, the answers
// to what it has asked for some time later. Only whether a process has been forked is
// known at once.
func (c *chaos) disorder() {
	forked := func(in engine.Input) bool {
		switch in := in.(type) {
		case engine.Spawned:
			return true
		case engine.SpawnFailed:
			return in.PID == 0
		}
		return false
	}
	c.choose = func() int {
		if c.rand.IntN(3) == 0 && len(c.inputs) < 60 && !slices.ContainsFunc(c.inputs, forked) {
			return slices.IndexFunc(c.inputs, func(in engine.Input) bool { _, _, ok := c.about(in); return !ok })
		}
		for {
			at := c.rand.IntN(len(c.inputs))
			what, last, ok := c.about(c.inputs[at])
			if !ok || !slices.ContainsFunc(c.inputs[:at], func(in engine.Input) bool {
				before, beforeLast, ok := c.about(in)
				return ok && before == what && !(last && beforeLast)
			}) {
				return at
			}
		}
	}
}

// about tells which process an answer is about. Of its answers the last, Execed and
// Exited, may change places.
func (c *chaos) about(in engine.Input) (what slot, last, ok bool) {
	switch in := in.(type) {
	case engine.Spawned:
		return slot{in.Job, in.Process}, false, true
	case engine.Execed:
		return slot{in.Job, in.Process}, true, true
	case engine.SpawnFailed:
		return slot{in.Job, in.Process}, false, true
	case engine.Exited:
		if p := c.live[in.PID]; p != nil {
			return slot{p.job, p.kind}, true, true
		}
	case engine.Swept:
		return slot{in.Job, jobs.NumProcesses}, false, true
	}
	return slot{}, false, false
}

// TestRepeatable plays the same inputs twice and compares the actions.
func TestRepeatable(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		a, b := newChaos(seed), newChaos(seed)
		a.run(200)
		a.finish()
		b.run(200)
		b.finish()
		if got, want := a.trace.String(), b.trace.String(); got != want {
			t.Fatalf("seed %d: the same inputs gave other actions:\n%s", seed, firstDifference(got, want))
		}
	}
}

// FuzzMachine lets the fuzzer look for a sequence.
func FuzzMachine(f *testing.F) {
	f.Add(uint64(1), uint16(100))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16) {
		if err := try(seed, int(n%1000), func(*chaos) {}); err != nil {
			t.Fatal(err)
		}
	})
}

func try(seed uint64, n int, how func(*chaos)) (err error) {
	c := newChaos(seed)
	how(c)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, c.tail())
		}
	}()
	c.run(n)
	if c.choose != nil {
		c.choose = nil
		c.give(engine.Elapsed{})
	}
	c.finish()
	if c.err != nil {
		return fmt.Errorf("%w\n%s", c.err, c.tail())
	}
	return nil
}

// chaos is a world of random programs, with what must hold.
type chaos struct {
	*world
	rand     *rand.Rand
	trace    strings.Builder
	err      error
	requests engine.RequestID
	open     map[engine.RequestID]bool
	present  map[engine.JobID]bool
	told     map[int]int   // of a process: how often its start has been told, and its end
	running  map[slot]int  // by the machine's own account
	asked    map[slot]bool // a Spawn has no answer yet
	down     bool
	fds      map[int]bool
	lastFD   int
}

// slot is the place of a process in a job.
type slot struct {
	job  engine.JobID
	kind jobs.Process
}

var words = []string{"a", "b", "c", "d", "e", "f"}

func newChaos(seed uint64) *chaos {
	r := rand.New(rand.NewPCG(seed, 7))
	c := &chaos{
		rand: r, open: map[engine.RequestID]bool{}, present: map[engine.JobID]bool{}, fds: map[int]bool{},
		told: map[int]int{}, running: map[slot]int{}, asked: map[slot]bool{},
		world: newWorld(engine.Options{
			Env: environ.Env{"PATH=/bin"}, Essential: map[string]bool{"c": true}, Random: r.Float64,
		}),
	}
	c.log = c.check
	c.stepped = func(in engine.Input, out []engine.Action) {
		switch in := in.(type) {
		case engine.Spawned:
			delete(c.asked, slot{in.Job, in.Process})
		case engine.SpawnFailed:
			at := slot{in.Job, in.Process}
			delete(c.asked, at)
			if in.PID != 0 {
				c.told[in.PID] = 2
			}
			if c.running[at] == in.PID {
				delete(c.running, at)
			}
		}
		c.noPhantoms()
		fmt.Fprintf(&c.trace, "%v %T%+v\n", c.now, in, withoutClass(in))
		for _, a := range out {
			if s, ok := a.(engine.Spawn); ok {
				s.Class = nil
				a = s
			}
			if n, ok := a.(*engine.Notice); ok {
				var ev event.Event
				if n.Event != nil {
					ev = *n.Event
				}
				fmt.Fprintf(&c.trace, "    notice %d %s %s %v/%v %s%v %s\n", n.Kind, n.Job, n.Instance, n.Goal, n.State, ev.Name, ev.Env, n.Text)
				continue
			}
			fmt.Fprintf(&c.trace, "    %T%+v\n", a, a)
		}
	}
	for _, name := range words {
		c.load(name)
	}
	return c
}

func withoutClass(in engine.Input) any {
	if l, ok := in.(engine.Load); ok {
		return " " + l.Class.Name
	}
	return in
}

func (c *chaos) tail() string {
	lines := strings.Split(c.trace.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

func (c *chaos) pick(list ...string) string { return list[c.rand.IntN(len(list))] }

func (c *chaos) maybe(stanza string) string {
	if c.rand.IntN(3) == 0 {
		return stanza + "\n"
	}
	return ""
}

func (c *chaos) program() string {
	return c.pick("serve", "serve", "serve", "true", "false", "exit 3", "sleep 1s", "sleep 200ms", "stubborn", "undead",
		"missing", "scarce", "serve leaves", "true leaves-stubborn", "serve leaves-undead", "serve with-child")
}

func (c *chaos) condition() string {
	term := func() string {
		other := c.pick(words...)
		return c.pick("go", "halt", "go X=1", "go $X", "started "+other, "starting "+other, "stopping "+other,
			"stopped "+other, "started JOB="+other, "stopping JOB="+other, "stopped "+other+" RESULT=failed", "runlevel [06]", "go/failed")
	}
	switch c.rand.IntN(4) {
	case 0:
		return term() + " and " + term()
	case 1:
		return term() + " or " + term()
	case 2:
		return "(" + term() + " and " + term() + ") or " + term()
	}
	return term()
}

// load defines a class at random.
func (c *chaos) load(name string) {
	var b strings.Builder
	start, stop := c.condition(), c.condition()
	if c.rand.IntN(8) > 0 {
		b.WriteString("exec " + c.program() + "\n")
	} else {
		// Without a process that takes time a job could go round and round.
		start, stop = "go", "halt"
	}
	for _, hook := range []string{"pre-start", "post-start", "pre-stop", "post-stop"} {
		b.WriteString(c.maybe(hook + " exec " + c.program()))
	}
	b.WriteString("start on " + start + "\n")
	b.WriteString(c.maybe("stop on " + stop))
	b.WriteString(c.maybe("task"))
	b.WriteString(c.maybe("respawn\nrespawn limit 3 5"))
	b.WriteString(c.maybe("respawn delay 1 4"))
	b.WriteString(c.maybe("instance ${X:-0}"))
	b.WriteString(c.maybe("expect " + c.pick("fork", "daemon", "stop", "notify")))
	b.WriteString(c.maybe("kill timeout " + c.pick("0", "1", "5")))
	b.WriteString(c.maybe("start timeout 3"))
	b.WriteString(c.maybe("kill scope group"))
	b.WriteString(c.maybe("essential"))
	b.WriteString(c.maybe("normal exit 3 TERM"))
	class, errs := new(conf.Parser).Parse(name, name+".conf", []byte(b.String()))
	if class == nil {
		panic(errs)
	}
	c.give(engine.Load{Class: class})
}

func (c *chaos) request() engine.RequestID {
	if c.rand.IntN(4) == 0 {
		return 0
	}
	c.requests++
	c.open[c.requests] = true
	return c.requests
}

func (c *chaos) env() environ.Env {
	if c.rand.IntN(2) == 0 {
		return nil
	}
	return environ.Env{c.pick("X=1", "X=2", "Y=1", "X=", "X")}
}

func (c *chaos) job() engine.JobID {
	id, _ := c.m.Lookup(c.pick(words...), c.pick("", "0", "1"))
	return id
}

// somePID is a process that may end, which one that is undead never does.
func (c *chaos) somePID() int {
	pids := make([]int, 0, len(c.live))
	for pid := 100; pid <= c.pid; pid++ {
		if p := c.live[pid]; p != nil && !p.dead && word(p.text) != "undead" {
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		return 0
	}
	return pids[c.rand.IntN(len(pids))]
}

func (c *chaos) run(n int) {
	for range n {
		if c.err != nil {
			return
		}
		c.one()
	}
}

// one gives one random input.
func (c *chaos) one() {
	name := c.pick(words...)
	switch c.rand.IntN(22) {
	case 0, 1, 2:
		c.give(engine.Command{Request: c.request(), Verb: engine.VerbStart, Job: name, Env: c.env(), NoWait: c.rand.IntN(4) == 0, Inside: c.job()})
	case 3, 4:
		c.give(engine.Command{Request: c.request(), Verb: engine.VerbStop, Job: name, Env: c.env(), NoWait: c.rand.IntN(4) == 0, Inside: c.job()})
	case 5:
		c.give(engine.Command{Request: c.request(), Verb: engine.Verb(c.rand.IntN(4)), Job: name, Exact: true, Instance: c.pick("", "0", "1")})
	case 6:
		c.give(engine.Command{Request: c.request(), Verb: engine.VerbRestart, Job: name, Env: c.env()})
	case 7, 8, 9:
		in := engine.Emit{
			Request: c.request(), NoWait: c.rand.IntN(4) == 0, From: c.job(),
			Event: event.Event{Name: c.pick("go", "go", "halt", "runlevel", "go/failed", ""), Env: c.env()},
		}
		if c.rand.IntN(4) == 0 {
			c.lastFD++
			fd := c.lastFD
			c.fds[fd] = true
			in.FDs = []int{fd}
		}
		c.give(in)
	case 10, 11, 12, 13:
		c.endSome()
	case 14, 15:
		c.pass(time.Duration(c.rand.IntN(4000)) * time.Millisecond)
	case 16:
		c.now += time.Duration(c.rand.IntN(20)) * time.Second
		c.give(engine.Elapsed{})
	case 17:
		switch c.rand.IntN(3) {
		case 0:
			c.give(engine.Unload{Name: name})
		default:
			c.load(name)
		}
	case 18:
		if pid := c.somePID(); pid != 0 {
			c.give(engine.Stopped{PID: pid, Sig: syscall.SIGSTOP})
			c.give(engine.Continued{PID: pid})
		}
	case 19:
		c.give(engine.Notified{Job: c.job(), Ready: true})
	case 20:
		// What nobody has asked for, or what comes too late.
		switch c.rand.IntN(5) {
		case 0:
			c.give(engine.Swept{Job: c.job()})
		case 1:
			c.give(engine.Execed{Job: c.job(), PID: 7})
		case 2:
			c.give(engine.Inspected{Job: c.job(), Children: true})
		case 3:
			c.give(engine.Exited{PID: 7})
		case 4:
			c.give(engine.SignalJob{Request: c.request(), Job: name, Signal: syscall.SIGHUP})
		}
	case 21:
		c.give(engine.EnvRequest{Request: c.request(), Verb: engine.EnvVerb(c.rand.IntN(3)), Vars: []string{c.pick("X=3", "Z=1", "PATH")}, Job: c.pick("", name)})
	}
	c.m.List()
	c.m.Why(name)
	c.m.Idle()
	c.m.Missing()
	c.m.StopOrder()
}

// endSome ends a process in some way.
func (c *chaos) endSome() {
	pid := c.somePID()
	if pid == 0 {
		return
	}
	in := engine.Exited{PID: pid}
	switch c.rand.IntN(4) {
	case 0:
		in.Code = c.rand.IntN(5)
	case 1:
		in.Sig = syscall.SIGSEGV
	case 2:
		c.pid++
		in.Heir = c.pid
	}
	c.endWith(in)
}

// finish shuts the machine down and checks that it comes to its end, in time.
func (c *chaos) finish() {
	if c.err != nil {
		return
	}
	timeout := 9 * time.Second
	if c.rand.IntN(4) == 0 {
		timeout = 2 * time.Second
	}
	c.down = true
	end := c.now + timeout
	c.give(engine.Shutdown{Timeout: timeout, Reserve: time.Second, Now: c.rand.IntN(8) == 0})
	for c.err == nil && !c.halted && c.now < end {
		switch c.rand.IntN(6) {
		case 0:
			c.client()
		case 1:
			c.endSome()
		default:
			c.pass(min(end-c.now, time.Duration(c.rand.IntN(1500)+1)*time.Millisecond))
		}
	}
	switch {
	case c.err != nil:
	case !c.halted:
		c.err = fmt.Errorf("no Halted at the deadline")
	case len(c.open) > 0:
		c.err = fmt.Errorf("%d requests have no reply", len(c.open))
	}
}

// TestNothingStaysBlocked takes all classes away after a random sequence and then stops
// all jobs and ends all processes, again and again, as some start each other anew. No
// event is left then that holds an emitter or a descriptor, and no request without its
// answer.
func TestNothingStaysBlocked(t *testing.T) {
	for seed := uint64(1000); seed < 1040; seed++ {
		c := newChaos(seed)
		c.run(200)
		for _, name := range words {
			c.give(engine.Unload{Name: name})
		}
		for range 40 {
			for _, s := range c.m.List() {
				c.give(engine.Command{Verb: engine.VerbStop, Job: s.Job, Exact: true, Instance: s.Instance})
			}
			for pid, last := 100, c.pid; pid <= last; pid++ {
				c.end(pid, 0, 0)
			}
			c.pass(5 * time.Second)
		}
		if c.err != nil || len(c.open) > 0 || len(c.fds) > 0 {
			t.Errorf("seed %d: %v; open requests %v, descriptors %v", seed, c.err, c.open, c.fds)
		}
	}
}

// noPhantoms checks that no job is running whose main process has ended.
func (c *chaos) noPhantoms() {
	for _, s := range c.m.List() {
		id, _ := c.m.Lookup(s.Job, s.Instance)
		_, _, class, ok := c.m.Instance(id)
		if !ok || s.State != jobs.Running || class.Processes[jobs.Main] == nil || c.halted {
			continue
		}
		if len(s.Processes) != 1 || s.Processes[0].Process != jobs.Main {
			c.err = fmt.Errorf("phantom: %v", s)
		}
	}
}

// client gives what clients may still ask during a shutdown.
func (c *chaos) client() {
	c.give(engine.Command{Request: c.request(), Verb: engine.Verb(c.rand.IntN(4)), Job: c.pick(words...)})
	c.give(engine.Emit{Request: c.request(), Event: event.Event{Name: "go"}})
}

// check looks at each action.
func (c *chaos) check(a engine.Action) {
	bad := func(format string, args ...any) {
		if c.err == nil {
			c.err = fmt.Errorf(format, args...)
		}
	}
	ofJob := func(id engine.JobID) {
		if !c.present[id] {
			bad("action on a job that is waiting: %+v", a)
		}
	}
	switch a := a.(type) {
	case engine.InstanceAdded:
		c.present[a.Job] = true
	case engine.InstanceRemoved:
		delete(c.present, a.Job)
	case engine.Spawn:
		ofJob(a.Job)
		at := slot{a.Job, a.Process}
		if c.asked[at] || c.running[at] != 0 {
			bad("%v process of job %d is started again beside %d", a.Process, a.Job, c.running[at])
		}
		c.asked[at] = true
	case *engine.Notice:
		c.account(a, bad)
	case engine.Signal:
		ofJob(a.Job)
		if c.live[a.PID] == nil {
			bad("signal to a process that has ended: %+v", a)
		}
	case engine.Sweep:
		ofJob(a.Job)
	case engine.Inspect:
		ofJob(a.Job)
	case engine.Track:
		ofJob(a.Job)
	case engine.CloseFDs:
		for _, fd := range a.FDs {
			if !c.fds[fd] {
				bad("descriptor %d closed twice", fd)
			}
			delete(c.fds, fd)
		}
	case engine.Reply:
		if !c.open[a.Request] {
			bad("request %d answered twice", a.Request)
		}
		delete(c.open, a.Request)
	case engine.EssentialEnded:
		if c.down {
			bad("essential job ended during the shutdown: %+v", a)
		}
	case engine.Halted:
		if c.halted {
			bad("halted twice")
		}
		// Every process that is there is known.
		stuck := map[int]bool{}
		for _, s := range a.Stuck {
			if stuck[s.PID] || c.live[s.PID] == nil {
				bad("process %d is stuck twice, or not there any more", s.PID)
			}
			stuck[s.PID] = true
		}
		for pid, p := range c.live {
			if !stuck[pid] && !p.dead {
				bad("process %d lives on and nobody knows", pid)
			}
		}
	}
}

// account keeps the books of processes as the notices tell it: each starts once and
// ends once, and a process that has been given up, with a warning, ends untold.
func (c *chaos) account(n *engine.Notice, bad func(format string, args ...any)) {
	at := slot{n.ID, n.Process}
	switch n.Kind {
	case engine.ProcessSpawned:
		if c.told[n.PID] != 0 {
			bad("process %d is told of as new again", n.PID)
		}
		c.told[n.PID], c.running[at] = 1, n.PID
	case engine.ProcessBecame:
		// The old one has ended, which has been told.
		if c.running[at] != 0 || c.told[n.Count] != 2 {
			bad("process %d became %d, but %d is there", n.Count, n.PID, c.running[at])
		}
		c.told[n.PID], c.running[at] = 1, n.PID
	case engine.ProcessExited:
		if c.told[n.PID] != 1 || c.running[at] != n.PID {
			bad("process %d has ended, which was told %d times and is not %d", n.PID, c.told[n.PID], c.running[at])
		}
		c.told[n.PID] = 2
		delete(c.running, at)
	case engine.Warning:
		for kind := range jobs.Process(jobs.NumProcesses) {
			at := slot{n.ID, kind}
			if pid := c.running[at]; pid != 0 && strings.HasPrefix(n.Text, fmt.Sprintf("%v process (%d) does not end", kind, pid)) {
				delete(c.running, at)
			}
		}
	}
}
