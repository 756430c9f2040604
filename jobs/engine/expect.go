package engine

import (
	"strconv"
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
	first    int // the process that has handed over
}

// expect begins to wait for the sign that main is ready, which has just reached its
// exec. Nothing is traced: a parent that exits leaves its child to us, and which
// child that is comes with its Exited.
func (m *Machine) expect(j *job) {
	switch j.def.Expect {
	case jobs.ExpectNone:
		m.advance(j)
	case jobs.ExpectStop:
		m.wake(j, expectTimeout)
	case jobs.ExpectFork, jobs.ExpectDaemon:
		j.probe = &probe{begun: m.now, interval: probeFirst}
		m.wake(j, probeFirst)
	case jobs.ExpectNotify:
		// The start timeout is its limit.
	}
}

// follow makes the heir of a main process that has ended with 0 the new one, where
// that is how the job's program becomes a daemon.
func (m *Machine) follow(j *job, in Exited) bool {
	if in.Heir == 0 || in.Code != 0 || in.Sig != 0 || !m.follows(j, in) {
		return false
	}
	switch j.state {
	case jobs.Spawned, jobs.PostStart, jobs.Running, jobs.PreStop:
	default:
		return false
	}
	j.execed = true
	m.become(j, in.Heir)
	waits := j.state == jobs.Spawned
	switch {
	case !declaresFork(j) || j.def.Expect == jobs.ExpectFork && (in.Grandchild || !waits && m.now-j.begun < expectTimeout):
		m.adviseFork(j, in)
	case waits && j.def.Expect == jobs.ExpectDaemon && !j.handed && !in.Grandchild:
		j.handed = true
		j.probe.first = in.PID
		m.wake(j, expectSettle)
		return true
	}
	if waits {
		m.advance(j)
	}
	return true
}

func declaresFork(j *job) bool {
	return j.def.Expect == jobs.ExpectFork || j.def.Expect == jobs.ExpectDaemon
}

// follows tells whether an heir of main becomes main. Where no fork is declared, a main
// process that ends with 0 has ended, as in Upstart; but if it is to be respawned, that
// would end the daemon and start it anew without end. In the time in which expect waits
// for forks such a daemon is followed too.
func (m *Machine) follows(j *job, in Exited) bool {
	return declaresFork(j) ||
		j.def.Respawn && j.def.Expect == jobs.ExpectNone && !isNormalExit(j.def, in) && m.now-j.begun < expectTimeout
}

// adviseFork names the expect that fits a main process that has become a daemon.
func (m *Machine) adviseFork(j *job, in Exited) {
	did := "exited after starting " + strconv.Itoa(in.Heir)
	if j.pid(jobs.Main) == 0 {
		did += " (not watched)"
	}
	fits := "fork"
	if in.Grandchild || j.def.Expect == jobs.ExpectFork {
		fits = "daemon"
	}
	m.advise(j, in.PID, did, fits)
}

// probeExpect looks at a job in spawned whose timer has run out.
func (m *Machine) probeExpect(j *job) {
	p, main := j.probe, j.pid(jobs.Main)
	switch {
	case j.def.Expect == jobs.ExpectStop:
		m.advise(j, main, "has not stopped itself within "+seconds(expectTimeout), "none")
	case j.handed:
		m.advise(j, p.first, "exited after starting "+strconv.Itoa(main)+", which lives on", "fork")
	case p.seen && m.now-p.child >= expectSettle:
		m.advise(j, main, "has had a child and lives on", "none")
	case m.now-p.begun >= expectTimeout:
		m.advise(j, main, "has not forked within "+seconds(expectTimeout), "none")
	default:
		m.do(Inspect{Job: j.id, PID: main})
		wait := min(p.interval, p.begun+expectTimeout-m.now)
		if p.seen {
			wait = p.child + expectSettle - m.now
		}
		p.interval = min(2*p.interval, probeLast)
		m.wake(j, wait)
		return
	}
	m.advance(j)
}

var expectNames = [...]string{"none", "stop", "fork", "daemon", "notify"}

// advise says, once a class, what a main process has done and which expect fits that.
func (m *Machine) advise(j *job, pid int, did, fits string) {
	if !j.class.warned {
		j.class.warned = true
		m.warn(j, "main process "+strconv.Itoa(pid)+" "+did+"; expect "+fits+" fits, not expect "+expectNames[j.def.Expect])
	}
}

func (m *Machine) inspected(in Inspected) {
	j := m.jobs[in.Job]
	if j == nil || j.state != jobs.Spawned || j.handed || j.probe == nil || j.probe.seen || !in.Children {
		return
	}
	j.probe.seen, j.probe.child = true, m.now
	m.wake(j, expectSettle)
}

func (m *Machine) notified(in Notified) {
	j := m.jobs[in.Job]
	if j == nil || j.pid(jobs.Main) == 0 || j.def.Expect != jobs.ExpectNotify {
		return
	}
	if in.MainPID != 0 && in.MainPID != j.pid(jobs.Main) && m.pids[in.MainPID] == (tracked{}) {
		m.become(j, in.MainPID)
	}
	if in.Ready && j.state == jobs.Spawned {
		m.advance(j)
	}
}

// sendToMain sends a signal to main alone, as Upstart's reload does.
func (m *Machine) sendToMain(j *job, sig syscall.Signal) {
	pid := j.pid(jobs.Main)
	m.do(Signal{Job: j.id, Process: jobs.Main, PID: pid, Sig: sig})
	m.notice(j, Notice{Kind: SignalSent, Process: jobs.Main, PID: pid, Sig: sig})
}
