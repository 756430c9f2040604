package engine

import (
	"slices"
	"sort"
	"strings"

	"tend/jobs/event"
)

// index finds the conditions that an event may make true without looking at all
// jobs: by the event's name and, where the first argument of a term is a plain
// word, by that word. So "start on started web" is not even looked at when
// another job has started.
//
// Empty rings stay: there are never more than the job files have ever named.
type index map[string]*named

// named has the terms for one event name.
type named struct {
	any   ring            // first argument absent or a pattern
	first map[string]ring // by the value of the first variable
	keys  []keyed         // by the value of a variable by name, in order of arrival
}

type keyed struct {
	key    string
	values map[string]ring
}

// ring has the terms with one key, each pointing to the next, in order of arrival.
type ring struct{ first *term }

// changed returns the ring with t at its end, or without it.
//
//go:noinline
func (r ring) changed(t *term, in bool) ring {
	if in {
		first, last := t, t
		if r.first != nil {
			first, last = r.first, r.first.prev
		}
		t.next, t.prev = first, last
		last.next, first.prev = t, t
		return ring{first}
	}
	switch {
	case t.next == t:
		r.first = nil
	case r.first == t:
		r.first = t.next
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
	return r
}

func (r ring) appendTo(found []*condition) []*condition {
	if r.first == nil {
		return found
	}
	for t := r.first; ; t = t.next {
		found = append(found, t.cond)
		if t.next == r.first {
			return found
		}
	}
}

func (x index) add(c *condition) {
	for i := range c.terms {
		t := &c.terms[i]
		x.change(t, true)
	}
}

func (x index) remove(c *condition) {
	for i := range c.terms {
		if t := &c.terms[i]; t.next != nil {
			x.change(t, false)
		}
	}
}

// gone tells whether a condition with terms has been taken out.
func (c *condition) gone() bool { return c.terms[0].next == nil }

// change puts a term into the ring that it belongs to, or takes it out.
//
//go:noinline
func (x index) change(t *term, in bool) {
	n := x[t.op.Name]
	if n == nil {
		n = &named{}
		x[t.op.Name] = n
	}
	if len(t.op.Args) == 0 || t.op.Args[0].Negate || !isLiteral(t.op.Args[0].Pattern) {
		n.any = n.any.changed(t, in)
		return
	}
	arg := &t.op.Args[0]
	values := n.values(arg.Key)
	values[arg.Pattern] = values[arg.Pattern].changed(t, in)
}

// values returns the rings by the value of a variable: of the first one without a key.
//
//go:noinline
func (n *named) values(key string) map[string]ring {
	if key == "" {
		if n.first == nil {
			n.first = map[string]ring{}
		}
		return n.first
	}
	for _, k := range n.keys {
		if k.key == key {
			return k.values
		}
	}
	n.keys = append(n.keys, keyed{key, map[string]ring{}})
	return n.keys[len(n.keys)-1].values
}

// candidates appends to found the conditions that ev may make true, each once: by
// class name, in a class the stop conditions of its instances by name before the
// class's start condition.
func (x index) candidates(ev event.Event, found []*condition) []*condition {
	n := x[ev.Name]
	if n == nil {
		return found
	}
	found = n.any.appendTo(found)
	if len(ev.Env) > 0 && n.first != nil {
		_, value, _ := strings.Cut(ev.Env[0], "=")
		found = n.first[value].appendTo(found)
	}
	for _, k := range n.keys {
		if value, ok := ev.Env.Lookup(k.key); ok {
			found = k.values[value].appendTo(found)
		}
	}
	sortConditions(found)
	return slices.Compact(found)
}

// sortConditions sorts in place: a few, as there mostly are, without a call for each
// comparison by way of an interface.
func sortConditions(found []*condition) {
	if len(found) > 12 {
		// Classes are mostly loaded in the order of their names.
		if !sort.IsSorted(inOrder(found)) {
			sort.Sort(inOrder(found))
		}
		return
	}
	for i := 1; i < len(found); i++ {
		for j := i; j > 0 && compareConditions(found[j], found[j-1]) < 0; j-- {
			found[j], found[j-1] = found[j-1], found[j]
		}
	}
}

type inOrder []*condition

func (l inOrder) Len() int           { return len(l) }
func (l inOrder) Less(i, j int) bool { return compareConditions(l[i], l[j]) < 0 }
func (l inOrder) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

func compareConditions(a, b *condition) int {
	if a.class != b.class {
		return strings.Compare(a.class.name, b.class.name)
	}
	switch {
	case a == b:
		return 0
	case a.job == nil:
		return 1
	case b.job == nil:
		return -1
	}
	return strings.Compare(a.job.name, b.job.name)
}

// isLiteral tells whether a pattern is a plain word.
func isLiteral(pattern string) bool { return !strings.ContainsAny(pattern, `*?[\$`) }
