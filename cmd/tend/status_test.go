package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// BenchmarkStatus measures initctl status of a job beside a program in Go that does
// nothing. The runs take turns, so that a busy machine slows both alike; the medians
// count.
func BenchmarkStatus(b *testing.B) {
	dir := b.TempDir()
	nothing := filepath.Join(dir, "nothing")
	if out, err := need.Build(nothing, "./cmd/tend/testdata/nothing"); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	initctl := filepath.Join(dir, "initctl")
	if err := os.Symlink(need.Tend(b), initctl); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "web.conf"), []byte("start on startup\nexec sleep 1000\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	socket := filepath.Join(dir, "tend.sock")
	b.Setenv("TEND_SOCKET", socket)

	var log bytes.Buffer
	tend := exec.Command(need.Tend(b), "--confdir="+dir, "--socket="+socket)
	tend.Stderr = &log
	if err := tend.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		// Its own status is no concern here.
		_ = tend.Wait()
		close(ended)
	}()
	b.Cleanup(func() {
		_ = tend.Process.Signal(unix.SIGTERM)
		<-ended
	})
	for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		out, _ := exec.Command(initctl, "status", "web").Output()
		if strings.HasPrefix(string(out), "web start/running, process ") {
			break
		}
		select {
		case <-ended:
			b.Fatalf("tend has ended: %s", &log)
		default:
		}
		if time.Now().After(deadline) {
			b.Fatal("web does not run")
		}
	}

	type contender struct {
		argv []string
		took []time.Duration
	}
	all := []*contender{{argv: []string{nothing}}, {argv: []string{initctl, "status", "web"}}}
	for i := 0; b.Loop(); i++ {
		for k := range all {
			c := all[(i+k)%len(all)]
			cmd := exec.Command(c.argv[0], c.argv[1:]...)
			began := time.Now()
			if err := cmd.Run(); err != nil {
				b.Fatalf("%q: %v", c.argv, err)
			}
			c.took = append(c.took, time.Since(began))
		}
	}
	var medians [2]float64
	for i, c := range all {
		slices.Sort(c.took)
		medians[i] = float64(c.took[len(c.took)/2].Microseconds())
	}
	b.ReportMetric(medians[0], "nothing-µs")
	b.ReportMetric(medians[1], "status-µs")
	b.ReportMetric(medians[1]/medians[0], "ratio")
}
