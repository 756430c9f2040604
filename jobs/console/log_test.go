package console

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"tend/jobs"
)

func TestLogText(t *testing.T) {
	f := newFixture(t, Options{})
	l := f.Log()
	l.Notice().Job("web", "").PID(12).Msg("started, pid 12")
	l.Warning().Job("db", "a\nb").Msg("two\nlines\x1b[2J\tend")
	l.Info().Msg("not written")
	l.SetLevel(Info)
	l.Info().Msg("caf\u00e9 \xff\u0085")
	l.SetLevel(Fatal)
	l.Error().Msg("not written")
	l.Fatal().Msg("the end")
	f.err.wants(t, "tend | web: started, pid 12\n"+
		`tend | db (a\nb): two\nlines\x1b[2J\tend`+"\n"+
		"tend | caf\u00e9 \\xff\\xc2\\x85\ntend | the end\n")
}

func TestLogJSON(t *testing.T) {
	f := newFixture(t, Options{JSON: true})
	f.Log().Warning().Job("web", "i").Process(jobs.PreStartProcess).PID(12).Status(0).Signal("TERM").
		Event("started").State(jobs.Running).Goal(jobs.Start).Msg("a \"b\"\n")
	f.Log().Notice().Msg("plain")
	eventually(t, "two lines", func() bool { return strings.Count(f.err.String(), "\n") == 2 })
	lines := strings.Split(f.err.String(), "\n")
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatalf("%v in %q", err, lines[0])
	}
	if _, err := time.Parse(time.RFC3339, fmt.Sprint(got["time"])); err != nil {
		t.Error(err)
	}
	delete(got, "time")
	want := map[string]any{"level": "warning", "msg": "a \"b\"\n", "job": "web", "instance": "i", "process": "pre-start",
		"pid": 12.0, "status": 0.0, "signal": "TERM", "event": "started", "state": "running", "goal": "start"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
	if s := stripTimes(lines[1]); s != `{"time":"T","level":"notice","msg":"plain"}` {
		t.Errorf("line %s", s)
	}
}

func TestPriorities(t *testing.T) {
	for _, name := range []string{"debug", "info", "message", "warn", "error", "fatal"} {
		l, ok := ParsePriority(name)
		if !ok || l.Priority() != name {
			t.Errorf("ParsePriority(%q) = %v, %v", name, l, ok)
		}
	}
	if _, ok := ParsePriority("notice"); ok {
		t.Error("notice is no priority of Upstart")
	}
}

func TestLogNeverWaits(t *testing.T) {
	errs := newCapture(t, true)
	out := newCapture(t, false)
	c := newConsole(t, Options{Stdout: out.fd(), Stderr: errs.fd()})
	const lines = 20_000
	for i := range lines {
		c.Log().Notice().Msg(fmt.Sprintf("line %d %s", i, strings.Repeat("x", 50)))
	}
	errs.resume()
	c.Flush(time.Now().Add(patience))
	c.Log().Notice().Msg("after")
	eventually(t, "the last line", func() bool { return strings.HasSuffix(errs.String(), "tend | after\n") })
	got := strings.Split(strings.TrimSuffix(errs.String(), "\n"), "\n")
	written, dropped := 0, 0
	for _, line := range got[:len(got)-1] {
		var n int
		if _, err := fmt.Sscanf(line, "tend | %d lines of this log were dropped", &n); err == nil {
			dropped += n
		} else {
			written++
		}
	}
	if written+dropped != lines || dropped == 0 {
		t.Errorf("%d written and %d dropped, want %d in all", written, dropped, lines)
	}
}

func TestLogLineComesAfterTheJobsLastWords(t *testing.T) {
	f := newFixture(t, Options{})
	var want strings.Builder
	p := openProcess(t, f.Console, "j", "")
	for i := range 500 {
		p.err(fmt.Sprintf("last words %d\nunfinished", i))
		f.Sync("j", "", patience)
		f.Log().Notice().Job("j", "").Msg(fmt.Sprintf("ended %d", i))
		p.err("\n")
		fmt.Fprintf(&want, "j | last words %d\nj | unfinished\ntend | j: ended %d\n", i, i)
	}
	f.err.wants(t, want.String())
}

func TestLogLinesDoNotCutJobsLines(t *testing.T) {
	f := newFixture(t, Options{Format: Raw})
	p := openProcess(t, f.Console, "j", "")
	done := make(chan bool)
	go func() {
		for i := range 2000 {
			p.err(strings.Repeat("x", i) + "\n")
		}
		close(done)
	}()
	for i := range 2000 {
		f.Log().Notice().Msg(fmt.Sprintf("log %d", i))
	}
	<-done
	f.flush(t)
	eventually(t, "all lines", func() bool { return strings.Count(f.err.String(), "\n") == 4000 })
	for _, l := range strings.Split(f.err.String(), "\n") {
		if !strings.HasPrefix(l, "tend | log ") && strings.Trim(l, "x") != "" {
			t.Fatalf("line %q", l)
		}
	}
}

func FuzzPieces(f *testing.F) {
	f.Add([]byte("a\nb\n\nc"), true)
	f.Add([]byte(strings.Repeat("\u00e9", maxLine)), false)
	f.Fuzz(func(t *testing.T, data []byte, final bool) {
		var joined []byte
		rest := data
		for len(rest) > 0 {
			text, n, more := piece(rest, final)
			if n == 0 {
				break
			}
			if len(text) > maxLine || more && n != len(text) {
				t.Fatalf("piece of %d bytes, %d taken, more %v", len(text), n, more)
			}
			joined = append(joined, rest[:n]...)
			rest = rest[n:]
		}
		if string(joined)+string(rest) != string(data) || final && len(rest) > 0 || len(rest) > maxLine {
			t.Fatalf("%d bytes of %d are left", len(rest), len(data))
		}
	})
}

// A loop that has much to tell wakes the writer for a page of lines, and when it is done.
func TestHold(t *testing.T) {
	f := newFixture(t, Options{})
	s := f.log.sink
	asleep := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.sleeping
	}
	eventually(t, "the writer to wait", asleep)
	f.Hold()
	f.Log().Notice().Msg("first")
	if !asleep() {
		t.Error("the writer is woken for one line")
	}
	want := "tend | first\n"
	for len(want) < pageSize {
		f.Log().Notice().Msg("more")
		want += "tend | more\n"
	}
	f.err.wants(t, want)
	eventually(t, "the writer to wait", asleep)
	f.Log().Notice().Msg("last")
	if !asleep() {
		t.Error("the writer is woken for one line after a page")
	}
	f.HandOver()
	f.err.wants(t, want+"tend | last\n")
	f.Log().Notice().Msg("idle")
	f.err.wants(t, want+"tend | last\ntend | idle\n")
}

// What a process writes itself comes after what has been logged of it, as far as that is
// in our hands.
func TestOwnOutputIsNotHeldUp(t *testing.T) {
	f := newFixture(t, Options{})
	f.Hold()
	f.Log().Notice().Msg("started before")
	o, err := f.Open(Spec{Job: "web", UID: os.Geteuid(), Console: jobs.ConsoleOutput})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	f.err.wants(t, "tend | started before\n")
}
