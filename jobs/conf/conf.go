// Package conf parses job files and overrides into classes (Upstart reference,
// sections 1 and 2), and writes them back.
//
// A file is a sequence of stanzas. The lexer knows words, quotes and lines; the
// table of stanzas names a function for each first word, which reads the words of
// its stanza in order. The first thing wrong in a stanza is noted at its place,
// and reading goes on with the next one.
package conf

import (
	"strconv"

	"tend/jobs"
)

// MaxSize is the size in bytes above which a file is no job file: the largest in
// use have some tens of kilobytes, nearly all of it a script, and a script is
// passed on in one piece.
const MaxSize = 1 << 20

// maxErrors is how many errors of a file are told; what is no job file at all has
// one in every line.
const maxErrors = 20

// Parser parses files one after another. Words that several files have in common
// are kept once. The zero value is ready to use.
type Parser struct {
	// Upstart refuses what Upstart 1.13 does not know.
	Upstart bool

	words map[string]string
	buf   []byte // for the lexer
}

// Parse returns the class that the job file src defines, or nil when there is an
// error among the findings. The class keeps no part of src.
func (p *Parser) Parse(name, path string, src []byte) (*jobs.Class, Errors) {
	class := jobs.NewClass(name)
	class.Path = path
	return p.parse(class, path, src, stanzas[:])
}

// Apply returns a copy of base with the override src on top, or nil when there is
// an error among the findings. base stays as it is.
func (p *Parser) Apply(base *jobs.Class, path string, src []byte) (*jobs.Class, Errors) {
	class := *base
	class.Override = path
	// What the override adds may not be written behind the end of base's lists.
	class.Emits = class.Emits[:len(class.Emits):len(class.Emits)]
	class.Env = class.Env[:len(class.Env):len(class.Env)]
	class.Export = class.Export[:len(class.Export):len(class.Export)]
	class.NormalExit = class.NormalExit[:len(class.NormalExit):len(class.NormalExit)]
	class.CGroups = class.CGroups[:len(class.CGroups):len(class.CGroups)]
	class.Limits = append([]jobs.Limit(nil), class.Limits...)
	return p.parse(&class, path, src, stanzas[:])
}

// Empty checks a file that may have comments only, such as /etc/init.conf.
func (p *Parser) Empty(path string, src []byte) Errors {
	_, found := p.parse(jobs.NewClass(""), path, src, nil)
	return found
}

// Parse returns the class that the job file src defines, complete, or nil and
// Errors. Warnings are dropped; see Parser.
func Parse(name, path string, src []byte) (*jobs.Class, error) {
	return result(new(Parser).Parse(name, path, src))
}

// Apply returns a copy of base with the override src on top, or nil and Errors.
// Warnings are dropped; see Parser.
func Apply(base *jobs.Class, path string, src []byte) (*jobs.Class, error) {
	return result(new(Parser).Apply(base, path, src))
}

func result(class *jobs.Class, found Errors) (*jobs.Class, error) {
	if class == nil {
		return nil, found.Fatal()
	}
	return class, nil
}

// panicText is the text of what a panic was called with.
func panicText(bug any) string {
	switch b := bug.(type) {
	case error:
		return b.Error()
	case string:
		return b
	}
	return "a panic without a text"
}

// parse reads src into class by the table of stanzas.
func (p *Parser) parse(class *jobs.Class, path string, src []byte, table []stanza) (_ *jobs.Class, found Errors) {
	if len(src) > MaxSize {
		return nil, Errors{{File: path, Line: 1, Column: 1, Msg: "file too large: more than " + strconv.Itoa(MaxSize) + " bytes"}}
	}
	f := &file{Parser: p, path: path, class: class, table: table, lexer: lexer{src: src, pos: pos{line: 1}, buf: p.buf}}
	// A bug of the parser may not end the program that runs the other jobs.
	defer func() {
		if bug := recover(); bug != nil {
			f.note(f.pos, 0, "internal error: "+panicText(bug), false)
			class, found = nil, f.found
		}
	}()
	f.stanzas()
	p.buf = f.lexer.buf
	if len(f.found.Fatal()) > 0 {
		return nil, f.found
	}
	return class, f.found
}

// word returns b as a string that is shared with other files if it is short.
//
//go:noinline
func (p *Parser) word(b []byte) string {
	const short = 32
	if len(b) > short {
		return string(b)
	}
	if s, ok := p.words[string(b)]; ok {
		return s
	}
	if p.words == nil {
		p.words = make(map[string]string)
	}
	s := string(b)
	p.words[s] = s
	return s
}
