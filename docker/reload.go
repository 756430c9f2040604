package docker

import (
	"bytes"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/control"
	"tend/jobs/engine"
	"tend/jobs/file"
	"tend/jobs/number"
)

// How long, and how often, it is looked whether a process has died of its reload
// signal.
const (
	reloadPatience = time.Second
	reloadPoll     = 5 * time.Millisecond
)

// handleReload sends the reload signal. A process that neither catches nor ignores it
// dies of it; the answer then comes after that death, so that the client's next
// request finds the job as it is.
func (s *Supervisor) handleReload(call *control.Call) {
	instance, exact := exactInstance(call)
	pid, dies := 0, false
	if st, errText, _ := s.m.Resolve(call.Job, exact, instance, call.Env); errText == "" {
		if class, ok := s.m.Class(st.Job); ok && len(st.Processes) > 0 && st.Processes[0].Process == jobs.Main {
			pid = st.Processes[0].PID
			dies = diesOf(pid, class.ReloadSignal)
		}
	}
	answer := plainAnswer(call)
	s.step(engine.Command{
		Request: s.ask(call, func(r engine.Reply) {
			if r.Err == "" && dies {
				s.afterDeath(r, pid, s.now()+reloadPatience, answer)
				return
			}
			answer(r)
		}),
		Verb: engine.VerbReload, Job: call.Job, Exact: exact, Instance: instance, Env: call.Env,
		Inside: s.inside(call),
	})
}

// afterDeath answers when pid is no longer main of the instance, or at the end of our
// patience.
func (s *Supervisor) afterDeath(r engine.Reply, pid int, end time.Duration, answer func(engine.Reply)) {
	if _, alive := s.procs[pid]; !alive || s.now() >= end {
		answer(r)
		return
	}
	s.timers.add(s.now()+reloadPoll, func() { s.afterDeath(r, pid, end, answer) })
}

// diesOf tells whether a signal ends a process: it is neither caught, ignored nor
// blocked (proc_pid_status(5)). Without /proc the answer is no.
func diesOf(pid int, sig unix.Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return false // by default they do not
	}
	data, err := file.Read("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	for _, field := range []string{"\nSigCgt:", "\nSigIgn:", "\nSigBlk:"} {
		_, rest, ok := bytes.Cut(data, []byte(field))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		mask, err := number.Uint(string(bytes.TrimSpace(line)), 16, 64)
		if !ok || err != nil || mask&(1<<(sig-1)) != 0 {
			return false
		}
	}
	return true
}
