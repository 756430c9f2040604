package conf

import (
	"strconv"
	"strings"
)

// Error is something wrong in a job file, at the word that is wrong.
type Error struct {
	File         string
	Line, Column int    // from 1, Column in bytes
	Width        int    // of the wrong word in bytes; 0: nothing is there
	Msg          string // Upstart's text, then what helps
	Warning      bool   // the file is good in spite of it
}

// Error returns FILE:LINE:COLUMN: MESSAGE.
func (e *Error) Error() string {
	where := e.File + ":" + strconv.Itoa(e.Line) + ":" + strconv.Itoa(e.Column) + ": "
	if e.Warning {
		where += "warning: "
	}
	return where + e.Msg
}

// Errors are the findings in one file, in the order of the stanzas.
type Errors []*Error

// Error returns all of them in one line.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the findings one by one.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, err := range e {
		out[i] = err
	}
	return out
}

// Fatal returns those that are not warnings.
//
//go:noinline
func (e Errors) Fatal() Errors {
	var out Errors
	for _, err := range e {
		if !err.Warning {
			out = append(out, err)
		}
	}
	return out
}
