package confdir

import (
	"errors"
	"hash/maphash"
	"os"
	filepath "path" // which does the same here, with less
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs/conf"
	"tend/jobs/fault"
	"tend/jobs/file"
)

var seed = maphash.MakeSeed()

// clean makes paths such that one lies below another exactly if it begins with the
// other and a slash.
func clean(path string) string {
	if !filepath.IsAbs(path) {
		// Without a working directory the path stays relative.
		if dir, err := syscall.Getwd(); err == nil {
			return filepath.Join(dir, path)
		}
	}
	return filepath.Clean(path)
}

// below returns the rest of path behind dir and a slash.
func below(dir, path string) (rest string, ok bool) {
	if dir == "/" {
		return path[1:], len(path) > 1
	}
	rest, ok = strings.CutPrefix(path, dir)
	if !ok || rest == "" || rest[0] != '/' {
		return "", false
	}
	return rest[1:], true
}

func join(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}

// scanSource looks at all files of a source.
func (t *Tree) scanSource(i int) {
	s := &t.sources[i]
	t.watchAbove(s)
	if s.file {
		t.scanFile(s)
		return
	}
	was := s.present
	s.present = t.scan(i, s.path)
	if was && !s.present {
		t.problem(errors.New(s.path + ": Configuration directory deleted"))
	}
}

// scanFile checks the file that may hold no stanzas.
func (t *Tree) scanFile(s *source) {
	text, _, err := t.read(s.path, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
	case err != nil:
		t.problem(loadError(s.path, err))
	default:
		t.found(t.parser.Empty(s.path, text))
	}
}

// scan looks at all files below a directory of a source, and drops those that are
// not there any more. It tells whether there is such a directory.
func (t *Tree) scan(i int, dir string) bool {
	t.pass++
	present := t.walk(i, dir)
	for _, j := range t.jobs {
		gone := func(source int, pass uint32, path string) bool {
			_, inside := below(dir, path)
			return source == i && pass != t.pass && inside
		}
		before := len(j.confs) + len(j.overrides)
		j.confs = slices.DeleteFunc(j.confs, func(c *confFile) bool { return gone(c.source, c.pass, c.path) })
		j.overrides = slices.DeleteFunc(j.overrides, func(o *override) bool { return gone(o.source, o.pass, o.path) })
		if len(j.confs)+len(j.overrides) != before {
			t.touch(j)
		}
	}
	return present
}

// walk looks at the files of a source in dir and below.
func (t *Tree) walk(i int, dir string) bool {
	return Walk(dir, t.watchDir, func(path string, override bool) {
		if override {
			t.lookOverride(i, path)
		} else {
			t.lookConf(i, path)
		}
	}, t.problem)
}

// Walk calls found for the job files and overrides in dir and below, in the order
// of names. Before a directory is read enter is called for it; errors go to fail.
// It tells whether there is such a directory.
func Walk(dir string, enter func(dir string), found func(path string, override bool), fail func(error)) bool {
	enter(dir)
	entries, err := file.Entries(dir)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return false
		}
		// What could be read of it before the error counts.
		fail(loadError(dir, err))
	}
	for _, e := range entries {
		switch name := e.Name; {
		case e.IsDir():
			if !ignored(name) {
				Walk(join(dir, name), enter, found, fail)
			}
		case strings.HasSuffix(name, ".conf") && name != ".conf":
			if e.Mode == unix.S_IFREG || e.Mode == unix.S_IFLNK {
				found(join(dir, name), false)
			}
		case strings.HasSuffix(name, ".override") && name != ".override":
			if e.Mode == unix.S_IFREG {
				found(join(dir, name), true)
			}
		}
	}
	return true
}

// look looks at one file of a source as it is now, if its name is that of a job
// file or override.
func (t *Tree) look(i int, path string) {
	switch base := filepath.Base(path); {
	case strings.HasSuffix(base, ".conf") && base != ".conf":
		t.lookConf(i, path)
	case strings.HasSuffix(base, ".override") && base != ".override":
		t.lookOverride(i, path)
	}
}

// jobOf returns the job that a path of a source is about.
func (t *Tree) jobOf(i int, path, ext string) *job {
	name, _ := below(t.sources[i].path, strings.TrimSuffix(path, ext))
	j := t.jobs[name]
	if j == nil {
		j = &job{name: name}
		t.jobs[name] = j
	}
	return j
}

func (t *Tree) lookConf(i int, path string) {
	j := t.jobOf(i, path, ".conf")
	at, known := slices.BinarySearchFunc(j.confs, i, func(c *confFile, i int) int { return c.source - i })
	if known && j.confs[at].class != nil && j.confs[at].stamp.still(path, unix.Stat) {
		j.confs[at].pass = t.pass
		return
	}
	text, stamp, err := t.read(path, 0)
	if errors.Is(err, unix.ENOENT) && !isSymlink(path) || errors.Is(err, errNotRegular) {
		if known {
			j.confs = slices.Delete(j.confs, at, at+1)
			t.touch(j)
		}
		t.dropIfEmpty(j)
		return
	}
	if !known {
		j.confs = append(j.confs, nil)
		copy(j.confs[at+1:], j.confs[at:])
		j.confs[at] = &confFile{source: i, path: path}
	}
	c := j.confs[at]
	c.pass, c.stamp = t.pass, stamp
	hash := maphash.Bytes(seed, text)
	if known && c.class != nil && err == nil && hash == c.hash {
		return
	}
	c.hash, c.class = hash, nil
	t.touch(j)
	switch {
	case err != nil:
		t.problem(loadError(path, err))
	case j.name == t.reserved && t.reserved != "":
		t.problem(Reserved(path, j.name))
	default:
		var found conf.Errors
		c.class, found = t.parser.Parse(j.name, path, text)
		t.found(found)
	}
}

// Reserved is the error of a job file whose name is that of the command's job.
func Reserved(path, name string) *conf.Error {
	return &conf.Error{File: path, Line: 1, Column: 1, Msg: "the name " + name + " is reserved for the command that is run beside the jobs"}
}

func (t *Tree) lookOverride(i int, path string) {
	j := t.jobOf(i, path, ".override")
	at, known := slices.BinarySearchFunc(j.overrides, i, func(o *override, i int) int { return o.source - i })
	if known && j.overrides[at].err == nil && j.overrides[at].stamp.still(path, unix.Lstat) {
		j.overrides[at].pass = t.pass
		return
	}
	text, stamp, err := t.read(path, unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) || errors.Is(err, errNotRegular) {
		if known {
			j.overrides = slices.Delete(j.overrides, at, at+1)
			t.touch(j)
		}
		t.dropIfEmpty(j)
		return
	}
	if err != nil {
		err = loadError(path, err)
	}
	if known && err == nil && j.overrides[at].err == nil && string(text) == string(j.overrides[at].text) {
		j.overrides[at].pass, j.overrides[at].stamp = t.pass, stamp
		return
	}
	// A new one, so that what has been applied before is not taken for this.
	o := &override{source: i, pass: t.pass, path: path, stamp: stamp, text: slices.Clone(text), err: err}
	if known {
		j.overrides[at] = o
	} else {
		j.overrides = append(j.overrides, nil)
		copy(j.overrides[at+1:], j.overrides[at:])
		j.overrides[at] = o
	}
	t.touch(j)
}

// dropIfEmpty forgets a name that no file bears and that nobody has heard of.
func (t *Tree) dropIfEmpty(j *job) {
	if len(j.confs) == 0 && len(j.overrides) == 0 && !j.touched {
		delete(t.jobs, j.name)
	}
}

// forget drops a file that has been deleted.
func (t *Tree) forget(i int, path string) {
	ext := filepath.Ext(path)
	name, _ := below(t.sources[i].path, strings.TrimSuffix(path, ext))
	j := t.jobs[name]
	if j == nil {
		return
	}
	j.confs = slices.DeleteFunc(j.confs, func(c *confFile) bool { return c.source == i && c.path == path })
	j.overrides = slices.DeleteFunc(j.overrides, func(o *override) bool { return o.source == i && o.path == path })
	t.touch(j)
}

// stamp tells a file from what it was before without reading it. The zero value is
// never the same as another: the file has been changed so shortly before it was
// read that it may change once more with the same times.
type stamp uint64

func newStamp(st *unix.Stat_t) stamp {
	const unsure = 2 * time.Second // the coarsest times that file systems keep
	if age := time.Since(time.Unix(st.Ctim.Unix())); age < unsure {
		return 0
	}
	h := uint64(14695981039346656037)
	for _, n := range [...]uint64{uint64(st.Dev), uint64(st.Ino), uint64(st.Size), uint64(st.Mtim.Nano()), uint64(st.Ctim.Nano())} {
		h = (h ^ n) * 1099511628211
		h ^= h >> 29
	}
	return stamp(max(h, 1))
}

// still tells whether the file is surely as it was.
func (s stamp) still(path string, stat func(string, *unix.Stat_t) error) bool {
	if s == 0 {
		return false
	}
	var st unix.Stat_t
	return stat(path, &st) == nil && newStamp(&st) == s
}

var errNotRegular = errors.New("not a regular file")

// read returns the text of a regular file; it is valid until the next call. Of a
// file that is too large for a job file it returns enough to show that.
func (t *Tree) read(path string, flags int) ([]byte, stamp, error) {
	// Without O_NONBLOCK a named pipe would wait for a writer.
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY|flags, 0)
	})
	if err != nil {
		return nil, 0, err
	}
	defer syscall.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, 0, errNotRegular
	}
	if want := int(min(st.Size, conf.MaxSize)) + 1; cap(t.buf) < want {
		t.buf = make([]byte, max(want, 16<<10))
	}
	text := t.buf[:0]
	for len(text) <= conf.MaxSize {
		if len(text) == cap(text) {
			text = slices.Grow(text, 16<<10)
		}
		n, err := retry(func() (int, error) { return syscall.Read(fd, text[len(text):cap(text)]) })
		if err != nil {
			return nil, 0, err
		}
		text = text[:len(text)+n]
		// A regular file that has given its size has ended; that saves a call.
		if n == 0 || int64(len(text)) == st.Size {
			break
		}
	}
	return text, newStamp(&st), nil
}

func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// loadError is Upstart's text for what cannot be read.
func loadError(path string, err error) error {
	if at, ok := errors.AsType[*os.PathError](err); ok {
		err = at.Err
	}
	return fault.Of(path+": Unable to load configuration", err)
}

func isSymlink(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}
