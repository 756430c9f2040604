package child

import (
	"encoding/binary"
	"errors"

	"tend/jobs"
)

// The specification travels as a sequence of numbers (zigzag varints) and texts (a
// number of bytes and the bytes); environments may hold any byte but NUL.

type writer struct{ b []byte }

//go:noinline
func (w *writer) int(n int) { w.b = binary.AppendVarint(w.b, int64(n)) }

//go:noinline
func (w *writer) uint(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

//go:noinline
func (w *writer) string(s string) { w.uint(uint64(len(s))); w.b = append(w.b, s...) }

//go:noinline
func (w *writer) bool(v bool) { w.uint(map[bool]uint64{true: 1}[v]) }
func (w *writer) strings(l []string) {
	w.uint(uint64(len(l)))
	for _, s := range l {
		w.string(s)
	}
}

func (w *writer) optional(n *int) {
	w.bool(n != nil)
	if n != nil {
		w.int(*n)
	}
}

var errShort = errors.New("specification ends early")

type reader struct {
	b   []byte
	err error
}

func (r *reader) took(n int) bool {
	if n <= 0 {
		r.b, r.err = nil, errShort
		return false
	}
	r.b = r.b[n:]
	return true
}

func (r *reader) int() int {
	v, n := binary.Varint(r.b)
	if !r.took(n) {
		return 0
	}
	return int(v)
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if !r.took(n) {
		return 0
	}
	return v
}

func (r *reader) string() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.b, r.err = nil, errShort
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) bool() bool { return r.uint() != 0 }

// count reads the length of a list, whose members take one byte at least each.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.b, r.err = nil, errShort
		return 0
	}
	return int(n)
}

func (r *reader) strings() []string {
	var list []string
	for range r.count() {
		list = append(list, r.string())
	}
	return list
}

func (r *reader) optional() *int {
	if !r.bool() {
		return nil
	}
	n := r.int()
	return &n
}

// encode and decode name the fields that the second stage needs in the same order.
func (s *Spec) encode() []byte {
	var w writer
	w.uint(uint64(s.Process))
	w.strings(s.Argv)
	w.strings(s.Env)
	w.strings(s.UserKeys)
	w.string(s.Dir)
	w.string(s.Chroot)
	w.string(s.User)
	w.string(s.Group)
	w.int(s.Umask)
	w.optional(s.Nice)
	w.optional(s.OOMScore)
	w.uint(uint64(len(s.Limits)))
	for _, l := range s.Limits {
		w.int(l.Resource)
		w.string(l.Name)
		w.uint(l.Soft)
		w.uint(l.Hard)
	}
	w.string(s.AppArmor)
	w.uint(uint64(len(s.CGroups)))
	for _, g := range s.CGroups {
		w.strings([]string{g.Controller, g.Name, g.Key, g.Value})
	}
	w.bool(s.Debug)
	w.bool(s.Terminal)
	w.bool(s.Foreground)
	w.bool(s.Script != "")
	return w.b
}

func decode(b []byte) (*Spec, error) {
	r := reader{b: b}
	s := &Spec{
		Process:  jobs.Process(r.uint()),
		Argv:     r.strings(),
		Env:      r.strings(),
		UserKeys: r.strings(),
		Dir:      r.string(),
		Chroot:   r.string(),
		User:     r.string(),
		Group:    r.string(),
		Umask:    r.int(),
		Nice:     r.optional(),
		OOMScore: r.optional(),
	}
	for range r.count() {
		s.Limits = append(s.Limits, jobs.Limit{Resource: r.int(), Name: r.string(), Soft: r.uint(), Hard: r.uint()})
	}
	s.AppArmor = r.string()
	for range r.count() {
		if g := r.strings(); len(g) == 4 {
			s.CGroups = append(s.CGroups, jobs.CGroup{Controller: g[0], Name: g[1], Key: g[2], Value: g[3]})
		} else {
			r.err = errShort
		}
	}
	s.Debug, s.Terminal, s.Foreground = r.bool(), r.bool(), r.bool()
	if r.bool() {
		s.Script = scriptPath
	}
	if r.err == nil && (len(s.Argv) == 0 || s.Process >= jobs.NumProcesses) {
		r.err = errShort
	}
	return s, r.err
}

// encode and decodeErrors are the records of the result pipe, but for their first
// byte.
func (e *Error) encode(w *writer) {
	w.uint(uint64(e.Stage))
	w.int(int(e.Errno))
	w.string(e.Arg)
	w.string(e.Hint)
}

func (r *reader) error(p jobs.Process) *Error {
	e := &Error{Process: p, Stage: Stage(r.uint())}
	e.Errno = errnoOf(r.int())
	e.Arg, e.Hint = r.string(), r.string()
	return e
}
