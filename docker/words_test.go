package docker

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/jobs"
	"tend/jobs/engine"
	"tend/jobs/event"
)

func TestDecimal(t *testing.T) {
	for _, tt := range []struct {
		d      time.Duration
		places int
		want   string
	}{
		{0, 0, "0"}, {0, 1, "0.0"}, {0, 2, "0.00"},
		{1499 * time.Millisecond, 0, "1"}, {1500 * time.Millisecond, 0, "2"}, {9 * time.Second, 0, "9"},
		{1249 * time.Millisecond, 1, "1.2"}, {999 * time.Millisecond, 1, "1.0"},
		{1234 * time.Millisecond, 2, "1.23"}, {1236 * time.Millisecond, 2, "1.24"}, {59999 * time.Millisecond, 2, "60.00"},
		{7 * time.Millisecond, 2, "0.01"}, {time.Hour + 50*time.Millisecond, 2, "3600.05"},
	} {
		if got := decimal(tt.d, tt.places); got != tt.want {
			t.Errorf("decimal(%v, %d) = %s, want %s", tt.d, tt.places, got, tt.want)
		}
	}
	for n := range 20_000 {
		// Away from the halves, where fmt rounds what is not exact to either side.
		d := time.Duration(n)*time.Millisecond + 100*time.Microsecond
		if got, want := decimal(d, 2), fmt.Sprintf("%.2f", d.Seconds()); got != want {
			t.Fatalf("decimal(%v, 2) = %s, want %s", d, got, want)
		}
	}
}

// What is printed after a bug has to name the input and what it was about.
func TestDescribe(t *testing.T) {
	for _, tt := range []struct {
		in   engine.Input
		want string
	}{
		{engine.Load{Class: &jobs.Class{Name: "web"}}, "Load web"},
		{engine.Unload{Name: "web"}, "Unload web"},
		{engine.Command{Verb: engine.VerbStop, Job: "web", Instance: "a", NoWait: true, Inside: 3}, "Command 1 0 1 3 web (a) "},
		{engine.SignalJob{Job: "web", Signal: syscall.SIGHUP}, "SignalJob 0 1 web"},
		{engine.Emit{Event: event.Event{Name: "go", Env: []string{"A=b"}}}, "Emit 0 0 go A=b"},
		{engine.EnvRequest{Verb: engine.EnvReset}, "EnvRequest 2 0"},
		{engine.Spawned{Job: 1, PID: 7}, "Spawned 1 0 7"},
		{engine.Execed{Job: 1, PID: 7}, "Execed 1 0 7"},
		{engine.SpawnFailed{Job: 1, Err: "no", Status: 127}, "SpawnFailed 1 0 0 0 127 no"},
		{engine.Exited{PID: 7, Code: 3, Left: true}, "Exited 7 3 0 0 0 0 1"},
		{engine.Stopped{PID: 7, Sig: syscall.SIGSTOP}, "Stopped 7 19"},
		{engine.Continued{PID: 7}, "Continued 7"},
		{engine.Notified{Job: 1, Ready: true}, "Notified 1 1 0"},
		{engine.Inspected{Job: 1, Children: true}, "Inspected 1 1"},
		{engine.Swept{Job: 1}, "Swept 1 0"},
		{engine.Shutdown{Timeout: time.Second, Now: true}, "Shutdown 1 1 s"},
		{engine.Elapsed{}, "Elapsed"},
	} {
		if got := describe(tt.in); got != tt.want {
			t.Errorf("describe(%T) = %q, want %q", tt.in, got, tt.want)
		}
	}
	var list []int
	defer func() {
		if text := panicText(recover()); !strings.Contains(text, "index out of range") {
			t.Errorf("a runtime error is told as %q", text)
		}
		if got := panicText("text") + panicText(errors.New(" error")); got != "text error" {
			t.Errorf("got %q", got)
		}
	}()
	_ = list[len(list)]
}
