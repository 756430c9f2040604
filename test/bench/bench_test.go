package main

import (
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
		{name: "a<b", points: [][2]float64{{1, 2}, {10, 20}, {100, 300}}},
		{name: "flat", points: [][2]float64{{1, 2}, {10, 2}}},
		{name: "one point", points: [][2]float64{{1, 2}}},
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

func TestSpread(t *testing.T) {
	bottom := float64(plotTop + plotInnerHeight + 4)
	labels := []label{{x: 2, y: bottom}, {x: 2, y: 100}, {x: 2, y: 101}, {x: 2, y: bottom - 1}, {x: 1, y: 100}}
	spread(labels)
	want := []label{{x: 1, y: 100}, {x: 2, y: 100}, {x: 2, y: 100 + plotLabelHeight}, {x: 2, y: bottom - plotLabelHeight}, {x: 2, y: bottom}}
	if !slices.Equal(labels, want) {
		t.Errorf("spread = %v, want %v", labels, want)
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

// Every peer writes a configuration for any number of services that it takes, in every
// variant, and is started by a program that is in its root.
func TestConfigurations(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			n := 3
			if !p.takes(n) {
				n = 1
			}
			for _, v := range []variant{plain, logged, chained, scripts} {
				g := &genesis{dir: t.TempDir(), services: newServices(n, "pause"), variant: v}
				argv := p.generate(g)
				if g.err != nil && !errors.Is(g.err, errNoS6RC) || len(argv) == 0 {
					t.Fatalf("generate = %q, %v", argv, g.err)
				}
				there := argv[0] == "/bin/"+p.programs[0] || argv[0] == "/bin/sh"
				for _, l := range p.links {
					there = there || l[0] == argv[0]
				}
				if !there {
					t.Errorf("starts %s, which is not in its root", argv[0])
				}
			}
		})
	}
}

// Only what is between the marks of a document is replaced.
func TestSplice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("text\n\n" + beginMark + "old\n" + endMark + "more\n")
	for range 2 {
		if err := splice(path, []byte("tables\n")); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := os.ReadFile(path)
	if want := "text\n\n" + beginMark + "\ntables\n\n" + endMark + "more\n"; string(got) != want {
		t.Errorf("splice makes %q, want %q", got, want)
	}
	write("text without marks\n")
	if err := splice(path, nil); err == nil {
		t.Error("a document without marks gives no error")
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
	t.Cleanup(func() { b.close() })
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
	figures := []*figure{lifeFigure(3, 2, plain), lifeFigure(3, 0, chained), lifeFigure(3, 0, scripts), orphansFigure(200), logFigure(3, 1), signalFigure(5), loadedFigure(20)}
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

// A container is measured too, and leaves neither itself nor an image behind.
func TestContainer(t *testing.T) {
	need.Docker(t)
	b, here := place(t, "tend")
	r := b.measure([]*figure{dockerFigure()}, here, 1)[0]
	if err := r.failed["tend"]; err != nil {
		t.Fatal(err)
	}
	for _, c := range r.figure.columns {
		if v, ok := r.values["tend"].of(c); !ok || v <= 0 {
			t.Errorf("%s is %v, %v", c.head, v, ok)
		}
	}
	b.close()
	for _, args := range [][]string{{"images", "-q", filepath.Base(b.dir) + "/tend"}, {"ps", "-aq", "--filter", "name=" + filepath.Base(b.dir)}} {
		if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("docker %s: %q, %v", args[0], out, err)
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
	results := b.measure([]*figure{idleFigure(5 * time.Second), orphansFigure(2000), loadedFigure(10000)}, here, 1)
	for _, r := range results {
		if err := errors.Join(r.failed["tend"], r.failed["floor"]); err != nil {
			t.Fatal(err)
		}
	}
	of := func(r *result, name, key string) float64 {
		v, ok := r.values[name].of(column{key, "", most})
		if !ok {
			t.Fatalf("%s: no %s of %s", r.figure.title, key, name)
		}
		return v
	}
	// Not once a second: that would be a timer.
	if n := of(results[0], "tend", "switches"); n > 8 {
		t.Errorf("%v context switches in five idle seconds, want none or next to none", n)
	}
	if n := of(results[1], "tend", "left"); n != 0 {
		t.Errorf("%v zombies are left", n)
	}
	// It takes about a third of it.
	if ours, floor := of(results[1], "tend", "cpu"), of(results[1], "floor", "cpu"); ours > floor {
		t.Errorf("an orphan takes %.1f times the CPU that it takes a bare Go program with os/signal, want less", ours/floor)
	}
	if kB := of(results[2], "tend", "memory"); kB > 40_000 {
		t.Errorf("PID 1 holds %v kB with 10 000 jobs, want less than 40 MB", kB)
	}
	lives := b.measure([]*figure{lifeFigure(100, 0, plain)}, here, 5)[0]
	if err := errors.Join(lives.failed["tend"], lives.failed["floor"]); err != nil {
		t.Fatal(err)
	}
	middle := func(name, key string) float64 {
		v, ok := lives.values[name].of(column{key, "", median})
		if !ok {
			t.Fatalf("no %s of %s", key, name)
		}
		return v
	}
	// On a quiet machine it is 1.1 to 1.5 times the floor's for either.
	for _, key := range []string{"boot", "stop"} {
		if ratio := middle("tend", key) / middle("floor", key); ratio > 2.5 {
			t.Errorf("the %s of a hundred services takes %.2f times that of the least program in Go, want at most 2.5", key, ratio)
		} else {
			t.Logf("%s of a hundred services: %.2f times the floor's", key, ratio)
		}
	}
}

// What a job costs does not depend on how many there are.
func TestGrowth(t *testing.T) {
	need.Full(t)
	const bound = 1.5
	var over []string
	// What disturbs a measurement only adds to it: one of five that holds is enough.
	for range 5 {
		all, err := growth()
		if err != nil {
			t.Fatal(err)
		}
		first, last := all[0], all[len(all)-1]
		over = nil
		for _, d := range []struct {
			what        string
			first, last float64
		}{
			{"parse, ns", float64(first.parse), float64(last.parse)},
			{"boot, ns", float64(first.boot), float64(last.boot)},
			{"list, ns", float64(first.list), float64(last.list)},
			{"memory, bytes", first.memory, last.memory},
			{"allocations of a step", first.allocs, last.allocs},
		} {
			if d.last > bound*d.first {
				over = append(over, fmt.Sprintf("%s: %.1f a job with %d jobs, %.1f with %d", d.what, d.first, first.jobs, d.last, last.jobs))
			}
		}
		if last.allocs > 20 {
			t.Fatalf("%.1f allocations a step, want at most 20", last.allocs)
		}
		if over == nil {
			return
		}
	}
	for _, text := range over {
		t.Errorf("%s; want at most %v times as much", text, bound)
	}
}
