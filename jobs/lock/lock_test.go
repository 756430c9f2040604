package lock_test

import (
	"sync"
	"testing"

	"tend/jobs/lock"
)

func TestMutexExcludes(t *testing.T) {
	const threads, rounds = 4, 10_000
	var (
		mu    lock.Mutex
		done  sync.WaitGroup
		count int
	)
	for range threads {
		done.Go(func() {
			for range rounds {
				mu.Lock()
				count++
				mu.Unlock()
			}
		})
	}
	done.Wait()
	if count != threads*rounds {
		t.Errorf("counted %d, want %d", count, threads*rounds)
	}
}
