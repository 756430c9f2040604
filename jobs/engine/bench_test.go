package engine_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"

	"tend/jobs"
	"tend/jobs/engine"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// service makes a class with a main process that waits for one event.
func service(name string, startOn *event.Operator) *jobs.Class {
	c := jobs.NewClass(name)
	c.StartOn = startOn
	c.Processes[jobs.Main] = &jobs.Command{Text: "serve"}
	return c
}

func jobName(n int) string { return fmt.Sprintf("job%05d", n) }

// chain has n jobs each of which waits for the one before it; fan has n jobs that
// wait for the same event.
func chain(n int) (classes []*jobs.Class) {
	for i := range n {
		on := &event.Operator{Name: "boot"}
		if i > 0 {
			on = &event.Operator{Name: "started", Args: []event.Arg{{Pattern: jobName(i - 1)}}}
		}
		classes = append(classes, service(jobName(i), on))
	}
	return classes
}

func fan(n int) (classes []*jobs.Class) {
	on := &event.Operator{Name: "boot"}
	for i := range n {
		classes = append(classes, service(jobName(i), on))
	}
	return classes
}

// boot loads and starts everything, as a driver would whose processes come up at
// once. It returns the machine and how many jobs run.
func boot(classes []*jobs.Class) (m *engine.Machine, running int) {
	env := environ.Env{"PATH=/usr/bin:/bin", "TERM=linux", "HOSTNAME=box", "LANG=C.UTF-8"}
	m = engine.New(engine.Options{Env: env})
	m.Quiet(true)
	for _, c := range classes {
		m.Step(0, engine.Load{Class: c})
	}
	pid := 1
	inputs := make([]engine.Input, 0, 1+2*len(classes))
	inputs = append(inputs, engine.Emit{Event: event.Event{Name: "boot"}, NoWait: true})
	for n := 0; n < len(inputs); n++ {
		for _, a := range m.Step(0, inputs[n]) {
			switch a := a.(type) {
			case engine.Spawn:
				pid++
				inputs = append(inputs,
					engine.Spawned{Job: a.Job, Process: a.Process, PID: pid},
					engine.Execed{Job: a.Job, Process: a.Process, PID: pid})
			case *engine.Notice:
				if a.Kind == engine.JobReady {
					running++
				}
			}
		}
		inputs[n] = nil
	}
	return m, running
}

// bootPercent is how the collector is set while the program boots (reaper/self).
const bootPercent = 200

// benchmark boots a hundred to ten thousand jobs. What a job costs grows by a fifth in
// that range, as memory is farther away, and by as much again for the collector: a
// hundred jobs never wake it, and where it may not run beside the machine on a processor
// that is idle its part is greater.
func benchmark(b *testing.B, make func(int) []*jobs.Class) {
	defer debug.SetGCPercent(debug.SetGCPercent(bootPercent))
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			classes := make(n)
			b.ReportAllocs()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				if _, running := boot(classes); running != n {
					b.Fatalf("%d jobs run, want %d", running, n)
				}
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/job")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N)/float64(n), "allocs/job")
		})
	}
}

func BenchmarkChain(b *testing.B) { benchmark(b, chain) }
func BenchmarkFan(b *testing.B)   { benchmark(b, fan) }

// BenchmarkMemory tells how much a running job keeps.
func BenchmarkMemory(b *testing.B) {
	const n = 10_000
	classes := chain(n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var m *engine.Machine
	for b.Loop() {
		m, _ = boot(classes)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/job")
	runtime.KeepAlive(m)
}

// BenchmarkShutdown stops a chain, level by level.
func BenchmarkShutdown(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			classes := chain(n)
			for b.Loop() {
				b.StopTimer()
				m, _ := boot(classes)
				b.StartTimer()
				inputs := []engine.Input{engine.Shutdown{}}
				halted := false
				for i := 0; i < len(inputs); i++ {
					for _, a := range m.Step(0, inputs[i]) {
						switch a := a.(type) {
						case engine.Signal:
							inputs = append(inputs, engine.Exited{PID: a.PID, Sig: a.Sig})
						case engine.Halted:
							halted = true
						}
					}
				}
				if !halted {
					b.Fatal("not halted")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/job")
		})
	}
}
