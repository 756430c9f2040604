package conf

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"tend/jobs"
)

// file is a file that is being read. The functions that read a word do nothing
// once the stanza is known to be wrong, so that a stanza reads as its grammar.
type file struct {
	*Parser
	lexer
	path  string
	class *jobs.Class
	table []stanza
	found Errors

	// The lines of what this file has defined already, 0 for nothing.
	defined         [jobs.NumProcesses]int
	startOn, stopOn int

	begin pos  // of the stanza
	wrong bool // something in the stanza is
	after resume
}

// resume says where reading goes on after an error.
type resume uint8

const (
	atNextLine   resume = iota
	atNextStanza        // the rest of the file has been read as a part of this stanza
	nowhere             // what follows cannot be told from the rest of a script
)

// stanzas reads all of the file.
func (f *file) stanzas() {
	for {
		f.skipBlanks()
		if f.off >= len(f.src) {
			return
		}
		if f.is(endOfLine) {
			f.nextLine()
			continue
		}
		f.begin, f.wrong, f.after = f.pos, false, atNextLine
		f.stanza()
		if !f.wrong {
			continue
		}
		if len(f.found.Fatal()) >= maxErrors {
			f.note(f.pos, 0, "too many errors", false)
			return
		}
		f.recover()
	}
}

// stanza reads one stanza.
func (f *file) stanza() {
	name := f.keyword()
	if f.wrong {
		return
	}
	for i := range f.table {
		s := &f.table[i]
		if s.name != string(name.text) {
			continue
		}
		if s.ours {
			f.ours(name)
		}
		if !f.wrong {
			s.read(f)
		}
		return
	}
	f.unknown(name, f.advice(string(name.text)))
}

// recover goes on behind a stanza that is wrong.
func (f *file) recover() {
	switch f.after {
	case nowhere:
		f.off = len(f.src)
	case atNextStanza:
		f.pos = f.begin
		for f.nextLine(); f.off < len(f.src); f.nextLine() {
			words := strings.Fields(string(f.restOfLine()))
			if len(words) > 0 && f.knows(words[0]) {
				return
			}
		}
	default:
		// A script whose first line is wrong is skipped as a whole.
		if f.line == f.begin.line {
			f.pos = f.begin
			words := strings.Fields(string(f.restOfLine()))
			f.skipLine()
			if len(words) > 0 && words[0] == "script" || len(words) > 1 && words[1] == "script" {
				start := f.pos
				if _, ok := f.block(); !ok {
					f.pos = start
				}
			}
			return
		}
		f.skipLine()
	}
}

// restOfLine is the source from here to the end of the line.
func (f *file) restOfLine() []byte {
	line, _, _ := bytes.Cut(f.src[f.off:], []byte("\n"))
	return line
}

// skipLine goes to the next line that is not a continuation of this one.
func (f *file) skipLine() {
	for f.off < len(f.src) && !f.is(endOfLine) {
		if f.src[f.off] == '\\' && f.off+1 < len(f.src) {
			f.off++
			if f.src[f.off] == '\n' {
				f.newline()
				continue
			}
		}
		f.off++
	}
	f.nextLine()
}

// knows tells whether a stanza begins with the word.
func (f *file) knows(word string) bool {
	for i := range f.table {
		if f.table[i].name == word {
			return true
		}
	}
	return false
}

// keyword reads a word that has to be written without quotes.
func (f *file) keyword() token { return f.next(endOfWord, false) }

// arg reads an argument.
func (f *file) arg() token {
	t := f.next(endOfWord, true)
	if !f.wrong && len(t.text) == 0 {
		f.fail(t, "Expected token")
	}
	return t
}

// text reads an argument and returns a string of its own.
func (f *file) text() string { return string(f.arg().text) }

// about returns what the class says about itself, to be written to: a copy, as an
// override does not change the class below it.
//
//go:noinline
func (f *file) about() *jobs.About {
	var a jobs.About
	if f.class.About != nil {
		a = *f.class.About
	}
	f.class.About = &a
	return &a
}

// shared reads an argument that may be the same in many files.
func (f *file) shared() string { return f.word(f.arg().text) }

// args reads one argument or more up to the end of the line.
func (f *file) args(list []string) []string {
	for first := true; !f.wrong && (first || !f.atEnd()); first = false {
		list = append(list, f.shared())
	}
	return list
}

// next reads a token; that there is none is an error.
func (f *file) next(end kinds, dequote bool) token {
	if f.wrong {
		return token{at: f.pos}
	}
	if f.off >= len(f.src) || f.is(end) {
		f.missing("Expected token")
		return token{at: f.pos}
	}
	t, unclosed := f.token(end, dequote)
	switch {
	case unclosed.line == 0:
	case f.src[unclosed.off] == '\\':
		f.report(unclosed, 1, "Trailing slash in file")
	default:
		f.after = atNextStanza
		f.report(f.pos, 0, "Unterminated quoted string; opened at "+f.place(unclosed))
	}
	return t
}

// end reads the end of the line.
func (f *file) end() {
	if f.wrong {
		return
	}
	if !f.atEnd() {
		f.report(f.pos, f.wordLen(), "Unexpected token: "+shown(f.src[f.off:f.off+f.wordLen()]))
		return
	}
	f.nextLine()
}

// wordLen is the length of the word here up to the next blank.
func (f *file) wordLen() int {
	n := 0
	for f.off+n < len(f.src) && kindOf[f.src[f.off+n]]&(blank|newline) == 0 {
		n++
	}
	return n
}

// fail notes that the word t is wrong. The line is the one where Upstart stands
// when it has read the word, which may be a later one than that of the word.
func (f *file) fail(t token, msg string) {
	if f.wrong {
		return
	}
	if t.at.line != f.line {
		f.report(pos{off: f.bol, line: f.line, bol: f.bol}, 0, msg+"; the word begins at "+f.place(t.at))
		return
	}
	f.report(t.at, t.width, msg)
}

// illegal notes that the value t is wrong; hint, if there is one, tells more.
func (f *file) illegal(t token, msg, hint string) {
	msg += ": " + shown(t.text)
	if hint != "" {
		msg += " (" + hint + ")"
	}
	f.fail(t, msg)
}

// unknown notes that the keyword t is not known.
//
//go:noinline
func (f *file) unknown(t token, hint string) { f.illegal(t, "Unknown stanza", hint) }

// ours notes that the word t, which is not Upstart's, is unknown to it.
//
//go:noinline
func (f *file) ours(t token) {
	if f.Upstart {
		f.unknown(t, "Upstart 1.13 does not know it")
	}
}

// missing notes that a word is missing here.
func (f *file) missing(msg string) {
	if !f.wrong {
		f.report(f.pos, 0, msg)
	}
}

// report makes the stanza wrong.
func (f *file) report(at pos, width int, msg string) {
	f.wrong = true
	f.note(at, width, msg, false)
}

// warn notes something that does not make the stanza wrong.
func (f *file) warn(at pos, width int, msg string) {
	if len(f.found) < maxErrors {
		f.note(at, width, msg, true)
	}
}

// again warns when the stanza takes the place of one in an earlier line of the same
// file, where that is more likely a mistake than meant, and remembers its own.
func (f *file) again(what string, line *int, hint string) {
	if f.wrong {
		return
	}
	if *line > 0 {
		f.warn(f.begin, len(what), "this takes the place of "+what+" in line "+strconv.Itoa(*line)+hint)
	}
	*line = f.begin.line
}

//go:noinline
func (f *file) note(at pos, width int, msg string, warning bool) {
	f.found = append(f.found, &Error{File: f.path, Line: at.line, Column: at.column(), Width: width, Msg: msg, Warning: warning})
}

func (f *file) place(at pos) string {
	return f.path + ":" + strconv.Itoa(at.line) + ":" + strconv.Itoa(at.column())
}

// shown is a word as it may stand in a message.
func shown(word []byte) string {
	const long = 40
	const hex = "0123456789abcdef"
	dots := ""
	if len(word) > long {
		word, dots = word[:long], "…"
	}
	plain := len(word) > 0
	quoted := []byte{'"'}
	for i := 0; i < len(word); {
		r, n := utf8.DecodeRune(word[i:])
		switch {
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError:
			plain = false
			for _, c := range word[i : i+n] {
				quoted = append(quoted, '\\', 'x', hex[c>>4], hex[c&15])
			}
		case r == '"' || r == '\\':
			quoted = append(quoted, '\\', byte(r))
		default:
			quoted = append(quoted, word[i:i+n]...)
		}
		i += n
	}
	if plain {
		return string(word) + dots
	}
	return string(quoted) + `"` + dots
}
