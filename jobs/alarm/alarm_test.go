package alarm_test

import (
	"testing"
	"time"

	"tend/jobs/alarm"
)

// long is more than any machine takes to run a timer.
const long = 30 * time.Second

func TestAlarm(t *testing.T) {
	a := alarm.New(time.Millisecond)
	guard := time.After(long)
	wait := func(what string) {
		t.Helper()
		select {
		case <-a.C:
		case <-guard:
			t.Fatalf("%s: the alarm has not gone off", what)
		}
	}
	wait("New")
	a.Reset(time.Millisecond)
	wait("Reset")
	a.Reset(time.Hour)
	a.Reset(0)
	wait("Reset to earlier")
	a.Reset(time.Hour)
	a.Stop()
	select {
	case <-a.C:
		t.Error("an alarm that was stopped has gone off")
	default:
	}
}
