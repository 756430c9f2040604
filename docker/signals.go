package docker

import (
	"strconv"

	"golang.org/x/sys/unix"

	"tend/jobs/engine"
	"tend/jobs/event"
)

// handleSignal is the table of what signals to tend do while it runs jobs
// (tend(8), SIGNALS).
func (s *Supervisor) handleSignal(sig unix.Signal) {
	switch sig {
	case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGPWR, rtmin3:
		s.stopSignal(sig)
	case unix.SIGHUP:
		if !s.isInit && s.onTerminal {
			s.beginStop("HUP received (the terminal has gone)", sig, nil)
			return
		}
		s.reload()
		s.forward(sig)
	case unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT:
		// Job control is the terminal's and its foreground group's business.
	default:
		s.forward(sig)
	}
}

// stopSignal begins the shutdown. The events that Upstart makes of INT and PWR come
// first where a job waits for them.
func (s *Supervisor) stopSignal(sig unix.Signal) {
	if s.stop != nil && sig == unix.SIGINT && s.onTerminal {
		s.killNow()
		return
	}
	if s.stop == nil && !s.minimal {
		switch sig {
		case unix.SIGINT:
			s.emitIfAwaited("control-alt-delete")
		case unix.SIGPWR:
			s.emitIfAwaited("power-status-changed")
		}
	}
	s.beginStop(signalName(sig)+" received", sig, nil)
}

// emitIfAwaited emits an event without variables if a loaded job waits for it.
func (s *Supervisor) emitIfAwaited(name string) {
	for _, class := range s.m.Classes() {
		for _, term := range class.StopOn.Terms(class.StartOn.Terms(nil)) {
			if term.Name == name {
				s.emit(event.Event{Name: name})
				return
			}
		}
	}
}

// emit queues an event of our own.
func (s *Supervisor) emit(ev event.Event) {
	s.step(engine.Emit{Event: ev, NoWait: true})
}

// forward passes a signal on to COMMAND, if there is one and it runs: as in tini to
// the process, with -g to its group.
func (s *Supervisor) forward(sig unix.Signal) {
	pid := s.commandPID()
	if pid == 0 {
		s.log.Debug().Signal(signalName(sig)).Msg(signalName(sig) + " received, nothing to forward it to")
		return
	}
	send := s.reaper.Signal
	if s.opts.KillGroup {
		send = s.reaper.SignalGroup
	}
	if err := send(pid, sig); err != nil {
		s.log.Warning().Job(commandJob, "").Msg("cannot forward " + signalName(sig) + " to " + strconv.Itoa(pid) + ": " + err.Error())
	}
}

// noteEvent watches the events that come in for the runlevel: levels 0 and 6 stop
// the container whoever emits them.
func (s *Supervisor) noteEvent(ev event.Event) {
	if ev.Name != "runlevel" {
		return
	}
	level, ok := ev.Env.Lookup("RUNLEVEL")
	if !ok {
		return
	}
	s.runlevel = [2]string{s.runlevel[1], level}
	if prev, ok := ev.Env.Lookup("PREVLEVEL"); ok && prev != "" {
		s.runlevel[0] = prev
	}
	if s.stop == nil && (level == "0" || level == "6") {
		s.wanted = "runlevel " + level
		s.announced = true
	}
}
