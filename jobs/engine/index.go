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
// Empty buckets stay: there are never more than the job files have ever named.
type index map[string]*named

// named has the conditions that have a term for one event name.
type named struct {
	any   bucket             // first argument absent or a pattern
	first map[string]*bucket // by the value of the first variable
	keys  []keyed            // by the value of a variable by name, in order of arrival
}

type keyed struct {
	key    string
	values map[string]*bucket
}

type bucket struct{ entries []entry }

// entry is a condition in a bucket, and which of its slots points back.
type entry struct {
	cond *condition
	slot int
}

// slot says where a condition lies, so that it can be taken out without a search.
type slot struct {
	bucket *bucket
	pos    int
}

func (x index) add(c *condition) {
	c.slots = make([]slot, 0, len(c.terms))
	for _, t := range c.terms {
		b := x.bucket(t)
		if c.liesIn(b) {
			continue
		}
		b.entries = append(b.entries, entry{c, len(c.slots)})
		c.slots = append(c.slots, slot{b, len(b.entries) - 1})
	}
}

func (c *condition) liesIn(b *bucket) bool {
	for _, s := range c.slots {
		if s.bucket == b {
			return true
		}
	}
	return false
}

func (x index) remove(c *condition) {
	for _, s := range c.slots {
		last := len(s.bucket.entries) - 1
		moved := s.bucket.entries[last]
		s.bucket.entries[s.pos] = moved
		moved.cond.slots[moved.slot].pos = s.pos
		s.bucket.entries[last] = entry{}
		s.bucket.entries = s.bucket.entries[:last]
	}
	c.slots = nil
}

func (x index) bucket(t *event.Operator) *bucket {
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
			n.first = map[string]*bucket{}
		}
		return within(n.first, arg.Pattern)
	}
	for _, k := range n.keys {
		if k.key == arg.Key {
			return within(k.values, arg.Pattern)
		}
	}
	n.keys = append(n.keys, keyed{arg.Key, map[string]*bucket{}})
	return within(n.keys[len(n.keys)-1].values, arg.Pattern)
}

func within(m map[string]*bucket, value string) *bucket {
	b := m[value]
	if b == nil {
		b = &bucket{}
		m[value] = b
	}
	return b
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
		sort.Sort(inOrder(found))
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

func (b *bucket) appendTo(found []*condition) []*condition {
	if b == nil {
		return found
	}
	for _, e := range b.entries {
		found = append(found, e.cond)
	}
	return found
}

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
