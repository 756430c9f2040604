package conf

import "bytes"

// kinds is a set of kinds of bytes.
type kinds uint8

// The kinds of bytes that mean something. A NUL is taken for the beginning of a
// comment.
const (
	blank   kinds = 1 << iota // space, tab, carriage return
	newline                   // line feed
	comment                   // #
	quote                     // " and '
	escape                    // backslash
	paren                     // ( and )
)

var kindOf = [256]kinds{
	' ': blank, '\t': blank, '\r': blank, '\n': newline, '#': comment, 0: comment,
	'"': quote, '\'': quote, '\\': escape, '(': paren, ')': paren,
}

// What ends a token, beside the end of the file.
const (
	endOfLine = newline | comment         // a command line
	endOfWord = endOfLine | blank         // an argument or a keyword
	endOfTerm = endOfLine | blank | paren // a word of an event expression
)

// pos is a place in the source.
type pos struct {
	off  int
	line int // from 1
	bol  int // offset of the beginning of the line
}

//go:noinline
func (p pos) column() int { return p.off - p.bol + 1 }

// token is a word as it has been read.
type token struct {
	text  []byte // valid until the next token is read
	at    pos    // of its first byte
	width int    // in the source, in bytes; 0: there is no token
	plain bool   // without quotes and backslashes
}

// lexer reads tokens from the source; its pos is where it stands.
type lexer struct {
	src []byte
	pos
	buf []byte // holds the text of tokens that differ from the source
}

// is tells whether the next byte is of one of the kinds; the end of the file is of
// none.
//
//go:noinline
func (l *lexer) is(set kinds) bool {
	return l.off < len(l.src) && kindOf[l.src[l.off]]&set != 0
}

// atEnd tells whether the line, or the file, has no more words.
func (l *lexer) atEnd() bool { return l.off >= len(l.src) || l.is(endOfLine) }

// nextLine goes to the beginning of the next line.
func (l *lexer) nextLine() {
	i := bytes.IndexByte(l.src[l.off:], '\n')
	if i < 0 {
		l.off = len(l.src)
		return
	}
	l.off += i
	l.newline()
}

// newline steps over a line feed.
func (l *lexer) newline() {
	l.off++
	l.line++
	l.bol = l.off
}

// skipBlanks skips blanks only, as before the first word of a line.
func (l *lexer) skipBlanks() {
	for l.is(blank) {
		l.off++
	}
}

// skipSpace skips what may stand between words: blanks and continued lines.
func (l *lexer) skipSpace() {
	for {
		switch {
		case l.is(blank):
			l.off++
		case l.is(escape) && l.off+1 < len(l.src) && l.src[l.off+1] == '\n':
			l.off++
			l.newline()
		default:
			return
		}
	}
}

// token reads up to a byte of the kinds in end that is neither quoted nor escaped,
// and then skips the space behind, unless blanks belong to the token. Dequote
// takes away quotes and the backslashes that have a meaning. A token of no bytes
// is not an error here. When the file ends within a token, unclosed is where the
// quote or the backslash is that lacks its other half.
func (l *lexer) token(end kinds, dequote bool) (t token, unclosed pos) {
	t.at = l.pos
	if n := l.plainLen(end); n >= 0 {
		t.plain, t.width = true, n
		t.text = l.src[l.off : l.off+n]
		l.off += n
		if end&blank == 0 {
			t.text = bytes.TrimRight(t.text, " \t\r")
			t.width = len(t.text)
		}
	} else {
		unclosed = l.quoted(end, dequote)
		t.text = l.buf
		t.width = l.off - t.at.off
		if t.at.line != l.line {
			t.width = max(bytes.IndexByte(l.src[t.at.off:], '\n'), 0)
		}
	}
	if end&blank != 0 && unclosed.line == 0 {
		l.skipSpace()
	}
	return t, unclosed
}

// plainLen is the length of the token here if it is the same as in the source,
// but for blanks at its end; else it is -1.
func (l *lexer) plainLen(end kinds) int {
	for i, c := range l.src[l.off:] {
		kind := kindOf[c]
		if kind&end != 0 {
			return i
		}
		if kind&(quote|escape) != 0 {
			return -1
		}
	}
	return len(l.src) - l.off
}

// quoted reads a token that has quotes or backslashes into buf. Blanks are held
// back until a byte follows that is to be kept. A line feed, quoted or escaped,
// makes them one space.
func (l *lexer) quoted(end kinds, dequote bool) (unclosed pos) {
	var (
		open   byte // the quote that is open, 0 outside
		opened pos
		held   = l.off // the blanks held back begin here
		joined bool    // a line feed is among them
	)
	l.buf = l.buf[:0]
	keep := func(b ...byte) {
		if joined {
			l.buf = append(l.buf, ' ')
		} else {
			l.buf = append(l.buf, l.src[held:l.off]...)
		}
		l.buf = append(l.buf, b...)
		joined = false
	}
	for l.off < len(l.src) {
		c := l.src[l.off]
		kind := kindOf[c]
		switch {
		case kind == escape:
			if l.off+1 == len(l.src) {
				if open != 0 {
					l.off++
					return opened
				}
				return l.pos
			}
			next := l.src[l.off+1]
			if next == '\n' {
				joined = true
				l.off++
				l.newline()
				continue
			}
			if dequote && (next == '\\' || kindOf[next] == blank) {
				keep(next)
			} else {
				keep(c, next)
			}
			l.off++
		case open != 0 && c == '\n':
			joined = true
			l.newline()
			continue
		case kind == blank && (open != 0 || end&blank == 0):
			l.off++
			continue
		case open != 0 && open == c || open == 0 && kind == quote:
			if dequote {
				keep()
			} else {
				keep(c)
			}
			if open == 0 {
				open, opened = c, l.pos
			} else {
				open = 0
			}
		case open == 0 && kind&end != 0:
			return pos{}
		default:
			keep(c)
		}
		l.off++
		held = l.off
	}
	if open != 0 {
		return opened
	}
	return pos{}
}

// endOfBlock tells whether a line is "end script", and no more but a comment.
func endOfBlock(line []byte) bool {
	line = bytes.TrimLeft(line, " \t\r")
	rest, ok := bytes.CutPrefix(line, []byte("end"))
	if !ok || len(rest) == 0 || kindOf[rest[0]] != blank {
		return false
	}
	rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r"), []byte("script"))
	rest = bytes.TrimLeft(rest, " \t\r")
	return ok && (len(rest) == 0 || kindOf[rest[0]]&endOfLine != 0)
}

// block reads the lines up to "end script" and steps over that. The indentation
// that all lines share is taken away. ok is false when the file ends before.
func (l *lexer) block() (text string, ok bool) {
	begin := l.off
	var indent []byte
	lines := 0
	for l.off < len(l.src) {
		start := l.off
		rest := l.src[start:]
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line = rest[:i]
		}
		if endOfBlock(line) {
			l.nextLine()
			return unindent(l.src[begin:start], len(indent), lines), true
		}
		if lines == 0 {
			indent = line[:len(line)-len(bytes.TrimLeft(line, " \t\r"))]
		} else {
			indent = sharedPrefix(indent, line)
		}
		lines++
		l.nextLine()
	}
	return "", false
}

// sharedPrefix shortens a to what it has in common with the beginning of b.
func sharedPrefix(a, b []byte) []byte {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// unindent takes n bytes from the beginning of each of the lines.
func unindent(text []byte, n, lines int) string {
	if n == 0 {
		return string(text)
	}
	out := make([]byte, 0, len(text)-n*lines)
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n') + 1
		out = append(out, text[n:end]...)
		text = text[end:]
	}
	return string(out)
}
