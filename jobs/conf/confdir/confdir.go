// Package confdir reads the job files and overrides of the configuration
// directories and watches them for changes (Upstart reference, sections 1.1 to
// 1.5).
//
// The tree knows every file by its source and path, with the class that it
// defines. Whatever is noticed, by a pass over all directories or by inotify, ends
// in looking at a file, a directory or a source as it is now; then the jobs that
// this touched are settled: the best class of each is found and compared with the
// one reported before.
package confdir

import (
	"slices"
	"sort"

	"tend/jobs"
	"tend/jobs/conf"
)

// Sources says where job files are looked for. Earlier ones win: Prepend goes
// before File, Dirs and Append, in this order.
type Sources struct {
	Prepend []string // directories
	File    string   // may hold no stanza at all (/etc/init.conf); empty: none
	Dirs    []string
	Append  []string
	// Reserved is the name of a job that no file may define; empty: none.
	Reserved string
}

// Change is a job whose definition has come, changed or gone.
type Change struct {
	Name  string
	Class *jobs.Class // nil: there is no valid definition any more
}

// Tree is what has been read from the sources. It is not safe for concurrent use.
type Tree struct {
	sources  []source
	reserved string
	jobs     map[string]*job
	watcher  *watcher // nil: not watching
	pass     uint32   // number of the scan that is going on

	// What the call that is going on has come to.
	parser   *conf.Parser
	buf      []byte
	touched  []*job
	problems []error
}

// source is a directory, or the one file.
type source struct {
	path    string
	file    bool
	present bool // was there at the last look
}

// job is a name with the files that bear it.
type job struct {
	name      string
	confs     []*confFile // in the order of the sources, at most one of each
	overrides []*override // likewise
	reported  *jobs.Class
	touched   bool

	// The result of the override applied last, and to what.
	base, applied *jobs.Class
	from          *override
}

// confFile is a job file.
type confFile struct {
	source int
	pass   uint32 // in which it has been seen
	path   string
	stamp  stamp
	hash   uint64      // of the text
	class  *jobs.Class // nil: broken
}

// override is an override file. They are few and small, so the text is kept.
type override struct {
	source int
	pass   uint32
	path   string
	stamp  stamp
	text   []byte
	err    error // it cannot be read
	broken bool
}

// New returns a tree of the sources; nothing is read yet.
func New(sources Sources) *Tree {
	t := &Tree{reserved: sources.Reserved, jobs: make(map[string]*job)}
	add := func(paths []string, file bool) {
		for _, path := range paths {
			t.sources = append(t.sources, source{path: clean(path), file: file})
		}
	}
	add(sources.Prepend, false)
	if sources.File != "" {
		add([]string{sources.File}, true)
	}
	add(sources.Dirs, false)
	add(sources.Append, false)
	return t
}

// Load looks at all files: every job at first, later those whose files say
// something else than before. Changes are sorted by name. Problems are for the
// log; those with a position are *conf.Error, some of them warnings. Files that
// are broken are told again each time.
func (t *Tree) Load() (changes []Change, problems []error) {
	t.begin()
	for _, j := range t.jobs {
		if j.from != nil && j.from.broken {
			j.base = nil
			t.touch(j)
		}
	}
	for i := range t.sources {
		t.scanSource(i)
	}
	return t.end()
}

// Read handles what has been noticed since the last time and never blocks. The
// results are those of Load.
func (t *Tree) Read() (changes []Change, problems []error) {
	if t.watcher == nil {
		return nil, nil
	}
	t.begin()
	t.handle(t.watcher.read())
	return t.end()
}

// Close stops watching.
func (t *Tree) Close() {
	if t.watcher != nil {
		t.watcher.close()
		t.watcher = nil
	}
}

func (t *Tree) begin() { t.parser = new(conf.Parser) }

type byName []*job

func (l byName) Len() int           { return len(l) }
func (l byName) Less(i, j int) bool { return l[i].name < l[j].name }
func (l byName) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// end settles the jobs that have been touched and returns what has come out. What
// was needed for reading is given back.
func (t *Tree) end() (changes []Change, problems []error) {
	sort.Sort(byName(t.touched))
	for _, j := range t.touched {
		j.touched = false
		class := t.best(j)
		if class != j.reported {
			changes = append(changes, Change{Name: j.name, Class: class})
			j.reported = class
		}
		if len(j.confs) == 0 && len(j.overrides) == 0 {
			delete(t.jobs, j.name)
		}
	}
	problems = t.problems
	t.parser, t.buf, t.touched, t.problems = nil, nil, nil, nil
	return changes, problems
}

//go:noinline
func (t *Tree) touch(j *job) {
	if !j.touched {
		j.touched = true
		t.touched = append(t.touched, j)
	}
}

// best returns the class of the job: from the first source that has a good file,
// with the first override on top that is in this source or in one before it.
func (t *Tree) best(j *job) *jobs.Class {
	i := slices.IndexFunc(j.confs, func(c *confFile) bool { return c.class != nil })
	if i < 0 {
		j.base, j.applied, j.from = nil, nil, nil
		return nil
	}
	c := j.confs[i]
	if len(j.overrides) == 0 || j.overrides[0].source > c.source {
		j.base, j.applied, j.from = nil, nil, nil
		return c.class
	}
	if o := j.overrides[0]; j.base != c.class || j.from != o {
		j.base, j.from = c.class, o
		j.applied = t.apply(c.class, o)
	}
	return j.applied
}

// apply returns class with the override on top, or class itself when the override
// is broken.
func (t *Tree) apply(class *jobs.Class, o *override) *jobs.Class {
	o.broken = true
	if o.err != nil {
		t.problem(o.err)
		return class
	}
	applied, found := t.parser.Apply(class, o.path, o.text)
	t.found(found)
	if applied == nil {
		return class
	}
	o.broken = false
	return applied
}

func (t *Tree) problem(err error) { t.problems = append(t.problems, err) }

func (t *Tree) found(errs conf.Errors) {
	for _, err := range errs {
		t.problem(err)
	}
}
