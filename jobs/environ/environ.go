// Package environ holds environment tables and the expansion of variables in
// job files (Upstart reference, sections 1.9 and 6.3).
package environ

import "strings"

// Env is an ordered environment table of KEY=VALUE entries. A key occurs once.
// The order matters: event variables match by position. The methods that change
// a table return the changed table and never write to the backing array of
// their receiver, so tables may be shared freely.
type Env []string

// Split divides an entry into its key and value; ok is false when it has no '='.
//
//go:noinline
func Split(entry string) (key, value string, ok bool) {
	return strings.Cut(entry, "=")
}

// Lookup returns the value of key and whether the table has it.
//
//go:noinline
func (e Env) Lookup(key string) (string, bool) {
	if i := e.index(key); i >= 0 {
		return e[i][len(key)+1:], true
	}
	return "", false
}

//go:noinline
func (e Env) index(key string) int {
	for i, entry := range e {
		if len(entry) > len(key) && entry[len(key)] == '=' && entry[:len(key)] == key {
			return i
		}
	}
	return -1
}

// Set returns the table with entry, a KEY=VALUE, in place of the entry of the
// same key, or at its end when there is none.
func (e Env) Set(entry string) Env {
	key, _, ok := Split(entry)
	if !ok {
		return e
	}
	if i := e.index(key); i >= 0 {
		if e[i] == entry {
			return e
		}
		out := append(make(Env, 0, len(e)), e...)
		out[i] = entry
		return out
	}
	return append(e[:len(e):len(e)], entry)
}

// Unset returns the table without key.
func (e Env) Unset(key string) Env {
	i := e.index(key)
	if i < 0 {
		return e
	}
	return append(append(make(Env, 0, len(e)-1), e[:i]...), e[i+1:]...)
}

// Layers is a table that lies over another one, for those who only look things up
// and need no table of both.
type Layers struct{ Under, Over Env }

// Lookup returns the value of key, in Over before Under, and whether one of them
// has it.
func (l Layers) Lookup(key string) (string, bool) {
	if value, ok := l.Over.Lookup(key); ok {
		return value, true
	}
	return l.Under.Lookup(key)
}

// Overlay returns the table with every entry of over set in it, in order.
func (e Env) Overlay(over Env) Env {
	for _, entry := range over {
		e = e.Set(entry)
	}
	return e
}
