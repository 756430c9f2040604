package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/jobs/engine"
	"tend/jobs/event"
)

// grown is what a job costs the parser and the machine, where there are so many of
// them. Processes are not started: whoever asks for one is told that it runs.
type grown struct {
	jobs   int
	parse  time.Duration
	boot   time.Duration // from the startup event until all are running
	list   time.Duration
	memory float64 // bytes of the heap, after boot
	allocs float64 // of boot, per step
}

// grow measures machines of n jobs each that start at startup, as many machines as make
// total jobs. All are kept: so each size goes through as much memory, and what the
// caches of the processor do is the same for each.
func grow(n, total int) (g grown, err error) {
	g.jobs = n
	services := newServices(n, "pause")
	sources := make([][]byte, n)
	for i, s := range services {
		sources[i] = []byte((&genesis{}).job(s, ""))
	}
	machines := make([]*engine.Machine, total/n)
	classes := make([]*jobs.Class, total)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)

	began := threadTime()
	for i := range classes {
		s := services[i%n]
		if classes[i], err = conf.Parse(s.name(), s.name()+".conf", sources[i%n]); err != nil {
			return g, err
		}
	}
	g.parse = (threadTime() - began) / time.Duration(total)

	for i := range machines {
		machines[i] = engine.New(engine.Options{})
		machines[i].Quiet(true)
		for _, class := range classes[i*n : (i+1)*n] {
			machines[i].Step(0, engine.Load{Class: class})
		}
	}
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	began = threadTime()
	steps := bootAll(machines, total)
	g.boot = (threadTime() - began) / time.Duration(total)
	runtime.ReadMemStats(&end)
	g.allocs = float64(end.Mallocs-start.Mallocs) / float64(steps)

	for _, m := range machines {
		began = threadTime()
		list := m.List()
		g.list += threadTime() - began
		if len(list) != n {
			return g, fmt.Errorf("%d jobs are listed, not %d", len(list), n)
		}
		for _, s := range list {
			if s.State != jobs.Running {
				return g, fmt.Errorf("%s is %v after boot, not running", s.Job, s.State)
			}
		}
	}
	g.list /= time.Duration(total)
	runtime.GC()
	runtime.ReadMemStats(&after)
	g.memory = float64(after.HeapAlloc-before.HeapAlloc) / float64(total)
	runtime.KeepAlive(machines)
	return g, nil
}

// threadTime is what this thread has had of the processor: what others do does not count.
func threadTime() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}

// bootAll starts the jobs of all machines and steps these in turn until none asks for
// anything more. It returns the number of steps.
func bootAll(machines []*engine.Machine, jobs int) int {
	type step struct {
		m  *engine.Machine
		in engine.Input
	}
	queue := make([]step, 0, len(machines)+2*jobs)
	for _, m := range machines {
		queue = append(queue, step{m, engine.Emit{Event: event.Event{Name: "startup"}}})
	}
	pid := 1
	for i := 0; i < len(queue); i++ {
		m := queue[i].m
		for _, a := range m.Step(0, queue[i].in) {
			if spawn, ok := a.(engine.Spawn); ok {
				pid++
				queue = append(queue,
					step{m, engine.Spawned{Job: spawn.Job, Process: spawn.Process, PID: pid}},
					step{m, engine.Execed{Job: spawn.Job, Process: spawn.Process}})
			}
		}
	}
	return len(queue)
}

// growthSizes are the numbers of jobs whose cost is compared.
var growthSizes = []int{100, 1000, 10000}

// growthRounds is how often each is measured; the least of each value counts, as what
// disturbs only adds.
const growthRounds = 5

// growth measures all sizes, which takes some seconds. The garbage collector waits
// until a measurement is over.
func growth() ([]grown, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	out := make([]grown, len(growthSizes))
	for round := range growthRounds {
		for i, n := range growthSizes {
			g, err := grow(n, growthSizes[len(growthSizes)-1])
			if err != nil {
				return nil, err
			}
			if round > 0 {
				g.least(out[i])
			}
			out[i] = g
		}
	}
	return out, nil
}

func (g *grown) least(o grown) {
	g.parse, g.boot, g.list = min(g.parse, o.parse), min(g.boot, o.boot), min(g.list, o.list)
	g.memory, g.allocs = min(g.memory, o.memory), min(g.allocs, o.allocs)
}

func printGrowth(w io.Writer, all []grown) {
	fmt.Fprintf(w, "\n### Growth\n\nCost per job in the parser and in the machine, with processes that are only pretended; the least of %d rounds.\n\n", growthRounds)
	fmt.Fprintf(w, "| jobs | parse µs | boot µs | list ns | heap bytes | allocations per step |\n|---:|---:|---:|---:|---:|---:|\n")
	for _, g := range all {
		fmt.Fprintf(w, "| %d | %.2f | %.2f | %.0f | %.0f | %.2f |\n", g.jobs,
			float64(g.parse)/1e3, float64(g.boot)/1e3, float64(g.list), g.memory, g.allocs)
	}
}

// loadedFigure measures PID 1 with n jobs of which one runs.
func loadedFigure(n int) *figure {
	return &figure{
		name: "loaded", title: fmt.Sprintf("%d jobs loaded, one of them running", n), rounds: 1,
		note:    "from the exec of PID 1 to the exec of that one; memory: proportional set size, two seconds later",
		columns: []column{{"boot", "boot ms", median}, {"memory", "memory kB", median}},
		takes:   func(p *peer) bool { return p.name == "tend" },
		measure: func(b *bench, p *peer, s *samples) error {
			q := *p
			q.generate = func(g *genesis) []string {
				argv := p.generate(g)
				for _, s := range newServices(n, "pause")[1:] {
					g.write("jobs/"+s.name()+".conf", strings.Replace(g.job(s, ""), "startup", "never", 1), 0o644)
				}
				return argv
			}
			l, err := b.start(&q, newServices(1, "pause"), plain)
			if err != nil {
				return err
			}
			defer l.end()
			boot, err := l.boot()
			if err != nil {
				return err
			}
			s.add("boot", milliseconds(boot))
			l.until(2*time.Second, func() bool { return false })
			s.add("memory", float64(pss(l.pid)))
			return nil
		},
	}
}
