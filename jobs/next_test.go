package jobs

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var goals = []Goal{Stop, Start, Respawn}

// everyCombination calls f with all arguments that Next can be given.
func everyCombination(f func(s State, g Goal, alive Alive, restart bool)) {
	for _, s := range States {
		for _, g := range goals {
			for alive := range Alive(1 << NumProcesses) {
				f(s, g, alive, false)
				f(s, g, alive, true)
			}
		}
	}
}

func TestNextIsTotal(t *testing.T) {
	everyCombination(func(s State, g Goal, alive Alive, restart bool) {
		next := Next(s, g, alive, restart)
		if int(next) >= len(States) {
			t.Errorf("Next(%v, %v, %b, %v) = %d, want a state", s, g, alive, restart, next)
		}
		if next == s && s != Waiting {
			t.Errorf("Next(%v, %v, %b, %v) = %v, want another state", s, g, alive, restart, next)
		}
	})
}

// TestNextLooksAtMainOnly: no process but main changes the way, and main does so in
// running alone.
func TestNextLooksAtMainOnly(t *testing.T) {
	everyCombination(func(s State, g Goal, alive Alive, restart bool) {
		same := Alive(0)
		if s == Running && alive.Has(Main) {
			same = same.With(Main)
		}
		if got, want := Next(s, g, alive, restart), Next(s, g, same, restart); got != want {
			t.Errorf("Next(%v, %v, %b, %v) = %v, want %v", s, g, alive, restart, got, want)
		}
		if s != PreStop && Next(s, g, alive, true) != Next(s, g, alive, false) {
			t.Errorf("Next(%v, %v, %b) heeds a restart", s, g, alive)
		}
	})
}

// TestNextIsUpstarts has the table of the reference, section 5.2.
func TestNextIsUpstarts(t *testing.T) {
	const mainAlive = Alive(1 << Main)
	tests := []struct {
		state                State
		alive                Alive
		start, stop, respawn State
	}{
		{Waiting, 0, Starting, Waiting, Starting},
		{Starting, 0, Security, Stopping, Security},
		{Security, 0, PreStart, Stopping, PreStart},
		{PreStart, 0, Spawned, Stopping, Spawned},
		{Spawned, mainAlive, PostStart, Stopping, Stopping}, // Upstart: post-start, and running without a process
		{PostStart, mainAlive, Running, Stopping, Stopping},
		{Running, mainAlive, Stopping, PreStop, Stopping},
		{Running, 0, Stopping, Stopping, Stopping},
		{PreStop, mainAlive, Running, Stopping, Stopping},
		{Stopping, mainAlive, Killed, Killed, Killed},
		{Killed, 0, PostStop, PostStop, PostStop},
		{PostStop, 0, Starting, Waiting, Starting},
	}
	for _, tt := range tests {
		for g, want := range map[Goal]State{Start: tt.start, Stop: tt.stop, Respawn: tt.respawn} {
			if got := Next(tt.state, g, tt.alive, false); got != want {
				t.Errorf("Next(%v, %v, %b, false) = %v, want %v", tt.state, g, tt.alive, got, want)
			}
		}
	}
}

func TestRestartPassesThroughPreStop(t *testing.T) {
	if got := Next(PreStop, Start, 1<<Main, true); got != Stopping {
		t.Errorf("Next(pre-stop, start, main, restart) = %v, want stopping", got)
	}
}

// TestEveryJobCanEnd walks from every state with goal stop: in a few steps the job
// is waiting, whatever is alive.
func TestEveryJobCanEnd(t *testing.T) {
	everyCombination(func(s State, _ Goal, alive Alive, restart bool) {
		for range len(States) {
			s = Next(s, Stop, alive, restart)
		}
		if s != Waiting {
			t.Errorf("with goal stop a job ends in %v, want waiting", s)
		}
	})
}

// TestPictureShowsTheTable compares docs/states.dot and docs/states.svg with Next: the ways
// and, what their labels begin with, the goals by which each is taken. A way without a
// label is taken by all.
func TestPictureShowsTheTable(t *testing.T) {
	taken := map[string]map[Goal]bool{}
	everyCombination(func(s State, g Goal, alive Alive, restart bool) {
		if next := Next(s, g, alive, restart); next != s {
			way := fmt.Sprintf("%s -> %s", s, next)
			if taken[way] == nil {
				taken[way] = map[Goal]bool{}
			}
			taken[way][g] = true
		}
	})
	want := map[string]string{}
	for way, by := range taken {
		var names []string
		for _, g := range []Goal{Start, Stop, Respawn} {
			if by[g] {
				names = append(names, g.String())
			}
		}
		if want[way] = strings.Join(names, ", "); len(names) == len(goals) {
			want[way] = ""
		}
	}
	compare := func(file string, drawn map[string]string) {
		for _, way := range slices.Sorted(keysOf(want)) {
			if got, ok := drawn[way]; !ok || got != want[way] {
				t.Errorf("%s has %s by %q (%v), want %q", file, way, got, ok, want[way])
			}
		}
		for _, way := range slices.Sorted(keysOf(drawn)) {
			if _, ok := want[way]; !ok {
				t.Errorf("%s has %s, which nothing takes", file, way)
			}
		}
	}
	for file, edge := range map[string]*regexp.Regexp{
		"../docs/states.dot": regexp.MustCompile(`(?m)^\s*"?([a-z-]+)"? -> "?([a-z-]+)"?(?: \[label="([a-z, ]*)(?:;[^"]*)?"\])?;$`),
		"../docs/states.svg": regexp.MustCompile(`<title>([a-z-]+) to ([a-z-]+)</title>\n<[^t].*(?:\n<text[^>]*>([a-z, ]*)(?:;[^<]*)?</text>)?`),
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		drawn := map[string]string{}
		for _, m := range edge.FindAllStringSubmatch(string(text), -1) {
			if m[3] == "start, stop, respawn" {
				m[3] = ""
			}
			drawn[m[1]+" -> "+m[2]] = m[3]
		}
		compare(file, drawn)
	}
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
