package check

import (
	"errors"
	"slices"
	"sort"
	"strings"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// jobEvents are the events of the life of a job; they name it in JOB, which comes
// first.
var jobEvents = []string{"starting", "started", "stopping", "stopped"}

// jobs looks at what the conditions of the jobs wait for.
func (c *checker) jobs() {
	names := sorted(c.classes)
	known := c.knownEvents(names)
	for _, name := range names {
		job := c.classes[name]
		c.condition(job, job.class.StartOn, job.base.StartOn, names, known, true)
		c.condition(job, job.class.StopOn, job.base.StopOn, names, known, false)
	}
}

// condition looks at the terms of an expression. base is that of the job file: when
// tree is another one, it stands in the override.
func (c *checker) condition(job *checked, tree, base *event.Operator, names []string, known []string, start bool) {
	file := job.class.Path
	if tree != base {
		file = job.class.Override
	}
	for _, term := range tree.Terms(nil) {
		warn := func(msg string) {
			c.found(&conf.Error{File: file, Line: term.Line, Column: term.Col, Width: len(term.Name), Msg: msg, Warning: true})
		}
		if c.whole {
			if msg := unknown(term, names, known); msg != "" {
				warn(msg)
			}
		}
		for i := range term.Args {
			if msg := unmatchable(&term.Args[i], job.class, start); msg != "" {
				warn(msg)
			}
		}
	}
}

// unknown tells why nothing emits the event that the term waits for, or "".
func unknown(term *event.Operator, names, known []string) string {
	if slices.Contains(jobEvents, term.Name) {
		name, ok := jobOf(term)
		if !ok || strings.Contains(name, "$") {
			return ""
		}
		matches := func(job string) bool { return event.FnMatch(name, job) }
		if slices.ContainsFunc(names, matches) || slices.ContainsFunc(event.BootJobs(), matches) {
			return ""
		}
		return "there is no job " + name
	}
	name := term.Name
	for {
		if slices.ContainsFunc(known, func(pattern string) bool { return event.FnMatch(pattern, name) }) {
			return ""
		}
		stem, ok := strings.CutSuffix(name, "/failed")
		if !ok {
			return "no job emits the event " + term.Name + ", and tend does not either"
		}
		if name = stem; slices.Contains(jobEvents, name) {
			return ""
		}
	}
}

// jobOf returns the name of the job that a term for a job event asks for.
func jobOf(term *event.Operator) (string, bool) {
	for i := range term.Args {
		a := &term.Args[i]
		if !a.Negate && (a.Key == "JOB" || a.Key == "" && i == 0 && a.Raw == a.Pattern) {
			return a.Pattern, true
		}
	}
	return "", false
}

// unmatchable tells why the argument never fits, or "". In "start on" variables
// come from the env stanzas only; in "stop on" any may be set.
func unmatchable(a *event.Arg, class *jobs.Class, start bool) string {
	_, err := environ.Expand(a.Pattern, func(name string) (string, bool) {
		return "", !start || slices.ContainsFunc(class.Env, func(entry string) bool {
			key, _, _ := environ.Split(entry)
			return key == name
		})
	})
	if err == nil {
		return ""
	}
	if unset, ok := errors.AsType[environ.UnknownParameterError](err); ok {
		return "the argument " + a.String() + " never matches: no env stanza sets " + string(unset)
	}
	return "the argument " + a.String() + " never matches: " + err.Error()
}

// knownEvents returns the names, and patterns of names, of all events that are
// emitted: by tend, by the jobs according to their emits stanzas, and in commands.
func (c *checker) knownEvents(names []string) []string {
	known := event.BootNames()
	for _, name := range names {
		class := c.classes[name].class
		known = append(known, class.Emits...)
		for _, command := range class.Processes {
			if command != nil {
				known = append(known, emitted(command.Text)...)
			}
		}
	}
	return known
}

// emitted returns the events that a command emits by "initctl emit NAME".
func emitted(text string) []string {
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n;|&()`\"'", r) })
	var names []string
	for i := 0; i < len(words); i++ {
		if words[i] != "emit" && !strings.HasSuffix(words[i], "/emit") {
			continue
		}
		for i++; i < len(words) && strings.HasPrefix(words[i], "-"); i++ {
		}
		if i < len(words) && !strings.ContainsAny(words[i], "$={}<>*?[\\") {
			names = append(names, words[i])
		}
	}
	return names
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Sort(sort.StringSlice(keys))
	return keys
}
