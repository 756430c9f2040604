package console

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestRingKeepsTheLastLines(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, tt := range []struct {
		name  string
		most  int // length of a line
		batch int // lines per chunk
	}{
		{"short lines one by one", 20, 1},
		{"short lines in chunks", 20, 200},
		{"lines near the limit", 3000, 3},
		{"lines beyond the limit", 20000, 2},
		{"empty lines", 1, 70},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var k ring
			var all []string
			for len(all) < 1000 {
				var chunk strings.Builder
				for range 1 + r.IntN(tt.batch) {
					l := fmt.Sprintf("%d ", len(all)) + strings.Repeat("x", r.IntN(tt.most))
					if tt.most == 1 {
						l = ""
					}
					all = append(all, l)
					chunk.WriteString(l + "\n")
				}
				k.add([]byte(chunk.String()), 0, stderr, time.Now())

				// What may stay: 64 lines and 8 KiB, and always the last one.
				n, size := 0, 0
				for n < min(ringLines, len(all)) {
					l := min(len(all[len(all)-1-n]), ringBytes)
					if size += l; size > ringBytes {
						break
					}
					n++
				}
				got := k.tail(ringLines)
				if len(got) != n {
					t.Fatalf("after %d lines: %d are kept, want %d", len(all), len(got), n)
				}
				for i, l := range got {
					want := all[len(all)-n+i]
					if l.Text != want[:min(len(want), ringBytes)] || l.Stream != "stderr" {
						t.Fatalf("after %d lines: line %d is %.40q, want %.40q", len(all), i, l.Text, want)
					}
				}
			}
			if cap(k.text) > 4*ringBytes || cap(k.lines) > 4*ringLines {
				t.Errorf("capacity %d bytes, %d lines", cap(k.text), cap(k.lines))
			}
		})
	}
}

func TestTailOfNothing(t *testing.T) {
	f := newFixture(t, Options{})
	if got := f.Tail("nobody", "", 5); got != nil {
		t.Errorf("Tail = %v", got)
	}
	p := openProcess(t, f.Console, "j", "")
	p.out("x\n")
	f.Sync(p.job.key.job, p.job.key.instance, patience)
	if got := f.Tail("j", "", 0); got != nil {
		t.Errorf("Tail = %v", got)
	}
}

func TestFollow(t *testing.T) {
	f := newFixture(t, Options{})
	p := openProcess(t, f.Console, "j", "")
	p.out("before\n")
	f.Sync(p.job.key.job, p.job.key.instance, patience)
	tail, fol := f.Follow("j", "", 5)
	if len(tail) != 1 || tail[0].Text != "before" {
		t.Errorf("tail = %v", tail)
	}
	const lines = 3 * followLines
	for i := range lines {
		p.out(fmt.Sprintf("%d\n", i))
	}
	f.Sync(p.job.key.job, p.job.key.instance, patience)
	for i := range followLines {
		if l := <-fol.Lines(); l.Text != fmt.Sprint(i) {
			t.Fatalf("line %q, want %d", l.Text, i)
		}
	}
	if n := fol.Lost(); n != lines-followLines {
		t.Errorf("Lost() = %d, want %d", n, lines-followLines)
	}
	// It goes on with the next run.
	p.exit()
	q := openProcess(t, f.Console, "j", "")
	q.err("next run\n")
	if l := <-fol.Lines(); l.Text != "next run" || l.Stream != "stderr" {
		t.Errorf("line %v", l)
	}
	fol.Close()
	q.err("unheard\n")
	f.Sync(q.job.key.job, q.job.key.instance, patience)
	if len(fol.Lines()) != 0 {
		t.Error("a closed Follower gets lines")
	}
}

func TestGoneJobsAreBounded(t *testing.T) {
	f := newFixture(t, Options{Format: None})
	_, fol := f.Follow("followed", "", 0)
	defer fol.Close()
	stays := openProcess(t, f.Console, "stays", "")
	for i := range goneMax + 500 {
		p := openProcess(t, f.Console, "j", fmt.Sprint(i))
		p.out(strings.Repeat("x", 1000) + "\n")
		p.exit()
		if i%100 == 0 {
			f.flush(t)
		}
	}
	f.flush(t)
	f.mu.Lock()
	n, bytes := len(f.jobs), f.gone.bytes
	f.mu.Unlock()
	if n > goneMax+2 || bytes > goneBytes || n < goneBytes/2000 {
		t.Errorf("%d jobs with %d bytes are kept", n, bytes)
	}
	if got := f.Tail("j", fmt.Sprint(goneMax+499), 1); len(got) != 1 {
		t.Error("the last job is not kept")
	}
	stays.out("here\n")
	f.Sync(stays.job.key.job, stays.job.key.instance, patience)
	if got := f.Tail("stays", "", 1); len(got) != 1 {
		t.Error("a job with open output is not kept")
	}
}
