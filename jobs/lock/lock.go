// Package lock has a mutex for PID 1, where what is small counts for more than the
// nanosecond of a call.
package lock

import "sync"

// Mutex is a sync.Mutex whose methods stay out of line: in place of some eighty calls they
// take a page of code.
type Mutex struct{ m sync.Mutex }

// Lock is that of sync.Mutex.
//
//go:noinline
func (m *Mutex) Lock() { m.m.Lock() }

// Unlock is that of sync.Mutex.
//
//go:noinline
func (m *Mutex) Unlock() { m.m.Unlock() }
