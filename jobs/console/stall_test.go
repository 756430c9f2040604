package console

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/test/need"
)

// fill writes numbered lines until none is taken any more for a while.
func fill(t *testing.T, p *process, stream int) (written string) {
	t.Helper()
	if err := unix.SetNonblock(p.fds[stream], true); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	line := func() []byte { return []byte(fmt.Sprintf("%07d %s\n", all.Len(), strings.Repeat("x", 80))) }
	refused := time.Time{}
	for refused.IsZero() || time.Since(refused) < 200*time.Millisecond {
		b := line() // below PIPE_BUF: written whole or not at all
		if _, err := unix.Write(p.fds[stream], b); err == nil {
			all.Write(b)
			refused = time.Time{}
		} else if err != unix.EAGAIN {
			t.Fatal(err)
		} else if refused.IsZero() {
			refused = time.Now()
		}
	}
	return all.String()
}

func TestStalledStdoutBlocksOnlyItsWriters(t *testing.T) {
	out, errs := newCapture(t, true), newCapture(t, false)
	c := newConsole(t, Options{Stdout: out.fd(), Stderr: errs.fd()})
	a, b := openProcess(t, c, "a", ""), openProcess(t, c, "b", "")

	fromA := fill(t, a, stdout)
	fromB := fill(t, b, stdout)
	if most := sinkSize + 3*readSize; len(fromA) > most || len(fromB) > most {
		t.Errorf("%d and %d bytes were taken while nobody reads", len(fromA), len(fromB))
	}
	// The other stream, tend's own log and the last lines go on.
	a.err("stderr works\n")
	c.Log().Warning().Msg("log works")
	eventually(t, "stderr", func() bool {
		return strings.Contains(errs.String(), "a | stderr works\n") && strings.Contains(errs.String(), "tend | log works\n")
	})
	if tail := c.Tail("a", "", 1); len(tail) != 1 || tail[0].Text != "stderr works" {
		t.Errorf("Tail = %v", tail)
	}
	if c.Flush(time.Now().Add(50 * time.Millisecond)) {
		t.Error("Flush says that all has been written while nobody reads")
	}
	if !c.Sync(a.job.key.job, a.job.key.instance, patience) {
		t.Error("Sync waits for a reader of stdout")
	}

	out.resume()
	a.exit()
	b.exit()
	if !c.Flush(time.Now().Add(patience)) {
		t.Fatal("Flush timed out")
	}
	var gotA, gotB strings.Builder
	wantLen := len(fromA) + len(fromB) + len("a | ")*(strings.Count(fromA, "\n")+strings.Count(fromB, "\n"))
	eventually(t, "everything", func() bool { return len(out.String()) >= wantLen })
	for _, l := range strings.SplitAfter(out.String(), "\n") {
		if rest, ok := strings.CutPrefix(l, "a | "); ok {
			gotA.WriteString(rest)
		} else if rest, ok := strings.CutPrefix(l, "b | "); ok {
			gotB.WriteString(rest)
		} else if l != "" {
			t.Fatalf("line %q", l)
		}
	}
	if gotA.String() != fromA || gotB.String() != fromB {
		t.Error("lines were lost or changed")
	}
}

// A flush may wait for long. What ends meanwhile is closed: it would be reported again and
// again.
func TestPipesEndDuringAStalledFlush(t *testing.T) {
	out, errs := newCapture(t, true), newCapture(t, false)
	c := newConsole(t, Options{Stdout: out.fd(), Stderr: errs.fd()})
	stalled := openProcess(t, c, "stalled", "")
	var others []*process
	for i := range 3 {
		others = append(others, openProcess(t, c, fmt.Sprint("other", i), ""))
	}
	fill(t, stalled, stdout)
	flushed := make(chan bool)
	go func() { flushed <- c.Flush(time.Now().Add(patience)) }()
	for i, p := range others {
		p.exit()
		eventually(t, "end of the pipes of "+p.job.key.job, func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.live == 2*(len(others)-i)
		})
	}
	out.resume()
	stalled.exit()
	if !<-flushed {
		t.Error("Flush timed out")
	}
}

func TestStalledStdoutLeavesFilesOfOthersAlone(t *testing.T) {
	dir := t.TempDir()
	out, errs := newCapture(t, true), newCapture(t, true)
	c := newConsole(t, Options{Stdout: out.fd(), Stderr: errs.fd(), LogDir: dir})
	a, b := openProcess(t, c, "a", ""), openProcess(t, c, "b", "")
	fill(t, a, stdout)
	b.err("to the file\n")
	eventually(t, "log file", func() bool {
		got, _ := os.ReadFile(dir + "/b.log")
		return string(got) == "to the file\n"
	})
	out.resume()
	errs.resume()
}

func TestOutputLargerThanAllBuffers(t *testing.T) {
	for _, o := range []Options{{}, {JSON: true}, {Format: Raw}} {
		t.Run(fmt.Sprint(o.Format, o.JSON), func(t *testing.T) {
			f := newFixture(t, o)
			p := openProcess(t, f.Console, "j", "")
			// Many short lines grow most when a prefix is added.
			const lines = 300_000
			done := make(chan bool)
			go func() {
				p.out(strings.Repeat("\n", lines))
				p.exit()
				close(done)
			}()
			eventually(t, "all lines", func() bool {
				f.Flush(time.Now().Add(patience))
				f.out.mu.Lock()
				defer f.out.mu.Unlock()
				return bytes.Count(f.out.b.Bytes(), []byte{'\n'}) == lines
			})
			<-done
		})
	}
}

func TestClosedOutputEndsNothing(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	closed, err := unix.FcntlInt(full.Fd(), unix.F_DUPFD_CLOEXEC, 200)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(closed)
	gone := newCapture(t, true)
	gone.r.Close()
	for _, tt := range []struct {
		name string
		fd   int
		want string
	}{
		{"reader is gone", gone.fd(), "broken pipe"},
		{"not open", closed, "bad file descriptor"},
		{"disk is full", int(full.Fd()), "no space left on device"},
	} {
		t.Run("stdout: "+tt.name, func(t *testing.T) {
			errs := newCapture(t, false)
			c := newConsole(t, Options{Stdout: tt.fd, Stderr: errs.fd()})
			p := openProcess(t, c, "j", "")
			for range 20 {
				p.out(strings.Repeat("lost\n", 20000))
			}
			p.err("kept\n")
			p.out("end\n")
			p.exit()
			if !c.Flush(time.Now().Add(patience)) {
				t.Fatal("Flush timed out")
			}
			eventually(t, "stderr", func() bool { return strings.Contains(errs.String(), "j | kept\n") })
			if n := strings.Count(errs.String(), "cannot write to stdout: "+tt.want); n != 1 {
				t.Errorf("it is said %d times in %q", n, errs.String())
			}
			if got := c.Tail("j", "", 1); len(got) != 1 {
				t.Errorf("Tail = %v", got)
			}
		})
		t.Run("stderr: "+tt.name, func(t *testing.T) {
			out := newCapture(t, false)
			c := newConsole(t, Options{Stdout: out.fd(), Stderr: tt.fd})
			c.Log().Error().Msg("nobody sees this")
			p := openProcess(t, c, "j", "")
			p.out("goes on\n")
			p.exit()
			if !c.Flush(time.Now().Add(patience)) {
				t.Fatal("Flush timed out")
			}
			eventually(t, "stdout", func() bool {
				return strings.Contains(out.String(), "j | goes on\n") &&
					strings.Count(out.String(), "tend | cannot write to stderr: "+tt.want) == 1
			})
		})
	}
}

func TestNonBlockingStdoutIsWaitedFor(t *testing.T) {
	f := newFixture(t, Options{})
	if err := unix.SetNonblock(f.out.fd(), true); err != nil { // as another program may
		t.Fatal(err)
	}
	p := openProcess(t, f.Console, "j", "")
	text := strings.Repeat("0123456789\n", 100_000)
	p.out(text)
	p.exit()
	f.Flush(time.Now().Add(patience))
	f.out.wants(t, strings.ReplaceAll(text, "012", "j | 012"))
}

func TestMutedTerminal(t *testing.T) {
	master, slave := openTerminalPair(t)
	errs := newCapture(t, false)
	c := newConsole(t, Options{Stdout: slave, Stderr: errs.fd(), LogDir: t.TempDir()})
	p := openProcess(t, c, "j", "")
	c.Mute(true)
	p.out("hidden\n")
	p.err("stderr is no terminal\n")
	errs.wants(t, "j | stderr is no terminal\n")
	c.Sync(p.job.key.job, p.job.key.instance, patience)
	if tail := c.Tail("j", "", 9); len(tail) != 2 {
		t.Errorf("Tail = %v", tail)
	}
	c.Mute(false)
	p.out("shown\n")
	var b [100]byte
	n, err := unix.Read(master, b[:])
	if got := string(b[:max(n, 0)]); err != nil || got != "j | shown\r\n" {
		t.Errorf("terminal shows %q, %v", got, err)
	}
}

func openTerminalPair(t *testing.T) (master, slave int) {
	t.Helper()
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		need.Skip(t, "%v", err) // no devpts here
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(master); unix.Close(slave) })
	return master, slave
}

func TestDescriptorsByConsole(t *testing.T) {
	out, errs := newCapture(t, false), newCapture(t, false)
	c := newConsole(t, Options{Stdout: out.fd(), Stderr: errs.fd(), Default: jobs.ConsoleNone})
	open := func(mode jobs.Console, uid int) *Output {
		o, err := c.Open(Spec{Job: "j", Console: mode, UID: uid})
		if err != nil {
			t.Fatal(err)
		}
		c.HandOver()
		return o
	}
	isNull := func(fd int) bool {
		var st unix.Stat_t
		return unix.Fstat(fd, &st) == nil && st.Rdev == unix.Mkdev(1, 3)
	}
	me := os.Geteuid()
	if o := open(jobs.ConsoleDefault, me); !isNull(o.Stdin) || !isNull(o.Stdout) || !isNull(o.Stderr) {
		t.Errorf("none: %+v", o)
	}
	if o := open(jobs.ConsoleOutput, me); !isNull(o.Stdin) || o.Stdout != out.fd() || o.Stderr != errs.fd() {
		t.Errorf("output: %+v", o)
	}
	if o := open(jobs.ConsoleLog, me); !isNull(o.Stdin) || o.Stdout == out.fd() || len(o.owned) != 2 {
		t.Errorf("log: %+v", o)
	} else {
		o.Close()
	}
	if o := open(jobs.ConsoleOutput, os.Geteuid()+1); o.Stdout != out.fd() {
		t.Errorf("output of another user, with pipes that can be made writable: %+v", o)
	} else {
		var st unix.Stat_t
		if _ = unix.Fstat(o.Stdout, &st); st.Mode&unix.S_IWOTH == 0 {
			t.Errorf("stdout has mode %o", st.Mode)
		}
	}
}

func TestConsoleOutputIsCopiedWhereItCannotBeOpened(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	errs := newCapture(t, false)
	c := newConsole(t, Options{Stdout: int(f.Fd()), Stderr: errs.fd(), LogDir: t.TempDir()})
	for range 2 {
		o, err := c.Open(Spec{Job: "j", Console: jobs.ConsoleOutput, UID: os.Geteuid() + 1})
		if err != nil {
			t.Fatal(err)
		}
		c.HandOver()
		p := fromOutput(t, o)
		p.out("as it is\n")
		p.exit()
	}
	c.Flush(time.Now().Add(patience))
	if got, _ := os.ReadFile(f.Name()); string(got) != "as it is\nas it is\n" {
		t.Errorf("stdout has %q", got)
	}
	eventually(t, "one line that says so", func() bool { return strings.Count(errs.String(), "its output is copied") == 1 })
}

func TestOtherUserOpensStdoutByPath(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Skip(t, "needs root to run a program as another user")
	}
	f := newFixture(t, Options{})
	for _, uid := range []int{0, 12345} {
		o, err := f.Open(Spec{Job: "j", UID: uid})
		if err != nil {
			t.Fatal(err)
		}
		f.HandOver()
		pid, err := startHelperAs(o, 12345, "reopen")
		if err != nil {
			t.Fatal(err)
		}
		o.Close()
		waitFor(t, pid)
	}
	f.out.wants(t, "j | opened by path\nj | opened by path\n")
}

func TestNoNullDevice(t *testing.T) {
	for _, path := range []string{"/nonexistent", "/dev/zero"} {
		t.Run(path, func(t *testing.T) {
			defer func(old string) { nullPath = old }(nullPath)
			nullPath = path
			f := newFixture(t, Options{})
			for range 2 {
				o, err := f.Open(Spec{Job: "j", Console: jobs.ConsoleNone})
				if err != nil {
					t.Fatal(err)
				}
				f.HandOver()
				var b [1]byte
				if n, err := unix.Read(o.Stdin, b[:]); n != 0 || err != nil {
					t.Errorf("read = %d, %v, want end of file", n, err)
				}
				for range 100 {
					if _, err := unix.Write(o.Stdout, make([]byte, 64<<10)); err != nil {
						t.Fatal(err)
					}
				}
				o.Close()
			}
			eventually(t, "one line that says so", func() bool { return strings.Count(f.err.String(), "a pipe stands in for it") == 1 })
			if f.out.String() != "" {
				t.Errorf("stdout has %q", f.out.String())
			}
		})
	}
}
