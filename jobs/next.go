package jobs

// Alive is the set of an instance's processes that are alive.
type Alive uint8

// Has tells whether p is in the set.
func (a Alive) Has(p Process) bool { return a&(1<<p) != 0 }

// With returns the set with p in it.
func (a Alive) With(p Process) Alive { return a | 1<<p }

// Next returns the state that follows s when the work of s is done, or, in the
// two states of rest (waiting and running), when the goal has changed. It is the
// transition table of Upstart (reference, section 5.2) and the whole of it; what
// the work of a state is, and when it is done, is the engine's.
//
// restart says that the goal has gone through stop and back to start by a restart
// that is not done yet: only then does a pre-stop with goal start go on to
// stopping. Without it that is a cancelled stop, back to running.
//
// Goal Respawn is Start in all states but those in which a main process that has
// died would be missed by the next state: spawned, and the two in which a hook runs
// beside main. From there the job goes round by way of stopping.
func Next(s State, g Goal, alive Alive, restart bool) State {
	switch s {
	case Waiting:
		if g == Stop {
			return Waiting
		}
		return Starting
	case Starting:
		return unlessStopped(g, Security)
	case Security:
		return unlessStopped(g, PreStart)
	case PreStart:
		return unlessStopped(g, Spawned)
	case Spawned:
		return unlessGoingRound(g, PostStart)
	case PostStart:
		return unlessGoingRound(g, Running)
	case Running:
		// Pre-stop is for a main process that could still be asked to go, or that
		// may yet cancel the stop.
		if g == Stop && alive.Has(Main) {
			return PreStop
		}
		return Stopping
	case PreStop:
		if g == Start && !restart {
			return Running
		}
		return Stopping
	case Stopping:
		return Killed
	case Killed:
		return PostStop
	case PostStop:
		if g == Stop {
			return Waiting
		}
		return Starting
	}
	panic("jobs: no such state")
}

func unlessStopped(g Goal, next State) State {
	if g == Stop {
		return Stopping
	}
	return next
}

func unlessGoingRound(g Goal, next State) State {
	if g == Respawn {
		return Stopping
	}
	return unlessStopped(g, next)
}
