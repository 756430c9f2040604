package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"tend/docker"
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

// subscribe begins to subscribe a channel to the urgent signals, those that ask for a stop
// first. The others take some milliseconds and both processors: each subscription is an
// exchange with the runtime's signal thread. So they are for the time after the first
// programs have been executed; until then the runtime takes these signals and nothing
// happens.
func subscribe() docker.Signals {
	// The capacity is that of a burst; what is more is dropped by the runtime.
	c, ready := make(chan os.Signal, 64), make(chan struct{})
	go func() {
		signal.Notify(c, urgent...)
		signal.Notify(c, faults...)
		close(ready)
	}()
	return docker.Signals{C: c, Ready: ready, Others: func(realTime bool) {
		for _, s := range reaper.Catchable() {
			if realTime || s.(unix.Signal) < firstRealTime {
				signal.Notify(c, s)
			}
		}
	}}
}
