// Package jsonl writes and reads JSON lines: one object per line, whose fields are
// known beforehand.
//
// It does by hand what encoding/json and a logging library do by reflection. Those
// two weigh 380,000 and 230,000 bytes in a program that otherwise needs neither, a
// fifth of what tend may weigh. What is written here encoding/json reads alike, and
// the other way round; a test compares them.
package jsonl

import (
	"encoding/binary"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendString appends s as a JSON string.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	b = AppendText(b, []byte(s))
	return append(b, '"')
}

// Quote returns s as a JSON string, for messages.
//
//go:noinline
func Quote(s string) string { return string(AppendString(nil, s)) }

// AppendText appends text as the inside of a JSON string. Bytes that are no UTF-8
// become U+FFFD. It needs at most six bytes for each.
func AppendText(b, text []byte) []byte {
	for {
		n := plain(text)
		b = append(b, text[:n]...)
		text = text[n:]
		if len(text) == 0 {
			return b
		}
		switch c := text[0]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c < ' ' || c == 0x7f:
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			_, size := utf8.DecodeRune(text)
			if size == 1 {
				b = append(b, "\ufffd"...)
			} else {
				b = append(b, text[:size]...)
			}
			text = text[size:]
			continue
		}
		text = text[1:]
	}
}

// plain returns how many bytes at the start of text stand for themselves in JSON,
// looking at eight at a time.
func plain(text []byte) int {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(text); i += 8 {
		x := binary.LittleEndian.Uint64(text[i:])
		quote, slash, del := x^(ones*'"'), x^(ones*'\\'), x^(ones*0x7f)
		// A byte's high bit is set where it is below 0x20, zero after the exclusive
		// or, or above 0x7f. A borrow can only add to what is found.
		if ((x-ones*0x20)|(quote-ones)|(slash-ones)|(del-ones)|x)&high != 0 {
			break
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// AppendTime appends t as RFC 3339 in UTC, with so many digits (1 to 9) of the
// second's fraction; times of one width sort as text. It is exact for the years 1 to
// 9999.
//
// It goes without time.Time.Format and Date: with them come the readers of time zone
// files and the parser of layouts, 90,000 bytes of a program.
func AppendTime(b []byte, t time.Time, digits int) []byte {
	const daySeconds = 24 * 60 * 60
	// Seconds since 1 March of the year 0, so that a leap day is the last of its year.
	const toMarch0 = 719468 * daySeconds
	s := t.Unix() + toMarch0
	days, clock := int(s/daySeconds), int(s%daySeconds)
	era, day := days/146097, days%146097 // 400 years
	y := (day - day/1460 + day/36524 - day/146096) / 365
	day -= 365*y + y/4 - y/100
	month := (5*day + 2) / 153 // of five months that have 153 days
	day -= (153*month+2)/5 - 1
	year := 400*era + y
	if month += 3; month > 12 {
		month -= 12
		year++
	}
	fraction := t.Nanosecond()
	for range 9 - digits {
		fraction /= 10
	}
	const form = "0000-00-00T00:00:00.000000000"
	start := len(b)
	b = append(b, form[:len("0000-00-00T00:00:00.")+digits]...)
	for _, f := range [...]struct{ end, n int }{
		{4, year}, {7, month}, {10, day}, {13, clock / 3600}, {16, clock / 60 % 60}, {19, clock % 60}, {20 + digits, fraction},
	} {
		for i := start + f.end - 1; f.n > 0; i-- {
			b[i] += byte(f.n % 10)
			f.n /= 10
		}
	}
	return append(b, 'Z')
}

// Object is what can be a line: it shows its fields to a Codec, always the same ones
// in the same order.
type Object interface {
	Fields(c *Codec)
}

// Append appends o as one JSON object, without a newline.
//
//go:noinline
func Append(b []byte, o Object) []byte {
	c := Codec{text: b}
	c.Object(o)
	return c.text
}

// Indent appends what Append has written in lines for people, indented by two spaces.
func Indent(b, object []byte) []byte {
	depth, quoted, escaped := 0, false, false
	newline := func() {
		b = append(b, '\n')
		for range depth {
			b = append(b, "  "...)
		}
	}
	for i, char := range object {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = char == '\\', char != '"'
		case char == '"':
			quoted = true
		case char == '}' || char == ']':
			depth--
			if object[i-1] != char-2 { // the bracket that opens lies two before it in ASCII
				newline()
			}
		}
		b = append(b, char)
		switch {
		case quoted:
		case char == '{' || char == '[':
			depth++
			if object[i+1] != char+2 {
				newline()
			}
		case char == ',':
			newline()
		case char == ':':
			b = append(b, ' ')
		}
	}
	return b
}

// Codec writes or reads the fields of objects. Which it does is not for those to
// know: a field is named together with the variable that it is taken from, or put
// into. The methods whose names begin with Opt do not write the zero value. A field
// that is not read, or is null, stays as it is.
type Codec struct {
	text    []byte // written so far, or read
	reading bool

	// Of reading.
	at    int
	depth int
	first bool   // of an object or list that has just been opened nothing was read
	key   string // of the value at hand
	taken bool   // the value has been read
	err   error
}

// field tells whether the field of that name is to be written or read now.
func (c *Codec) field(name string, zero bool) bool {
	if c.reading {
		if c.taken || c.key != name {
			return false
		}
		c.taken = true
		return !c.null()
	}
	if zero {
		return false
	}
	c.separate('{')
	c.text = append(AppendString(c.text, name), ':')
	return true
}

// separate writes a comma unless what begins with open has only just begun.
func (c *Codec) separate(open byte) {
	if c.text[len(c.text)-1] != open {
		c.text = append(c.text, ',')
	}
}

// Int is a field that is an integer.
//
//go:noinline
func (c *Codec) Int(name string, v *int) { c.integer(name, v, false) }

// OptInt is Int unless it is 0.
func (c *Codec) OptInt(name string, v *int) { c.integer(name, v, *v == 0) }

func (c *Codec) integer(name string, v *int, zero bool) {
	switch {
	case !c.field(name, zero):
	case c.reading:
		*v = c.readInt()
	default:
		c.text = strconv.AppendInt(c.text, int64(*v), 10)
	}
}

// PtrInt is Int unless it is nil.
func (c *Codec) PtrInt(name string, v **int) {
	switch {
	case !c.field(name, *v == nil):
	case c.reading:
		n := c.readInt()
		*v = &n
	default:
		c.text = strconv.AppendInt(c.text, int64(**v), 10)
	}
}

// Bool is a field that is true or false.
func (c *Codec) Bool(name string, v *bool) { c.boolean(name, v, false) }

// OptBool is Bool unless it is false.
//
//go:noinline
func (c *Codec) OptBool(name string, v *bool) { c.boolean(name, v, !*v) }

func (c *Codec) boolean(name string, v *bool, zero bool) {
	switch {
	case !c.field(name, zero):
	case c.reading:
		*v = c.readBool()
	default:
		c.text = strconv.AppendBool(c.text, *v)
	}
}

// String is a field that is a text.
//
//go:noinline
func (c *Codec) String(name string, v *string) { c.string(name, v, false) }

// OptString is String unless it is empty.
//
//go:noinline
func (c *Codec) OptString(name string, v *string) { c.string(name, v, *v == "") }

func (c *Codec) string(name string, v *string, zero bool) {
	switch {
	case !c.field(name, zero):
	case c.reading:
		*v = c.readString()
	default:
		c.text = AppendString(c.text, *v)
	}
}

// PtrString is String unless it is nil.
func (c *Codec) PtrString(name string, v **string) {
	switch {
	case !c.field(name, *v == nil):
	case c.reading:
		s := c.readString()
		*v = &s
	default:
		c.text = AppendString(c.text, **v)
	}
}

// Strings is a field that is a list of texts. Nil is written as null.
func (c *Codec) Strings(name string, v *[]string) { c.strings(name, v, false) }

// OptStrings is Strings unless there is none.
//
//go:noinline
func (c *Codec) OptStrings(name string, v *[]string) { c.strings(name, v, len(*v) == 0) }

func (c *Codec) strings(name string, v *[]string, zero bool) {
	switch {
	case !c.field(name, zero):
	case c.reading:
		*v = make([]string, 0)
		for c.open('['); c.next(']'); {
			s := ""
			if !c.null() {
				s = c.readString()
			}
			*v = append(*v, s)
		}
	case *v == nil:
		c.text = append(c.text, "null"...)
	default:
		c.text = append(c.text, '[')
		for _, s := range *v {
			c.separate('[')
			c.text = AppendString(c.text, s)
		}
		c.text = append(c.text, ']')
	}
}

// Has begins a field that is an object, which is written only if it is present. It
// tells whether a call of Object for it is to follow.
func (c *Codec) Has(name string, present bool) bool { return c.field(name, !present) }

// Object is the value that Has or List has begun.
func (c *Codec) Object(o Object) {
	if c.reading {
		c.readObject(o)
		return
	}
	c.text = append(c.text, '{')
	o.Fields(c)
	c.text = append(c.text, '}')
}

// List is a field that is a list of n objects, each of which is asked for; in reading
// the index goes on from 0, and who is asked makes those that are not there yet.
func (c *Codec) List(name string, n int, element func(i int) Object) { c.list(name, n, false, element) }

// OptList is List unless there is none.
func (c *Codec) OptList(name string, n int, element func(i int) Object) {
	c.list(name, n, n == 0, element)
}

func (c *Codec) list(name string, n int, zero bool, element func(i int) Object) {
	switch {
	case !c.field(name, zero):
	case c.reading:
		i := 0
		for c.open('['); c.next(']'); i++ {
			if o := element(i); !c.null() {
				c.readObject(o)
			}
		}
	default:
		c.text = append(c.text, '[')
		for i := range n {
			c.separate('[')
			c.Object(element(i))
		}
		c.text = append(c.text, ']')
	}
}
