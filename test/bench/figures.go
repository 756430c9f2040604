package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// figure is one thing that is measured: of every peer that takes part, in rounds, so
// that what disturbs the machine for a while disturbs all of them.
type figure struct {
	name    string // for -only
	title   string
	note    string // how it is measured, for the reader of the table
	columns []column
	// services is how many there are, for figures that are drawn against it.
	services int
	rounds   int  // 0: as many as asked for
	together bool // the peers mostly sleep, so that all may be measured at once
	takes    func(p *peer) bool
	measure  func(b *bench, p *peer, s *samples) error
}

// column is one number of a figure.
type column struct {
	key, head string
	how       statistic
}

// statistic says what is shown of the samples.
type statistic uint8

const (
	median statistic = iota
	p99
	most
)

// samples are all values of one peer in one figure.
type samples struct{ values map[string][]float64 }

func (s *samples) add(key string, value float64) {
	if s.values == nil {
		s.values = make(map[string][]float64)
	}
	s.values[key] = append(s.values[key], value)
}

// of returns what is to be shown of the samples of a column; false when there are
// none.
func (s *samples) of(c column) (float64, bool) {
	values := slices.Sorted(slices.Values(s.values[c.key]))
	if len(values) == 0 {
		return 0, false
	}
	n := len(values)
	switch c.how {
	case p99:
		return values[min(n-1, n*99/100)], true
	case most:
		return values[n-1], true
	}
	return (values[(n-1)/2] + values[n/2]) / 2, true
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

func everyone(*peer) bool { return true }

// How often in a run of the benchmark the memory of a peer is looked at and its services
// are killed: both take seconds, and vary less than times do.
const memoryRounds, killRounds = 2, 3

// lifeFigure measures the whole life of a peer with n services: boot, what it costs,
// what it holds while idle, how it replaces killed services, and its stop.
func lifeFigure(n, kills int, v variant) *figure {
	f := &figure{
		name: "life", title: fmt.Sprintf("%d services", n), services: n,
		note:    "boot, CPU, memory and stop as for 1 service",
		columns: []column{{"boot", "boot ms", median}, {"cpu", "CPU ms", median}, {"memory", "memory kB", median}, {"stop", "stop ms", median}},
		takes:   func(p *peer) bool { return p.takes(n) },
	}
	switch {
	case v == chained:
		f.name, f.title = "chain", fmt.Sprintf("%d services, each of which starts when the one before it has been started", n)
		f.takes = func(p *peer) bool { return n <= p.chain }
		f.note = "boot, CPU, memory and stop as for 1 service; the floor starts its services one after the other in any case"
	case v == scripts:
		f.name, f.title = "scripts", fmt.Sprintf("%d services that are shell scripts", n)
		f.takes = func(p *peer) bool { return p.restarts && !p.slowStop && p.takes(n) }
		f.note = "boot, CPU, memory and stop as for 1 service; each shell executes the service"
	case n == 1:
		f.title = "1 service"
		f.note = "boot: from the exec of PID 1 to the exec of the last service; CPU: of the peer's own processes until then; " +
			"memory: proportional set size, a second later; stop: from the signal to the end of PID 1"
	}
	if kills > 0 {
		f.note += fmt.Sprintf("; respawn: from the kill of a service to the exec of its successor, %d of them a round", kills)
		f.columns = append(f.columns, column{"respawn", "respawn ms", median}, column{"respawn", "p99", p99})
	}
	f.measure = func(b *bench, p *peer, s *samples) error { return b.measureLife(p, s, n, kills, v) }
	return f
}

func (b *bench) measureLife(p *peer, s *samples, n, kills int, v variant) error {
	l, err := b.start(p, newServices(n, "pause"), v)
	if err != nil {
		return err
	}
	defer l.end()
	boot, err := l.boot()
	if err != nil {
		return err
	}
	s.add("boot", milliseconds(boot))
	s.add("cpu", milliseconds(l.supervisorCPU()))
	done := len(s.values["boot"]) - 1
	kill := kills > 0 && p.restarts && done < killRounds
	if kill || done < memoryRounds {
		// Runit waits where a service has not been up for a second.
		l.until(1200*time.Millisecond, func() bool { return false })
	}
	if done < memoryRounds {
		memory := 0
		for _, pid := range supervisors(l.pid) {
			memory += pss(pid)
		}
		s.add("memory", float64(memory))
	}
	if kill {
		l.killServices(kills, s)
	}
	if p.slowStop && done > 0 {
		return nil
	}
	stop, err := l.stop(8 * time.Second)
	if err == nil {
		s.add("stop", milliseconds(stop))
	}
	return err
}

// killServices kills some of the services, one after the other, fewer where it takes
// the peer a second to replace one.
func (l *life) killServices(kills int, s *samples) {
	pids := make(map[int]int)
	for _, st := range family(l.pid) {
		if number, ok := serviceNumber(st.pid); ok {
			pids[number] = st.pid
		}
	}
	began := now()
	for _, number := range rand.Perm(len(l.services))[:min(kills, len(l.services))] {
		t := now()
		if t-began > 4e9 {
			return
		}
		if unix.Kill(pids[number], unix.SIGKILL) != nil {
			continue
		}
		l.until(2*time.Second, func() bool {
			for _, r := range slices.Backward(l.records) {
				if r.time <= t {
					break
				}
				if r.kind == 'S' && r.number == number {
					s.add("respawn", float64(r.time-t)/1e6)
					return true
				}
			}
			return false
		})
	}
}

// serviceNumber tells which service a process is.
func serviceNumber(pid int) (int, bool) {
	if !isService(pid) {
		return 0, false
	}
	data, _ := os.ReadFile(procPath(pid, "cmdline"))
	words := bytes.Fields(bytes.ReplaceAll(data, []byte{0}, []byte{' '}))
	if len(words) < 3 {
		return 0, false
	}
	n, err := strconv.Atoi(string(words[2]))
	return n, err == nil
}

// orphansFigure measures what it costs to reap count processes that belong to nobody.
func orphansFigure(count int) *figure {
	return &figure{
		name: "orphans", title: fmt.Sprintf("%d orphans", count),
		note:    "CPU of PID 1 for a thousand of them; peak: the most processes at a time beside the services and the peer; left: zombies two seconds after the last",
		columns: []column{{"cpu", "CPU ms per 1000", median}, {"peak", "peak", median}, {"left", "left", most}},
		takes:   everyone,
		measure: func(b *bench, p *peer, s *samples) error {
			l, err := b.start(p, newServices(1, "orphans", strconv.Itoa(count)), plain)
			if err != nil {
				return err
			}
			defer l.end()
			if _, err := l.boot(); err != nil {
				return err
			}
			peak := l.countProcesses()
			used := cpu(l.pid)
			if !l.until(60*time.Second, func() bool { return l.count('D') > 0 }) {
				return fmt.Errorf("the orphans have not been made: %s", l.output())
			}
			left := 0
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				left = 0
				for _, st := range family(l.pid) {
					if st.zombie {
						left++
					}
				}
				if left == 0 {
					break
				}
			}
			s.add("left", float64(left))
			if n, ok := peak(); ok {
				s.add("peak", float64(n))
			}
			s.add("cpu", float64(cpu(l.pid)-used)/1e6/float64(count)*1000)
			return nil
		},
	}
}

// stubbornFigure measures the stop of a service that ignores TERM and has 2 s.
func stubbornFigure() *figure {
	return &figure{
		name: "stubborn", title: "a service that ignores TERM, with a kill timeout of 2 s",
		note: "from the stop signal to the end of PID 1, beyond those 2 s", rounds: 3, together: true,
		columns: []column{{"over", "ms beyond 2 s", median}},
		takes:   func(p *peer) bool { return p.kills },
		measure: func(b *bench, p *peer, s *samples) error {
			l, err := b.start(p, newServices(1, "stubborn"), plain)
			if err != nil {
				return err
			}
			defer l.end()
			if _, err := l.boot(); err != nil {
				return err
			}
			l.until(300*time.Millisecond, func() bool { return false })
			stop, err := l.stop(15 * time.Second)
			if err == nil {
				s.add("over", milliseconds(stop-2*time.Second))
			}
			return err
		},
	}
}

// idleFigure counts what a peer does while nothing happens.
func idleFigure(wait time.Duration) *figure {
	return &figure{
		name: "idle", title: "idle with 10 services, 1 for those that take one command",
		note: fmt.Sprintf("of all processes of the peer in %v, three seconds after the boot", wait), rounds: 1, together: true,
		columns: []column{{"switches", "context switches", median}, {"cpu", "CPU ms", median}},
		takes:   everyone,
		measure: func(b *bench, p *peer, s *samples) error {
			n := 10
			if !p.takes(n) {
				n = 1
			}
			l, err := b.start(p, newServices(n, "pause"), plain)
			if err != nil {
				return err
			}
			defer l.end()
			if _, err := l.boot(); err != nil {
				return err
			}
			l.until(3*time.Second, func() bool { return false })
			look := func() (n int, used int64) {
				for _, pid := range supervisors(l.pid) {
					n += switches(pid)
					used += cpu(pid)
				}
				return n, used
			}
			n0, cpu0 := look()
			l.until(wait, func() bool { return false })
			n1, cpu1 := look()
			s.add("switches", float64(n1-n0))
			s.add("cpu", float64(cpu1-cpu0)/1e6)
			return nil
		},
	}
}

// lineLength is that of the lines that services write, with the line end.
const lineLength = 100

// logFigure measures the output of n services that write together.
func logFigure(n, megabytes int) *figure {
	each := megabytes * 1e6 / n / lineLength * lineLength
	return &figure{
		name: "log", title: fmt.Sprintf("%d MB of 100-byte lines, 4 kB at a time, services: %d", megabytes, n), services: n,
		note:    "from the first write to the last byte in the file that is the standard output of PID 1; CPU: of the peer's own processes",
		columns: []column{{"rate", "MB/s", median}, {"cpu", "CPU s per GB", median}, {"lost", "lines lost", most}, {"torn", "lines torn", most}},
		takes:   func(p *peer) bool { return p.logs != notLogged && p.takes(n) },
		measure: func(b *bench, p *peer, s *samples) error {
			l, err := b.start(p, newServices(n, "log", strconv.Itoa(each), "40"), logged)
			if err != nil {
				return err
			}
			defer l.end()
			if _, err := l.boot(); err != nil {
				return err
			}
			if !l.until(time.Minute, func() bool { return l.count('L') == n }) {
				return fmt.Errorf("the lines have not been written: %s", l.output())
			}
			end := l.settleOutput()
			used := l.supervisorCPU()
			lines, torn := l.countLines()
			first := l.records[0].time
			done := float64(each*n) / 1e6
			s.add("rate", done/(float64(end-first)/1e9))
			s.add("cpu", used.Seconds()/(done/1e3))
			s.add("lost", float64(each*n/lineLength-lines-torn))
			s.add("torn", float64(torn))
			return nil
		},
	}
}

// settleOutput waits until the output no longer grows and returns when it last did,
// but not before the last service was done.
func (l *life) settleOutput() int64 {
	last, _ := l.last('L')
	end, size := last.time, int64(-1)
	for began := now(); now()-began < 5e8; time.Sleep(time.Millisecond) {
		info, err := os.Stat(filepath.Join(l.dir, "b", "out"))
		if err != nil || info.Size() == size {
			continue
		}
		if size >= 0 {
			end, began = now(), now()
		}
		size = info.Size()
	}
	return max(end, last.time)
}

// countLines counts the whole lines of services in the output, and those of which
// only a part is there. What stands before a line is a prefix of the peer's; other
// lines are the peer's own.
func (l *life) countLines() (whole, torn int) {
	data, err := os.ReadFile(filepath.Join(l.dir, "b", "out"))
	if err != nil {
		return 0, 0
	}
	return countLines(data)
}

func countLines(data []byte) (whole, torn int) {
	var text [lineLength]byte
	for i := range text {
		text[i] = 'a' + byte(i%26)
	}
	text[lineLength-1] = '\n'
	end := text[lineLength-27:]
	for line := range bytes.Lines(data) {
		switch {
		case bytes.HasSuffix(line, text[:]):
			whole++
		case bytes.HasSuffix(line, end) || bytes.Contains(line, text[:26]):
			torn++
		}
	}
	return whole, torn
}

// signalFigure measures the way of a signal through PID 1 to its only child.
func signalFigure(times int) *figure {
	return &figure{
		name: "signal", title: "HUP through PID 1 to the command",
		note:    fmt.Sprintf("from kill(2) to the end of the wait of the command, %d times a run", times),
		columns: []column{{"latency", "µs", median}, {"latency", "p99", p99}, {"lost", "lost", most}},
		takes:   func(p *peer) bool { return p.forwards },
		measure: func(b *bench, p *peer, s *samples) error {
			l, err := b.start(p, newServices(1, "pause"), plain)
			if err != nil {
				return err
			}
			defer l.end()
			if _, err := l.boot(); err != nil {
				return err
			}
			l.until(200*time.Millisecond, func() bool { return false })
			lost := 0
			for i := range times {
				t := l.signal(unix.SIGHUP)
				if !l.until(time.Second, func() bool { return l.count('H') > i-lost }) {
					lost++
					continue
				}
				r, _ := l.last('H')
				s.add("latency", float64(r.time-t)/1e3)
			}
			s.add("lost", float64(lost))
			return nil
		},
	}
}
