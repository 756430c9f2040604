package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"tend/reaper"
)

// urgent are the signals that would end or stop a program in Go which has not subscribed
// to them, those that ask for a stop, and those that are sent to programs as soon as they
// run. To subscribe to faults costs nothing: the runtime ends us when another process
// sends one of them and nobody has subscribed; a real fault of ours is a panic in any case.
var (
	faults = []os.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSTKFLT, unix.SIGSYS}
	urgent = []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGABRT, unix.SIGPWR, unix.Signal(37),
		unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU}
)

// firstRealTime is the lowest real-time signal that Catchable lists.
const firstRealTime = unix.Signal(35)

// subscribe returns a channel on which the urgent signals arrive, and a function that
// subscribes it to the others, with or without those of real time. That takes some
// milliseconds and both processors: each subscription is an exchange with the runtime's
// signal thread. So it is for the time after the first programs have been executed; until
// then the runtime takes these signals and nothing happens.
func subscribe() (c chan os.Signal, others func(realTime bool)) {
	// The capacity is that of a burst; what is more is dropped by the runtime.
	c = make(chan os.Signal, 64)
	signal.Notify(c, faults...)
	signal.Notify(c, urgent...)
	return c, func(realTime bool) {
		for _, s := range reaper.Catchable() {
			if realTime || s.(unix.Signal) < firstRealTime {
				signal.Notify(c, s)
			}
		}
	}
}
