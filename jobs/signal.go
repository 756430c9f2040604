package jobs

import (
	"strings"
	"syscall"
)

// signalNames are the names of the signals 1 to 31, which are those of all machines that
// tend runs on: the first name where a signal has several.
const signalNames = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT " +
	"CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"

// SignalName returns the name of a signal without SIG, or "" if it has none.
func SignalName(sig syscall.Signal) string {
	n := syscall.Signal(0)
	for name := range strings.FieldsSeq(signalNames) {
		if n++; n == sig {
			return name
		}
	}
	return ""
}

// SignalNumber returns the signal of a name in capitals, with or without SIG; false when
// there is none.
func SignalNumber(name string) (syscall.Signal, bool) {
	name = strings.TrimPrefix(name, "SIG")
	switch name {
	case "IOT":
		return syscall.SIGIOT, true
	case "CLD":
		return syscall.SIGCHLD, true
	case "POLL":
		return syscall.SIGPOLL, true
	}
	n := syscall.Signal(0)
	for known := range strings.FieldsSeq(signalNames) {
		if n++; known == name {
			return n, true
		}
	}
	return 0, false
}
