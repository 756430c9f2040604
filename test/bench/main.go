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
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

const usage = `usage: go run ./test/bench [option]...

  -quick         fewer rounds and no thousand services: three minutes in place of twenty
  -only LIST     these figures: size, life, orphans, stubborn, idle, log, signal, loaded
  -peers LIST    these programs only
  -rounds N      how often each program is measured
  -bin NAME=PATH where a program is that is not in PATH; may be repeated
  -tend PATH     a built tend; otherwise it is built from this module
  -growth        only the cost per job in parser and machine, for 100 to 10 000 jobs
  -out DIR       where the tables and the plots are written
  -work DIR      where programs run, on a file system of memory if possible

It wants root, or a kernel that lets everyone make user namespaces, and a C compiler
for the service; without them it measures sizes and growth. Programs that are looked
for: tini, tini-static, dumb-init, catatonit, dinit, s6-svscan, runsvdir, busybox,
pebble.
`

// settings are what the command line says.
type settings struct {
	quick, growth bool
	only, peers   []string
	rounds        int
	bin           map[string]string
	out, work     string
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
	f.BoolVar(&s.growth, "growth", false, "")
	f.IntVar(&s.rounds, "rounds", 0, "")
	f.StringVar(&s.out, "out", "", "")
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

func (s *settings) run() error {
	out := io.Writer(os.Stdout)
	if s.out != "" {
		if err := os.MkdirAll(s.out, 0o755); err != nil {
			return err
		}
		file, err := os.Create(filepath.Join(s.out, "results.md"))
		if err != nil {
			return err
		}
		defer file.Close()
		out = io.MultiWriter(os.Stdout, file)
	}
	if s.growth {
		all, err := growth()
		if err == nil {
			printGrowth(out, all)
		}
		return err
	}
	b, here, sizes, err := s.prepare()
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	fmt.Fprintf(out, "# Side by side\n\n%s, Linux %s, %d cores, load %s before, %d rounds.\n", time.Now().Format(time.DateOnly), kernel(), runtime.NumCPU(), load(), s.rounds)
	if s.wants("size") {
		printSizes(out, here, sizes)
	}
	if b.service == "" {
		return nil
	}
	results := b.measure(s.figures(), here, s.rounds)
	for _, r := range results {
		r.print(out, here)
	}
	printNotes(out, here)
	fmt.Fprintf(out, "\nLoad %s after.\n", load())
	return s.draw(results, here)
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
		os.RemoveAll(dir)
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
	l, err := b.start(p, newServices(1, "pause"), false)
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
	counts, orphans, megabytes, wait := []int{1, 10, 100, 1000}, 20000, 300, 30*time.Second
	if s.quick {
		counts, orphans, megabytes, wait = []int{1, 10, 100}, 5000, 50, 5*time.Second
	}
	var all []*figure
	for _, n := range counts {
		kills := 0
		if n == 100 {
			kills = 20
		}
		all = append(all, lifeFigure(n, kills))
	}
	all = append(all, orphansFigure(orphans), stubbornFigure(), idleFigure(wait))
	for _, n := range counts[:3] {
		all = append(all, logFigure(n, megabytes))
	}
	all = append(all, signalFigure(100), loadedFigure(10000))
	return slices.DeleteFunc(all, func(f *figure) bool { return !s.wants(f.name) })
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
		for round := range n {
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

// progress overwrites the last line of a terminal.
func progress(format string, args ...any) {
	info, err := os.Stderr.Stat()
	if err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "\r\x1b[K"+format, args...)
	}
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

func printSizes(w io.Writer, here []*peer, sizes map[string]int64) {
	fmt.Fprintf(w, "\n## Size\n\nOf everything that the program needs in an empty image.\n\n| | MB |\n|---|---:|\n")
	for _, p := range here {
		fmt.Fprintf(w, "| %s | %s |\n", p.name, number(float64(sizes[p.name])/1e6, true))
	}
}

func printNotes(w io.Writer, here []*peer) {
	fmt.Fprintf(w, "\n## Notes\n\n")
	for _, p := range here {
		if p.note != "" {
			fmt.Fprintf(w, "- %s: %s.\n", p.name, p.note)
		}
	}
}

// draw writes the plots of what grows with the number of services.
func (s *settings) draw(results []*result, here []*peer) error {
	if s.out == "" {
		return nil
	}
	for _, d := range []struct{ file, figure, key, title, y string }{
		{"boot.svg", "life", "boot", "From the exec of PID 1 to the exec of the last service", "ms"},
		{"memory.svg", "life", "memory", "Memory of the supervisor while idle (PSS)", "kB"},
		{"log.svg", "log", "rate", "Output of all services through the supervisor", "MB/s"},
	} {
		var all []series
		for _, p := range here {
			line := series{name: p.name}
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
