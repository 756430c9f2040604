// Bench measures tend beside the other programs that are used as PID 1 of containers,
// as far as they are on this machine, and prints tables and draws plots:
//
//	go run ./test/bench
//
// Every program runs as PID 1 of namespaces of its own, in a root that holds only its
// own files. The rounds of the programs take turns, so that what disturbs the machine
// disturbs all; the tables show medians, and only rows of the same run compare.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const usage = `usage: go run ./test/bench [option]...

  -quick         fewer rounds and no thousand services: three minutes in place of fifteen
  -only LIST     these figures: size, life, chain, scripts, orphans, stubborn, idle, log,
                 signal, loaded, docker, growth
  -peers LIST    these programs only
  -rounds N      how often each program is measured
  -bin NAME=PATH where a program is that is not in PATH; may be repeated
  -tend PATH     a built tend; otherwise it is built from this module
  -out DIR       where the tables and the plots are written; tend-bench in the directory
                 for temporary files when it is not given
  -doc FILE      writes the tables into FILE.md instead, between its two marks, and the
                 plots into the directory FILE beside it
  -work DIR      where programs run, on a file system of memory if possible

It wants root, or a kernel that lets everyone make user namespaces, and a C compiler
for the service; without them it measures sizes and growth. Programs that are looked
for: tini, tini-static, dumb-init, catatonit, dinit, s6-svscan (and s6-rc), runsvdir,
busybox, pebble. The last figure wants a Docker engine.
`

// settings are what the command line says.
type settings struct {
	quick          bool
	only, peers    []string
	rounds         int
	bin            map[string]string
	out, doc, work string
}

func main() {
	if os.Args[0] == stageName {
		stage(os.Args[1:])
	}
	s, err := parse(os.Args[1:])
	if err == nil {
		err = s.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		os.Exit(1)
	}
}

func parse(args []string) (*settings, error) {
	s := &settings{bin: map[string]string{}}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVar(&s.quick, "quick", false, "")
	f.IntVar(&s.rounds, "rounds", 0, "")
	f.StringVar(&s.out, "out", filepath.Join(os.TempDir(), "tend-bench"), "")
	f.StringVar(&s.doc, "doc", "", "")
	f.StringVar(&s.work, "work", "/dev/shm", "")
	list := func(to *[]string) func(string) error {
		return func(v string) error { *to = append(*to, strings.Split(v, ",")...); return nil }
	}
	f.Func("only", "", list(&s.only))
	f.Func("peers", "", list(&s.peers))
	f.Func("tend", "", func(v string) error { s.bin["tend"] = v; return nil })
	f.Func("bin", "", func(v string) error {
		name, path, ok := strings.Cut(v, "=")
		if !ok {
			return fmt.Errorf("expected NAME=PATH")
		}
		s.bin[name] = path
		return nil
	})
	switch err := f.Parse(args); {
	case err == flag.ErrHelp:
		fmt.Print(usage)
		os.Exit(0)
	case err != nil:
		return nil, fmt.Errorf("%w\n%s", err, usage)
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %s\n%s", f.Arg(0), usage)
	}
	if s.doc != "" {
		s.doc = strings.TrimSuffix(s.doc, ".md")
		s.out = s.doc
	}
	if s.rounds == 0 {
		s.rounds = 5
		if s.quick {
			s.rounds = 3
		}
	}
	return s, nil
}

func (s *settings) wants(figure string) bool {
	return len(s.only) == 0 || slices.Contains(s.only, figure)
}

// run measures everything that is wanted, writes the tables and draws the plots.
func (s *settings) run() error {
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	b, here, sizes, err := s.prepare()
	if err != nil {
		return err
	}
	defer b.close()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, unix.SIGTERM)
	go func() {
		<-interrupted
		b.close()
		os.Exit(130)
	}()
	var out bytes.Buffer
	began := time.Now()
	fmt.Fprintf(&out, "Measured on %s with Linux %s and %d cores, rounds: %d, load %s before", began.Format(time.DateOnly), kernel(), runtime.NumCPU(), s.rounds, load())
	var results []*result
	if b.service != "" {
		results = b.measure(s.figures(), here, s.rounds)
	}
	fmt.Fprintf(&out, " and %s after; %v in all.\n", load(), time.Since(began).Round(time.Second))
	if s.wants("size") {
		printSizes(&out, here, sizes)
	}
	for _, r := range results {
		r.print(&out, here)
	}
	if s.wants("growth") {
		all, err := growth()
		if err != nil {
			return err
		}
		printGrowth(&out, all)
	}
	printNotes(&out, here)
	os.Stdout.Write(out.Bytes())
	if err := s.draw(results, here); err != nil {
		return err
	}
	say("plots are in %s", s.out)
	if s.doc != "" {
		return splice(s.doc+".md", out.Bytes())
	}
	return os.WriteFile(filepath.Join(s.out, "results.md"), out.Bytes(), 0o644)
}

// The lines of a document between which the tables are.
const beginMark, endMark = "<!-- written by test/bench -->\n", "<!-- end -->\n"

// splice replaces what is between the marks of a document.
func splice(path string, tables []byte) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", path, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return os.WriteFile(path, []byte(before+beginMark+"\n"+string(tables)+"\n"+endMark+after), 0o644)
}

// prepare builds what is built and makes the roots; here are the programs that are on
// this machine.
func (s *settings) prepare() (b *bench, here []*peer, sizes map[string]int64, err error) {
	work := s.work
	if _, err := os.Stat(work); err != nil {
		work = ""
	}
	dir, err := os.MkdirTemp(work, "tend-bench-")
	if err != nil {
		return nil, nil, nil, err
	}
	b = &bench{dir: dir, userns: os.Geteuid() != 0}
	os.Chmod(dir, 0o755)
	if err := s.build(b); err != nil {
		b.close()
		return nil, nil, nil, err
	}
	sizes = map[string]int64{}
	for _, p := range peers {
		if len(s.peers) > 0 && !slices.Contains(s.peers, p.name) {
			continue
		}
		if err := p.find(s.bin); err != nil {
			say("without %s: %v", p.name, err)
			continue
		}
		if sizes[p.name], err = buildRoot(filepath.Join(dir, "root", p.name), p, b.service); err != nil {
			say("without %s: %v", p.name, err)
			continue
		}
		here = append(here, p)
	}
	if b.service != "" && len(here) > 0 {
		if err := b.try(here[0]); err != nil {
			say("only sizes: %v", err)
			b.service = ""
		}
	}
	return b, here, sizes, nil
}

// build makes tend, the floor and the service.
func (s *settings) build(b *bench) error {
	for name, pkg := range map[string]string{"tend": "tend/cmd/tend", "floor": "tend/test/bench/floor"} {
		if s.bin[name] != "" {
			continue
		}
		path := filepath.Join(b.dir, name)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s: %w\n%s", pkg, err, out)
		}
		s.bin[name] = path
	}
	path, err := compileService(b.dir)
	if err != nil {
		say("only sizes: %v", err)
	}
	b.service = path
	return nil
}

// try runs one life, so that what is missing is told once.
func (b *bench) try(p *peer) error {
	l, err := b.start(p, newServices(1, "pause"), plain)
	if err != nil {
		if b.userns {
			return fmt.Errorf("%w (root is needed where not everyone may make namespaces)", err)
		}
		return err
	}
	defer l.end()
	_, err = l.boot()
	return err
}

// figures are what is measured, in order.
func (s *settings) figures() []*figure {
	counts, orphans, megabytes, wait := []int{1, 10, 100, 1000}, 10000, 150, 30*time.Second
	if s.quick {
		counts, orphans, megabytes, wait = []int{1, 10, 100}, 5000, 50, 5*time.Second
	}
	var all []*figure
	for _, n := range counts {
		kills := 0
		if n == 100 {
			kills = 40
		}
		all = append(all, lifeFigure(n, kills, plain))
	}
	for _, n := range []int{30, 1000} {
		if n <= counts[len(counts)-1] {
			all = append(all, lifeFigure(n, 0, chained))
		}
	}
	all = append(all, lifeFigure(100, 0, scripts), orphansFigure(orphans), stubbornFigure(), idleFigure(wait))
	for _, n := range counts[:3] {
		all = append(all, logFigure(n, megabytes))
	}
	all = append(all, signalFigure(100), loadedFigure(10000), dockerFigure())
	all = slices.DeleteFunc(all, func(f *figure) bool { return !s.wants(f.name) })
	if s.wants("docker") {
		if err := docker("version"); err != nil {
			say("without containers: %v", err)
			all = all[:len(all)-1]
		}
	}
	return all
}

// measure does all rounds of all figures. Each round begins with another peer.
func (b *bench) measure(figures []*figure, here []*peer, rounds int) []*result {
	var out []*result
	for i, f := range figures {
		r := &result{figure: f, values: map[string]*samples{}, failed: map[string]error{}}
		var taking []*peer
		for _, p := range here {
			if f.takes(p) {
				taking = append(taking, p)
				r.values[p.name] = &samples{}
			}
		}
		n := rounds
		if f.rounds > 0 {
			n = min(n, f.rounds)
		}
		if !terminal() {
			say("%d of %d: %s", i+1, len(figures), f.title)
		}
		for round := range n {
			progress("%d of %d: %s; round %d of %d", i+1, len(figures), f.title, round+1, n)
			if f.together {
				r.together(b, taking)
				continue
			}
			for k := range taking {
				p := taking[(k+round)%len(taking)]
				if r.failed[p.name] != nil {
					continue
				}
				progress("%d of %d: %s; round %d of %d: %s", i+1, len(figures), f.title, round+1, n, p.name)
				if err := f.measure(b, p, r.values[p.name]); err != nil {
					r.failed[p.name] = err
				}
			}
		}
		out = append(out, r)
	}
	progress("")
	return out
}

// together measures all peers at the same time.
func (r *result) together(b *bench, taking []*peer) {
	errs := make([]error, len(taking))
	var wg sync.WaitGroup
	for i, p := range taking {
		wg.Go(func() { errs[i] = r.figure.measure(b, p, r.values[p.name]) })
	}
	wg.Wait()
	for i, p := range taking {
		if errs[i] != nil {
			r.failed[p.name] = errs[i]
		}
	}
}

// terminal tells whether somebody looks at our standard error.
func terminal() bool {
	info, err := os.Stderr.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress overwrites the last line of a terminal.
func progress(format string, args ...any) {
	if terminal() {
		fmt.Fprintf(os.Stderr, "\r\x1b[K"+format, args...)
	}
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

func printSizes(w io.Writer, here []*peer, sizes map[string]int64) {
	fmt.Fprintf(w, "\n### Size\n\nOf everything that the program needs in an empty image.\n\n| | MB |\n|---|---:|\n")
	for _, p := range here {
		fmt.Fprintf(w, "| %s | %s |\n", p.name, number(float64(sizes[p.name])/1e6, true))
	}
}

func printNotes(w io.Writer, here []*peer) {
	fmt.Fprintf(w, "\n### The programs\n\n")
	for _, p := range here {
		if p.note != "" {
			fmt.Fprintf(w, "- %s: %s.\n", p.name, p.note)
		}
	}
}

// draw writes the plots of what grows with the number of services.
func (s *settings) draw(results []*result, here []*peer) error {
	for _, d := range []struct{ file, figure, key, title, y string }{
		{"boot.svg", "life", "boot", "From the exec of PID 1 to the exec of the last service", "ms"},
		{"memory.svg", "life", "memory", "Memory of the supervisor while idle (PSS)", "kB"},
		{"log.svg", "log", "rate", "Output of all services (dashed: not through the supervisor)", "MB/s"},
	} {
		var all []series
		for _, p := range here {
			if p.kind == shim {
				continue
			}
			line := series{name: p.name, reference: p.kind == floor || d.figure == "log" && p.logs == inherited}
			for _, r := range results {
				if r.figure.name != d.figure || r.values[p.name] == nil {
					continue
				}
				if v, ok := r.values[p.name].of(column{key: d.key}); ok && v > 0 {
					line.points = append(line.points, [2]float64{float64(r.figure.services), v})
				}
			}
			all = append(all, line)
		}
		if err := os.WriteFile(filepath.Join(s.out, d.file), []byte(plot(d.title, "services", d.y, all)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func kernel() string {
	data, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(data))
}

func load() string {
	data, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(data), " ")
	return first
}
