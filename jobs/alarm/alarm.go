// Package alarm has timers that tell by a channel.
//
// They stand in for those of package time, whose channels carry a time.Time: for the
// sake of that the linker keeps all that formats one, time zones included, which is
// 60,000 bytes.
package alarm

import "time"

// Alarm is a timer.
type Alarm struct {
	// C gets a value when the time has passed.
	C     <-chan struct{}
	timer *time.Timer
}

// New returns an alarm that goes off after d.
func New(d time.Duration) *Alarm {
	c := make(chan struct{}, 1) // what is not received yet needs no second value
	return &Alarm{C: c, timer: time.AfterFunc(d, func() {
		select {
		case c <- struct{}{}:
		default:
		}
	})}
}

// Stop keeps the alarm from going off; it may have gone off already.
//
//go:noinline
func (a *Alarm) Stop() { a.timer.Stop() }

// Reset makes the alarm go off after d from now. What it has told before stays in C.
func (a *Alarm) Reset(d time.Duration) { a.timer.Reset(d) }
