package docker

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

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
