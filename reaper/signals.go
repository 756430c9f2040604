package reaper

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// lastSignal is the highest signal number of Linux.
const lastSignal = 64

// Subscribe returns a channel that gets every signal that can be caught, but for
// CHLD, URG and PROF, which the reaping thread and the Go runtime use, for 32 to
// 34, which C libraries use, and for those that tell of a fault of our own. It is
// meant as the first act of main: a PID 1 written in Go that has not subscribed is
// ended by TERM, and an unsubscribed PIPE ends it when standard output is closed.
// A signal that no one reads is dropped; the capacity is that of a burst.
func Subscribe() <-chan os.Signal {
	c := make(chan os.Signal, 64)
	signal.Notify(c, Catchable()...)
	return c
}

// Catchable lists the signals that Subscribe asks for, in order.
func Catchable() []os.Signal {
	var list []os.Signal
	for n := syscall.Signal(1); n <= lastSignal; n++ {
		switch n {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPROF, 32, 33, 34:
		case unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL:
		default:
			list = append(list, n)
		}
	}
	return list
}
