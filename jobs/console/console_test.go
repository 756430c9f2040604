package console

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"tend/jobs"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// The first thread is that of the tests, or it might become a reader with a descriptor
// table of its own, which /proc/self then shows.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if mode := os.Getenv("CONSOLE_TEST_HELPER"); mode != "" {
		helper(mode)
		return
	}
	os.Exit(m.Run())
}

// helper is the test binary as a process of a job.
func helper(mode string) {
	switch mode {
	case "write": // 100-byte lines until MB megabytes
		var mb int
		fmt.Sscan(os.Getenv("MB"), &mb)
		line := append(bytes.Repeat([]byte{'x'}, 99), '\n')
		block := bytes.Repeat(line, 650)
		for n := 0; n < mb*1_000_000; n += len(block) {
			if _, err := os.Stdout.Write(block[:min(len(block), mb*1_000_000-n)]); err != nil {
				os.Exit(1)
			}
		}
	case "burst": // writes fast and dies
		var b bytes.Buffer
		for i := range 20000 {
			fmt.Fprintf(&b, "line %d\n", i)
		}
		b.WriteString("last without newline")
		os.Stdout.Write(b.Bytes())
		os.Stderr.WriteString("to stderr")
	case "reopen": // opens its stdout by path, as another user may have to
		f, err := os.OpenFile("/dev/stdout", os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		f.WriteString("opened by path\n")
	}
}

// capture is the read end of a pipe that stands for the container's stdout or
// stderr.
type capture struct {
	r, w *os.File
	mu   sync.Mutex
	b    bytes.Buffer
	done chan struct{}
}

// newCapture reads all the time unless stalled is set; see resume.
func newCapture(t testing.TB, stalled bool) *capture {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &capture{r: r, w: w, done: make(chan struct{})}
	t.Cleanup(func() { r.Close(); w.Close() })
	if !stalled {
		c.resume()
	}
	return c
}

func (c *capture) fd() int { return int(c.w.Fd()) }

func (c *capture) resume() {
	go func() {
		defer close(c.done)
		b := make([]byte, 256<<10)
		for {
			n, err := c.r.Read(b)
			c.mu.Lock()
			c.b.Write(b[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

func (c *capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

// eventually polls until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		runtime.Gosched()
		unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
	}
}

func (c *capture) wants(t testing.TB, want string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for c.String() != want {
		if time.Now().After(deadline) {
			got := c.String()
			i := 0
			for i < min(len(got), len(want)) && got[i] == want[i] {
				i++
			}
			t.Fatalf("output has %d bytes, want %d; from byte %d on\n%.300q\nwant\n%.300q", len(got), len(want), i, got[i:], want[i:])
		}
		unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
	}
}

type fixture struct {
	*Console
	out, err *capture
}

func newFixture(t testing.TB, o Options) fixture {
	t.Helper()
	f := fixture{out: newCapture(t, false), err: newCapture(t, false)}
	o.Stdout, o.Stderr = f.out.fd(), f.err.fd()
	f.Console = newConsole(t, o)
	return f
}

func newConsole(t testing.TB, o Options) *Console {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// process is an Output whose write ends the test itself holds.
type process struct {
	*Output
	t   testing.TB
	fds [2]int
}

func openProcess(t testing.TB, c *Console, job, instance string) *process {
	t.Helper()
	o, err := c.Open(Spec{Job: job, Instance: instance, UID: os.Geteuid(), Console: jobs.ConsoleLog})
	if err != nil {
		t.Fatal(err)
	}
	c.HandOver()
	p := fromOutput(t, o)
	t.Cleanup(p.exit)
	return p
}

func fromOutput(t testing.TB, o *Output) *process {
	t.Helper()
	p := &process{Output: o, t: t}
	for i, fd := range []int{o.Stdout, o.Stderr} {
		var err error
		if p.fds[i], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			t.Fatal(err)
		}
	}
	o.Close()
	return p
}

func (p *process) write(stream int, s string) {
	p.t.Helper()
	for b := []byte(s); len(b) > 0; {
		n, err := unix.Write(p.fds[stream], b)
		if err != nil {
			p.t.Fatal(err)
		}
		b = b[n:]
	}
}

func (p *process) out(s string) { p.t.Helper(); p.write(stdout, s) }
func (p *process) err(s string) { p.t.Helper(); p.write(stderr, s) }

// exit closes the write ends.
func (p *process) exit() {
	for i, fd := range p.fds {
		if fd >= 0 {
			unix.Close(fd)
		}
		p.fds[i] = -1
	}
}

// spawn starts the test binary in the mode of helper.
func spawn(t testing.TB, c *Console, job, mode string, env ...string) int {
	t.Helper()
	o, err := c.Open(Spec{Job: job, UID: os.Geteuid(), Console: jobs.ConsoleLog})
	if err != nil {
		t.Fatal(err)
	}
	c.HandOver()
	defer o.Close()
	pid, err := startHelper(o, mode, env...)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func startHelper(o *Output, mode string, env ...string) (int, error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	return forkExec(exe, append([]string{"CONSOLE_TEST_HELPER=" + mode}, env...), o.Stdin, o.Stdout, o.Stderr)
}

func TestLinesArePrefixed(t *testing.T) {
	f := newFixture(t, Options{})
	web := openProcess(t, f.Console, "web", "")
	web.out("one\ntw")
	f.out.wants(t, "web | one\n")
	long := openProcess(t, f.Console, "a-name-that-is-longer-than-16", "")
	long.out("x\n")
	f.out.wants(t, "web | one\na-name-that-is-longer-than-16 | x\n")
	inst := openProcess(t, f.Console, "db", "blue")
	web.out("o\n\n")
	f.out.wants(t, "web | one\na-name-that-is-longer-than-16 | x\nweb              | two\nweb              | \n")
	inst.err("oops\n")
	f.err.wants(t, "db/blue          | oops\n")
	web.out("no newline")
	web.exit()
	eventually(t, "the last line", func() bool {
		return strings.HasSuffix(f.out.String(), "web              | no newline\n")
	})
}

func TestNamesCannotBreakLines(t *testing.T) {
	f := newFixture(t, Options{})
	p := openProcess(t, f.Console, "a\nb", "\x1b[2J"+strings.Repeat("é", 300))
	p.out("x\n")
	eventually(t, "the line", func() bool { return strings.HasSuffix(f.out.String(), " | x\n") })
	if got := f.out.String(); !strings.HasPrefix(got, `a\nb/\x1b[2Jéé`) || strings.Count(got, "\n") != 1 || len(got) > maxLabel+10 {
		t.Errorf("line %q", got)
	}
}

func TestFormats(t *testing.T) {
	for _, tt := range []struct {
		name      string
		o         Options
		out, err  string
		withTimes bool
	}{
		{"raw", Options{Format: Raw}, "a\x1bb\npart\n", "e\xff\"\n", false},
		{"none", Options{Format: None}, "", "", false},
		{"prefix", Options{}, "j/i | a\x1bb\nj/i | part\n", "j/i | e\xff\"\n", false},
		{"json", Options{JSON: true},
			`{"time":"T","job":"j","instance":"i","process":"main","stream":"stdout","msg":"a\u001bb"}` + "\n" +
				`{"time":"T","job":"j","instance":"i","process":"main","stream":"stdout","msg":"part"}` + "\n",
			`{"time":"T","job":"j","instance":"i","process":"main","stream":"stderr","msg":"e` + "\ufffd" + `\""}` + "\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, tt.o)
			p := openProcess(t, f.Console, "j", "i")
			p.out("a\x1bb\npart")
			p.err("e\xff\"\n")
			p.exit()
			if !f.Flush(time.Now().Add(patience)) {
				t.Fatal("flush timed out")
			}
			want := map[*capture]string{f.out: tt.out, f.err: tt.err}
			for c, w := range want {
				eventually(t, fmt.Sprintf("output %q", w), func() bool {
					got := c.String()
					if tt.withTimes {
						got = stripTimes(got)
					}
					return got == w
				})
			}
			if got := f.Tail("j", "i", 64); len(got) != 3 {
				t.Errorf("Tail = %v, want three lines", got)
			}
		})
	}
}

// stripTimes replaces the value of time in JSON lines by T.
func stripTimes(s string) string {
	lines := strings.SplitAfter(s, "\n")
	for i, l := range lines {
		if rest, ok := strings.CutPrefix(l, `{"time":"`); ok {
			if _, rest, ok = strings.Cut(rest, `"`); ok {
				lines[i] = `{"time":"T"` + rest
			}
		}
	}
	return strings.Join(lines, "")
}

func TestLongLinesAreSplit(t *testing.T) {
	text := strings.Repeat("0123456789abcde\u00e9", 4000) // 68000 bytes
	for _, tt := range []struct {
		name string
		o    Options
		text string
		want string
	}{
		{"exactly the limit", Options{}, strings.Repeat("x", maxLine) + "\ny\n", "j | " + strings.Repeat("x", maxLine) + "\nj | y\n"},
		{"one more", Options{}, strings.Repeat("x", maxLine+1) + "\ny\n", "j | " + strings.Repeat("x", maxLine) + "\nj + x\nj | y\n"},
		{"raw stays whole", Options{Format: Raw}, text + "\ny\n", text + "\ny\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, tt.o)
			p := openProcess(t, f.Console, "j", "")
			p.out(tt.text)
			f.out.wants(t, tt.want)
		})
	}
	t.Run("characters stay whole", func(t *testing.T) {
		f := newFixture(t, Options{})
		p := openProcess(t, f.Console, "j", "")
		p.out(text)
		p.exit()
		f.Flush(time.Now().Add(patience))
		var lines []string
		eventually(t, "all of the line", func() bool {
			var joined strings.Builder
			lines = strings.SplitAfter(f.out.String(), "\n")
			for _, l := range lines {
				joined.WriteString(strings.TrimSuffix(l[min(len(l), len("j | ")):], "\n"))
			}
			return joined.String() == text && lines[len(lines)-1] == ""
		})
		for i, l := range lines[:len(lines)-1] {
			if want := map[bool]string{true: "j | ", false: "j + "}[i == 0]; !strings.HasPrefix(l, want) || !utf8.ValidString(l) {
				t.Errorf("line %d: %.20q…, valid %v", i, l, utf8.ValidString(l))
			}
		}
	})
}

func TestRawLinesOfOthersStayWhole(t *testing.T) {
	f := newFixture(t, Options{Format: Raw})
	a, b := openProcess(t, f.Console, "a", ""), openProcess(t, f.Console, "b", "")
	long := strings.Repeat("x", maxLine+5)
	a.out(long)
	f.out.wants(t, long[:maxLine])
	b.out("b\n")
	f.out.wants(t, long[:maxLine]+"\nb\n")
	a.out("!\n")
	f.out.wants(t, long[:maxLine]+"\nb\n"+"xxxxx!\n")
}

func TestSyncFlushesAnUnfinishedLine(t *testing.T) {
	f := newFixture(t, Options{})
	p := openProcess(t, f.Console, "j", "")
	p.out("whole\nunfinished") // a child keeps the pipe open
	if !f.Sync(p.job.key.job, p.job.key.instance, patience) {
		t.Fatal("Sync timed out")
	}
	tail := f.Tail("j", "", 10)
	if len(tail) != 2 || tail[1].Text != "unfinished" || tail[1].Stream != "stdout" {
		t.Fatalf("Tail = %v", tail)
	}
	p.out("\nnext\n")
	f.out.wants(t, "j | whole\nj | unfinished\nj | next\n")
}

func TestStdoutIsReadFirst(t *testing.T) {
	for _, together := range []bool{true, false} {
		t.Run(fmt.Sprintf("one file %v", together), func(t *testing.T) {
			out, err := newCapture(t, true), newCapture(t, true)
			o := Options{Stdout: out.fd(), Stderr: err.fd()}
			if together {
				o.Stderr = o.Stdout
			}
			c, e := prepare(o)
			if e != nil {
				t.Fatal(e)
			}
			p := openProcess(t, c, "j", "")
			p.err("err\n")
			p.out("out\n")
			c.rd.round() // takes the pipes
			c.rd.round()
			if got := c.Tail("j", "", 9); len(got) != 2 || got[0].Text != "out" || got[1].Text != "err" {
				t.Errorf("read %v", got)
			}
			if together {
				if s := c.sinks[stdout]; string(s.buf[s.r:s.w]) != "j | out\nj | err\n" {
					t.Errorf("passed on %q", s.buf[s.r:s.w])
				}
			}
			p.exit()
			c.Close()
		})
	}
}

func TestFastWriterThatDies(t *testing.T) {
	f := newFixture(t, Options{LogDir: t.TempDir() + "/logs"})
	pid := spawn(t, f.Console, "burst", "burst")
	waitFor(t, pid)
	if !f.Flush(time.Now().Add(patience)) {
		t.Fatal("flush timed out")
	}
	var want, file strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&want, "burst | line %d\n", i)
		fmt.Fprintf(&file, "line %d\n", i)
	}
	want.WriteString("burst | last without newline\n")
	f.out.wants(t, want.String())
	f.err.wants(t, "burst | to stderr\n")
	b, err := os.ReadFile(f.opts.LogDir + "/burst.log")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b); len(got) != file.Len()+len("last without newline")+len("to stderr")+1 || !strings.HasPrefix(got, file.String()) {
		t.Errorf("log file has %d bytes", len(got))
	}
}
