package confdir

import (
	"bytes"
	"encoding/binary"
	"errors"
	filepath "path" // which does the same here, with less
	"slices"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What is watched in directories of a source, and in those above it. Masks are
// added to each other because one directory may be both.
const (
	maskInside = maskAbove | unix.IN_CLOSE_WRITE
	maskAbove  = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVE | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF |
		unix.IN_ONLYDIR | unix.IN_MASK_ADD
)

// watcher is an inotify descriptor with the directories watched. A directory may
// be reached by several paths if there are symbolic links.
type watcher struct {
	fd    int
	paths map[int][]string
	buf   []byte
	full  error // that there are no watches left has been told
}

// notice is something that inotify has told about an entry of a directory, or with
// an empty name about the directory itself.
type notice struct {
	dir, name string
	mask      uint32
}

// Watch begins to watch the sources and returns a descriptor, non-blocking and
// close-on-exec, that is readable when something has changed; see Read. It is to be
// called before the first Load, so that nothing is missed. On an error nothing is
// watched, and changes are found by Load only.
func (t *Tree) Watch() (fd int, err error) {
	fd, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return -1, errors.New("Unable to watch configuration directories: " + err.Error() + " (changes are seen by reload-configuration only)")
	}
	t.watcher = &watcher{fd: fd, paths: make(map[int][]string), buf: make([]byte, 64<<10)}
	for i := range t.sources {
		s := &t.sources[i]
		t.watchAbove(s)
		if !s.file {
			t.watchDir(s.path)
		}
	}
	if err := t.watcher.full; err != nil {
		t.problems = slices.DeleteFunc(t.problems, func(p error) bool { return p == err })
		t.Close()
		return -1, err
	}
	return fd, nil
}

// watchDir watches a directory of a source if there is one.
func (t *Tree) watchDir(dir string) {
	if t.watcher != nil {
		t.watched(dir, t.watcher.add(dir, maskInside))
	}
}

// watchAbove watches the directory above a source, or the nearest one that exists,
// to see the source come back when it has been deleted.
func (t *Tree) watchAbove(s *source) {
	if t.watcher == nil {
		return
	}
	mask := uint32(maskAbove)
	if s.file {
		mask = maskInside
	}
	for dir := filepath.Dir(s.path); ; dir = filepath.Dir(dir) {
		err := t.watcher.add(dir, mask)
		if absent := errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR); absent && dir != "/" && dir != "." {
			continue
		}
		t.watched(dir, err)
		return
	}
}

// watched notes that a directory cannot be watched, once when there are no watches
// left at all.
func (t *Tree) watched(dir string, err error) {
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || t.watcher.full != nil {
		return
	}
	told := errors.New(dir + ": Unable to watch configuration directory: " + err.Error() + " (changes are seen by reload-configuration only)")
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ENOMEM) {
		t.watcher.full = told
	}
	t.problem(told)
}

// handle brings the tree up to date with what has been noticed. Several notices of
// one path come to one look.
func (t *Tree) handle(notices []notice, overflow bool) {
	if overflow {
		for i := range t.sources {
			t.scanSource(i)
		}
		return
	}
	const (
		gone = iota
		there
	)
	files := make(map[string]int)
	dirs := make(map[string]bool)
	for _, n := range notices {
		path := n.dir
		if n.name != "" {
			path = join(n.dir, n.name)
		}
		appeared := n.mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0
		switch {
		case n.name == "" || n.mask&unix.IN_ISDIR != 0 || t.leadsTo(path):
			if !appeared || n.name == "" {
				t.watcher.remove(path)
			}
			dirs[path] = true
		case n.mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
			files[path] = gone
		case n.mask&(unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO) != 0 || complete(path):
			files[path] = there
		}
		if appeared && !isJobFile(n.name) && isSymlink(path) {
			// Other files may be links through this one: Kubernetes exchanges the
			// whole content of a volume by one such link.
			dirs[n.dir] = true
		}
	}
	for _, path := range sorted(files) {
		t.handleFile(path, files[path] == there)
	}
	// Directories come last: a file that is said to be gone may have been in another
	// directory of that name, and what is there now counts.
	for _, path := range sorted(dirs) {
		t.handleDir(path)
	}
}

// handleDir looks at a directory, or at the sources below it.
func (t *Tree) handleDir(path string) {
	for i := range t.sources {
		s := &t.sources[i]
		if _, above := below(path, s.path); above || path == s.path {
			t.scanSource(i)
		} else if rest, inside := below(s.path, path); inside && !s.file && !ignoredPath(rest) {
			t.scan(i, path)
		}
	}
}

func (t *Tree) handleFile(path string, there bool) {
	for i := range t.sources {
		s := &t.sources[i]
		if s.file && s.path == path && there {
			t.scanFile(s)
		}
		rest, inside := below(s.path, path)
		if s.file || !inside || !isJobFile(rest) || ignoredPath(filepath.Dir(rest)) {
			continue
		}
		if there {
			t.look(i, path)
		} else {
			t.forget(i, path)
		}
	}
}

// leadsTo tells whether a source that is a directory is at path or below it.
func (t *Tree) leadsTo(path string) bool {
	for i := range t.sources {
		s := &t.sources[i]
		if _, above := below(path, s.path); above || path == s.path && !s.file {
			return true
		}
	}
	return false
}

func isJobFile(name string) bool {
	return strings.HasSuffix(name, ".conf") || strings.HasSuffix(name, ".override")
}

func ignoredPath(rel string) bool {
	return rel != "." && slices.ContainsFunc(strings.Split(rel, "/"), ignored)
}

// complete tells whether a file that has just been created is so already: a link
// of either kind is. Any other is complete when it is closed, which is told.
func complete(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && (st.Mode&unix.S_IFMT == unix.S_IFLNK || st.Nlink > 1)
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Sort(sort.StringSlice(keys))
	return keys
}

func (w *watcher) close() { syscall.Close(w.fd) }

func (w *watcher) add(dir string, mask uint32) error {
	wd, err := unix.InotifyAddWatch(w.fd, dir, mask)
	if err != nil {
		return err
	}
	if !slices.Contains(w.paths[wd], dir) {
		w.paths[wd] = append(w.paths[wd], dir)
	}
	return nil
}

// remove ends the watches of a directory that is not there any more, and of all
// below: where it has been moved to they would go on.
func (w *watcher) remove(dir string) {
	for wd, paths := range w.paths {
		w.paths[wd] = slices.DeleteFunc(paths, func(path string) bool {
			_, inside := below(dir, path)
			return inside || path == dir
		})
		if len(w.paths[wd]) == 0 {
			delete(w.paths, wd)
			// An error says that the kernel has done it before us.
			unix.InotifyRmWatch(w.fd, uint32(wd))
		}
	}
}

// read returns all that is to be read now. After an overflow some is missing.
func (w *watcher) read() (notices []notice, overflow bool) {
	for {
		n, err := retry(func() (int, error) { return syscall.Read(w.fd, w.buf) })
		if err != nil || n <= 0 {
			return notices, overflow
		}
		for b := w.buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd := int(int32(binary.NativeEndian.Uint32(b)))
			mask := binary.NativeEndian.Uint32(b[4:])
			size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:size], []byte{0})
			b = b[size:]
			switch {
			case mask&unix.IN_Q_OVERFLOW != 0:
				overflow = true
			case mask&unix.IN_IGNORED != 0:
				delete(w.paths, wd)
			default:
				for _, dir := range w.paths[wd] {
					notices = append(notices, notice{dir: dir, name: string(name), mask: mask})
				}
			}
		}
	}
}
