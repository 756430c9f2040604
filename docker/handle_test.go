package docker

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/jobs/engine"
	"tend/jobs/event"
)

func TestEveryNoticeHasAFormOnTheWire(t *testing.T) {
	kinds := map[string]bool{}
	for kind := engine.GoalChanged; kind <= engine.Warning; kind++ {
		w := onWire(&engine.Notice{Kind: kind, Job: "web", Instance: "one", PID: 7, Sig: unix.SIGTERM, Event: &event.Event{}, Text: "words"})
		if w.Kind == "" || kinds[w.Kind] {
			t.Errorf("kind %d is %q on the wire, want a word of its own", kind, w.Kind)
		}
		kinds[w.Kind] = true
		if text, ok := strings.CutPrefix(w.Text, "web (one): "); !ok || text == "" {
			t.Errorf("%s: text %q, want the job and words", w.Kind, w.Text)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]unix.Signal{
		"TERM": unix.SIGTERM, "SIGHUP": unix.SIGHUP, "usr1": unix.SIGUSR1, "9": unix.SIGKILL, "64": 64,
	} {
		if got, ok := parseSignal(text); !ok || got != want {
			t.Errorf("parseSignal(%q) = %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "0", "65", "-1", "FOO", "SIG", "1x"} {
		if got, ok := parseSignal(text); ok {
			t.Errorf("parseSignal(%q) = %v, want nothing", text, got)
		}
	}
}

func TestDiesOf(t *testing.T) {
	// The Go runtime of the test catches HUP and cannot catch KILL.
	self := os.Getpid()
	if diesOf(self, syscall.SIGHUP) {
		t.Error("a caught signal is said to kill")
	}
	if !diesOf(self, syscall.SIGKILL) {
		t.Error("KILL is said not to kill")
	}
	if diesOf(self, syscall.SIGWINCH) {
		t.Error("WINCH is said to kill")
	}
}
