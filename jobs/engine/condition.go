package engine

import (
	"slices"
	"strings"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// condition is a "start on" of a class or a "stop on" of an instance with what is
// true of it at the moment (reference, section 3.3). An event that has made a term
// true is held, and so blocked, until the whole is true or dropped.
type condition struct {
	class *class
	job   *job // nil: start on
	expr  *event.Operator
	terms []*event.Operator // of expr, left to right; shared
	held  []hold            // by term; nil as long as nothing is true
	slots []slot
	dead  bool // no longer in the index
}

// hold is what has made a term true.
type hold struct {
	e      *emission
	blocks bool // e waits for the condition
}

// blocks tells whether an event has to wait for what becomes of the condition. A job
// cannot wait for itself, and a job that is stopping does not care for the rest of its
// stop condition any more; there the event is remembered, but goes on.
func (c *condition) blocks(e *emission) bool {
	if c.job != nil {
		return e.owner != c.job && c.job.state < jobs.Stopping
	}
	return e.owner == nil || e.owner.class != c.class
}

// offer makes the terms true that e matches and tells whether that has made any
// term true and the whole true.
func (c *condition) offer(m *Machine, e *emission, lookup func(string) (string, bool)) bool {
	matched := false
	for i, t := range c.terms {
		if c.held != nil && c.held[i].e != nil || t.Name != e.ev.Name || !t.Matches(e.ev, lookup) {
			continue
		}
		if c.held == nil {
			c.held = make([]hold, len(c.terms))
		}
		c.held[i] = hold{e, c.blocks(e)}
		if c.held[i].blocks {
			e.blockers++
			e.partial++
		}
		matched = true
	}
	return matched && c.value()
}

func (c *condition) value() bool {
	i := 0
	return c.held != nil && value(c.expr, c.held, &i)
}

// value evaluates the tree below o, whose terms begin at *i, and moves *i behind
// them.
func value(o *event.Operator, held []hold, i *int) bool {
	if o.Kind == event.Match {
		*i++
		return held[*i-1].e != nil
	}
	left := value(o.Left, held, i)
	right := value(o.Right, held, i)
	if o.Kind == event.And {
		return left && right
	}
	return left || right
}

// causes returns the events behind the true terms, in the order of the terms; what
// lies under a false branch is left out.
func (c *condition) causes() []*emission {
	if len(c.terms) == 1 {
		return []*emission{c.held[0].e}
	}
	causes, _ := appendCauses(nil, c.expr, c.held)
	return causes
}

// appendCauses returns causes with those of the tree below o, whose terms held
// begins with, and the rest of held.
func appendCauses(causes []*emission, o *event.Operator, held []hold) ([]*emission, []hold) {
	if o.Kind == event.Match {
		if held[0].e != nil {
			causes = append(causes, held[0].e)
		}
		return causes, held[1:]
	}
	before := len(causes)
	i := 0
	holds := value(o, held, &i)
	causes, rest := appendCauses(causes, o.Left, held)
	causes, rest = appendCauses(causes, o.Right, rest)
	if !holds {
		causes = causes[:before]
	}
	return causes, rest
}

// reset makes all terms false and lets go of their events.
func (c *condition) reset(m *Machine) {
	held := c.held
	c.held = nil
	letGo(m, held)
}

// letGo lets the events go on that held blocks; what they have made true stays so.
func letGo(m *Machine, held []hold) {
	for i := range held {
		if h := &held[i]; h.blocks {
			h.blocks = false
			h.e.partial--
			m.unblock(h.e)
		}
	}
}

// holds tells whether e waits for the condition.
func (c *condition) holds(e *emission) bool {
	return slices.Contains(c.held, hold{e, true})
}

// variables returns the variables of causes, those of a later term over those of
// an earlier one, and listName=NAME NAME…
func variables(causes []*emission, listName string) environ.Env {
	if len(causes) == 1 {
		ev := &causes[0].ev
		return put(merge(2, ev.Env), listName+"="+ev.Name)
	}
	tables := make([]environ.Env, 0, len(causes))
	names := make([]string, 0, len(causes))
	for _, e := range causes {
		tables = append(tables, e.ev.Env)
		names = append(names, e.ev.Name)
	}
	return put(merge(2, tables...), listName+"="+strings.Join(names, " "))
}

// merge lays tables over each other, later ones on top, in a new table with room
// for spare more entries.
func merge(spare int, tables ...environ.Env) environ.Env {
	n := spare
	for _, t := range tables {
		n += len(t)
	}
	out := make(environ.Env, 0, n)
	for i, t := range tables {
		if i == 0 {
			out = append(out, t...)
			continue
		}
		for _, entry := range t {
			out = put(out, entry)
		}
	}
	return out
}

// put sets entry in a table that nobody else has.
func put(e environ.Env, entry string) environ.Env {
	key, _, ok := environ.Split(entry)
	if !ok {
		return e
	}
	for i, old := range e {
		if len(old) > len(key) && old[len(key)] == '=' && old[:len(key)] == key {
			e[i] = entry
			return e
		}
	}
	return append(e, entry)
}
