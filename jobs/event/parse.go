package event

import (
	"errors"
	"strconv"
	"strings"
)

// The errors of a Builder, in Upstart's words but for the last.
var (
	ErrExpectedEvent    = errors.New("Expected event")
	ErrExpectedOperator = errors.New("Expected operator")
	ErrExpectedVariable = errors.New("Expected variable name before value")
	ErrMismatched       = errors.New("Mismatched parentheses")
	ErrTooLarge         = errors.New("Expression too large: more than " + strconv.Itoa(maxTerms) + " events or " + strconv.Itoa(maxDepth) + " levels of parentheses")
)

// Limits of an expression. The machine walks the tree by recursion at every
// event; the largest expressions in use have some dozens of terms.
const (
	maxTerms = 4096
	maxDepth = 256
)

// Builder puts an expression together from the words and parentheses of
//
//	EXPR    = OPERAND { ("and" | "or") OPERAND }
//	OPERAND = EVENT { ARG } | "(" EXPR ")"
//	ARG     = VALUE | KEY=VALUE | KEY!=VALUE
//
// where "and" and "or" bind alike, from left to right. After an error it may not
// be used again.
type Builder struct {
	frame
	outer []frame // the expressions around the innermost one
	term  *Operator
	terms int
	mixed *Operator
}

// frame is an expression that is not complete yet.
type frame struct {
	tree    *Operator // what has been read so far; nil at the beginning
	dangles bool      // tree is an and/or that lacks its right operand
	last    Kind      // the last operator of this expression; Match: none yet
	line    int       // of the opening parenthesis
	col     int
}

// Depth is the number of parentheses that are open.
func (b *Builder) Depth() int { return len(b.outer) }

// Opened is the position of the innermost open parenthesis.
func (b *Builder) Opened() (line, col int) { return b.line, b.col }

// Mixed returns the first operator that stands beside one of the other kind with
// no parentheses between them, or nil.
func (b *Builder) Mixed() *Operator { return b.mixed }

// Word adds a word. Plain says that it has been written without quotes and
// backslashes: only then it may be an operator.
func (b *Builder) Word(text string, plain bool, line, col int) error {
	switch {
	case plain && text == "and":
		return b.operator(And, line, col)
	case plain && text == "or":
		return b.operator(Or, line, col)
	case b.wantsOperand():
		if b.terms++; b.terms > maxTerms {
			return ErrTooLarge
		}
		b.term = &Operator{Name: text, Line: line, Col: col}
		b.operand(b.term)
		return nil
	case b.term == nil:
		return ErrExpectedOperator
	}
	return b.term.argument(text)
}

// Open adds an opening parenthesis.
func (b *Builder) Open(line, col int) error {
	if !b.wantsOperand() {
		return ErrExpectedOperator
	}
	if len(b.outer) == maxDepth {
		return ErrTooLarge
	}
	b.outer = append(b.outer, b.frame)
	b.frame = frame{line: line, col: col}
	return nil
}

// Close adds a closing parenthesis.
func (b *Builder) Close() error {
	if b.wantsOperand() {
		return ErrExpectedEvent
	}
	last := len(b.outer) - 1
	if last < 0 {
		return ErrMismatched
	}
	inner := b.tree
	b.frame, b.outer, b.term = b.outer[last], b.outer[:last], nil
	b.operand(inner)
	return nil
}

// Finish returns the whole expression.
func (b *Builder) Finish() (*Operator, error) {
	switch {
	case len(b.outer) > 0:
		return nil, ErrMismatched
	case b.wantsOperand():
		return nil, ErrExpectedEvent
	}
	return b.tree, nil
}

func (b *Builder) wantsOperand() bool { return b.tree == nil || b.dangles }

func (b *Builder) operator(kind Kind, line, col int) error {
	if b.wantsOperand() {
		return ErrExpectedEvent
	}
	op := &Operator{Kind: kind, Left: b.tree, Line: line, Col: col}
	if b.mixed == nil && b.last != Match && b.last != kind {
		b.mixed = op
	}
	b.tree, b.dangles, b.last, b.term = op, true, kind, nil
	return nil
}

func (b *Builder) operand(o *Operator) {
	if b.dangles {
		b.tree.Right, b.dangles = o, false
		return
	}
	b.tree = o
}

// argument adds an argument to the term o.
func (o *Operator) argument(text string) error {
	arg := Arg{Pattern: text, Raw: text}
	if i := strings.IndexByte(text, '='); i >= 0 {
		arg.Key, arg.Pattern = text[:i], text[i+1:]
		if i := strings.Index(text, "!="); i >= 0 {
			arg.Key, arg.Pattern, arg.Negate = text[:i], text[i+2:], true
		}
	} else if n := len(o.Args); n > 0 && !o.Args[n-1].positional() {
		return ErrExpectedVariable
	}
	o.Args = append(o.Args, arg)
	return nil
}

// positional tells whether the argument stands for the variable at its place. One
// like "=x" names a variable with no name, which no event has.
func (a *Arg) positional() bool {
	return a.Key == "" && !a.Negate && (a.Raw == "" || len(a.Raw) == len(a.Pattern))
}

// String returns the expression with every and/or in parentheses, as show-config
// prints it.
func (o *Operator) String() string {
	if o == nil {
		return ""
	}
	var b strings.Builder
	o.write(&b)
	return b.String()
}

func (o *Operator) write(b *strings.Builder) {
	if o.Kind == Match {
		b.WriteString(o.Name)
		for i := range o.Args {
			b.WriteByte(' ')
			b.WriteString(o.Args[i].String())
		}
		return
	}
	b.WriteByte('(')
	o.Left.write(b)
	b.WriteString(" " + o.Kind.String() + " ")
	o.Right.write(b)
	b.WriteByte(')')
}

// String returns the argument as it was written, without quotes.
//
//go:noinline
func (a *Arg) String() string {
	switch {
	case a.Raw != "":
		return a.Raw
	case a.Key == "":
		return a.Pattern
	case a.Negate:
		return a.Key + "!=" + a.Pattern
	}
	return a.Key + "=" + a.Pattern
}

// String returns the word for the operator; that for Match is its name in logs.
func (k Kind) String() string { return [...]string{Match: "match", And: "and", Or: "or"}[k] }
