package engine

import (
	"syscall"
	"time"

	"tend/jobs"
)

const (
	// expectTimeout is when a main process that has shown nothing of what its job
	// expects is taken as it is.
	expectTimeout = 90 * time.Second
	// expectSettle is how long a process that has had a child may live on before it
	// is taken for main, and how long after its first hand-over a daemon may take for
	// the second.
	expectSettle = 2 * time.Second
	probeFirst   = 50 * time.Millisecond
	probeLast    = time.Second
)

// probe is what is known of a main process that is to fork.
type probe struct {
	begun    time.Duration // exec
	child    time.Duration // a child was first seen
	interval time.Duration
	seen     bool
}

// expect begins to wait for the sign that main is ready, which has just reached its
// exec. Nothing is traced: a parent that exits leaves its child to us, and which
// child that is comes with its Exited.
func (m *Machine) expect(j *job) {
	j.probe = probe{begun: m.now, interval: probeFirst}
	switch j.def.Expect {
	case jobs.ExpectNone:
		m.advance(j)
	case jobs.ExpectStop:
		m.timers.set(&j.work, m.now, expectTimeout)
	case jobs.ExpectFork, jobs.ExpectDaemon:
		m.timers.set(&j.work, m.now, probeFirst)
	case jobs.ExpectNotify:
		// The start timeout is its limit.
	}
}

// follow makes the heir of a main process that has ended with 0 the new one, where
// that is how the job's program becomes a daemon.
func (m *Machine) follow(j *job, in Exited) bool {
	if in.Heir == 0 || in.Code != 0 || in.Sig != 0 || j.def.Expect != jobs.ExpectFork && j.def.Expect != jobs.ExpectDaemon {
		return false
	}
	switch j.state {
	case jobs.Spawned, jobs.PostStart, jobs.Running, jobs.PreStop:
	default:
		return false
	}
	j.execed = true
	m.become(j, in.Heir)
	switch {
	case j.state != jobs.Spawned:
		if j.def.Expect == jobs.ExpectFork {
			m.advise(j, "main has forked twice: \"expect daemon\" fits")
		}
	case j.def.Expect == jobs.ExpectFork || j.handed || in.Grandchild:
		m.advance(j)
	default:
		j.handed = true
		m.timers.set(&j.work, m.now, expectSettle)
	}
	return true
}

// probeExpect looks at a job in spawned whose timer has run out.
func (m *Machine) probeExpect(j *job) {
	p := &j.probe
	switch {
	case j.def.Expect == jobs.ExpectStop:
		m.advise(j, "main has not stopped itself within "+seconds(expectTimeout)+": \"expect none\" fits")
	case j.handed:
		m.advise(j, "main has forked only once: \"expect fork\" fits")
	case p.seen && m.now-p.child >= expectSettle:
		m.advise(j, "main has had a child and lives on: \"expect none\" fits")
	case m.now-p.begun >= expectTimeout:
		m.advise(j, "main has not forked within "+seconds(expectTimeout)+": \"expect none\" fits")
	default:
		m.do(Inspect{Job: j.id, PID: j.pids[jobs.Main]})
		wait := min(p.interval, p.begun+expectTimeout-m.now)
		if p.seen {
			wait = p.child + expectSettle - m.now
		}
		p.interval = min(2*p.interval, probeLast)
		m.timers.set(&j.work, m.now, wait)
		return
	}
	m.advance(j)
}

// advise names the right value of expect, once a class.
func (m *Machine) advise(j *job, text string) {
	if !j.class.warned {
		j.class.warned = true
		m.warn(j, text)
	}
}

func (m *Machine) inspected(in Inspected) {
	j := m.jobs[in.Job]
	if j == nil || j.state != jobs.Spawned || j.handed || j.probe.seen || !in.Children {
		return
	}
	j.probe.seen, j.probe.child = true, m.now
	m.timers.set(&j.work, m.now, expectSettle)
}

func (m *Machine) notified(in Notified) {
	j := m.jobs[in.Job]
	if j == nil || j.pids[jobs.Main] == 0 || j.def.Expect != jobs.ExpectNotify {
		return
	}
	if in.MainPID != 0 && in.MainPID != j.pids[jobs.Main] && m.pids[in.MainPID] == (tracked{}) {
		m.become(j, in.MainPID)
	}
	if in.Ready && j.state == jobs.Spawned {
		m.advance(j)
	}
}

// sendToMain sends a signal to main alone, as Upstart's reload does.
func (m *Machine) sendToMain(j *job, sig syscall.Signal) {
	pid := j.pids[jobs.Main]
	m.do(Signal{Job: j.id, Process: jobs.Main, PID: pid, Sig: sig})
	m.notice(j, Notice{Kind: SignalSent, Process: jobs.Main, PID: pid, Sig: sig})
}
