package engine

import "time"

// timer is a point in time at which something happens to a job or, without a job,
// to the shutdown. Its owner and the heap point to it.
type timer struct {
	at      time.Duration
	job     *job
	kind    timerKind
	running bool
	index   int
	serial  uint64
}

type timerKind uint8

const (
	timerWork    timerKind = iota // the work of the job's state
	timerStart                    // start timeout
	timerLevel                    // shutdown: the next level
	timerHalf                     // shutdown: every kill signal is due
	timerReserve                  // shutdown: KILL
	timerLast                     // shutdown: KILL to post-stop too
	timerEnd                      // shutdown: over
)

// timers is a heap by time and, at the same time, by order of setting.
type timers struct {
	heap   []*timer
	serial uint64
}

func (ts *timers) set(t *timer, now, d time.Duration) {
	ts.cancel(t)
	ts.serial++
	t.at, t.serial, t.running = now+d, ts.serial, true
	t.index = len(ts.heap)
	ts.heap = append(ts.heap, t)
	ts.up(t.index)
}

func (ts *timers) cancel(t *timer) {
	if t == nil || !t.running {
		return
	}
	t.running = false
	i, last := t.index, len(ts.heap)-1
	if i != last {
		ts.heap[i] = ts.heap[last]
		ts.heap[i].index = i
	}
	ts.heap[last] = nil
	ts.heap = ts.heap[:last]
	if i != last {
		ts.down(i)
		ts.up(i)
	}
}

// due takes the next timer that is due, or returns nil.
func (ts *timers) due(now time.Duration) *timer {
	if len(ts.heap) == 0 || ts.heap[0].at > now {
		return nil
	}
	t := ts.heap[0]
	ts.cancel(t)
	return t
}

func (ts *timers) less(a, b int) bool {
	x, y := ts.heap[a], ts.heap[b]
	return x.at < y.at || x.at == y.at && x.serial < y.serial
}

func (ts *timers) swap(a, b int) {
	h := ts.heap
	h[a], h[b] = h[b], h[a]
	h[a].index, h[b].index = a, b
}

func (ts *timers) up(i int) {
	for i > 0 && ts.less(i, (i-1)/2) {
		ts.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (ts *timers) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(ts.heap); c++ {
			if ts.less(c, least) {
				least = c
			}
		}
		if least == i {
			return
		}
		ts.swap(i, least)
		i = least
	}
}
