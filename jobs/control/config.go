package control

import (
	"iter"
	"slices"
	"strings"

	"tend/jobs"
	"tend/jobs/event"
)

// NewConfig tells what show-config prints of a class.
func NewConfig(class *jobs.Class) *Config {
	return &Config{
		Job: class.Name, Emits: class.Emits,
		StartOn: newCondition(class.StartOn), StopOn: newCondition(class.StopOn),
	}
}

func newCondition(o *event.Operator) *Condition {
	if o == nil {
		return nil
	}
	c := &Condition{Expression: o.String()}
	for _, t := range o.Terms(nil) {
		term := Term{Event: t.Name}
		for i := range t.Args {
			term.Args = append(term.Args, t.Args[i].String())
		}
		c.Terms = append(c.Terms, term)
	}
	return c
}

// builtin are the events that need nobody to declare them (reference 7.7).
var builtin = []string{
	"startup", "debug", "control-alt-delete", "keyboard-request", "power-status-changed",
	"starting", "started", "stopping", "stopped",
}

// Checker finds conditions that cannot come true because nobody is known to emit an
// event, or because a job does not exist (reference 7.7).
type Checker struct {
	warn     bool
	jobs     map[string]bool
	known    map[string]bool
	patterns []string // of emits
}

// NewChecker returns a Checker for these classes. known are more events that come,
// pseudo are jobs that exist as events only, and with warn every unknown part is
// reported.
func NewChecker(classes []*jobs.Class, known, pseudo []string, warn bool) *Checker {
	c := &Checker{warn: warn, jobs: map[string]bool{}, known: map[string]bool{}}
	for _, list := range [...][]string{builtin, known} {
		for _, name := range list {
			c.known[name] = true
		}
	}
	for _, name := range pseudo {
		c.jobs[name] = true
	}
	for _, class := range classes {
		c.jobs[class.Name] = true
		for _, name := range class.Emits {
			if strings.ContainsAny(name, `*?[\`) {
				c.patterns = append(c.patterns, name)
			} else {
				c.known[name] = true
			}
		}
	}
	return c
}

// Check returns what is wrong with a class, or nil.
func (c *Checker) Check(class *jobs.Class) *Problem {
	texts := c.condition(nil, "start on: ", class.StartOn)
	texts = c.condition(texts, "stop on: ", class.StopOn)
	if texts == nil {
		return nil
	}
	return &Problem{Job: class.Name, Texts: texts}
}

// Problems yields what is wrong with these classes.
func (c *Checker) Problems(classes []*jobs.Class) iter.Seq[*Response] {
	return func(yield func(*Response) bool) {
		for _, class := range classes {
			if p := c.Check(class); p != nil && !yield(&Response{Problem: p}) {
				return
			}
		}
	}
}

func (c *Checker) condition(texts []string, label string, o *event.Operator) []string {
	o = c.firstFalse(o)
	if o == nil {
		return texts
	}
	terms := o.Terms(nil)
	for _, t := range slices.Backward(terms) {
		if text := c.unknown(t); text != "" {
			texts = append(texts, label+text)
		}
	}
	return texts
}

// firstFalse returns the uppermost part, left before right, that cannot come true;
// nil when there is none.
func (c *Checker) firstFalse(o *event.Operator) *event.Operator {
	switch {
	case o == nil:
		return nil
	case !c.possible(o):
		return o
	case o.Kind == event.Match:
		return nil
	}
	// A single term below an operator that can come true is no mistake: it is one
	// side of an "or".
	for _, side := range [...]*event.Operator{o.Left, o.Right} {
		if side.Kind == event.Match {
			continue
		}
		if f := c.firstFalse(side); f != nil {
			return f
		}
	}
	return nil
}

// possible tells whether all that o needs is known.
func (c *Checker) possible(o *event.Operator) bool {
	switch {
	case o.Kind == event.Match:
		return c.unknown(o) == ""
	case o.Kind == event.Or && !c.warn:
		return c.possible(o.Left) || c.possible(o.Right)
	}
	return c.possible(o.Left) && c.possible(o.Right)
}

// unknown says what is not known of a term, or nothing.
func (c *Checker) unknown(o *event.Operator) string {
	if !c.emitted(o.Name) {
		return "unknown event " + o.Name
	}
	switch o.Name {
	case "starting", "started", "stopping", "stopped":
		if job := jobOf(o); job != "" && job[0] != '$' && !c.jobs[job] {
			return "unknown job " + job
		}
	}
	return ""
}

func (c *Checker) emitted(name string) bool {
	return c.known[name] || slices.ContainsFunc(c.patterns, func(p string) bool { return event.FnMatch(p, name) })
}

// jobOf returns the name of the job that a term about a job event is about: its
// first positional argument, or JOB=NAME.
func jobOf(o *event.Operator) string {
	for i := range o.Args {
		switch a := &o.Args[i]; {
		case a.Key == "JOB" && !a.Negate:
			return a.Pattern
		case i == 0 && a.Key == "" && !strings.Contains(a.String(), "="):
			return a.Pattern
		}
	}
	return ""
}
