// Package confdir reads the job files and overrides of the configuration
// directories and watches them for changes (Upstart reference, sections 1.1 to
// 1.5).
package confdir

import "tend/jobs"

// Sources says where job files are looked for. Earlier ones win; Prepend goes
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
}

// New returns a tree of the sources; nothing is read yet.
func New(sources Sources) *Tree { return &Tree{} }

// Load reads all that has changed since the last time, everything at first.
// Changes are sorted by name. Problems are texts for the log; those with a
// position are *conf.Error, some of them warnings.
func (t *Tree) Load() (changes []Change, problems []error) { return nil, nil }

// Watch begins to watch the sources and returns a descriptor, non-blocking and
// close-on-exec, that is readable when something has changed. Called before the
// first Load nothing is missed. On an error nothing is watched, and Load finds
// changes when it is called.
func (t *Tree) Watch() (fd int, err error) { return -1, nil }

// Read handles what has been noticed since the last time and never blocks. The
// results are those of Load.
func (t *Tree) Read() (changes []Change, problems []error) { return nil, nil }

// Close stops watching.
func (t *Tree) Close() {}
