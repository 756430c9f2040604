package confdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/test/need"
)

// write makes a file with the text, and the directories above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// told writes changes as "+NAME: FIRST-COMMAND" or "-NAME", and problems without
// the directory.
func told(dir string, changes []Change, problems []error) []string {
	var out []string
	for _, c := range changes {
		if c.Class == nil {
			out = append(out, "-"+c.Name)
			continue
		}
		text := ""
		if main := c.Class.Processes[jobs.Main]; main != nil {
			text = main.Text
		}
		out = append(out, "+"+c.Name+": "+text)
	}
	for _, p := range problems {
		out = append(out, strings.ReplaceAll(p.Error(), dir+"/", ""))
	}
	return out
}

func check(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"a.conf", ".dot.conf", "a.b.conf", "sp ace.conf", "-x.conf", "net/apache.conf", "x.conf~", "x.conf.bak", ".conf", "plain",
		"sub/deep/er.conf", ".git/no.conf", "CVS/no.conf", "x~/no.conf", "x.bak/no.conf", "#x#/no.conf", "x.swp/no.conf", "x,v/no.conf",
		"x.dpkg-new/no.conf", "x.rpmsave/no.conf", "x;0123abcd/no.conf", "x;0123/yes.conf", "RCS2/yes.conf", "dir.conf/in.conf", ".override",
	} {
		write(t, dir+"/"+name, "exec "+name)
	}
	outside := t.TempDir()
	write(t, outside+"/file", "exec linked")
	write(t, outside+"/linkdir/no.conf", "exec no")
	os.Symlink(outside+"/file", dir+"/link.conf")
	os.Symlink(outside+"/linkdir", dir+"/linkdir")
	os.Symlink(outside+"/nothing", dir+"/dangling.conf")
	unix.Mkfifo(dir+"/fifo.conf", 0o644)
	tree := New(Sources{Dirs: []string{dir}})
	changes, problems := tree.Load()
	check(t, "load", told(dir, changes, problems),
		"+-x: -x.conf", "+.dot: .dot.conf", "+RCS2/yes: RCS2/yes.conf", "+a: a.conf", "+a.b: a.b.conf", "+dir.conf/in: dir.conf/in.conf", "+link: linked",
		"+net/apache: net/apache.conf", "+sp ace: sp ace.conf", "+sub/deep/er: sub/deep/er.conf", "+x;0123/yes: x;0123/yes.conf",
		"dangling.conf: Unable to load configuration: no such file or directory")
	if c := changes[1].Class; c.Name != ".dot" || c.Path != dir+"/.dot.conf" {
		t.Errorf("class %q of %q", c.Name, c.Path)
	}
}

func TestPriorities(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/init.conf", "# nothing\nexec a")
	write(t, dir+"/pre/a.conf", "exec pre")
	write(t, dir+"/one/a.conf", "exec one")
	write(t, dir+"/one/b.conf", "exec one")
	write(t, dir+"/two/b.conf", "exec two")
	write(t, dir+"/two/c.conf", "exec two")
	write(t, dir+"/app/c.conf", "exec app")
	write(t, dir+"/app/d.conf", "exec app")
	tree := New(Sources{
		Prepend: []string{dir + "/pre"}, File: dir + "/init.conf", Dirs: []string{dir + "/one", dir + "/two", dir + "/none"}, Append: []string{dir + "/app"},
	})
	changes, problems := tree.Load()
	check(t, "load", told(dir, changes, problems), "+a: pre", "+b: one", "+c: two", "+d: app",
		"init.conf:2:1: Unknown stanza: exec (this file may hold no stanzas; job files belong into the configuration directory)")
	write(t, dir+"/pre/a.conf", "exc pre")
	os.Remove(dir + "/one/b.conf")
	os.Remove(dir + "/init.conf")
	os.Remove(dir + "/app/d.conf")
	check(t, "again", told(dir, first(tree.Load()), nil), "+a: one", "+b: two", "-d")
	check(t, "nothing", told(dir, first(tree.Load()), nil))
}

func first(changes []Change, _ []error) []Change { return changes }

func TestOverrides(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1/a.override", "exec over1")
	write(t, dir+"/2/a.conf", "exec conf2\nstart on x")
	write(t, dir+"/2/a.override", "exec over2")
	write(t, dir+"/1/b.conf", "exec conf1")
	write(t, dir+"/2/b.override", "exec over2")
	write(t, dir+"/1/orphan.override", "exec over1")
	write(t, dir+"/1/link.conf", "exec conf")
	write(t, dir+"/elsewhere", "exec over")
	os.Symlink(dir+"/elsewhere", dir+"/1/link.override")
	tree := New(Sources{Dirs: []string{dir + "/1", dir + "/2"}})
	changes, problems := tree.Load()
	check(t, "load", told(dir, changes, problems), "+a: over1", "+b: conf1", "+link: conf")
	if c := changes[0].Class; c.Path != dir+"/2/a.conf" || c.Override != dir+"/1/a.override" || c.StartOn == nil {
		t.Errorf("%+v", c)
	}
	os.Remove(dir + "/1/a.override")
	check(t, "first override deleted", told(dir, first(tree.Load()), nil), "+a: over2")
	write(t, dir+"/1/a.override", "bogus\nexec over1")
	changes, problems = tree.Load()
	check(t, "broken override", told(dir, changes, problems), "+a: conf2", "1/a.override:1:1: Unknown stanza: bogus")
	changes, problems = tree.Load()
	check(t, "still broken", told(dir, changes, problems), "1/a.override:1:1: Unknown stanza: bogus")
	os.Remove(dir + "/1/a.override")
	os.Remove(dir + "/2/a.override")
	check(t, "no override", told(dir, first(tree.Load()), nil))
	write(t, dir+"/2/a.conf", "bogus")
	write(t, dir+"/1/a.override", "exec over1")
	changes, problems = tree.Load()
	check(t, "broken file with override", told(dir, changes, problems), "-a", "2/a.conf:1:1: Unknown stanza: bogus")
	write(t, dir+"/2/a.conf", "task")
	check(t, "mended", told(dir, first(tree.Load()), nil), "+a: over1")
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.conf", "exec a")
	write(t, dir+"/b.conf", "bogus")
	tree := New(Sources{Dirs: []string{dir}, Reserved: "command"})
	changes, problems := tree.Load()
	check(t, "load", told(dir, changes, problems), "+a: a", "b.conf:1:1: Unknown stanza: bogus")
	later := time.Now().Add(time.Hour)
	os.Chtimes(dir+"/a.conf", later, later)
	changes, problems = tree.Load()
	check(t, "touched", told(dir, changes, problems), "b.conf:1:1: Unknown stanza: bogus")
	write(t, dir+"/a.conf", "exec A")
	write(t, dir+"/b.conf", "exec b")
	write(t, dir+"/command.conf", "exec c")
	changes, problems = tree.Load()
	check(t, "changed", told(dir, changes, problems), "+a: A", "+b: b",
		"command.conf:1:1: the name command is reserved for the command that is run beside the jobs")
	write(t, dir+"/a.conf", "exec A \"")
	os.Remove(dir + "/command.conf")
	changes, problems = tree.Load()
	check(t, "broken", told(dir, changes, problems), "-a", "a.conf:1:9: Unterminated quoted string; opened at a.conf:1:8")
	var at *conf.Error
	if !errors.As(problems[0], &at) || at.Warning {
		t.Errorf("%#v", problems[0])
	}
	os.RemoveAll(dir)
	changes, problems = tree.Load()
	check(t, "deleted", told(dir, changes, problems), "-b", dir+": Configuration directory deleted")
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "")
	write(t, dir+"/d/large.conf", strings.Repeat("# comment\n", 200_000))
	write(t, dir+"/d/a.conf", "exec a")
	tree := New(Sources{Dirs: []string{dir + "/file", dir + "/d"}})
	changes, problems := tree.Load()
	check(t, "load", told(dir, changes, problems), "+a: a", "file: Unable to load configuration: not a directory",
		fmt.Sprintf("d/large.conf:1:1: file too large: more than %d bytes", conf.MaxSize))
}

// TestStamp checks that what is old and unchanged is not read again.
func TestStamp(t *testing.T) {
	var st, other unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &st); err != nil {
		need.Skip(t, "%v", err)
	}
	st.Ctim = unix.NsecToTimespec(time.Now().Add(-time.Minute).UnixNano())
	other = st
	if a, b := newStamp(&st), newStamp(&other); a == 0 || a != b {
		t.Errorf("stamps %x, %x of one file", a, b)
	}
	other.Size++
	if newStamp(&st) == newStamp(&other) {
		t.Error("same stamp with another size")
	}
	other = st
	other.Ctim.Nsec ^= 1
	if newStamp(&st) == newStamp(&other) {
		t.Error("same stamp with another time")
	}
	st.Ctim = unix.NsecToTimespec(time.Now().UnixNano())
	if newStamp(&st) != 0 {
		t.Error("a stamp for what has just been changed")
	}
}
