package console

import (
	"bytes"
	"container/list"
	"sync/atomic"
	"time"

	"tend/jobs"
)

const (
	// ringLines and ringBytes bound what is kept of each job.
	ringLines = 64
	ringBytes = 8 << 10
	// goneMax and goneBytes bound what is kept of jobs no process of which has its
	// output open: instances come and go by the thousand.
	goneMax   = 4096
	goneBytes = 2 << 20
	// followLines is how many lines may wait for a client that follows a job.
	followLines = 256
)

// Line is a line of a job's output.
type Line struct {
	Time    int64 // nanoseconds since 1970
	Process jobs.Process
	Stream  string // stdout or stderr
	Text    string // without the newline
}

type jobKey struct{ job, instance string }

// job is what the output of an instance has in common, over all of its processes
// and runs. Console.mu guards it but for file, which is the reader's.
type job struct {
	key         jobKey
	label       string
	prefix      []byte // made for prefixWidth
	prefixWidth int
	open        int // pipes
	ring        ring
	followers   []*Follower
	gone        *list.Element // in Console.gone while open is 0
	file        *logFile      // nil without a directory for it
	copied      bool          // it has been said that "console output" is a copy
}

// acquireJob returns the job of that name, made if necessary. Console.mu is held.
func (c *Console) acquireJob(k jobKey) *job {
	j := c.jobs[k]
	if j == nil {
		j = &job{key: k, label: label(k), prefixWidth: -1}
		if c.opts.LogDir != "" {
			j.file = &logFile{fd: -1}
		}
		c.jobs[k] = j
		c.width = max(c.width, min(len(j.label), maxPad))
	}
	if j.gone != nil {
		c.gone.remove(j)
	}
	return j
}

// releaseJob takes note that one of the job's pipes is no more. Console.mu is held.
func (c *Console) releaseJob(j *job) {
	if j.open--; j.open > 0 {
		return
	}
	c.gone.add(j)
	for c.gone.jobs.Len() > goneMax || c.gone.bytes > goneBytes {
		old := c.gone.jobs.Front().Value.(*job)
		c.gone.remove(old)
		if len(old.followers) > 0 {
			c.gone.add(old)
			return
		}
		delete(c.jobs, old.key)
	}
}

// goneJobs are the jobs without open output, the longest gone first.
type goneJobs struct {
	jobs  list.List
	bytes int
}

func (g *goneJobs) add(j *job) {
	j.gone = g.jobs.PushBack(j)
	g.bytes += len(j.ring.text)
}

func (g *goneJobs) remove(j *job) {
	g.jobs.Remove(j.gone)
	g.bytes -= len(j.ring.text)
	j.gone = nil
}

// ring has the last lines of a job: their texts one after another.
type ring struct {
	text  []byte
	lines []ringLine
}

type ringLine struct {
	nanoseconds int64
	length      uint16
	process     jobs.Process
	stream      uint8
}

// add keeps the last lines of data, which is whole lines or the end of them.
func (r *ring) add(data []byte, process jobs.Process, stream uint8, now time.Time) {
	// From the end, find where the lines begin that can stay.
	var starts [ringLines]int
	n, end := 0, len(data)
	if end > 0 && data[end-1] == '\n' {
		end--
	}
	for total, at := 0, end; n < ringLines; n++ {
		start := bytes.LastIndexByte(data[:at], '\n') + 1
		total += min(at-start, ringBytes)
		if n > 0 && total > ringBytes {
			// Nothing from before this line may stay, or there would be a gap.
			r.text, r.lines = r.text[:0], r.lines[:0]
			break
		}
		starts[n] = start
		if at = start - 1; at < 0 {
			n++
			break
		}
	}
	for i := n - 1; i >= 0; i-- {
		line := data[starts[i]:end]
		if i > 0 {
			line = data[starts[i] : starts[i-1]-1]
		}
		if len(line) > ringBytes {
			line = line[:ringBytes]
		}
		r.text = append(r.text, line...)
		r.lines = append(r.lines, ringLine{now.UnixNano(), uint16(len(line)), process, stream})
	}
	drop, bytes := 0, 0
	for len(r.lines)-drop > ringLines || len(r.text)-bytes > ringBytes {
		bytes += int(r.lines[drop].length)
		drop++
	}
	r.text = r.text[:copy(r.text, r.text[bytes:])]
	r.lines = r.lines[:copy(r.lines, r.lines[drop:])]
}

// tail returns the last n lines, oldest first.
func (r *ring) tail(n int) []Line {
	n = min(n, len(r.lines))
	if n <= 0 {
		return nil
	}
	out := make([]Line, n)
	end := len(r.text)
	for i := n - 1; i >= 0; i-- {
		l := r.lines[len(r.lines)-n+i]
		start := end - int(l.length)
		out[i] = Line{l.nanoseconds, l.process, streamNames[l.stream], string(r.text[start:end])}
		end = start
	}
	return out
}

// Tail returns the last lines of an instance's output, n at most, oldest first. At
// most 64 lines and 8 KiB are kept.
func (c *Console) Tail(jobName, instance string, n int) []Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	if j := c.jobs[jobKey{jobName, instance}]; j != nil {
		return j.ring.tail(n)
	}
	return nil
}

// Follower gets the lines of an instance as they come.
type Follower struct {
	c     *Console
	job   *job
	lines chan Line
	lost  atomic.Int64
}

// Follow returns the last n lines and a Follower that gets every line after them,
// also of runs to come. It must be closed.
func (c *Console) Follow(jobName, instance string, n int) ([]Line, *Follower) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.acquireJob(jobKey{jobName, instance})
	if j.open == 0 {
		c.gone.add(j)
	}
	f := &Follower{c: c, job: j, lines: make(chan Line, followLines)}
	j.followers = append(j.followers, f)
	return j.ring.tail(n), f
}

// Lines is where the lines come. It is never closed.
func (f *Follower) Lines() <-chan Line { return f.lines }

// Lost returns how many lines did not fit since it was last called.
func (f *Follower) Lost() int { return int(f.lost.Swap(0)) }

// Close ends it.
func (f *Follower) Close() {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	for i, g := range f.job.followers {
		if g == f {
			f.job.followers = append(f.job.followers[:i:i], f.job.followers[i+1:]...)
			return
		}
	}
}

// record keeps the last lines of data and passes all of them to those who follow.
// Console.mu is held.
func (j *job) record(data []byte, process jobs.Process, stream uint8, now time.Time) {
	j.ring.add(data, process, stream, now)
	if len(j.followers) == 0 {
		return
	}
	for len(data) > 0 {
		text, n, _ := piece(data, true)
		data = data[n:]
		l := Line{now.UnixNano(), process, streamNames[stream], string(text)}
		for _, f := range j.followers {
			select {
			case f.lines <- l:
			default:
				f.lost.Add(1)
			}
		}
	}
}
