package event

import (
	"strings"

	"tend/jobs/environ"
)

// Matches tells whether the term o, a Match, fits the event: the name is the same,
// and every argument fits the variable of its name, or of its place. Variables in
// patterns are expanded from vars; where that is impossible nothing fits.
func (o *Operator) Matches(ev Event, vars environ.Layers) bool {
	if o.Name != ev.Name {
		return false
	}
	for i := range o.Args {
		if !o.Args[i].matches(ev.Env, i, vars) {
			return false
		}
	}
	return true
}

// matches tells whether the argument, the one at place i, fits a variable of env.
// A variable that is not there does not fit "!=" either.
func (a *Arg) matches(env environ.Env, i int, vars environ.Layers) bool {
	var value string
	if a.positional() {
		if i >= len(env) {
			return false
		}
		_, value, _ = environ.Split(env[i])
	} else {
		var ok bool
		if value, ok = env.Lookup(a.Key); !ok {
			return false
		}
	}
	pattern := a.Pattern
	if strings.IndexByte(pattern, '$') >= 0 {
		var err error
		if pattern, err = environ.Expand(pattern, vars.Lookup); err != nil {
			return false
		}
	}
	return FnMatch(pattern, value) != a.Negate
}
