package console

import (
	"bytes"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs/fault"
)

const (
	// maxBase bounds a log file's name before ".log" and the number of a rotated
	// file: a name has 255 bytes at most.
	maxBase = 235
	// keptPerJob and keptInAll bound the output that waits for a file that cannot be
	// written.
	keptPerJob = 32 << 10
	keptInAll  = 1 << 20
)

// logFile is the log file of a job. It belongs to the reader, and is open only while
// there is output. Two jobs may share a path (job a-b, and instance b of job a), so
// nothing about the file is assumed to stay.
type logFile struct {
	fd       int // -1: not open
	dev, ino uint64
	size     int64
	tooBig   int64 // rotate beyond this only, after a rotation that did not work
	mid      *pipe // whose line is not finished
	kept     []byte
	said     error // why it cannot be written, once that has been said
	lost     int64 // bytes that have been given up since
}

func (f *logFile) close() {
	if f.fd >= 0 {
		syscall.Close(f.fd)
		f.fd = -1
	}
}

// logPath returns the path of a job's log file without ".log": Upstart's name, or
// when that is too long for a file, its beginning and a hash.
func (c *Console) logPath(k jobKey) string {
	name := k.job
	if k.instance != "" {
		name += "-" + k.instance
	}
	name = strings.Join(strings.Split(name, "/"), "_")
	if len(name) > maxBase {
		sum := "-" + strconv.FormatUint(hash(name), 16)
		name = name[:wholeRunes([]byte(name[:maxBase-len(sum)]))] + sum
	}
	return c.opts.LogDir + "/" + name
}

// hash is FNV-1a of 64 bits, without the rest of its package.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// save appends output of p to the log file of its job. What cannot be written is
// kept, within bounds, and tried again with the next output; on a full disk it is
// given up.
func (r *reader) save(j *job, p *pipe, data []byte) {
	f := j.file
	if f.mid != nil && f.mid != p {
		data = append([]byte{'\n'}, data...)
	}
	f.mid = nil
	if data[len(data)-1] != '\n' {
		f.mid = p
	}
	if len(f.kept) > 0 && !r.saveKept(j) {
		r.keep(j, data)
		return
	}
	n, err := r.append(j, data)
	r.outcome(j, data[n:], err)
}

// saveKept writes what was kept for want of a file, and tells whether that worked.
func (r *reader) saveKept(j *job) bool {
	f := j.file
	n, err := r.append(j, f.kept)
	if n > 0 {
		r.saved -= n
		f.kept = f.kept[n:]
	}
	if err != nil && !errors.Is(err, unix.ENOSPC) {
		r.complain(j, err)
		return false
	}
	rest := f.kept
	r.saved -= len(rest)
	f.kept = nil
	r.unsaved = slices.DeleteFunc(r.unsaved, func(u *job) bool { return u == j })
	r.outcome(j, rest, err)
	return err == nil
}

// outcome deals with the end of an append that left rest.
func (r *reader) outcome(j *job, rest []byte, err error) {
	switch {
	case err == nil:
		if f := j.file; f.said != nil {
			r.c.log.Warning().Job(j.key.job, j.key.instance).
				Msg("log file " + r.c.logPath(j.key) + ".log can be written again; " + strconv.FormatInt(f.lost, 10) + " bytes were lost")
			f.said, f.lost = nil, 0
		}
		return
	case errors.Is(err, unix.ENOSPC):
		j.file.lost += int64(len(rest))
	default:
		r.keep(j, rest)
	}
	r.complain(j, err)
}

// complain says, once until it works again, that a job's log file cannot be written.
func (r *reader) complain(j *job, err error) {
	if said := j.file.said; said != nil && said.Error() == err.Error() {
		return
	}
	j.file.said = err
	r.c.log.Warning().Job(j.key.job, j.key.instance).Msg("cannot write to log file " + r.c.logPath(j.key) + ".log: " + err.Error())
}

// keep holds output back until the file can be written, as far as there is room.
func (r *reader) keep(j *job, data []byte) {
	room := min(keptPerJob-len(j.file.kept), keptInAll-r.saved)
	if len(data) > room {
		n := bytes.LastIndexByte(data[:room], '\n') + 1
		j.file.lost += int64(len(data) - n)
		data = data[:n]
	}
	if len(data) == 0 {
		return
	}
	if len(j.file.kept) == 0 {
		r.unsaved = append(r.unsaved, j)
	}
	j.file.kept = append(j.file.kept, data...)
	r.saved += len(data)
}

// retryFiles tries again to write all that was kept.
func (r *reader) retryFiles() {
	for _, j := range slices.Clone(r.unsaved) {
		r.saveKept(j)
	}
}

// append writes data to the log file of j, which it opens and rotates as needed. It
// returns how much was written.
func (r *reader) append(j *job, data []byte) (done int, err error) {
	f := j.file
	name := r.c.logPath(j.key)
	if err := r.openFile(j, name+".log"); err != nil {
		return 0, err
	}
	for done < len(data) {
		part := data[done:]
		if limit := max(r.c.opts.LogMaxSize, f.tooBig); r.c.opts.LogMaxSize > 0 && f.size+int64(len(part)) > limit {
			if n := linesWithin(part, limit-f.size); n > 0 {
				part = part[:n]
			} else if f.size > 0 {
				if err := r.rotate(j, name); err != nil {
					return done, err
				}
				continue
			} else if n = bytes.IndexByte(part, '\n') + 1; n > 0 {
				part = part[:n]
			}
		}
		n, err := syscall.Write(f.fd, part)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
		f.size += int64(n)
	}
	return done, nil
}

// linesWithin returns the length of the whole lines of data that fit into size.
func linesWithin(data []byte, size int64) int {
	if size <= 0 {
		return 0
	}
	return bytes.LastIndexByte(data[:min(size, int64(len(data)))], '\n') + 1
}

// openFile makes sure that the file of j is open and still has that name: deleted
// and renamed files are left behind.
func (r *reader) openFile(j *job, name string) error {
	f := j.file
	var st unix.Stat_t
	if f.fd >= 0 {
		if unix.Stat(name, &st) == nil && uint64(st.Dev) == f.dev && uint64(st.Ino) == f.ino {
			f.size = st.Size
			return nil
		}
		f.close()
		f.tooBig = 0
	}
	fd, err := r.createFile(name)
	if err != nil {
		return err
	}
	if err := unix.Fstat(fd, &st); err != nil {
		syscall.Close(fd)
		return err
	}
	f.fd, f.dev, f.ino, f.size = fd, uint64(st.Dev), uint64(st.Ino), st.Size
	if !slices.Contains(r.open, j) {
		r.open = append(r.open, j)
	}
	r.touched = true
	return nil
}

// createFile opens a log file with Upstart's flags and mode. The directory is made if
// it is missing, and other log files are closed when there are too many.
func (r *reader) createFile(name string) (int, error) {
	const flags = unix.O_CREAT | unix.O_APPEND | unix.O_WRONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
	fd, err := syscall.Open(name, flags, 0o640)
	switch {
	case errors.Is(err, unix.ENOENT):
		if err := makeDir(r.c.opts.LogDir); err != nil {
			return -1, fault.Of("cannot make "+r.c.opts.LogDir, err)
		}
		fd, err = syscall.Open(name, flags, 0o640)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		for _, j := range r.open {
			j.file.close()
		}
		r.open = nil
		fd, err = syscall.Open(name, flags, 0o640)
	}
	return fd, err
}

// makeDir makes a directory, and those above it.
func makeDir(dir string) error {
	err := unix.Mkdir(dir, 0o755)
	switch {
	case err == nil, errors.Is(err, unix.EEXIST):
		return nil
	case errors.Is(err, unix.ENOENT) && path.Dir(dir) != dir:
		if err := makeDir(path.Dir(dir)); err != nil {
			return err
		}
		return unix.Mkdir(dir, 0o755)
	}
	return err
}

// rotate renames JOB.log to JOB.log.1, JOB.log.1 to JOB.log.2 and so on, and begins
// a new file. With one file to keep, that is emptied.
func (r *reader) rotate(j *job, name string) error {
	f := j.file
	name += ".log"
	if r.c.opts.LogFiles == 1 {
		if err := unix.Ftruncate(f.fd, 0); err != nil {
			return r.rotateLater(j, name, err)
		}
		f.size = 0
		return nil
	}
	for i := r.c.opts.LogFiles - 1; i > 0; i-- {
		from := name
		if i > 1 {
			from = name + "." + strconv.Itoa(i-1)
		}
		if err := unix.Rename(from, name+"."+strconv.Itoa(i)); err != nil && (i == 1 || !errors.Is(err, unix.ENOENT)) {
			return r.rotateLater(j, name, err)
		}
	}
	return r.openFile(j, name)
}

// rotateLater goes on with a file that cannot be rotated until it has grown by as
// much again.
func (r *reader) rotateLater(j *job, name string, err error) error {
	j.file.tooBig = j.file.size + r.c.opts.LogMaxSize
	r.c.log.Warning().Job(j.key.job, j.key.instance).Msg("cannot rotate log file " + name + ": " + err.Error())
	return nil
}
