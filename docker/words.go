package docker

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// rtmin3 is SIGRTMIN+3, by which systemd-nspawn and others ask an init to halt. The
// kernel's RTMIN is 32; C libraries take the first two for themselves.
const rtmin3 = unix.Signal(34 + 3)

// signalName names a signal without SIG, or gives its number.
func signalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return fmt.Sprintf("%d", int(sig))
}

// seconds writes a duration as people say it in a log: "5 s", "0.25 s".
func seconds(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
