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
	any   ring             // first argument absent or a pattern
	first map[string]*ring // by the value of the first variable
	keys  []keyed          // by the value of a variable by name, in order of arrival
}

type keyed struct {
	key    string
	values map[string]*ring
}

// ring has the terms with one key, each pointing to the next, in order of arrival.
type ring struct{ first *term }

func (r *ring) add(t *term) {
	if r.first == nil {
		r.first, t.next, t.prev = t, t, t
		return
	}
	last := r.first.prev
	t.next, t.prev = r.first, last
	last.next, r.first.prev = t, t
}

func (r *ring) remove(t *term) {
	switch {
	case t.next == t:
		r.first = nil
	case r.first == t:
		r.first = t.next
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}

func (r *ring) appendTo(found []*condition) []*condition {
	if r == nil || r.first == nil {
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
		x.ring(t.op).add(t)
	}
}

func (x index) remove(c *condition) {
	for i := range c.terms {
		if t := &c.terms[i]; t.next != nil {
			x.ring(t.op).remove(t)
		}
	}
}

// gone tells whether a condition with terms has been taken out.
func (c *condition) gone() bool { return c.terms[0].next == nil }

// ring returns the ring that a term lies in.
//
//go:noinline
func (x index) ring(t *event.Operator) *ring {
	n := x[t.Name]
	if n == nil {
		n = &named{}
		x[t.Name] = n
	}
	if len(t.Args) == 0 || t.Args[0].Negate || !isLiteral(t.Args[0].Pattern) {
		return &n.any
	}
	arg := &t.Args[0]
	if arg.Key == "" {
		if n.first == nil {
			n.first = map[string]*ring{}
		}
		return within(n.first, arg.Pattern)
	}
	for _, k := range n.keys {
		if k.key == arg.Key {
			return within(k.values, arg.Pattern)
		}
	}
	n.keys = append(n.keys, keyed{arg.Key, map[string]*ring{}})
	return within(n.keys[len(n.keys)-1].values, arg.Pattern)
}

//go:noinline
func within(m map[string]*ring, value string) *ring {
	r := m[value]
	if r == nil {
		r = &ring{}
		m[value] = r
	}
	return r
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
