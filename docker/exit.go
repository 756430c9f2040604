package docker

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs/engine"
)

// Exit statuses of tend itself (sysexits.h gives the numbers).
const (
	exitNothing  = 64 // no job and no command
	exitBug      = 70 // a bug in tend, and no process is left
	exitUnfit    = 78 // --strict and a broken file; or no job ever ran
	terminateLog = "/dev/termination-log"
	// terminationLimit is what Kubernetes keeps of the termination message.
	terminationLimit = 4096
	// outputPatience is how long the last output of a dead process may take to
	// arrive here.
	outputPatience = 100 * time.Millisecond
)

// essentialEnded stops the container because an essential job has ended.
func (s *Supervisor) essentialEnded(a engine.EssentialEnded) {
	if s.wanted != "" || s.stop != nil {
		return
	}
	s.culprit = instance{a.Job, a.Instance}
	s.wantedStatus = &a.Status
	if a.Job == commandJob {
		s.wanted = "the command has ended: " + a.Text
		return
	}
	s.wanted = "essential job " + who(a.Job, a.Instance) + " has ended: " + a.Text
}

// settled looks at the machine after all that follows from an input has been done.
// Here it is decided that the container is to stop, and the stop is driven on.
func (s *Supervisor) settled() {
	if s.done {
		return
	}
	switch {
	case s.stop != nil && s.stop.halted:
		s.sweepOrphans()
	case s.minimal && s.stop == nil:
		s.settledMinimal()
	case s.stop != nil || !s.booted:
	case s.wanted != "":
		s.beginStop(s.wanted, 0, s.wantedStatus)
	case s.command != nil && !s.command.started:
		s.startCommand()
	case !s.opts.IdleStay && s.m.Idle() && len(s.reaper.Orphans()) == 0 && !s.reaper.Unseen():
		s.idleExit()
	}
}

// idleExit ends the container when nothing runs and nothing can start any more.
func (s *Supervisor) idleExit() {
	status, reason := 0, "nothing runs and nothing can start any more"
	if !s.ranEver {
		status = exitUnfit
		reason = "no job has run and none can start any more"
		for _, w := range s.m.Missing() {
			var terms []string
			for _, t := range w.Terms {
				terms = append(terms, t.String())
			}
			s.neverStarted(w.Job, "waits for "+strings.Join(terms, ", "))
		}
		for _, c := range s.m.Classes() {
			switch {
			case c.StartOn != nil:
			case s.masks.masked(c.Name):
				s.neverStarted(c.Name, "is masked, so only a command starts it")
			default:
				s.neverStarted(c.Name, "has no start on, so only a command starts it")
			}
		}
	}
	if last := s.m.Outcomes(); len(last) > 0 && last[0].Failed {
		if s.ranEver {
			status = last[0].Status
		}
		s.culprit = instance{last[0].Job, last[0].Instance}
		reason += "; " + who(last[0].Job, last[0].Instance) + " had failed"
	}
	s.beginStop(reason+" (--idle stay keeps the container up)", 0, &status)
}

// neverStarted says why a job has not run.
func (s *Supervisor) neverStarted(job, why string) {
	text := "never started: " + why
	s.log.Error().Job(job, "").Msg(text)
	s.idle += job + ": " + text + "\n"
}

// exitStatus is the container's exit status: the reason's own, else that of
// COMMAND, else 0; -e CODE turns it into 0.
func (s *Supervisor) exitStatus() int {
	status := 0
	switch {
	case s.stop.status != nil:
		status = *s.stop.status
	case s.command != nil && s.command.status != nil:
		status = *s.command.status
	}
	return s.opts.MapStatus(status)
}

// writeTerminationLog leaves the reason, and the last output of the job it is about.
func (s *Supervisor) writeTerminationLog(line string) {
	text := line + "\n" + s.idle
	if s.culprit.job != "" {
		s.console.Sync(s.culprit.job, s.culprit.name, outputPatience)
		var tail strings.Builder
		for _, l := range s.console.Tail(s.culprit.job, s.culprit.name, 64) {
			tail.WriteString(l.Text)
			tail.WriteByte('\n')
		}
		if room := max(0, terminationLimit-len(text)); tail.Len() > room {
			text += tail.String()[tail.Len()-room:]
		} else {
			text += tail.String()
		}
	}
	if err := leaveReason(text); err != nil {
		s.log.Warning().Msg("cannot write " + terminateLog + ": " + err.Error())
	}
}

// leaveReason writes why the container ends where Kubernetes looks for it.
func leaveReason(text string) error {
	text = text[:min(len(text), terminationLimit)]
	f, err := os.OpenFile(terminateLog, os.O_WRONLY|os.O_TRUNC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil // not under Kubernetes
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}
