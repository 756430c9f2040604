// Package event holds events and the expressions over them that a job file
// writes after "start on" and "stop on" (Upstart reference, section 3).
package event

import "tend/jobs/environ"

// Event is something that has happened: a name and variables in order. It is a
// value; the engine keeps the progress of an emission itself.
type Event struct {
	Name string
	Env  environ.Env
}

// Kind says what an Operator is.
type Kind uint8

// The kinds of operators. The zero value is a single event to match.
const (
	Match Kind = iota
	And
	Or
)

// Operator is a node of an expression. It is immutable once parsed and may be
// shared; what is true at the moment lives in the engine.
type Operator struct {
	Kind        Kind
	Left, Right *Operator // of And and Or
	Name        string    // of Match: the event's name
	Args        []Arg     // of Match, in the order written
	Line, Col   int       // of the word, from 1; 0 when it is from no file
}

// Arg is one argument of a Match: positional when Key is empty.
type Arg struct {
	Key     string
	Negate  bool   // KEY!=VALUE
	Pattern string // before expansion
	Raw     string // as written, dequoted
}

// Terms appends the Match nodes below o to terms, left to right.
func (o *Operator) Terms(terms []*Operator) []*Operator {
	if o == nil {
		return terms
	}
	if o.Kind == Match {
		return append(terms, o)
	}
	return o.Right.Terms(o.Left.Terms(terms))
}
