package console

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// oneTable lets the reader go on without a descriptor table of its own, as on a kernel
// before Linux 5.9.
func oneTable(t *testing.T) {
	t.Helper()
	closeRange = func(uint, uint, uint) error { return unix.ENOSYS }
	t.Cleanup(func() { closeRange = unix.CloseRange })
}

// ownTable skips where the kernel does not give a thread its own table.
func ownTable(t *testing.T) {
	t.Helper()
	refused := make(chan error)
	go func() {
		runtime.LockOSThread()
		refused <- closeRange(math.MaxUint32, math.MaxUint32, unix.CLOSE_RANGE_UNSHARE)
	}()
	if err := <-refused; err != nil {
		need.Skip(t, "close_range: %v", err)
	}
}

// ownDescriptors counts those that a fork of the test copies.
func ownDescriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		need.Skip(t, "%v", err)
	}
	return len(fds)
}

// What a fork copies does not grow with the number of jobs.
func TestReadEndsAreTheReaders(t *testing.T) {
	ownTable(t)
	f := newFixture(t, Options{})
	var open []*process
	for i := range 50 {
		open = append(open, openProcess(t, f.Console, fmt.Sprint("job", i), ""))
	}
	for _, p := range open {
		p.out("up\n")
	}
	eventually(t, "a line of each", func() bool { return strings.Count(f.out.String(), "up\n") == len(open) })
	// The two of each process that the test itself holds, in the place of the process.
	var held unix.Stat_t
	if err := unix.Fstat(open[0].fds[stdout], &held); err != nil {
		t.Fatal(err)
	}
	ends := 0
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		need.Skip(t, "%v", err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); to == fmt.Sprintf("pipe:[%d]", held.Ino) {
			ends++
		}
	}
	if ends != 1 {
		t.Errorf("%d ends of a job's pipe are in the table that a fork copies, want the one that the process has", ends)
	}
}

// A collection that the reader's allocations begin polls the runtime's own descriptors.
func TestCollectionInTheReader(t *testing.T) {
	ownTable(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		separate(0, 1, 2)
		for range 3 {
			runtime.GC()
		}
	}()
	<-done
}

// While the reader is busy, more pipes are made than the socket to it takes.
func TestReaderIsBehind(t *testing.T) {
	out := newCapture(t, false)
	c, err := prepare(Options{Stdout: out.fd(), Stderr: out.fd()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var open []*process
	for n := 0; n < 2000 && len(c.unsent) < 2*maxRights; n++ {
		open = append(open, openProcess(t, c, "web", ""))
	}
	if len(c.unsent) == 0 {
		t.Fatalf("the socket has taken the pipes of %d processes", len(open))
	}
	for _, p := range open {
		p.out("up\n")
		p.exit()
	}
	c.start(c.sinks[stdout].run)
	c.start(c.rd.run)
	if !c.Sync("web", "", patience) {
		t.Error("Sync timed out")
	}
	eventually(t, "the end of all pipes", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.live == 0
	})
	eventually(t, "a line of each", func() bool { return strings.Count(out.String(), "web | up\n") == len(open) })
}

func TestNoMorePipesThanDescriptors(t *testing.T) {
	f := newFixture(t, Options{})
	p := openProcess(t, f.Console, "web", "")
	f.most = 2
	before := ownDescriptors(t)
	if _, err := f.Open(Spec{Job: "db", UID: os.Geteuid()}); !errors.Is(err, unix.EMFILE) {
		t.Errorf("Open = %v, want %v", err, unix.EMFILE)
	}
	if after := ownDescriptors(t); after != before {
		t.Errorf("%d descriptors, want %d", after, before)
	}
	p.exit()
	eventually(t, "room for others", func() bool {
		o, err := f.Open(Spec{Job: "db", UID: os.Geteuid()})
		if err == nil {
			o.Close()
		}
		return err == nil
	})
}

// More pipes end than are looked at in a round, with and without a last word.
func TestFlushWhereManyHaveEnded(t *testing.T) {
	f := newFixture(t, Options{Format: Raw})
	const n = readEvents
	var open []*process
	for i := range n {
		p := openProcess(t, f.Console, "web", strconv.Itoa(i))
		if i%2 == 0 {
			p.out("last\n")
		}
		open = append(open, p)
	}
	for _, p := range open {
		p.exit()
	}
	if !f.Flush(time.Now().Add(patience)) {
		t.Error("not flushed")
	}
	f.out.wants(t, strings.Repeat("last\n", n/2))
	// What was left open for the end is closed if there is none.
	eventually(t, "the end of all pipes", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.live == 0
	})
}
