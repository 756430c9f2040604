package confdir

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// watched is a tree that is being watched.
type watchedTree struct {
	*Tree
	t   *testing.T
	dir string
	fd  int
}

func watch(t *testing.T, dir string, sources Sources) watchedTree {
	t.Helper()
	tree := New(sources)
	fd, err := tree.Watch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %x, %v", flags, err)
	}
	return watchedTree{tree, t, dir, fd}
}

// expect reads until the wanted lines have come, in this order, and nothing else.
func (w watchedTree) expect(what string, want ...string) {
	w.t.Helper()
	var got []string
	for deadline := time.Now().Add(10 * time.Second); len(got) < len(want) && time.Now().Before(deadline); {
		unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}, 100)
		changes, problems := w.Read()
		got = append(got, told(w.dir, changes, problems)...)
	}
	changes, problems := w.Read()
	check(w.t, what, append(got, told(w.dir, changes, problems)...), want...)
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/etc/a.conf", "exec a")
	w := watch(t, dir, Sources{Dirs: []string{dir + "/etc"}})
	changes, problems := w.Load()
	check(t, "load", told(dir, changes, problems), "+a: a")
	w.expect("nothing")

	write(t, dir+"/etc/b.conf", "exec b")
	w.expect("new", "+b: b")
	write(t, dir+"/etc/b.conf", "exec B")
	w.expect("changed", "+b: B")
	write(t, dir+"/etc/b.conf", "exec B")
	w.expect("written anew")
	write(t, dir+"/etc/b.conf", "bogus")
	w.expect("broken", "-b", "etc/b.conf:1:1: Unknown stanza: bogus")
	write(t, dir+"/etc/b.conf", "exec B")
	w.expect("mended", "+b: B")
	os.Rename(dir+"/etc/b.conf", dir+"/etc/c.conf")
	w.expect("renamed", "-b", "+c: B")
	os.Rename(dir+"/etc/c.conf", dir+"/away")
	w.expect("moved out", "-c")
	os.Rename(dir+"/away", dir+"/etc/d.conf")
	w.expect("moved in", "+d: B")
	os.Remove(dir + "/etc/d.conf")
	w.expect("deleted", "-d")

	write(t, dir+"/etc/a.override", "exec over")
	w.expect("override", "+a: over")
	write(t, dir+"/etc/a.override", "exec over2")
	w.expect("override changed", "+a: over2")
	write(t, dir+"/etc/a.override", "bogus")
	w.expect("override broken", "+a: a", "etc/a.override:1:1: Unknown stanza: bogus")
	os.Remove(dir + "/etc/a.override")
	w.expect("override deleted")

	os.Symlink(dir+"/etc/a.conf", dir+"/etc/link.conf")
	w.expect("symbolic link", "+link: a")
	os.Link(dir+"/etc/a.conf", dir+"/etc/hard.conf")
	w.expect("hard link", "+hard: a")
	write(t, dir+"/etc/other.txt", "bogus")
	w.expect("other file")
}

// TestWatchWaitsForClose checks that a file is read when it is complete.
func TestWatchWaitsForClose(t *testing.T) {
	dir := t.TempDir()
	w := watch(t, dir, Sources{Dirs: []string{dir}})
	w.Load()
	f, err := os.Create(dir + "/a.conf")
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("exec \"unfin")
	w.expect("open")
	f.WriteString("ished\"")
	f.Close()
	w.expect("closed", `+a: "unfinished"`)
}

func TestWatchDirectories(t *testing.T) {
	dir := t.TempDir()
	root := dir + "/etc/init"
	write(t, root+"/a.conf", "exec a")
	w := watch(t, dir, Sources{Dirs: []string{root}})
	w.Load()

	write(t, root+"/sub/deep/b.conf", "exec b")
	w.expect("new directory", "+sub/deep/b: b")
	write(t, root+"/sub/deep/c.conf", "exec c")
	w.expect("in the new directory", "+sub/deep/c: c")
	write(t, root+"/.git/d.conf", "exec d")
	w.expect("ignored directory")
	os.Rename(root+"/sub", dir+"/sub")
	w.expect("directory moved out", "-sub/deep/b", "-sub/deep/c")
	write(t, dir+"/sub/deep/e.conf", "exec e")
	w.expect("where it has been moved to")
	os.Rename(dir+"/sub", root+"/sub2")
	w.expect("directory moved in", "+sub2/deep/b: b", "+sub2/deep/c: c", "+sub2/deep/e: e")
	os.RemoveAll(root + "/sub2")
	w.expect("directory deleted", "-sub2/deep/b", "-sub2/deep/c", "-sub2/deep/e")

	os.RemoveAll(root)
	w.expect("source deleted", "-a", "etc/init: Configuration directory deleted")
	write(t, root+"/f.conf", "exec f")
	w.expect("source made again", "+f: f")
	os.RemoveAll(dir + "/etc")
	w.expect("deleted with what is above", "-f", "etc/init: Configuration directory deleted")
	write(t, root+"/g.conf", "exec g")
	w.expect("both made again", "+g: g")
	write(t, root+"/g.conf", "exec G")
	w.expect("and watched", "+g: G")
	os.Rename(dir+"/etc", dir+"/etc2")
	w.expect("moved with what is above", "-g", "etc/init: Configuration directory deleted")
	write(t, dir+"/etc2/init/h.conf", "exec h")
	w.expect("where it has been moved to")
	os.Rename(dir+"/etc2", dir+"/etc")
	w.expect("moved back", "+g: G", "+h: h")
}

// TestWatchExchangedLink does what Kubernetes does to change a volume.
func TestWatchExchangedLink(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/..1/a.conf", "exec one")
	write(t, dir+"/..2/a.conf", "exec two")
	os.Symlink("..1", dir+"/..data")
	os.Symlink("..data/a.conf", dir+"/a.conf")
	w := watch(t, dir, Sources{Dirs: []string{dir}})
	changes, problems := w.Load()
	check(t, "load", told(dir, changes, problems), "+a: one")
	os.Symlink("..2", dir+"/..data_tmp")
	os.Rename(dir+"/..data_tmp", dir+"/..data")
	w.expect("exchanged", "+a: two")
}

func TestWatchSources(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/two/a.conf", "exec two")
	w := watch(t, dir, Sources{File: dir + "/init.conf", Dirs: []string{dir + "/one", dir + "/two", dir + "/two/nested"}})
	w.Load()
	write(t, dir+"/one/a.conf", "exec one")
	w.expect("better source", "+a: one")
	write(t, dir+"/two/a.conf", "exec TWO")
	w.expect("worse file changed")
	os.Remove(dir + "/one/a.conf")
	w.expect("better file gone", "+a: TWO")
	write(t, dir+"/one/a.override", "exec over")
	w.expect("override in the better source", "+a: over")
	write(t, dir+"/init.conf", "task")
	w.expect("init.conf", "init.conf:1:1: Unknown stanza: task (this file may hold no stanzas; job files belong into the configuration directory)")
	write(t, dir+"/two/nested/n.conf", "exec n")
	w.expect("directory of two sources", "+n: n", "+nested/n: n")
}

// TestOverflow makes more changes than the kernel keeps.
func TestOverflow(t *testing.T) {
	if testing.Short() {
		t.Skip("makes tens of thousands of changes")
	}
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil || len(strings.TrimSpace(string(limit))) > 5 {
		need.Skip(t, "limit of %s changes, %v", limit, err)
	}
	dir := t.TempDir()
	write(t, dir+"/a.conf", "exec a")
	w := watch(t, dir, Sources{Dirs: []string{dir}})
	w.Load()
	for range 6_000 {
		os.Rename(dir+"/a.conf", dir+"/x")
		os.Rename(dir+"/x", dir+"/a.conf")
	}
	write(t, dir+"/b.conf", "exec b")
	w.expect("after the overflow", "+b: b")
}

func TestNoWatchesLeft(t *testing.T) {
	dir := t.TempDir()
	w := watch(t, dir, Sources{Dirs: []string{dir}})
	w.begin()
	w.watched(dir+"/a", unix.ENOENT)
	w.watched(dir+"/b", unix.ENOSPC)
	w.watched(dir+"/c", unix.ENOSPC)
	changes, problems := w.end()
	check(t, "problems", told(dir, changes, problems),
		"b: Unable to watch configuration directory: no space left on device (changes are seen by reload-configuration only)")
}

// TestWatchExchangedDirectory checks that what is noticed of a file of the old
// directory is not taken for one of the new.
func TestWatchExchangedDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/init/a.conf", "exec old")
	write(t, dir+"/new/a.conf", "exec new")
	w := watch(t, dir, Sources{Dirs: []string{dir + "/init"}})
	w.Load()
	os.Remove(dir + "/init/a.conf")
	os.Remove(dir + "/init")
	os.Rename(dir+"/new", dir+"/init")
	w.expect("exchanged", "+a: new")
}
