package docker

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
)

// rtmin3 is SIGRTMIN+3, by which systemd-nspawn and others ask an init to halt. The
// kernel's RTMIN is 32; C libraries take the first two for themselves.
const rtmin3 = unix.Signal(34 + 3)

// signalName names a signal without SIG, or gives its number.
func signalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return strconv.Itoa(int(sig))
}

// seconds writes a duration as people say it in a log: "5 s", "0.25 s".
func seconds(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + " s"
	}
	return decimal(d, 2) + " s"
}

// decimal writes d, which is not negative, in seconds rounded to so many places.
func decimal(d time.Duration, places int) string {
	unit := time.Second
	for range places {
		unit /= 10
	}
	digits := strconv.FormatInt(int64((d+unit/2)/unit), 10)
	if places == 0 {
		return digits
	}
	digits = jobs.Fill('0', places+1-len(digits)) + digits
	return digits[:len(digits)-places] + "." + digits[len(digits)-places:]
}

// processText names a process of a job: "main process (12)".
//
//go:noinline
func processText(kind jobs.Process, pid int) string {
	return kind.String() + " process (" + strconv.Itoa(pid) + ")"
}
