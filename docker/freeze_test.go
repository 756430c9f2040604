package docker

import (
	"os"
	"testing"
	"time"

	"tend/jobs/console"
	"tend/jobs/engine"
)

// A freeze is made by moving the clock: skew is what now takes away.
func TestFreezeExtendsTimers(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	out, err := console.New(console.Options{Stdout: int(null.Fd()), Stderr: int(null.Fd())})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		seen, due time.Duration // when the clock was last looked at, and when the timer is due
		freeze    time.Duration // from seen on, as far as can be known
		left      time.Duration // of the timer's time, after it
	}{
		"in the middle of a wait":             {seen: 2 * time.Second, due: 6 * time.Second, freeze: 30 * time.Second, left: 4 * time.Second},
		"short beside what is left":           {seen: 0, due: time.Hour, freeze: 30 * time.Second, left: time.Hour - 30*time.Second},
		"just beyond what is left":            {seen: 0, due: 4 * time.Second, freeze: 6 * time.Second, left: 2 * time.Second},
		"a machine that is slow":              {seen: 0, due: time.Second, freeze: 1900 * time.Millisecond, left: -900 * time.Millisecond},
		"after the timer was due":             {seen: 2 * time.Second, due: time.Second, freeze: 30 * time.Second, left: -time.Second},
		"slow, after the timer was long over": {seen: 20 * time.Second, due: time.Second, freeze: 500 * time.Millisecond, left: -19500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Supervisor{m: engine.New(engine.Options{}), console: out, log: out.Log(), began: time.Now(), seen: tt.seen}
			s.timers.add(tt.due, func() {})
			s.skew = -tt.seen - tt.freeze
			s.thaw()
			got := tt.due - s.now()
			if diff := got - tt.left; diff < -200*time.Millisecond || diff > 200*time.Millisecond {
				t.Errorf("%v left, want %v", got, tt.left)
			}
			before := s.skew
			s.thaw()
			if s.skew != before {
				t.Errorf("the clock went back by another %v", s.skew-before)
			}
		})
	}
}
