package engine

import (
	"slices"
	"strings"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// condition is a "start on" of a class or a "stop on" of an instance with what is
// true of it at the moment (reference, section 3.3).
type condition struct {
	class *class
	job   *job // nil: start on
	expr  *event.Operator
	terms []term // of expr, left to right
}

// term is one event of a condition. An event that has made it true is held, and so
// blocked, until the whole condition is true or dropped.
type term struct {
	op         *event.Operator
	cond       *condition
	e          *emission // that has made it true, nil: it is not
	blocks     bool      // e waits for the condition
	next, prev *term     // its neighbours in the index; nil: it is not in there
}

func newCondition(c *class, j *job, expr *event.Operator) *condition {
	var some [8]*event.Operator
	operators := expr.Terms(some[:0])
	var cond *condition
	if len(operators) == 1 {
		// Most conditions are a single term, which then lies beside its condition.
		both := &struct {
			condition
			term [1]term
		}{}
		cond, both.terms = &both.condition, both.term[:]
	} else {
		cond = &condition{terms: make([]term, len(operators))}
	}
	cond.class, cond.job, cond.expr = c, j, expr
	for i, o := range operators {
		cond.terms[i] = term{op: o, cond: cond}
	}
	return cond
}

// mayBlock tells whether an event has to wait for what becomes of the condition. A job
// cannot wait for itself, and a job that is stopping does not care for the rest of its
// stop condition any more; in a shutdown nothing waits for a start that may never come.
// There the event is remembered, but goes on.
func (m *Machine) mayBlock(c *condition, e *emission) bool {
	if c.job == nil {
		return m.halt == nil && (!e.awaited || e.job.class != c.class)
	}
	return !(e.awaited && e.job == c.job) && c.job.state < jobs.Stopping
}

// offer makes the terms true that e matches and tells whether that has made any
// term true and the whole true.
func (c *condition) offer(m *Machine, e *emission) bool {
	matched := false
	for i := range c.terms {
		t := &c.terms[i]
		if t.e != nil || !t.op.Matches(e.ev, m.patternVars(c)) {
			continue
		}
		t.e, t.blocks = e, m.mayBlock(c, e)
		if t.blocks {
			e.blockers++
		}
		matched = true
	}
	return matched && c.value()
}

// patternVars is what the patterns of a condition are expanded from.
//
//go:noinline
func (m *Machine) patternVars(c *condition) environ.Layers {
	if c.job != nil {
		return c.job.env()
	}
	return environ.Layers{Under: m.classEnv(c.class)}
}

//go:noinline
func (c *condition) value() bool {
	if c.expr == nil {
		return false
	}
	holds, _ := value(c.expr, c.terms)
	return holds
}

// value evaluates the tree below o, whose terms terms begins with, and returns the
// rest of terms.
func value(o *event.Operator, terms []term) (holds bool, rest []term) {
	if o.Kind == event.Match {
		return terms[0].e != nil, terms[1:]
	}
	left, rest := value(o.Left, terms)
	right, rest := value(o.Right, rest)
	if o.Kind == event.And {
		return left && right, rest
	}
	return left || right, rest
}

// appendCauses appends the events behind the true terms of the tree below o, whose
// terms terms begins with, in the order of the terms; what lies under a false branch
// is left out. It returns the rest of terms, too.
func appendCauses(causes []*emission, o *event.Operator, terms []term) ([]*emission, []term) {
	if o.Kind == event.Match {
		if e := terms[0].e; e != nil {
			causes = append(causes, e)
		}
		return causes, terms[1:]
	}
	before := len(causes)
	holds, _ := value(o, terms)
	causes, rest := appendCauses(causes, o.Left, terms)
	causes, rest = appendCauses(causes, o.Right, rest)
	if !holds {
		causes = causes[:before]
	}
	return causes, rest
}

// causes returns the events behind a condition that is true. The slice is valid until
// the next call.
//
//go:noinline
func (m *Machine) causes(c *condition) []*emission {
	m.queue.causes, _ = appendCauses(m.queue.causes[:0], c.expr, c.terms)
	return m.queue.causes
}

// reset makes all terms false and lets go of their events.
//
//go:noinline
func (c *condition) reset(m *Machine) {
	c.letGo(m)
	for i := range c.terms {
		c.terms[i].e = nil
	}
}

// letGo lets the events go on that wait for the condition; what they have made true
// stays so.
func (c *condition) letGo(m *Machine) {
	for i := range c.terms {
		if t := &c.terms[i]; t.blocks {
			t.blocks = false
			m.unblock(t.e)
		}
	}
}

// holds tells whether e waits for the condition.
func (c *condition) holds(e *emission) bool {
	return slices.ContainsFunc(c.terms, func(t term) bool { return t.e == e && t.blocks })
}

// The variables that name the events behind a start and a stop.
const (
	startEvents = "UPSTART_EVENTS="
	stopEvents  = "UPSTART_STOP_EVENTS="
)

// variables returns the variables of causes, those of a later term over those of
// an earlier one, and list, NAME=, with the names of the events.
func variables(causes []*emission, list string) environ.Env {
	if len(causes) == 1 {
		ev := &causes[0].ev
		return put(merge(1, ev.Env), list+ev.Name)
	}
	tables := make([]environ.Env, 0, len(causes))
	names := make([]string, 0, len(causes))
	for _, e := range causes {
		tables = append(tables, e.ev.Env)
		names = append(names, e.ev.Name)
	}
	return put(merge(1, tables...), list+strings.Join(names, " "))
}

// merge lays tables over each other, later ones on top, in a new table with room
// for spare more entries.
//
//go:noinline
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
//
//go:noinline
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
