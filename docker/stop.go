package docker

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs/engine"
	"tend/reaper"
)

// The times of a shutdown.
const (
	// stopReserve is the part of the total deadline kept for KILL and post-stop.
	stopReserve = time.Second
	// slowStop is from when on the log says which job took so long.
	slowStop = time.Second
	// orphanPatience is how long left-over orphans have between TERM and KILL when
	// there is no total deadline.
	orphanPatience = 5 * time.Second
	// orphanPoll is how often left-over processes that are not our children are
	// looked at; our own wake the loop as they end.
	orphanPoll = 50 * time.Millisecond
)

// stopping is a shutdown in progress. Its stages:
//
//  1. the machine stops the jobs, in order (engine.Shutdown … engine.Halted);
//  2. what is left below us gets TERM, and KILL stopReserve before the deadline;
//  3. the loop ends when nothing is left, or at the deadline.
type stopping struct {
	reason   string
	began    time.Duration
	deadline time.Duration // on the machine's clock; 0: none
	signal   unix.Signal   // the stop signal that came in, 0 for another reason
	status   *int          // the exit status, when the reason decides it
	halted   bool          // stage 1 is over
	termed   bool          // stage 2 has begun
	termedAt time.Duration
	killed   bool // KILL has been sent to the orphans
	reserve  time.Duration
	last     string        // the job that has ended last
	lastAt   time.Duration // when
	poll     int           // timer of stage 2
}

// left is the time until the deadline, for the log.
func (p *stopping) left(now time.Duration) string {
	if p.deadline == 0 {
		return "no time limit"
	}
	return decimal(max(0, p.deadline-now), 0) + " s left"
}

// beginStop starts the orderly shutdown, or, when one is in progress, only says how
// much time it has left. status is the exit status that the reason demands, nil to
// leave it to the usual rules. sig is the stop signal that came in, 0 for none.
func (s *Supervisor) beginStop(reason string, sig unix.Signal, status *int) {
	if s.stop != nil {
		s.log.Notice().Msg("already stopping: " + reason + ", " + s.stop.left(s.now()))
		return
	}
	timeout := s.stopTimeout
	s.stop = &stopping{reason: reason, began: s.now(), status: status, reserve: stopReserve}
	if timeout > 0 {
		s.stop.deadline = s.stop.began + timeout
		s.stop.reserve = min(stopReserve, timeout/2)
	}
	s.stop.signal = sig
	line := "stopping: " + reason
	if n := s.liveJobs(); n > 0 {
		line += ", " + s.stop.left(s.now()) + "; " + count(n, "job")
	}
	if sig == unix.SIGINT && s.onTerminal {
		line += "; once more to kill everything now"
	}
	s.log.Notice().Msg(line)
	s.failPendingForks("the container is stopping")
	in := engine.Shutdown{Timeout: timeout, Reserve: s.stop.reserve, Runlevel: s.stopEvent, Announced: s.announced}
	if sig != 0 && sig != unix.SIGPWR && sig != rtmin3 {
		in.CommandSignal = sig
	}
	if s.minimal {
		s.disown()
	}
	s.step(in)
}

// liveJobs is how many instances are there to be stopped.
func (s *Supervisor) liveJobs() int {
	if s.minimal {
		return 0
	}
	return s.m.Live()
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// killNow answers a second INT from the terminal: no more patience.
func (s *Supervisor) killNow() {
	s.log.Notice().Msg("killing everything now")
	s.stop.deadline = s.now() + s.stop.reserve
	s.stop.killed = false
	s.stop.termed = true
	s.step(engine.Shutdown{Now: true, Timeout: s.stop.reserve, Reserve: s.stop.reserve})
}

// handleHalted notes that no job has a process any more, or that the deadline is
// here and names what could not be killed.
func (s *Supervisor) handleHalted(h engine.Halted) {
	for _, p := range h.Stuck {
		s.log.Error().Job(p.Job, p.Instance).Process(p.Process).PID(p.PID).
			Msg(processText(p.Process, p.PID) + " survived KILL: " + s.reaper.Doing(p.PID))
	}
	if s.stop != nil {
		s.stop.halted = true
	}
}

// sweepOrphans is stage 2 of the shutdown. It is called whenever something has
// changed; when nothing is left below us the loop ends.
func (s *Supervisor) sweepOrphans() {
	p := s.stop
	s.reaper.Refresh()
	left := s.reaper.Orphans()
	// Those that cannot be listed PID 1 can at least reach all together.
	unseen := s.isInit && s.reaper.Unseen()
	if len(left) == 0 && !unseen {
		s.finish()
		return
	}
	send := func(sig unix.Signal) {
		for _, proc := range left {
			s.reaper.SignalProc(proc, sig)
		}
		if unseen {
			s.reaper.KillAll(sig)
		}
	}
	now := s.now()
	killAt := p.deadline - p.reserve
	if p.deadline == 0 {
		killAt = p.began + orphanPatience
		if p.termed {
			killAt = p.began
		}
	}
	switch {
	case p.deadline != 0 && now >= p.deadline:
		for _, proc := range left {
			s.log.Error().PID(proc.PID).Msg("process " + strconv.Itoa(proc.PID) + " (" + proc.Comm + ") survived KILL: " + s.reaper.Doing(proc.PID))
		}
		s.finish()
		return
	case !p.termed:
		p.termed, p.termedAt = true, now
		send(unix.SIGTERM)
		s.log.Info().Msg("sent TERM to what is left over: " + names(left))
		if p.deadline == 0 {
			p.deadline = now + orphanPatience + stopReserve
			p.reserve = stopReserve
		}
	case now >= killAt && !p.killed:
		p.killed = true
		s.log.Warning().Msg("left over and still there " + seconds(now-p.termedAt) + " after TERM, sending KILL: " + names(left))
		fallthrough
	case p.killed:
		send(unix.SIGKILL)
	}
	s.timers.cancel(p.poll)
	p.poll = s.timers.add(now+orphanPoll, func() {})
}

// names lists processes for the log.
func names(procs []reaper.Proc) string {
	if len(procs) == 0 {
		return "processes that cannot be listed"
	}
	list := make([]string, len(procs))
	for i, p := range procs {
		list[i] = p.Comm + " (" + strconv.Itoa(p.PID) + ")"
	}
	return strings.Join(list, ", ")
}

// finish ends the loop with the exit status that the reason and the rules give.
func (s *Supervisor) finish() {
	if s.done {
		return
	}
	s.done = true
	s.status = s.exitStatus()
	line := "stopped in " + decimal(s.now()-s.stop.began, 2) + " s, exit status " + strconv.Itoa(s.status)
	if took := s.stop.lastAt - s.stop.began; s.stop.last != "" && took >= slowStop {
		line += ", the last job was " + s.stop.last + " after " + decimal(took, 2) + " s"
	}
	why := line + ": " + s.stop.reason
	if s.stop.signal == 0 {
		line = why
	}
	s.log.Notice().Status(s.status).Msg(line)
	s.console.HandOver() // it is written while we see to the rest
	s.writeTerminationLog(why)
}
