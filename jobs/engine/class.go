package engine

import (
	"slices"
	"sort"
	"strings"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// class is a name for which there is a definition, with its instances.
type class struct {
	name string
	def  *jobs.Class
	// next replaces def when the last instance has ended; gone says that there is
	// no definition any more and the class goes then.
	next *jobs.Class

	start     *condition
	instances []*job // by name

	env       environ.Env // the job table and the env stanzas
	envSerial uint64
	jobVar    string // UPSTART_JOB=name

	gone    bool
	started bool  // an instance has been started, ever
	warned  bool  // about a wrong expect
	last    *past // how the last run of an instance ended
}

// past is how a run ended.
type past struct {
	instance string
	failed   bool
	status   int
	reason   string
}

func (m *Machine) load(def *jobs.Class) {
	c := m.classes[def.Name]
	if c == nil {
		c = &class{name: def.Name, jobVar: "UPSTART_JOB=" + def.Name}
		m.classes[c.name] = c
		i, _ := m.find(c.name)
		m.byName = append(m.byName, nil)
		copy(m.byName[i+1:], m.byName[i:])
		m.byName[i] = c
		m.define(c, def)
		return
	}
	if len(c.instances) == 0 {
		m.define(c, def)
		return
	}
	c.next, c.gone = def, false
}

func (m *Machine) unload(name string) {
	c := m.classes[name]
	if c == nil {
		return
	}
	c.next, c.gone = nil, true
	c.start.reset(m)
	if len(c.instances) == 0 {
		m.forget(c)
	}
}

// reconsider lets the newest definition of a class take over, or the class go,
// when its last instance has ended.
func (m *Machine) reconsider(c *class) {
	switch {
	case len(c.instances) > 0:
	case c.gone:
		m.forget(c)
	case c.next != nil:
		m.define(c, c.next)
	}
}

func (m *Machine) forget(c *class) {
	m.undefine(c)
	c.start.reset(m)
	delete(m.classes, c.name)
	if i, ok := m.find(c.name); ok {
		m.byName = slices.Delete(m.byName, i, i+1)
	}
}

// define makes def the definition of c. Events that made a part of the old start
// condition true and are still held count for the new one; a reload by itself
// starts no job, so when they would make it true they are let go.
func (m *Machine) define(c *class, def *jobs.Class) {
	old := c.start
	if c.def != nil {
		m.undefine(c)
	}
	c.def, c.next, c.gone = def, nil, false
	c.envSerial = 0
	c.start = newCondition(c, nil, def.StartOn)
	m.watch.add(c.start)
	for _, s := range m.sources {
		tell(s, c, s.Watch)
	}
	if old == nil {
		return
	}
	var held []*emission
	for _, t := range old.terms {
		if t.e != nil {
			held = append(held, t.e)
		}
	}
	sort.Sort(bySerial(held))
	for _, e := range slices.Compact(held) {
		if c.start.offer(m, e) {
			c.start.reset(m)
			break
		}
	}
	old.reset(m)
}

func (m *Machine) undefine(c *class) {
	m.watch.remove(c.start)
	for _, s := range m.sources {
		tell(s, c, s.Unwatch)
	}
}

// tell calls watch, a method of s, for the terms of a class that s claims.
func tell(s Source, c *class, watch func(class string, term *event.Operator)) {
	for _, t := range c.def.StopOn.Terms(c.def.StartOn.Terms(nil)) {
		if s.Claims(t.Name) {
			watch(c.name, t)
		}
	}
}

type bySerial []*emission

func (l bySerial) Len() int           { return len(l) }
func (l bySerial) Less(i, j int) bool { return l[i].serial < l[j].serial }
func (l bySerial) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// find returns the place of a name among all classes. A directory is read in order,
// so that a new name is mostly the last.
func (m *Machine) find(name string) (int, bool) {
	if n := len(m.byName); n == 0 || m.byName[n-1].name < name {
		return n, false
	}
	return slices.BinarySearchFunc(m.byName, name, func(c *class, name string) int { return strings.Compare(c.name, name) })
}

// classEnv is what the environment of every instance of c begins with: the global
// job table and the env stanzas of the class.
func (m *Machine) classEnv(c *class) environ.Env {
	if len(c.def.Env) == 0 {
		return m.env
	}
	if c.envSerial == m.envSerial {
		return c.env
	}
	env := merge(len(c.def.Env), m.env)
	for _, entry := range c.def.Env {
		if _, _, ok := environ.Split(entry); ok {
			env = put(env, entry)
		} else if value, ok := m.opts.Init.Lookup(entry); ok {
			env = put(env, entry+"="+value)
		} else {
			env = env.Unset(entry)
		}
	}
	c.env, c.envSerial = env[:len(env):len(env)], m.envSerial
	return c.env
}

// instance returns the instance of that name, or nil.
//
//go:noinline
func (c *class) instance(name string) *job {
	if i, ok := c.place(name); ok {
		return c.instances[i]
	}
	return nil
}

func (c *class) place(name string) (int, bool) {
	return slices.BinarySearchFunc(c.instances, name, func(j *job, name string) int { return strings.Compare(j.name, name) })
}

// instanceName expands the instance stanza.
func (c *class) instanceName(env environ.Env) (string, error) {
	if c.def.Instance == "" {
		return "", nil
	}
	return environ.Expand(c.def.Instance, env.Lookup)
}

func (m *Machine) essential(c *class) bool {
	return c.def.Essential || m.opts.Essential[c.name]
}
