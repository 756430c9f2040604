package conf

import (
	"strings"

	"tend/jobs"
)

// formerly says what to write instead of words of other releases and systems.
var formerly = [...]struct{ word, hint string }{
	{"service", "a job is a service unless it says task"},
	{"daemon", "write expect daemon"},
	{"session", "every process leads a session"},
	{"pid", "write expect fork or expect daemon"},
	{"normalexit", "write normal exit"},
	{"on", "write start on"},
	{"import", "variables of events are in the environment"},
	{"depends", "write start on started JOB"},
	{"runlevel", "write start on runlevel [LEVELS]"},
	{"end", "no script is open here"},
	{"and", "the expression has ended; in parentheses it may go on in the next line"},
	{"or", "the expression has ended; in parentheses it may go on in the next line"},
	{"prestart", "did you mean pre-start?"},
	{"poststart", "did you mean post-start?"},
	{"prestop", "did you mean pre-stop?"},
	{"poststop", "did you mean post-stop?"},
	{"user", "write setuid"},
	{"group", "write setgid"},
	{"restart", "write respawn"},
	{"[Unit]", "this is a systemd unit, not a job file"},
}

// advice is what helps with a first word that no stanza has, or "".
func (f *file) advice(word string) string {
	if len(f.table) == 0 {
		return "this file may hold no stanzas; job files belong into the configuration directory"
	}
	if strings.HasPrefix(word, "\xef\xbb\xbf") {
		return "the file begins with a byte order mark"
	}
	for _, f := range formerly {
		if f.word == word {
			return f.hint
		}
	}
	if strings.Trim(word, `"'`) != word && f.knows(strings.Trim(word, `"'`)) {
		return "write it without quotes"
	}
	names := make([]string, len(f.table))
	for i := range f.table {
		names[i] = f.table[i].name
	}
	return strings.TrimPrefix(nearest(word, names...), "; ")
}

// nearest asks whether the name most like word is meant, if one is like it.
func nearest(word string, names ...string) string {
	const long = 24 // longer words are not slips of the pen
	if len(word) > long {
		return ""
	}
	best, least := "", max((len(word)+1)/4, 1)
	for _, name := range names {
		if d := distance(jobs.Lower(word), name); d <= least && (best == "" || d < least) {
			best, least = name, d
		}
	}
	if best == "" || len(word) < 2 {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance counts the insertions, deletions and replacements, and exchanges of
// neighbours, that make a into b.
func distance(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
