package jsonl

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"

	"tend/jobs/number"
)

// maxDepth bounds how deep objects and lists may lie in one another. What we know is
// four deep; the rest is for fields of a later version, which are skipped.
const maxDepth = 32

// ErrNotObject is the error for a line that does not begin as an object.
var ErrNotObject = errors.New("no JSON object")

var (
	errSyntax = errors.New("no valid JSON")
	errDepth  = errors.New("nested too deep")

	errTrailing = errors.New("something follows the JSON object")
)

// Decode reads a line into o. Fields that o does not know are skipped. The names of
// fields are compared exactly. After an error o holds what came before it.
func Decode(line []byte, o Object) error {
	c := Codec{text: line, reading: true}
	c.readObject(o)
	if c.space(); c.at < len(c.text) {
		c.fail(errTrailing)
	}
	return c.err
}

// fail notes the first error and ends the text, so that every loop ends too.
//
//go:noinline
func (c *Codec) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.at = len(c.text)
}

// wrong is for a value that is not what its field is.
func (c *Codec) wrong(want string) {
	if c.begins(0) {
		c.fail(errSyntax)
	}
	c.fail(errors.New("field " + Quote(c.key) + " is not " + want))
}

// peek returns the next byte, or 0 at the end.
//
//go:noinline
func (c *Codec) peek() byte {
	if c.at < len(c.text) {
		return c.text[c.at]
	}
	return 0
}

func (c *Codec) space() {
	for c.peek() == ' ' || c.peek() == '\t' || c.peek() == '\r' || c.peek() == '\n' {
		c.at++
	}
}

// begins skips space and tells whether b is next.
func (c *Codec) begins(b byte) bool {
	c.space()
	return c.peek() == b
}

// take takes word if that is next.
func (c *Codec) take(word string) bool {
	c.space()
	if len(c.text)-c.at < len(word) || string(c.text[c.at:c.at+len(word)]) != word {
		return false
	}
	c.at += len(word)
	return true
}

func (c *Codec) null() bool { return c.take("null") }

// open takes the bracket that an object or a list begins with.
func (c *Codec) open(bracket byte) {
	switch {
	case !c.begins(bracket) && c.depth == 0:
		c.fail(ErrNotObject)
	case c.peek() != bracket && bracket == '{':
		c.wrong("an object")
	case c.peek() != bracket:
		c.wrong("a list")
	case c.depth == maxDepth:
		c.fail(errDepth)
	default:
		c.at++
		c.depth++
		c.first = true
	}
}

// next tells whether one more element follows, and takes the comma before it; or else
// it takes the bracket that ends them.
func (c *Codec) next(bracket byte) bool {
	first := c.first
	c.first = false
	switch {
	case c.begins(bracket):
		c.at++
		c.depth--
		return false
	case c.at == len(c.text):
	case first:
		return true
	case c.take(",") && !c.begins(bracket):
		return true
	}
	c.fail(errSyntax)
	return false
}

// readObject reads an object, each of whose fields o is asked for by name.
func (c *Codec) readObject(o Object) {
	for c.open('{'); c.next('}'); {
		if !c.begins('"') {
			c.fail(errSyntax)
		}
		key := c.readString()
		if !c.take(":") {
			c.fail(errSyntax)
		}
		c.key, c.taken = key, false
		o.Fields(c)
		if !c.taken {
			c.skip()
		}
		c.taken = true // for the object that this one lies in
	}
}

// skip reads a value of any kind.
func (c *Codec) skip() {
	switch c.space(); c.peek() {
	case '{':
		c.readObject(unknown{})
	case '[':
		for c.open('['); c.next(']'); {
			c.skip()
		}
	case '"':
		c.readString()
	default:
		if !c.null() && !c.take("true") && !c.take("false") {
			c.number()
		}
	}
}

// unknown is an object of which no field is known.
type unknown struct{}

func (unknown) Fields(*Codec) {}

func (c *Codec) readBool() bool {
	if c.take("true") {
		return true
	}
	if !c.take("false") {
		c.wrong("true or false")
	}
	return false
}

func (c *Codec) readInt() int {
	if c.space(); c.peek() != '-' && !digit(c.peek()) {
		c.wrong("a number")
		return 0
	}
	n, err := number.Int(c.number())
	if err != nil {
		c.wrong("an integer in range")
	}
	return n
}

// number takes a number and returns its text.
func (c *Codec) number() string {
	start := c.at
	if c.peek() == '-' {
		c.at++
	}
	if c.peek() == '0' {
		c.at++
	} else {
		c.digits()
	}
	if c.peek() == '.' {
		c.at++
		c.digits()
	}
	if c.peek()|0x20 == 'e' {
		c.at++
		if c.peek() == '+' || c.peek() == '-' {
			c.at++
		}
		c.digits()
	}
	if c.err != nil {
		return ""
	}
	return string(c.text[start:c.at])
}

// digits takes one digit at least.
func (c *Codec) digits() {
	if !digit(c.peek()) {
		c.fail(errSyntax)
	}
	for digit(c.peek()) {
		c.at++
	}
}

func digit(b byte) bool { return '0' <= b && b <= '9' }

// readString reads a text. Bytes that are no UTF-8 and halves of surrogate pairs
// become U+FFFD.
func (c *Codec) readString() string {
	if !c.begins('"') {
		c.wrong("a string")
		return ""
	}
	c.at++
	n := plain(c.text[c.at:])
	b := c.text[c.at : c.at+n]
	if c.at += n; c.peek() == '"' {
		c.at++
		return string(b)
	}
	b = append(make([]byte, 0, 2*n+16), b...)
	for c.err == nil {
		switch char := c.peek(); {
		case char == '"':
			c.at++
			return string(b)
		case char < ' ':
			c.fail(errSyntax) // the end, too
		case char == '\\':
			b = c.escape(b)
		case char < utf8.RuneSelf:
			b = append(b, char)
			c.at++
		default:
			r, size := utf8.DecodeRune(c.text[c.at:])
			b = utf8.AppendRune(b, r)
			c.at += size
		}
	}
	return ""
}

// escape appends the character that a backslash and what follows it stand for.
func (c *Codec) escape(b []byte) []byte {
	c.at++
	char := c.peek()
	c.at++
	switch char {
	case '"', '\\', '/':
		return append(b, char)
	case 'b':
		return append(b, '\b')
	case 'f':
		return append(b, '\f')
	case 'n':
		return append(b, '\n')
	case 'r':
		return append(b, '\r')
	case 't':
		return append(b, '\t')
	case 'u':
		r := c.hex()
		if utf16.IsSurrogate(r) {
			// Two halves are one character; one alone is none, and what follows it
			// stands for itself.
			half, at := r, c.at
			r = utf8.RuneError
			if c.peek() == '\\' && at+1 < len(c.text) && c.text[at+1] == 'u' {
				c.at += 2
				if r = utf16.DecodeRune(half, c.hex()); r == utf8.RuneError && c.err == nil {
					c.at = at
				}
			}
		}
		return utf8.AppendRune(b, r)
	}
	c.fail(errSyntax)
	return b
}

// hex takes four hexadecimal digits.
func (c *Codec) hex() rune {
	if len(c.text)-c.at < 4 {
		c.fail(errSyntax)
		return 0
	}
	n, err := number.Uint(string(c.text[c.at:c.at+4]), 16, 16)
	if err != nil {
		c.fail(errSyntax)
		return 0
	}
	c.at += 4
	return rune(n)
}
