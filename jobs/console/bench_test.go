package console

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// drain reads a pipe to its end, in a thread of its own, and tells how much that was.
func drain(fd int) <-chan int64 {
	done := make(chan int64, 1)
	go func() {
		b := make([]byte, 1<<20)
		var total int64
		for {
			n, err := unix.Read(fd, b)
			if n <= 0 || err != nil && err != unix.EINTR {
				done <- total
				return
			}
			total += int64(n)
		}
	}()
	return done
}

func cpu() time.Duration {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

const benchMB = 500

// BenchmarkCopy is what cat does: a process writes 100-byte lines into a pipe, which
// is read in blocks and thrown away. BenchmarkPrefix is to be compared with it.
func BenchmarkCopy(b *testing.B) {
	b.Run("full pipes", func(b *testing.B) { benchCopy(b, 0) })
	b.Run("small pipes", func(b *testing.B) { benchCopy(b, smallPipe) })
}

func benchCopy(b *testing.B, pipeSize int) {
	b.SetBytes(benchMB * 1_000_000)
	used := cpu()
	for b.Loop() {
		var in, out [2]int
		_ = unix.Pipe2(in[:], unix.O_CLOEXEC)
		_ = unix.Pipe2(out[:], unix.O_CLOEXEC)
		if pipeSize > 0 {
			_, _ = unix.FcntlInt(uintptr(in[1]), unix.F_SETPIPE_SZ, pipeSize)
		}
		total := drain(out[0])
		pid := benchWriter(b, in[1])
		unix.Close(in[1])
		buf := make([]byte, 128<<10)
		for {
			n, err := unix.Read(in[0], buf)
			if n <= 0 {
				if err == unix.EINTR {
					continue
				}
				break
			}
			_, _ = unix.Write(out[1], buf[:n])
		}
		unix.Close(out[1])
		<-total
		waitFor(b, pid)
		unix.Close(in[0])
		unix.Close(out[0])
	}
	b.ReportMetric((cpu()-used).Seconds()/(float64(benchMB)/1000*float64(b.N)), "cpu-s/GB")
}

func benchWriter(b *testing.B, fd int) int {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	pid, err := forkExec(exe, []string{"CONSOLE_TEST_HELPER=write", fmt.Sprintf("MB=%d", benchMB)}, 0, fd, 2)
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

// BenchmarkPrefix passes on 100-byte lines of a process by way of a Console. The CPU
// time includes that of the reader of the output.
func BenchmarkPrefix(b *testing.B) {
	for _, tt := range []struct {
		name string
		o    Options
	}{
		{"text", Options{}},
		{"raw", Options{Format: Raw}},
		{"json", Options{JSON: true}},
		{"none", Options{Format: None}},
		{"file", Options{Format: None, LogDir: "DIR", LogMaxSize: 50 << 20, LogFiles: 2}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			if tt.o.LogDir != "" {
				tt.o.LogDir = b.TempDir()
			}
			benchConsole(b, tt.o, 0)
		})
	}
	b.Run("small pipes", func(b *testing.B) { benchConsole(b, Options{}, smallPipe) })
}

// BenchmarkOpen is what a process's output costs when it starts and ends.
func BenchmarkOpen(b *testing.B) {
	out, _ := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	c, err := New(Options{Stdout: int(out.Fd()), Stderr: int(out.Fd())})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	var opening time.Duration
	for b.Loop() {
		began := time.Now()
		o, err := c.Open(Spec{Job: "bench", UID: os.Geteuid()})
		if err != nil {
			b.Fatal(err)
		}
		c.HandOver()
		opening += time.Since(began)
		o.Close()
		c.Sync("bench", "", time.Minute) // or the reader would fall behind
	}
	b.ReportMetric(float64(opening.Nanoseconds())/float64(b.N), "ns/Open")
}

// BenchmarkLines is a process that writes each line by itself.
func BenchmarkLines(b *testing.B) {
	out, _ := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	c, err := New(Options{Stdout: int(out.Fd()), Stderr: int(out.Fd())})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	o, err := c.Open(Spec{Job: "bench", UID: os.Geteuid()})
	if err != nil {
		b.Fatal(err)
	}
	c.HandOver()
	defer o.Close()
	line := append(bytes.Repeat([]byte{'x'}, 99), '\n')
	b.SetBytes(int64(len(line)))
	used := cpu()
	for b.Loop() {
		_, _ = unix.Write(o.Stdout, line)
	}
	used = cpu() - used
	b.ReportMetric(used.Seconds()/(float64(b.N)*100/1e9), "cpu-s/GB")
}

func benchConsole(b *testing.B, o Options, pipeSize int) {
	var out [2]int
	_ = unix.Pipe2(out[:], unix.O_CLOEXEC)
	o.Stdout, o.Stderr = out[1], 2
	c, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	total := drain(out[0])
	b.SetBytes(benchMB * 1_000_000)
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	used := cpu()
	for b.Loop() {
		o, err := c.Open(Spec{Job: "bench", UID: os.Geteuid()})
		if err != nil {
			b.Fatal(err)
		}
		c.HandOver()
		if pipeSize > 0 {
			c.Sync("bench", "", time.Minute) // the reader has the pipes now
			c.mu.Lock()
			for _, p := range c.pipes {
				if p != nil {
					p.fixed = true
				}
			}
			c.mu.Unlock()
			_, _ = unix.FcntlInt(uintptr(o.Stdout), unix.F_SETPIPE_SZ, pipeSize)
		}
		pid := benchWriter(b, o.Stdout)
		o.Close()
		waitFor(b, pid)
		if !c.Flush(time.Now().Add(time.Minute)) {
			b.Fatal("flush timed out")
		}
	}
	used = cpu() - used
	runtime.ReadMemStats(&m1)
	c.Close()
	unix.Close(out[1])
	got := <-total
	unix.Close(out[0])
	lines := int64(benchMB) * 10_000 * int64(b.N)
	if want := lines * int64(100+len("bench | ")); o.Format == Prefix && !o.JSON && got != want {
		b.Errorf("%d bytes came out, want %d", got, want)
	}
	b.ReportMetric(used.Seconds()/(float64(benchMB)/1000*float64(b.N)), "cpu-s/GB")
	b.ReportMetric(float64(m1.Mallocs-m0.Mallocs)/(float64(lines)/1e6), "allocs/Mline")
}
