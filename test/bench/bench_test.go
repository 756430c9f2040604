package main

import (
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tend/test/need"
)

func TestMain(m *testing.M) {
	if os.Args[0] == stageName {
		stage(os.Args[1:])
	}
	code := m.Run()
	need.Clean()
	os.Exit(code)
}

func TestStatistics(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		how    statistic
		want   float64
		ok     bool
	}{
		{"nothing", nil, median, 0, false},
		{"median of an odd number", []float64{9, 1, 5}, median, 5, true},
		{"median of an even number", []float64{9, 1, 5, 3}, median, 4, true},
		{"median of one", []float64{7}, median, 7, true},
		{"99th percentile of few is the last", []float64{1, 3, 2}, p99, 3, true},
		{"most", []float64{1, 3, 2}, most, 3, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s samples
			for _, v := range tt.values {
				s.add("x", v)
			}
			if got, ok := s.of(column{"x", "", tt.how}); got != tt.want || ok != tt.ok {
				t.Errorf("of(%v) = %v, %v, want %v, %v", tt.values, got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestCountLines(t *testing.T) {
	line := strings.Repeat("abcdefghijklmnopqrstuvwxyz", 4)[:lineLength-1] + "\n"
	tests := []struct {
		name, data  string
		whole, torn int
	}{
		{"nothing", "", 0, 0},
		{"two lines", line + line, 2, 0},
		{"with prefixes", "s0 | " + line + "s1 | " + line, 2, 0},
		{"among lines of the peer's own", "tend | started\n" + line, 1, 0},
		{"the start of a line", line + line[:60], 1, 1},
		{"the end of a line", line[50:] + line, 1, 1},
		{"two lines in each other", line[:40] + line[30:] + line, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if whole, torn := countLines([]byte(tt.data)); whole != tt.whole || torn != tt.torn {
				t.Errorf("countLines(%q) = %d, %d, want %d, %d", tt.data, whole, torn, tt.whole, tt.torn)
			}
		})
	}
}

func TestParseLdd(t *testing.T) {
	out := "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n"
	got, err := parseLdd("x", []byte(out))
	if want := []string{"/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("parseLdd = %q, %v, want %q", got, err, want)
	}
	if _, err := parseLdd("x", []byte("\tlibs6.so => not found\n")); err == nil || !strings.Contains(err.Error(), "libs6.so") {
		t.Errorf("a missing library gives %v, want an error that names it", err)
	}
}

func TestParseStatus(t *testing.T) {
	got, ok := parseStatus(7, []byte("7 (a) b) Z 3 7 7 0 -1"))
	if want := (status{7, 3, true}); !ok || got != want {
		t.Errorf("parseStatus = %v, %v, want %v", got, ok, want)
	}
	if _, ok := parseStatus(7, []byte("7 (a)")); ok {
		t.Error("half a line is taken for a process")
	}
}

func TestParseRecord(t *testing.T) {
	b := make([]byte, recordSize)
	b[0] = 'S'
	binary.NativeEndian.PutUint32(b[4:], 3)
	binary.NativeEndian.PutUint32(b[8:], 44)
	binary.NativeEndian.PutUint64(b[16:], 5e9)
	binary.NativeEndian.PutUint64(b[24:], 6)
	if got, want := parseRecord(b), (record{'S', 3, 44, 5e9, 6}); got != want {
		t.Errorf("parseRecord = %v, want %v", got, want)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.123: "0.12", 9.87: "9.87", 12.34: "12.3", 123.4: "123", 4567: "4567", -1.5: "-1.50"} {
		if got := number(v, true); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
	if got := number(1, false); got != "–" {
		t.Errorf("no value is written as %q", got)
	}
}

// A plot is well-formed XML that names each line, whatever it is drawn from.
func TestPlot(t *testing.T) {
	all := []series{
		{"a<b", [][2]float64{{1, 2}, {10, 20}, {100, 300}}},
		{"flat", [][2]float64{{1, 2}, {10, 2}}},
		{"one point", [][2]float64{{1, 2}}},
	}
	for _, lines := range [][]series{all, all[1:2], nil} {
		svg := plot("title & more", "x", "y", lines)
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in\n%s", err, svg)
			}
		}
		for _, bad := range []string{"NaN", "Inf", "one point"} {
			if strings.Contains(svg, bad) {
				t.Errorf("%q in\n%s", bad, svg)
			}
		}
		if len(lines) == 3 && !strings.Contains(svg, "a&lt;b") {
			t.Errorf("the name of a line is not in\n%s", svg)
		}
	}
}

func TestParseOptions(t *testing.T) {
	s, err := parse([]string{"-quick", "-only", "life,log", "-bin", "dinit=/x/dinit"})
	if err != nil {
		t.Fatal(err)
	}
	if s.rounds != 3 || !s.wants("log") || s.wants("idle") || s.bin["dinit"] != "/x/dinit" {
		t.Errorf("parse = %+v", s)
	}
	for _, bad := range [][]string{{"-bin", "dinit"}, {"word"}, {"-unknown"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("parse(%q) gives no error", bad)
		}
	}
}

// Every peer writes a configuration for any number of services that it takes, and is
// started by a program that is in its root.
func TestConfigurations(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			n := 3
			if !p.takes(n) {
				n = 1
			}
			g := &genesis{dir: t.TempDir(), services: newServices(n, "pause"), logged: true}
			argv := p.generate(g)
			if g.err != nil || len(argv) == 0 {
				t.Fatalf("generate = %q, %v", argv, g.err)
			}
			if want := "/bin/" + p.programs[0]; argv[0] != want {
				t.Errorf("starts %s, want %s", argv[0], want)
			}
		})
	}
}

// place returns a bench in which the named peers can run, or skips the test.
func place(t *testing.T, names ...string) (*bench, []*peer) {
	t.Helper()
	s := &settings{bin: map[string]string{"tend": need.Tend(t)}, peers: names}
	need.Program(t, "cc", "go")
	b, here, _, err := s.prepare()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(b.dir) })
	if b.service == "" {
		need.Skip(t, "no namespaces of our own, or no static C programs; see above")
	}
	if len(here) != len(names) {
		t.Fatalf("%d of %q are here", len(here), names)
	}
	return b, here
}

// The figures that need no long run, for ourselves and the floor: everything that is
// to be measured is.
func TestFigures(t *testing.T) {
	b, here := place(t, "tend", "tend-command", "floor")
	figures := []*figure{lifeFigure(3, 2), orphansFigure(200), logFigure(3, 1), signalFigure(5), loadedFigure(20)}
	for _, r := range b.measure(figures, here, 1) {
		for name, s := range r.values {
			if err := r.failed[name]; err != nil {
				t.Errorf("%s: %s: %v", r.figure.title, name, err)
				continue
			}
			for _, c := range r.figure.columns {
				if _, ok := s.of(c); !ok {
					t.Errorf("%s: %s: no %s", r.figure.title, name, c.head)
				}
			}
		}
		if r.figure.name != "log" {
			continue
		}
		for name, s := range r.values {
			for _, key := range []string{"lost", "torn"} {
				if v, _ := s.of(column{key, "", most}); v != 0 {
					t.Errorf("%s: %v lines %s", name, v, key)
				}
			}
		}
	}
}

// What must not grow by mistake. All bounds are ratios within this run, or numbers
// that the machine's speed does not change, with wide margins.
func TestBudget(t *testing.T) {
	need.Full(t)
	b, here := place(t, "tend", "floor")
	size := func(p *peer) float64 {
		info, err := os.Stat(p.files[0].from)
		if err != nil {
			t.Fatal(err)
		}
		return float64(info.Size())
	}
	if ratio := size(here[0]) / size(here[1]); ratio > 2.2 {
		t.Errorf("the program is %.2f times as large as the least one in Go, want at most 2.2", ratio)
	}
	results := b.measure([]*figure{idleFigure(5 * time.Second), orphansFigure(2000)}, here, 1)
	for _, r := range results {
		if err := errors.Join(r.failed["tend"], r.failed["floor"]); err != nil {
			t.Fatal(err)
		}
	}
	of := func(r *result, name, key string) float64 {
		v, _ := r.values[name].of(column{key, "", most})
		return v
	}
	// Not once a second for each service: that would be a timer.
	if n := of(results[0], "tend", "switches"); n > 20 {
		t.Errorf("%v context switches in five idle seconds, want none or next to none", n)
	}
	if n := of(results[1], "tend", "left"); n != 0 {
		t.Errorf("%v zombies are left", n)
	}
	if ours, floor := of(results[1], "tend", "cpu"), of(results[1], "floor", "cpu"); ours > 3*floor {
		t.Errorf("an orphan takes %.1f times the CPU that it takes the least program in Go, want at most 3", ours/floor)
	}
}

// What a job costs does not depend on how many there are.
func TestGrowth(t *testing.T) {
	need.Full(t)
	all, err := growth()
	if err != nil {
		t.Fatal(err)
	}
	first, last := all[0], all[len(all)-1]
	if last.allocs > 1.5*first.allocs+0.5 {
		t.Errorf("%.1f allocations per step with %d jobs, %.1f with %d", last.allocs, last.jobs, first.allocs, first.jobs)
	}
	if last.memory > 1.5*first.memory {
		t.Errorf("%.0f bytes per job with %d jobs, %.0f with %d", last.memory, last.jobs, first.memory, first.jobs)
	}
	// Four times is far from the hundred times of a cost that is quadratic.
	for _, d := range []struct {
		what        string
		first, last time.Duration
	}{{"parse", first.parse, last.parse}, {"boot", first.boot, last.boot}, {"list", first.list, last.list}} {
		if d.last > 4*d.first {
			t.Errorf("%s takes %v per job with %d jobs, %v with %d", d.what, d.last, last.jobs, d.first, first.jobs)
		}
	}
}
