package console

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// fileFixture is a Console that writes nothing but log files.
func fileFixture(t *testing.T, o Options) fixture {
	t.Helper()
	o.Format = None
	if o.LogDir == "" {
		o.LogDir = t.TempDir() + "/var/log/upstart"
	}
	return newFixture(t, o)
}

func (f fixture) flush(t *testing.T) {
	t.Helper()
	if !f.Flush(time.Now().Add(patience)) {
		t.Fatal("Flush timed out")
	}
}

func (f fixture) file(name string) string {
	b, _ := os.ReadFile(filepath.Join(f.opts.LogDir, name))
	return string(b)
}

func TestLogFile(t *testing.T) {
	f := fileFixture(t, Options{})
	p := openProcess(t, f.Console, "sub/log", "a/b")
	p.out("one\n")
	p.err("two\n")
	f.flush(t)
	p.out("no newline")
	p.exit()
	f.flush(t)
	if got, want := f.file("sub_log-a_b.log"), "one\ntwo\nno newline"; got != want {
		t.Errorf("log file has %q, want %q", got, want)
	}
	q := openProcess(t, f.Console, "sub/log", "a/b")
	q.out("next\n")
	f.flush(t)
	if got, want := f.file("sub_log-a_b.log"), "one\ntwo\nno newline\nnext\n"; got != want {
		t.Errorf("log file has %q, want %q", got, want)
	}
	var st unix.Stat_t
	if _ = unix.Stat(f.opts.LogDir, &st); st.Mode&0o777 != 0o755 {
		t.Errorf("the directory has mode %o", st.Mode)
	}
	if _ = unix.Stat(f.opts.LogDir+"/sub_log-a_b.log", &st); st.Mode&0o777 != 0o640 {
		t.Errorf("the file has mode %o", st.Mode)
	}
}

func TestLogFileDeletedOrRenamed(t *testing.T) {
	f := fileFixture(t, Options{})
	path := f.opts.LogDir + "/j.log"
	p := openProcess(t, f.Console, "j", "")
	p.out("one\n")
	f.flush(t)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	p.out("two\n")
	f.flush(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p.out("three\n")
	f.flush(t)
	if old, now := f.file("j.log.old"), f.file("j.log"); old != "one\n" || now != "three\n" {
		t.Errorf("the files have %q and %q", old, now)
	}
}

func TestLogFileIsNotALink(t *testing.T) {
	f := fileFixture(t, Options{LogDir: t.TempDir()})
	target := t.TempDir() + "/target"
	if err := os.Symlink(target, f.opts.LogDir+"/j.log"); err != nil {
		t.Fatal(err)
	}
	p := openProcess(t, f.Console, "j", "")
	p.out("one\n")
	f.flush(t)
	if _, err := os.Stat(target); err == nil {
		t.Error("a symbolic link was followed")
	}
	eventually(t, "a warning", func() bool { return strings.Contains(f.err.String(), "too many levels of symbolic links") })
}

func TestLogFileWithLongName(t *testing.T) {
	f := fileFixture(t, Options{LogMaxSize: 5, LogFiles: 3})
	for _, inst := range []string{strings.Repeat("é", 200) + "1", strings.Repeat("é", 200) + "2"} {
		p := openProcess(t, f.Console, "j", inst)
		p.out("12345\n12345\n")
		p.exit()
	}
	f.flush(t)
	names, err := os.ReadDir(f.opts.LogDir)
	if err != nil || len(names) != 4 {
		t.Errorf("files %v, %v, want two for each instance", names, err)
	}
}

func TestLogFileCannotBeWritten(t *testing.T) {
	// A file in place of the directory refuses everybody, also root.
	dir := t.TempDir() + "/logs"
	if err := os.WriteFile(dir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f := fileFixture(t, Options{LogDir: dir})
	p, q := openProcess(t, f.Console, "p", ""), openProcess(t, f.Console, "q", "")
	p.out("kept\n")
	q.out(strings.Repeat("too much to be kept\n", 10_000))
	p.out("kept too\n")
	f.flush(t)
	eventually(t, "one warning for each", func() bool {
		return strings.Count(f.err.String(), "cannot write to log file") == 2 &&
			strings.Contains(f.err.String(), dir+"/p.log") && strings.Contains(f.err.String(), dir+"/q.log")
	})
	if n := f.rd.saved; n > 2*keptPerJob {
		t.Errorf("%d bytes are kept", n)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	f.NotifyDiskWriteable()
	eventually(t, "the file", func() bool { return f.file("p.log") == "kept\nkept too\n" })
	q.out("again\n")
	f.flush(t)
	if got := f.file("q.log"); len(got) > keptPerJob+10 || !strings.HasPrefix(got, "too much to be kept\n") || !strings.HasSuffix(got, "\nagain\n") {
		t.Errorf("log file has %d bytes", len(got))
	}
	eventually(t, "the number of lost bytes", func() bool { return strings.Contains(f.err.String(), "bytes were lost") })
}

// One file that cannot be written is said once, however often others can.
func TestOneLogFileCannotBeWritten(t *testing.T) {
	f := fileFixture(t, Options{})
	if err := errors.Join(os.MkdirAll(f.opts.LogDir, 0o755), os.Symlink("/dev/stdout", f.opts.LogDir+"/bad.log")); err != nil {
		t.Fatal(err)
	}
	bad, good := openProcess(t, f.Console, "bad", ""), openProcess(t, f.Console, "good", "")
	for range 20 {
		bad.out("to nowhere\n")
		f.flush(t)
		good.out("to the file\n")
		f.flush(t)
	}
	eventually(t, "the warning", func() bool { return strings.Contains(f.err.String(), "bad.log") })
	if got := f.err.String(); strings.Count(got, "\n") != 1 || strings.Contains(got, "again") {
		t.Errorf("the log says %q, want one warning", got)
	}
	if got := f.file("good.log"); strings.Count(got, "\n") != 20 {
		t.Errorf("the good file has %q", got)
	}
}

func TestLogFileOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		need.Skip(t, "%v", err) // needs the right to mount
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	f := fileFixture(t, Options{LogDir: dir})
	p := openProcess(t, f.Console, "j", "")
	for range 50 {
		p.out(strings.Repeat("0123456789abcde\n", 1000))
	}
	f.flush(t)
	eventually(t, "one warning", func() bool {
		return strings.Count(f.err.String(), "cannot write to log file") == 1 && strings.Contains(f.err.String(), "no space left")
	})
	if f.rd.saved != 0 {
		t.Errorf("%d bytes are kept", f.rd.saved)
	}
	if err := os.Remove(dir + "/j.log"); err != nil {
		t.Fatal(err)
	}
	p.out("again\n")
	eventually(t, "the file", func() bool { return strings.HasSuffix(f.file("j.log"), "again\n") })
}

func TestLogFileIsRotated(t *testing.T) {
	for _, files := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d files", files), func(t *testing.T) {
			f := fileFixture(t, Options{LogMaxSize: 20, LogFiles: files})
			p := openProcess(t, f.Console, "j", "")
			for i := range 9 {
				p.out(fmt.Sprintf("line %d..\n", i))
				f.flush(t)
			}
			names, _ := os.ReadDir(f.opts.LogDir)
			if len(names) != files {
				t.Errorf("files %v, want %d", names, files)
			}
			if got := f.file("j.log"); got != "line 8..\n" {
				t.Errorf("j.log has %q", got)
			}
			if got, want := f.file("j.log.1"), "line 6..\nline 7..\n"; files > 1 && got != want {
				t.Errorf("j.log.1 has %q, want %q", got, want)
			}
		})
	}
}

func TestRotationUnderLoadLosesNothing(t *testing.T) {
	const lines, processes = 50_000, 3
	f := fileFixture(t, Options{LogMaxSize: 40_000, LogFiles: 1000})
	done := make(chan bool)
	for i := range processes {
		p := openProcess(t, f.Console, "j", "")
		go func() {
			for n := range lines {
				p.write(i%2, fmt.Sprintf("%d %d\n", i, n))
			}
			p.exit()
			done <- true
		}()
	}
	for range processes {
		<-done
	}
	f.flush(t)
	names, err := os.ReadDir(f.opts.LogDir)
	if err != nil {
		t.Fatal(err)
	}
	var next [processes]int
	for i := len(names) - 1; i >= 0; i-- {
		name := "j.log"
		if i > 0 {
			name += fmt.Sprint(".", i)
		}
		text := f.file(name)
		if len(text) > 40_000 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			var p, n int
			if _, err := fmt.Sscanf(l, "%d %d", &p, &n); err != nil || n != next[p] {
				t.Fatalf("%s: line %q, want number %d", name, l, next[p])
			}
			next[p]++
		}
	}
	if next != [processes]int{lines, lines, lines} {
		t.Errorf("lines found: %v", next)
	}
}

func TestRotationThatDoesNotWorkLosesNothing(t *testing.T) {
	f := fileFixture(t, Options{LogMaxSize: 20, LogFiles: 2})
	if err := os.MkdirAll(f.opts.LogDir+"/j.log.1/in-the-way", 0o755); err != nil {
		t.Fatal(err)
	}
	p := openProcess(t, f.Console, "j", "")
	var want strings.Builder
	for i := range 20 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	p.out(want.String())
	f.flush(t)
	if got := f.file("j.log"); got != want.String() {
		t.Errorf("log file has %q", got)
	}
	eventually(t, "a warning", func() bool { return strings.Contains(f.err.String(), "cannot rotate log file") })
}

func TestLateOutputIsKept(t *testing.T) {
	f := newFixture(t, Options{LogDir: t.TempDir()})
	p := openProcess(t, f.Console, "j", "")
	child, err := unix.FcntlInt(uintptr(p.fds[stdout]), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	p.out("main\n")
	p.exit()
	f.out.wants(t, "j | main\n")
	if _, err := unix.Write(child, []byte("child\nend")); err != nil {
		t.Fatal(err)
	}
	f.out.wants(t, "j | main\nj | child\n")
	unix.Close(child)
	f.out.wants(t, "j | main\nj | child\nj | end\n")
	f.flush(t)
	if got := f.file("j.log"); got != "main\nchild\nend" {
		t.Errorf("log file has %q", got)
	}
}
