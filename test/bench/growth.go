package main

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/jobs/engine"
	"tend/jobs/event"
)

// grown is what a number of jobs costs the parser and the machine, per job. Processes
// are not started: whoever asks for one is told that it runs.
type grown struct {
	jobs   int
	parse  time.Duration
	boot   time.Duration // from the startup event until all are running
	list   time.Duration
	memory float64 // bytes of the heap, after boot
	allocs float64 // of boot, per step
}

// grow measures n jobs that start at startup.
func grow(n int) (grown, error) {
	g := grown{jobs: n}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := engine.New(engine.Options{})
	m.Quiet(true)
	var parsing time.Duration
	for _, s := range newServices(n, "pause") {
		src := []byte(job("startup", "")(s))
		began := time.Now()
		class, err := conf.Parse(s.name(), s.name()+".conf", src)
		parsing += time.Since(began)
		if err != nil {
			return g, err
		}
		m.Step(0, engine.Load{Class: class})
	}
	g.parse = parsing / time.Duration(n)

	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	began := time.Now()
	steps := run(m, engine.Emit{Event: event.Event{Name: "startup"}})
	g.boot = time.Since(began) / time.Duration(n)
	runtime.ReadMemStats(&end)
	g.allocs = float64(end.Mallocs-start.Mallocs) / float64(steps)

	began = time.Now()
	list := m.List()
	g.list = time.Since(began) / time.Duration(n)
	for _, s := range list {
		if s.State != jobs.Running {
			return g, fmt.Errorf("%s is %v after boot, not running", s.Job, s.State)
		}
	}
	if len(list) != n {
		return g, fmt.Errorf("%d jobs are listed, not %d", len(list), n)
	}
	clear(list)
	runtime.GC()
	runtime.ReadMemStats(&after)
	g.memory = float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
	runtime.KeepAlive(m)
	return g, nil
}

// run steps the machine until it asks for nothing more, and returns the number of
// steps.
func run(m *engine.Machine, in engine.Input) int {
	queue := []engine.Input{in}
	pid := 1
	for i := 0; i < len(queue); i++ {
		for _, a := range m.Step(0, queue[i]) {
			if spawn, ok := a.(engine.Spawn); ok {
				pid++
				queue = append(queue,
					engine.Spawned{Job: spawn.Job, Process: spawn.Process, PID: pid},
					engine.Execed{Job: spawn.Job, Process: spawn.Process})
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

// growth measures all sizes, which takes some seconds. In a round each size gets as
// many jobs in all, so that the collector has as much to do for each.
func growth() ([]grown, error) {
	out := make([]grown, len(growthSizes))
	most := growthSizes[len(growthSizes)-1]
	for round := range growthRounds {
		for i, n := range growthSizes {
			var sum grown
			for range most / n {
				g, err := grow(n)
				if err != nil {
					return nil, err
				}
				sum.add(g)
			}
			sum.divide(most / n)
			sum.jobs = n
			if round > 0 {
				sum.least(out[i])
			}
			out[i] = sum
		}
	}
	return out, nil
}

func (g *grown) add(o grown) {
	g.parse += o.parse
	g.boot += o.boot
	g.list += o.list
	g.memory += o.memory
	g.allocs += o.allocs
}

func (g *grown) divide(by int) {
	g.parse /= time.Duration(by)
	g.boot /= time.Duration(by)
	g.list /= time.Duration(by)
	g.memory /= float64(by)
	g.allocs /= float64(by)
}

func (g *grown) least(o grown) {
	g.parse, g.boot, g.list = min(g.parse, o.parse), min(g.boot, o.boot), min(g.list, o.list)
	g.memory, g.allocs = min(g.memory, o.memory), min(g.allocs, o.allocs)
}

func printGrowth(w io.Writer, all []grown) {
	fmt.Fprintf(w, "\n## Growth\n\nCost per job in the parser and in the machine, with processes that are only pretended; the least of %d rounds.\n\n", growthRounds)
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
					g.write("jobs/"+s.name()+".conf", job("never", "")(s), 0o644)
				}
				return argv
			}
			l, err := b.start(&q, newServices(1, "pause"), false)
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
