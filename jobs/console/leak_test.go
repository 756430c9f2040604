package console

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

type resources struct {
	fds, threads, goroutines int
	heap                     uint64
}

func measure(t *testing.T) resources {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		need.Skip(t, "%v", err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return resources{len(allDescriptors()), len(tasks), runtime.NumGoroutine(), m.HeapAlloc}
}

// allDescriptors lists what is behind the descriptors of all threads, whose tables differ.
func allDescriptors() (links []string) {
	seen := map[string]bool{}
	for _, dir := range descriptorTables() {
		table, key := []string(nil), ""
		fds, _ := os.ReadDir(dir)
		for _, fd := range fds {
			to, err := os.Readlink(dir + "/" + fd.Name())
			if err != nil || strings.HasPrefix(to, "/proc/") {
				continue // of the reading itself
			}
			table, key = append(table, to), key+fd.Name()+to+"\n"
		}
		if !seen[key] {
			seen[key] = true
			links = append(links, table...)
		}
	}
	return links
}

// descriptorTables returns the directory of each thread's descriptors.
func descriptorTables() []string {
	dirs, _ := filepath.Glob("/proc/self/task/*/fd")
	return dirs
}

func TestNothingLeaks(t *testing.T) {
	f := newFixture(t, Options{Format: None, LogDir: t.TempDir()})
	run := func(n int) {
		for i := range n {
			o, err := f.Open(Spec{Job: fmt.Sprint("job", i%50), UID: os.Geteuid()})
			if err != nil {
				t.Fatal(err)
			}
			f.HandOver()
			p := fromOutput(t, o) // openProcess would leave a clean-up of its own for each
			if i%10 != 0 {
				p.out("a line\nunfinished")
			}
			p.exit()
			if i%100 == 99 {
				f.flush(t)
			}
		}
		f.flush(t)
		eventually(t, "the end of all pipes", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.live == 0
		})
	}
	// The log files of the 50 jobs are closed once it is quiet.
	closed := func() {
		eventually(t, "the end of the log files", func() bool {
			return !slices.ContainsFunc(allDescriptors(), func(to string) bool { return strings.HasPrefix(to, f.opts.LogDir) })
		})
	}
	run(5000) // until each ring is full
	closed()
	before := measure(t)
	run(10_000)
	closed()
	after := measure(t)
	t.Logf("before %+v, after %+v", before, after)
	// Go may add a thread for the test's own goroutines, but not one per job.
	if after.fds != before.fds || after.goroutines != before.goroutines || after.threads > before.threads+runtime.GOMAXPROCS(0) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if after.heap > before.heap+64<<10 {
		t.Errorf("heap %d, before %d", after.heap, before.heap)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	out := newCapture(t, false)
	cycle := func() {
		c, err := New(Options{Stdout: out.fd(), Stderr: out.fd(), LogDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		p := openProcess(t, c, "j", "")
		p.out("x\n")
		c.Sync(p.job.key.job, p.job.key.instance, patience)
		c.Close()
		p.exit()
	}
	cycle()
	before := measure(t)
	for range 20 {
		cycle()
	}
	// Goroutines that have ended may still be counted for a moment.
	eventually(t, "the end of the threads", func() bool { return runtime.NumGoroutine() <= before.goroutines })
	if after := measure(t); after.fds != before.fds {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// TestIdleCost prints what a service costs that has written one line and runs on.
func TestIdleCost(t *testing.T) {
	const services = 1000
	var limit unix.Rlimit
	if _ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); limit.Cur < 5*services {
		need.Skip(t, "only %d descriptors are allowed", limit.Cur)
	}
	f := newFixture(t, Options{})
	before := measure(t)
	var open []*process
	for i := range services {
		o, err := f.Open(Spec{Job: fmt.Sprint("service-", i), UID: os.Geteuid()})
		if err != nil {
			t.Fatal(err)
		}
		f.HandOver()
		p := fromOutput(t, o)
		p.out("listening on port 8080\n")
		open = append(open, p)
	}
	f.flush(t)
	eventually(t, "the lines", func() bool { return strings.Count(f.out.String(), "\n") == services })
	f.out.mu.Lock()
	f.out.b = bytes.Buffer{}
	f.out.mu.Unlock()
	after := measure(t)
	t.Logf("%d bytes of heap per service", (after.heap-before.heap)/services)
	if after.goroutines != before.goroutines {
		t.Errorf("%d goroutines, before %d", after.goroutines, before.goroutines)
	}
	if each := (after.heap - before.heap) / services; each > 2048 {
		t.Errorf("%d bytes of heap per service", each)
	}
	for _, p := range open {
		p.exit()
	}
}

// TestManyPipes has more pipes than an unprivileged user may have in full size; the
// busy one among them is still grown, and nothing is lost.
func TestManyPipes(t *testing.T) {
	var limit unix.Rlimit
	if _ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); limit.Cur < 4000 {
		need.Skip(t, "only %d descriptors are allowed", limit.Cur)
	}
	f := newFixture(t, Options{Format: Raw})
	var open []*process
	for range smallPipesFrom {
		open = append(open, openProcess(t, f.Console, "idle", ""))
	}
	p := openProcess(t, f.Console, "busy", "")
	size := func() int {
		n, _ := unix.FcntlInt(uintptr(p.fds[stdout]), unix.F_GETPIPE_SZ, 0)
		return n
	}
	if n := size(); n != smallPipe {
		t.Errorf("a late pipe has %d bytes, want %d", n, smallPipe)
	}
	text := strings.Repeat("0123456789\n", 100_000)
	p.out(text)
	if n := size(); n <= smallPipe {
		t.Errorf("a busy pipe has %d bytes", n)
	}
	f.out.wants(t, text)
	p.exit()
	for _, p := range open {
		p.exit()
	}
}

// A child between fork and exec holds copies of all descriptors in our table. The end of a
// pipe may not be reported on and on for its sake.
func TestCopyOfEndedPipeIsQuiet(t *testing.T) {
	oneTable(t)
	f := newFixture(t, Options{})
	o, err := f.Open(Spec{Job: "web"})
	if err != nil {
		t.Fatal(err)
	}
	f.HandOver()
	var copies []int
	eventually(t, "both pipes", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, p := range f.pipes {
			if p == nil {
				continue
			}
			fd, err := unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			copies = append(copies, fd)
		}
		return len(copies) >= 2
	})
	fromOutput(t, o).exit()
	eventually(t, "the end of all pipes", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.live == 0
	})
	var events [8]unix.EpollEvent
	if n, err := unix.EpollWait(f.rd.epoll, events[:], 0); n != 0 || err != nil {
		t.Errorf("%d events, error %v; want none", n, err)
	}
	for _, fd := range copies {
		unix.Close(fd)
	}
}
