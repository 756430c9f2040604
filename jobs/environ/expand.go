package environ

import (
	"errors"
	"strings"
)

// The errors of Expand, beside UnknownParameterError. The first two texts are
// Upstart's.
var (
	ErrExpectedOperator = errors.New("Expected operator")
	ErrMismatchedBraces = errors.New("Mismatched braces")
	ErrTooLong          = errors.New("expansion too long or nested too deeply")
)

// UnknownParameterError is a plain reference to a variable that is not set; its
// value is the name.
type UnknownParameterError string

func (e UnknownParameterError) Error() string { return "Unknown parameter: " + string(e) }

// Limits of one expansion. A job file of the largest size full of references to
// long values would otherwise grow to gigabytes, and nested braces would recurse
// as deep as the file is long.
const (
	maxExpanded = 1 << 20
	maxNesting  = 100
)

// Expand replaces the references to variables in text:
//
//	$NAME  ${NAME}  ${NAME-def}  ${NAME:-def}  ${NAME+alt}  ${NAME:+alt}  ${}
//
// The forms with a colon take an empty value for unset, and ${} is a plain
// dollar sign. NAME in braces, def and alt are expanded themselves, whether they
// are chosen or not. What has been put in is not looked at again. lookup gives
// the value of a variable and whether it is set.
func Expand(text string, lookup func(name string) (string, bool)) (string, error) {
	if strings.IndexByte(text, '$') < 0 {
		return text, nil
	}
	x := expander{rest: text, lookup: lookup}
	return x.until("")
}

// expander holds what is left of the text.
type expander struct {
	rest   string
	lookup func(string) (string, bool)
	depth  int
}

// until expands up to the first byte of stop outside of nested references, which
// it leaves in the rest, or to the end of the text.
func (x *expander) until(stop string) (string, error) {
	if x.depth > maxNesting {
		return "", ErrTooLong
	}
	x.depth++
	defer func() { x.depth-- }()
	var out []byte
	for {
		i := strings.IndexAny(x.rest, "$"+stop)
		if i < 0 {
			i = len(x.rest)
		}
		out = append(out, x.rest[:i]...)
		x.rest = x.rest[i:]
		if x.rest == "" || x.rest[0] != '$' {
			return string(out), nil
		}
		value, err := x.reference()
		if err != nil {
			return "", err
		}
		if len(out)+len(value) > maxExpanded {
			return "", ErrTooLong
		}
		out = append(out, value...)
	}
}

// reference expands the reference that begins with the dollar sign in front.
func (x *expander) reference() (string, error) {
	x.rest = x.rest[1:]
	if strings.HasPrefix(x.rest, "{") {
		x.rest = x.rest[1:]
		return x.braces()
	}
	n := nameLen(x.rest)
	if n == 0 {
		return "$", nil
	}
	name := x.rest[:n]
	x.rest = x.rest[n:]
	return x.value(name)
}

// braces expands a reference of which "${" has been read.
func (x *expander) braces() (string, error) {
	name, err := x.until("}:-+")
	if err != nil {
		return "", err
	}
	colon := x.accept(':')
	op := byte(0)
	switch {
	case x.accept('-'):
		op = '-'
	case x.accept('+'):
		op = '+'
	case colon:
		return "", ErrExpectedOperator
	case !x.accept('}'):
		return "", ErrMismatchedBraces
	case name == "":
		return "$", nil
	default:
		return x.value(name)
	}
	word, err := x.until("}")
	if err != nil {
		return "", err
	}
	if !x.accept('}') {
		return "", ErrMismatchedBraces
	}
	value, set := x.lookup(name)
	if colon && value == "" {
		set = false
	}
	switch {
	case op == '-' && set:
		return value, nil
	case op == '+' && !set:
		return "", nil
	}
	return word, nil
}

func (x *expander) value(name string) (string, error) {
	value, ok := x.lookup(name)
	if !ok {
		return "", UnknownParameterError(name)
	}
	return value, nil
}

func (x *expander) accept(c byte) bool {
	if x.rest == "" || x.rest[0] != c {
		return false
	}
	x.rest = x.rest[1:]
	return true
}

// nameLen is the length of the longest variable name that s begins with.
func nameLen(s string) int {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}
