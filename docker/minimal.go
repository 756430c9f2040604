package docker

import (
	"strings"

	"tend/jobs/engine"
	"tend/reaper"
)

// enterMinimal follows a bug in the core: what is known of it is printed, and the
// supervisor goes on without the machine. The processes stay as they are; orphans
// are reaped; a stop signal ends everything with TERM and then KILL.
func (s *Supervisor) enterMinimal(cause any, stack []byte) {
	s.minimal = true
	s.log.Error().Msgf("bug in tend: %v; jobs are no longer supervised, a stop signal still ends the container", cause)
	for _, line := range strings.Split(strings.TrimSpace(string(stack)), "\n") {
		s.log.Error().Msg("bug in tend: " + line)
	}
	for _, in := range s.recent.list() {
		s.log.Error().Msg("bug in tend: input " + in)
	}
	for id, fn := range s.requests {
		delete(s.requests, id)
		fn(engine.Reply{Request: id, Err: "tend has failed (see its log)"})
	}
	if s.stop != nil {
		s.disown()
	}
}

// disown makes all processes of jobs orphans, which the second stage of a shutdown
// ends without the machine.
func (s *Supervisor) disown() {
	s.stop.halted = true
	for id := range s.runs {
		s.reaper.Forget(reaper.Owner(id))
	}
}
