package confdir

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"tend/jobs"
	"tend/jobs/conf"
)

// TestRandomChanges changes files and directories at random, and compares what the
// watched tree has reported with what a new one reads.
func TestRandomChanges(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomChanges(t, rand.New(rand.NewPCG(seed, 1)), seed%4 == 0) })
	}
}

func randomChanges(t *testing.T, r *rand.Rand, links bool) {
	root := t.TempDir()
	sources := Sources{Dirs: []string{root + "/up/one", root + "/up/two", root + "/up/one/sub"}}
	w := watch(t, root, sources)
	state := make(map[string]string)
	apply := func(changes []Change, _ []error) {
		for _, c := range changes {
			if delete(state, c.Name); c.Class != nil {
				state[c.Name] = describe(c.Class)
			}
		}
	}
	apply(w.Load())
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	dir := func() string {
		return root + pick("/up/one", "/up/one", "/up/two", "/up/two", "/up/one/sub", "/up/two/sub", "/up/one/sub/deep", "/up/one/.git", "/away")
	}
	file := func() string { return dir() + "/" + pick("a", "b", "c") + pick(".conf", ".conf", ".override", ".txt") }
	var log []string
	for step := range 150 {
		var what string
		switch r.IntN(14) {
		case 0:
			what = "remove " + dir()
			os.RemoveAll(what[7:])
		case 1, 2:
			from, to := dir(), dir()
			what = fmt.Sprint("rename ", from, " ", to, ": ", os.Rename(from, to))
		case 3:
			from, to := root+pick("/up", "/up2"), root+pick("/up", "/up2")
			what = fmt.Sprint("rename ", from, " ", to, ": ", os.Rename(from, to))
		case 4, 5:
			from, to := file(), file()
			what = fmt.Sprint("rename ", from, " ", to, ": ", os.Rename(from, to))
		case 6:
			what = "remove " + file()
			os.Remove(what[7:])
		case 7:
			if !links {
				continue
			}
			from, to := file(), file()
			what = fmt.Sprint("symlink ", from, " ", to, ": ", os.Symlink(from, to))
		default:
			path, text := file(), pick("exec one", "exec two", "bogus", "env A=1")
			what = fmt.Sprint("write ", path, ": ", text)
			os.MkdirAll(path[:len(path)-len("/a.conf")], 0o755)
			os.WriteFile(path, []byte(text), 0o644)
		}
		log = append(log, what)
		if r.IntN(3) > 0 {
			continue
		}
		apply(w.Read())
		fresh := make(map[string]string)
		changes, _ := New(sources).Load()
		for _, c := range changes {
			fresh[c.Name] = describe(c.Class)
		}
		// What symbolic links lead to is not watched.
		if links && linked(root) {
			apply(w.Load())
		}
		if fmt.Sprint(state) != fmt.Sprint(fresh) {
			t.Fatalf("step %d:\n%v\nwant\n%v\nafter %q", step, state, fresh, log[max(0, len(log)-8):])
		}
	}
}

func describe(c *jobs.Class) string { return c.Path + " " + c.Override + " " + string(conf.Format(c)) }

// linked tells whether there are symbolic links below dir.
func linked(dir string) bool {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Type() == os.ModeSymlink || e.IsDir() && linked(dir+"/"+e.Name()) {
			return true
		}
	}
	return false
}
