package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tend/test/need"
)

// BenchmarkExec measures the time from exec of tend to that of the command, beside a
// program in Go that only forks and executes, and tini where there is one. The command is
// date, which tells when it ran; what it takes to say so itself is measured as "bare".
// The runs take turns, so that a busy machine slows all of them alike; the medians count.
func BenchmarkExec(b *testing.B) {
	dir := b.TempDir()
	forkexec := filepath.Join(dir, "forkexec")
	if out, err := need.Build(forkexec, "./cmd/tend/testdata/forkexec"); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	date, err := exec.LookPath("date")
	if err != nil {
		need.Skip(b, "%v", err)
	}
	type contender struct {
		name string
		argv []string
		took []time.Duration
	}
	all := []*contender{
		{name: "bare"},
		{name: "forkexec", argv: []string{forkexec}},
		{name: "tend", argv: []string{need.Tend(b), "--confdir=" + dir, "--"}},
	}
	if tini, err := exec.LookPath("tini"); err == nil {
		all = append(all, &contender{name: "tini", argv: []string{tini, "-s", "--"}})
	}
	for i := 0; b.Loop(); i++ {
		for k := range all {
			c := all[(i+k)%len(all)]
			argv := append(c.argv[:len(c.argv):len(c.argv)], date, "+%s%N")
			began := time.Now()
			out, err := exec.Command(argv[0], argv[1:]...).Output()
			if err != nil {
				b.Fatalf("%s: %v", c.name, err)
			}
			ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			c.took = append(c.took, time.Unix(0, ns).Sub(began))
		}
	}
	for _, c := range all {
		slices.Sort(c.took)
		b.ReportMetric(float64(c.took[len(c.took)/2].Microseconds()), c.name+"-µs")
	}
}
