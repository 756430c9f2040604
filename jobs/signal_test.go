package jobs

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSignalNames(t *testing.T) {
	for sig := syscall.Signal(1); sig < 32; sig++ {
		name := SignalName(sig)
		if want, _ := strings.CutPrefix(unix.SignalName(sig), "SIG"); name != want {
			t.Errorf("signal %d is called %q, want %q", sig, name, want)
		}
		for _, name := range []string{name, "SIG" + name} {
			if got, ok := SignalNumber(name); !ok || got != sig {
				t.Errorf("%s is %d, %v, want %d", name, got, ok, sig)
			}
		}
	}
	for name, want := range map[string]syscall.Signal{"IOT": 6, "CLD": 17, "SIGPOLL": 29} {
		if got, ok := SignalNumber(name); !ok || got != want {
			t.Errorf("%s is %d, %v, want %d", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "SIG", "term", "NONE", "9", "SIGSIGTERM"} {
		if got, ok := SignalNumber(name); ok {
			t.Errorf("%q is %d, want none", name, got)
		}
	}
	for _, sig := range []syscall.Signal{0, 32, 64, -1} {
		if got := SignalName(sig); got != "" {
			t.Errorf("signal %d is called %q, want no name", sig, got)
		}
	}
}
