package docker

import (
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
)

// rtmin is SIGRTMIN for programs: that of the kernel is 32, and C libraries take the first
// two for themselves. By rtmin3 systemd-nspawn and others ask an init to halt.
const (
	rtmin  = unix.Signal(34)
	rtmin3 = rtmin + 3
)

// signalName names a signal without SIG, or gives its number.
func signalName(sig unix.Signal) string {
	if name := jobs.SignalName(sig); name != "" {
		return name
	}
	if sig >= rtmin {
		return "RTMIN+" + strconv.Itoa(int(sig-rtmin))
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
