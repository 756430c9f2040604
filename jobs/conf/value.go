package conf

import (
	"math"
	"syscall"
	"time"

	"tend/jobs"
)

type signal = syscall.Signal

// Bounds of numbers. Numbers above maxInt are accepted as Upstart does, and stand
// for it: nothing counts or waits that long.
const (
	maxInt    = math.MaxInt32
	maxSignal = 64
)

// number converts t, a whole number from lo to hi; above maxInt it is maxInt.
func (f *file) number(t token, lo, hi int64, msg string) int64 {
	if f.wrong {
		return lo
	}
	n, ok := parseInt(t.text)
	if hi == maxInt {
		n = min(n, maxInt)
	}
	if !ok || n < lo || n > hi {
		f.illegal(t, msg, "")
		return lo
	}
	return n
}

// seconds reads a time in whole seconds.
func (f *file) seconds(msg string) time.Duration { return f.duration(f.arg(), msg) }

func (f *file) duration(t token, msg string) time.Duration {
	return time.Duration(f.number(t, 0, maxInt, msg)) * time.Second
}

// parseInt converts a whole word as strtol(3) does in base 10, on a machine where
// long has 64 bits.
func parseInt(b []byte) (int64, bool) {
	n, negative, ok := digits(b, 10)
	switch {
	case !ok:
		return 0, false
	case negative && n <= 1<<63:
		return -int64(n), true
	}
	return int64(n), !negative && n < 1<<63
}

// parseUint converts a whole word as strtoul(3) does: a negative number wraps.
func parseUint(b []byte, base uint64) (uint64, bool) {
	n, negative, ok := digits(b, base)
	if negative {
		n = -n
	}
	return n, ok
}

func digits(b []byte, base uint64) (n uint64, negative, ok bool) {
	for len(b) > 0 && (b[0] == ' ' || '\t' <= b[0] && b[0] <= '\r') {
		b = b[1:]
	}
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative, b = b[0] == '-', b[1:]
	}
	for _, c := range b {
		d := uint64(c - '0')
		if c < '0' || d >= base || n > (math.MaxUint64-d)/base {
			return 0, negative, false
		}
		n = n*base + d
	}
	return n, negative, len(b) > 0
}

// resources has the names of the resource limits; their numbers are the same on
// all of our machines.
var resources = [...]struct {
	name   string
	number int
}{
	{"as", 9}, {"core", 4}, {"cpu", 0}, {"data", 2}, {"fsize", 1}, {"memlock", 8}, {"msgqueue", 12},
	{"nice", 13}, {"nofile", 7}, {"nproc", 6}, {"rss", 5}, {"rtprio", 14}, {"sigpending", 11}, {"stack", 3},
}

func resourceNumber(name string) (int, bool) {
	for _, r := range resources {
		if r.name == name {
			return r.number, true
		}
	}
	return 0, false
}

func resourceNames() []string {
	names := make([]string, len(resources))
	for i, r := range resources {
		names[i] = r.name
	}
	return names
}

// setLimit puts l into the list, which is in the order of the numbers, in place of
// an earlier limit of the same resource.
func setLimit(list []jobs.Limit, l jobs.Limit) []jobs.Limit {
	i := 0
	for i < len(list) && list[i].Resource < l.Resource {
		i++
	}
	if i < len(list) && list[i].Resource == l.Resource {
		list[i] = l
		return list
	}
	list = append(list, l)
	copy(list[i+1:], list[i:])
	list[i] = l
	return list
}
