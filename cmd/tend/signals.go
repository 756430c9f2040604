package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"tend/reaper"
)

// urgent are the signals that would end a program in Go which has not subscribed to
// them, and that somebody may send in its first millisecond; soon are the others that
// container engines and their users send; faults are those of faulty programs. The
// runtime ends us when another process sends one of the latter and nobody has subscribed;
// a real fault of ours is a panic in any case.
var (
	urgent = []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGPIPE}
	soon   = []os.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGPWR, unix.Signal(37)}
	faults = []os.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL}
)

// subscribe returns a channel for all signals that can be passed on, once the urgent
// ones arrive there; the others follow within a millisecond or two. Each subscription is
// an exchange with the runtime's signal thread, and all sixty of them would take as long
// as all else that happens before a command runs.
func subscribe() <-chan os.Signal {
	// The capacity is that of a burst; what is more is dropped by the runtime.
	c := make(chan os.Signal, 64)
	signal.Notify(c, urgent...)
	go func() {
		signal.Notify(c, soon...)
		signal.Notify(c, reaper.Catchable()...)
		signal.Notify(c, faults...)
	}()
	return c
}
