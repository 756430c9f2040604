package child

import (
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/test/need"
)

// result is what a process of a job has done.
type result struct {
	out     string
	status  syscall.WaitStatus
	skipped []*Error
	failed  *Error
	direct  bool
	pid     int
}

// run starts main of a class and waits for its end.
func run(t testing.TB, c *jobs.Class, env environ.Env, o Options) result {
	t.Helper()
	var r result
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	o.Stdin, o.Stdout, o.Stderr = -1, pipe[1], pipe[1]
	s := New(c, jobs.Main, env, o)
	r.direct = s.direct()
	st, failed := Start(s, func(fork func() (int, error)) (int, error) { return fork() })
	unix.Close(pipe[1])
	if failed != nil {
		unix.Close(pipe[0])
		r.failed = failed
		return r
	}
	r.pid = st.PID
	r.skipped, r.failed = st.Wait()
	f := os.NewFile(uintptr(pipe[0]), "output")
	out, _ := io.ReadAll(f)
	f.Close()
	r.out = string(out)
	if _, err := syscall.Wait4(st.PID, &r.status, 0, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func class(text string, script bool, set ...func(*jobs.Class)) *jobs.Class {
	c := jobs.NewClass("test")
	c.Processes[jobs.Main] = &jobs.Command{Text: text, Script: script}
	for _, f := range set {
		f(c)
	}
	return c
}

var path = environ.Env{"PATH=" + DefaultPath}

func ptr(n int) *int { return &n }

func root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		need.Skip(t, "needs root")
	}
}

func TestOutput(t *testing.T) {
	nice := func(c *jobs.Class) { c.Nice = ptr(3) }
	long := "echo " + strings.Repeat("x", 200_000) + " | wc -c"
	tests := []struct {
		name   string
		class  *jobs.Class
		env    environ.Env
		direct bool
		want   string
	}{
		{"direct", class("echo a  b", false), path, true, "a b\n"},
		{"shell for exec", class("echo $0 'a  b'", false), path, true, "/bin/sh a  b\n"},
		{"one line script", class("echo $0; echo b\n", true), path, true, "/bin/sh\nb\n"},
		{"script of lines", class("echo $0\nls /proc/self/fd/9 >/dev/null 2>&1 || echo closed\n", true), path, true, "/proc/self/fd/9\nclosed\n"},
		{"script longer than a pipe", class(strings.Repeat(": filler that does nothing at all\n", 9000)+"echo end\n", true), path, true, "end\n"},
		{"one line longer than an argument", class(long, true), path, true, "200001\n"},
		{"session of its own", class("test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo leader", true), path, true, "leader\n"},
		{"directory", class("pwd", false), path, true, "/\n"},
		{"chdir", class("pwd", false, func(c *jobs.Class) { c.Chdir = "/usr" }), path, true, "/usr\n"},
		{"umask", class("umask", true), path, true, "0022\n"},
		{"umask set", class("umask", true, func(c *jobs.Class) { c.Umask = 0o77 }), path, false, "0077\n"},
		{"nice", class("nice", false, nice), path, false, "3\n"},
		{"second stage, script", class("echo a\necho b\n", true, nice), path, false, "a\nb\n"},
		{"oom", class("cat /proc/self/oom_score_adj", false, func(c *jobs.Class) { c.OOMScore = ptr(321) }), path, false, "321\n"},
		{"limit", class("ulimit -c; ulimit -n", true, func(c *jobs.Class) {
			c.Limits = []jobs.Limit{{Resource: unix.RLIMIT_NOFILE, Name: "nofile", Soft: 77, Hard: 99}, {Resource: unix.RLIMIT_CORE, Name: "core"}}
		}), path, false, "0\n77\n"},
		{"environment", class("env", false), environ.Env{"PATH=" + DefaultPath, "A=", "B=x\ny", "C=100%d"}, true, "PATH=" + DefaultPath + "\nA=\nB=x\ny\nC=100%d\n"},
		{"environment, second stage", class("env", false, nice), environ.Env{"PATH=" + DefaultPath, "A=", "B=x\ny\xff", "GODEBUG=x"}, false, "PATH=" + DefaultPath + "\nA=\nB=x\ny\xff\nGODEBUG=x\n"},
		{"no PATH", class("echo x", false), nil, true, "x\n"},
		{"relative PATH", class("echo x", false), environ.Env{"PATH=bin:/bin"}, true, "x\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, tt.class, tt.env, Options{})
			if got.failed != nil || got.status != 0 {
				t.Fatalf("status %v, error %v, output %.200q", got.status, got.failed, got.out)
			}
			if got.out != tt.want {
				t.Errorf("output %.200q, want %.200q", got.out, tt.want)
			}
			if got.direct != tt.direct {
				t.Errorf("direct = %v, want %v", got.direct, tt.direct)
			}
		})
	}
}

func TestNoDescriptorOfOurs(t *testing.T) {
	for name, set := range map[string]func(*jobs.Class){
		"direct":       func(*jobs.Class) {},
		"second stage": func(c *jobs.Class) { c.Nice = ptr(1) },
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, class("ls /proc/self/fd", false, set), path, Options{FDs: []int{2, 2}})
			if want := "0\n1\n2\n3\n4\n5\n"; got.out != want { // 5 is ls's own
				t.Errorf("descriptors %q, want %q", got.out, want)
			}
		})
	}
}

func TestSignalsAreDefault(t *testing.T) {
	// Ignored by whoever has started us, these stay so until they are subscribed to,
	// which the program does first of all.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGHUP, unix.SIGINT)
	defer signal.Stop(caught)
	for _, staged := range []bool{false, true} {
		c := class("cat /proc/self/status", false)
		if staged {
			c.Nice = ptr(1)
		}
		got := run(t, c, path, Options{})
		zero := strings.Repeat("0", 16)
		for _, set := range []string{"SigBlk", "SigIgn", "SigCgt"} {
			if want := set + ":\t" + zero + "\n"; !strings.Contains(got.out, want) {
				t.Errorf("staged %v: no %q in %q", staged, want, got.out)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	root(t)
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/plain", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/interp", []byte("#!/no/such\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		class  *jobs.Class
		want   string
		status int
	}{
		{"not found", class("no-such-program a", false), "main: cannot execute no-such-program: no such file or directory", 127},
		{"not executable", class(dir+"/plain", false), "main: cannot execute " + dir + "/plain: permission denied", 126},
		{"no interpreter", class(dir+"/interp", false), "main: cannot execute " + dir + "/interp: no such file or directory (its interpreter or dynamic loader is missing)", 127},
		{"chdir", class("true", false, func(c *jobs.Class) { c.Chdir = "/no/such" }), "main: cannot change directory to /no/such: no such file or directory", 1},
		{"chroot", class("true", false, func(c *jobs.Class) { c.Chroot = "/no/such" }), "main: cannot change root to /no/such: no such file or directory", 1},
		{"chroot without shell", class("a;b", true, func(c *jobs.Class) { c.Chroot = dir }), "main: cannot execute /bin/sh: no such file or directory (a script, or an exec with any of " + shellCharacters + " in it, needs a shell, and this image has none)", 127},
		{"user", class("true", false, func(c *jobs.Class) { c.SetUID = "nosuch" }), "main: cannot find user nosuch: no such user in /etc/passwd", 1},
		{"user in chroot", class("true", false, func(c *jobs.Class) { c.SetUID = "root"; c.Chroot = dir }), "main: cannot find user root: no /etc/passwd to look it up in; use a number", 1},
		{"group", class("true", false, func(c *jobs.Class) { c.SetGID = "nosuch" }), "main: cannot find group nosuch: no such group in /etc/group", 1},
		{"terminal", class("true", false, func(c *jobs.Class) { c.Console = jobs.ConsoleOwner }), "main: cannot take the terminal: inappropriate ioctl for device", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, tt.class, path, Options{Terminal: tt.class.Console == jobs.ConsoleOwner})
			if got.failed == nil {
				t.Fatalf("no error; status %v, output %q", got.status, got.out)
			}
			if text := got.failed.Error(); text != tt.want {
				t.Errorf("error %q, want %q", text, tt.want)
			}
			if status := got.failed.Status(); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
		})
	}
}

func TestNoExecFormatRunsByShell(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(file, []byte("echo ran $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := run(t, class(file+" x", false), path, Options{}); got.out != "ran x\n" {
		t.Errorf("%q, %v, want %q", got.out, got.failed, "ran x\n")
	}
}

func TestUser(t *testing.T) {
	root(t)
	text := "echo $(id -u) $(id -g) $(id -G) $HOME $USER"
	daemon := func(c *jobs.Class) { c.SetUID = "daemon" }
	outer := append(environ.Env{"HOME=/root", "USER=root"}, path...)
	tests := []struct {
		name  string
		class *jobs.Class
		env   environ.Env
		want  string
	}{
		{"name", class(text, true, daemon), outer, "1 1 1 /usr/sbin daemon\n"},
		{"second stage", class(text, true, daemon, func(c *jobs.Class) { c.Umask = 0 }), outer, "1 1 1 /usr/sbin daemon\n"},
		{"lines", class(text+"\n:\n", true, daemon), outer, "1 1 1 /usr/sbin daemon\n"},
		{"env stanza wins", class(text, true, daemon, func(c *jobs.Class) { c.Env = []string{"HOME=/root"} }), outer, "1 1 1 /root daemon\n"},
		{"argument wins", class(text, true, daemon), outer.Set("HOME=/x"), "1 1 1 /x daemon\n"},
		{"number", class(text, true, func(c *jobs.Class) { c.SetUID = "1" }), outer, "1 1 1 /usr/sbin daemon\n"},
		{"unknown number", class(text, true, func(c *jobs.Class) { c.SetUID = "54321"; c.SetGID = "54322" }), outer, "54321 54322 54322 / root\n"},
		{"group", class(text, true, daemon, func(c *jobs.Class) { c.SetGID = "bin" }), outer, "1 2 2 /usr/sbin daemon\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, tt.class, tt.env, Options{Base: outer})
			if got.out != tt.want {
				t.Errorf("%q, error %v, want %q", got.out, got.failed, tt.want)
			}
		})
	}
}

func TestDirectCostsNoSecondStage(t *testing.T) {
	s := New(class("true", false), jobs.Main, path, Options{Stdin: -1, Stdout: -1, Stderr: -1})
	st, err := Start(s, func(fork func() (int, error)) (int, error) { return fork() })
	if err != nil {
		t.Fatal(err)
	}
	if !st.Execed() {
		t.Error("a plain job went through the second stage")
	}
	var ws syscall.WaitStatus
	syscall.Wait4(st.PID, &ws, 0, nil)
}

func BenchmarkBareForkExec(b *testing.B) {
	b.ReportAllocs()
	attr := &syscall.ProcAttr{Dir: "/", Env: path, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true}}
	for b.Loop() {
		pid, err := syscall.ForkExec("/bin/true", []string{"true"}, attr)
		if err != nil {
			b.Fatal(err)
		}
		var ws syscall.WaitStatus
		syscall.Wait4(pid, &ws, 0, nil)
	}
}

func benchmarkStart(b *testing.B, c *jobs.Class) {
	b.ReportAllocs()
	for b.Loop() {
		s := New(c, jobs.Main, path, Options{Stdin: -1, Stdout: 1, Stderr: 2})
		st, err := Start(s, func(fork func() (int, error)) (int, error) { return fork() })
		if err != nil {
			b.Fatal(err)
		}
		if _, err := st.Wait(); err != nil {
			b.Fatal(err)
		}
		var ws syscall.WaitStatus
		syscall.Wait4(st.PID, &ws, 0, nil)
	}
}

func BenchmarkDirect(b *testing.B) { benchmarkStart(b, class("/bin/true", false)) }

func BenchmarkSecondStage(b *testing.B) {
	benchmarkStart(b, class("/bin/true", false, func(c *jobs.Class) { c.Nice = ptr(0) }))
}
