package child

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/test/need"
)

// aloneEnv names the test that a copy of the test binary runs.
const aloneEnv = "CHILD_TEST_ALONE"

// alone runs the calling test in a copy of the test binary, which change prepares,
// and says whether this is that copy.
func alone(t *testing.T, change func(*exec.Cmd)) bool {
	t.Helper()
	if os.Getenv(aloneEnv) == t.Name() {
		return true
	}
	// A copy that every user may execute.
	file := filepath.Join(os.TempDir(), "tend-child-test-"+strconv.Itoa(os.Getpid()))
	b, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(file, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file)
	cmd := exec.Command(file, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), aloneEnv+"="+t.Name())
	cmd.Dir = "/"
	change(cmd)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "=== RUN") && !strings.HasPrefix(line, "PASS") {
			t.Log(strings.TrimRight(line, "\n"))
		}
	}
	if err != nil {
		if strings.Contains(err.Error(), "not permitted") {
			need.Skip(t, "%v", err)
		}
		t.Errorf("the copy: %v", err)
	}
	return false
}

// withShell has a shell do something before it becomes the copy.
func withShell(script string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"sh", "-c", script + `; exec "$0" "$@"`}, cmd.Args...)
		cmd.Path = "/bin/sh"
	}
}

func TestJobsGetTheContainersFileLimit(t *testing.T) {
	if !alone(t, withShell("ulimit -Sn 333")) {
		return
	}
	var own syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	if own.Cur == 333 {
		t.Error("the runtime has not raised its own limit, so this shows nothing")
	}
	for _, staged := range []bool{false, true} {
		c := class("ulimit -Sn; ulimit -Hn", true)
		if staged {
			c.Nice = ptr(1)
		}
		if got, want := run(t, c, path, Options{}), fmt.Sprintf("333\n%d\n", own.Max); got.out != want {
			t.Errorf("staged %v: %q, want %q", staged, got.out, want)
		}
	}
	// One that a job sets itself stays.
	c := class("ulimit -Sn; ulimit -Hn", true)
	c.Limits = []jobs.Limit{{Resource: unix.RLIMIT_NOFILE, Name: "nofile", Soft: 222, Hard: own.Max}}
	if got, want := run(t, c, path, Options{}), fmt.Sprintf("222\n%d\n", own.Max); got.out != want {
		t.Errorf("limit of the job: %q, want %q", got.out, want)
	}
}

func TestUnprivileged(t *testing.T) {
	if os.Getenv(aloneEnv) == "" {
		root(t)
	}
	if !alone(t, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4321, Gid: 4322}}
	}) {
		return
	}
	const notRoot = " (tend runs as uid 4321, and only root can become another user)"
	tests := []struct {
		name    string
		class   *jobs.Class
		out     string
		failed  string
		skipped string
	}{
		{name: "plain", class: class("id -u", false), out: "4321\n"},
		{name: "oneself", class: class("id -u", false, func(c *jobs.Class) { c.SetUID = "4321" }), out: "4321\n"},
		{name: "oneself, staged", class: class("id -u", false, func(c *jobs.Class) { c.SetUID = "4321"; c.SetGID = "4322"; c.Umask = 0 }), out: "4321\n"},
		{name: "another", class: class("id -u", false, func(c *jobs.Class) { c.SetUID = "daemon"; c.SetGID = "4322" }), failed: "main: cannot become user daemon: operation not permitted" + notRoot},
		{name: "another group", class: class("id -u", false, func(c *jobs.Class) { c.SetGID = "daemon" }), failed: "main: cannot become group daemon: operation not permitted" + notRoot},
		{name: "nice", class: class("echo x", false, func(c *jobs.Class) { c.Nice = ptr(-5) }), out: "x\n", skipped: "main: cannot set nice to -5: permission denied (lowering it needs the capability SYS_NICE; left as it is)"},
		{name: "oom", class: class("echo x", false, func(c *jobs.Class) { c.OOMScore = ptr(-500) }), out: "x\n", skipped: "main: cannot set oom score to -500: permission denied (lowering it needs the capability SYS_RESOURCE; left as it is)"},
		{name: "chroot", class: class("echo x", false, func(c *jobs.Class) { c.Chroot = "/" }), failed: "main: cannot change root to /: operation not permitted (needs the capability SYS_CHROOT)"},
		{name: "cgroup", class: class("echo x", false, func(c *jobs.Class) { c.CGroups = []jobs.CGroup{{Controller: "cpu", Name: "a"}} }), out: "x\n", skipped: "main: cannot use cgroup cpu a: permission denied (control groups are not delegated to this container; left out)"},
		{name: "script of lines", class: class("echo x\necho y\n", true), out: "x\ny\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, tt.class, path, Options{CGroups: tt.class.CGroups})
			failed, skipped := "", ""
			if got.failed != nil {
				failed = got.failed.Error()
			}
			if len(got.skipped) > 0 {
				skipped = got.skipped[0].Error()
			}
			if got.out != tt.out || failed != tt.failed || skipped != tt.skipped {
				t.Errorf("output %q, error %q, left out %q; want %q, %q, %q", got.out, failed, skipped, tt.out, tt.failed, tt.skipped)
			}
		})
	}
	c := class("true", false)
	var hard syscall.Rlimit
	syscall.Getrlimit(unix.RLIMIT_NOFILE, &hard)
	c.Limits = []jobs.Limit{{Resource: unix.RLIMIT_NOFILE, Name: "nofile", Soft: hard.Max + 1, Hard: hard.Max + 1}}
	want := fmt.Sprintf("main: cannot set limit nofile to %d: operation not permitted (hard limit is %d)", hard.Max+1, hard.Max)
	if got := run(t, c, path, Options{}); got.failed == nil || got.failed.Error() != want {
		t.Errorf("limit: %v, want %s", got.failed, want)
	}
}

func TestInheritedDescriptorsAndUPSTART_FDS(t *testing.T) {
	for _, text := range []string{"echo $UPSTART_FDS; for i in 3 4 5 6 7 8 10 11; do cat /proc/self/fd/$i; done", "echo $UPSTART_FDS\nfor i in 3 4 5 6 7 8 10 11; do cat /proc/self/fd/$i; done\n"} {
		var fds []int
		for i := range 9 {
			fd, err := memoryFile("fd", []byte(fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			fds = append(fds, fd)
		}
		c := class(text, true)
		got := run(t, c, path, Options{FDs: fds})
		want := "3 4 5 6 7 8 9 10 11\n01234578"
		if strings.Contains(text, "\n") {
			want = "3 4 5 6 7 8 10 11 12\n01234567"
		}
		if got.out != want {
			t.Errorf("%q, %v, want %q", got.out, got.failed, want)
		}
	}
}

func TestWithoutProcAndNull(t *testing.T) {
	root(t)
	if !alone(t, func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS} }) {
		return
	}
	for _, dir := range []string{"/dev", "/proc"} {
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := run(t, class("echo $0\nread x || echo end of file\n", true), path, Options{}); got.out != "/bin/sh\nend of file\n" {
		t.Errorf("script: %q, %v", got.out, got.failed)
	}
	s := New(class("true", false), jobs.Main, path, Options{Stdin: -1, Stdout: -1, Stderr: -1})
	_, err := Start(s, func(fork func() (int, error)) (int, error) { return fork() })
	if want := "main: cannot open /dev/null: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("no /dev/null: %v, want %s", err, want)
	}
}

func TestChroot(t *testing.T) {
	root(t)
	if f, err := elf.Open("/proc/self/exe"); err != nil {
		t.Fatal(err)
	} else if libraries, _ := f.ImportedLibraries(); len(libraries) > 0 {
		t.Skipf("with the race detector this program needs %v, which the new root has not", libraries)
	}
	dir := t.TempDir()
	for _, d := range []string{"", "/..", "/bin", "/etc", "/home"} {
		os.Mkdir(dir+d, 0o755)
		os.Chmod(dir+d, 0o755)
	}
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(dir+"/bin/"+showName, b, 0o755)
	os.WriteFile(dir+"/etc/passwd", []byte("inner:x:777:778::/home:\n"), 0o644)
	os.WriteFile(dir+"/etc/group", []byte("inner:x:778:\nmore:x:779:inner\n"), 0o644)
	c := class(showName, false, func(c *jobs.Class) {
		c.Chroot, c.Chdir, c.SetUID = dir, "/home", "inner"
	})
	got := run(t, c, path, Options{})
	if want := "uid 777 gid 778 groups [778 779] home /home shell /bin/sh directory /home\n"; got.out != want {
		t.Errorf("%q, %v, want %q", got.out, got.failed, want)
	}
}

// A limit on pending signals does not keep the second stage from becoming another user.
func TestNoPendingSignals(t *testing.T) {
	root(t)
	c := class("id -u; id -G; grep -c 'pending signals  *0  *0' /proc/self/limits", true, func(c *jobs.Class) {
		c.SetUID, c.SetGID = "4321", "4322"
		c.Limits = []jobs.Limit{{Resource: 11, Name: "sigpending"}}
	})
	if got := run(t, c, path, Options{}); got.out != "4321\n4322\n1\n" {
		t.Errorf("%q, %v", got.out, got.failed)
	}
}

func TestNoAppArmor(t *testing.T) {
	if _, err := os.Stat("/sys/module/apparmor"); err == nil {
		t.Skip("this kernel has AppArmor")
	}
	got := run(t, class("echo x", false), path, Options{AppArmor: "strict"})
	if got.out != "x\n" || len(got.skipped) != 1 ||
		got.skipped[0].Error() != "main: cannot switch to AppArmor profile strict: this kernel has no AppArmor; the job runs unconfined" {
		t.Errorf("output %q, %v, left out %v", got.out, got.failed, got.skipped)
	}
}

// Where control groups may be made a job gets its own, with the key set and in the hands of
// its user.
func TestControlGroup(t *testing.T) {
	root(t)
	name := "tend-child-test-" + strconv.Itoa(os.Getpid())
	c := class("grep :memory: /proc/self/cgroup", true, func(c *jobs.Class) {
		c.SetUID = "4321"
		c.CGroups = []jobs.CGroup{{Controller: "memory", Name: name, Key: "limit_in_bytes", Value: "67108864"}}
	})
	var g cgroups
	g.open(c.CGroups)
	dir := cgroupRoot + "/" + g.base("memory") + "/" + name
	unix.Close(g.root)
	t.Cleanup(func() {
		for end := time.Now().Add(10 * time.Second); os.Remove(dir) != nil && time.Now().Before(end); {
			<-time.After(10 * time.Millisecond)
		}
	})
	got := run(t, c, path, Options{CGroups: c.CGroups})
	if len(got.skipped) > 0 {
		need.Skip(t, "%v", got.skipped[0])
	}
	if !strings.HasSuffix(got.out, "/"+name+"\n") {
		t.Errorf("the process is in %q, %v, want the group %s", got.out, got.failed, name)
	}
	if limit, err := os.ReadFile(dir + "/memory.limit_in_bytes"); string(limit) != "67108864\n" {
		t.Errorf("the limit is %q, %v", limit, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil || st.Uid != 4321 {
		t.Errorf("the group belongs to %d, %v, want 4321", st.Uid, err)
	}
}

func TestDebugStopsBeforeExec(t *testing.T) {
	c := class("true", false)
	c.Debug = true
	s := New(c, jobs.Main, path, Options{Stdin: -1, Stdout: -1, Stderr: -1, Debug: true})
	st, e := Start(s, func(fork func() (int, error)) (int, error) { return fork() })
	if e != nil {
		t.Fatal(e)
	}
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(st.PID, &ws, syscall.WUNTRACED, nil); err != nil || !ws.Stopped() {
		t.Fatalf("status %v, %v, want a stop", ws, err)
	}
	syscall.Kill(st.PID, syscall.SIGCONT)
	if _, err := st.Wait(); err != nil {
		t.Error(err)
	}
	syscall.Wait4(st.PID, &ws, 0, nil)
	if ws != 0 {
		t.Errorf("status %v", ws)
	}
}

func TestKilledSecondStageIsNoSuccess(t *testing.T) {
	c := class("true", false)
	c.Debug = true
	s := New(c, jobs.Main, path, Options{Stdin: -1, Stdout: -1, Stderr: -1, Debug: true})
	st, e := Start(s, func(fork func() (int, error)) (int, error) { return fork() })
	if e != nil {
		t.Fatal(e)
	}
	var ws syscall.WaitStatus
	syscall.Wait4(st.PID, &ws, syscall.WUNTRACED, nil)
	syscall.Kill(st.PID, syscall.SIGKILL)
	if _, err := st.Wait(); err == nil || err.Status() != 126 {
		t.Errorf("a second stage that was killed: %v, want an error", err)
	}
	syscall.Wait4(st.PID, &ws, 0, nil)
}

// A table of users that cannot be read is not taken for one that is not there.
func TestUnreadableUsers(t *testing.T) {
	for _, tt := range []struct {
		text string
		err  error
		want string
	}{
		{"", unix.ENOENT, "main: cannot find user u: no /etc/passwd to look it up in; use a number"},
		{"", nil, "main: cannot find user u: no /etc/passwd to look it up in; use a number"},
		{"x", nil, "main: cannot find user u: no such user in /etc/passwd"},
		{"", unix.EACCES, "main: cannot find user u: permission denied (/etc/passwd)"},
		{"", unix.EMFILE, "main: cannot find user u: too many open files (/etc/passwd)"},
	} {
		if got := missing(StageUser, "u", passwdFile, tt.text, tt.err).Error(); got != tt.want {
			t.Errorf("missing(%q, %v) = %q, want %q", tt.text, tt.err, got, tt.want)
		}
	}
	if !scarce(unix.EMFILE) || scarce(unix.ENOENT) || scarce(nil) {
		t.Error("scarce does not tell EMFILE from ENOENT")
	}
}

func TestForkFailure(t *testing.T) {
	s := New(class("true", false), jobs.Main, path, Options{Stdin: -1, Stdout: -1, Stderr: -1})
	for range 2 {
		_, err := Start(s, func(func() (int, error)) (int, error) { return 0, unix.EAGAIN })
		if want := "main: cannot fork: resource temporarily unavailable (is the pids limit of the container or a limit nproc reached?)"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		s.Nice = ptr(1)
	}
}

// Starts and failures of all kinds leave no descriptor, goroutine or thread.
func TestNothingLeaks(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	count := func() string {
		fds, _ := os.ReadDir("/proc/self/fd")
		return fmt.Sprintf("%d descriptors, %d goroutines", len(fds), runtime.NumGoroutine())
	}
	staged := func(c *jobs.Class) { c.Nice = ptr(1) }
	classes := []*jobs.Class{
		class("true", false), class("true\ntrue\n", true), class("true", false, staged), class("true\ntrue\n", true, staged),
		class("/no/such", false), class("true", false, func(c *jobs.Class) { c.Chdir = "/no" }), class("true", false, func(c *jobs.Class) { c.SetUID = "no" }),
	}
	var before string
	for i := range rounds {
		for _, c := range classes {
			startAndForget(t, c)
		}
		if i == 1 {
			before = count()
		}
	}
	if after := count(); after != before {
		t.Errorf("%s, then %s", before, after)
	} else {
		t.Logf("%d starts: %s", rounds*len(classes), after)
	}
}

// startAndForget runs main of a class without looking at what it does.
func startAndForget(t *testing.T, c *jobs.Class) {
	t.Helper()
	s := New(c, jobs.Main, path, Options{Stdin: -1, Stdout: -1, Stderr: -1})
	st, err := Start(s, func(fork func() (int, error)) (int, error) { return fork() })
	if err != nil {
		return
	}
	st.Wait()
	syscall.Wait4(st.PID, nil, 0, nil)
}

func TestNotify(t *testing.T) {
	n, err := NewNotify()
	if err != nil {
		t.Fatal(err)
	}
	send := func(text string, rights ...int) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		var oob []byte
		if len(rights) > 0 {
			oob = unix.UnixRights(rights...)
		}
		if err := unix.Sendmsg(fd, []byte(text), oob, &unix.SockaddrUnix{Name: n.Name}, 0); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		text string
		want Message
	}{
		{"READY=1", Message{Ready: true}},
		{"READY=1\nSTATUS=all well = good\nMAINPID=77\n", Message{Ready: true, Status: "all well = good", MainPID: 77}},
		{"READY=0\nMAINPID=1\nMAINPID=x\nFOO", Message{}},
		{"STOPPING=1", Message{Stopping: true}},
		{"", Message{}},
	}
	for _, tt := range tests {
		send(tt.text, 0, 1)
		got, err := n.Receive()
		tt.want.PID, tt.want.UID = os.Getpid(), os.Getuid()
		if err != nil || got != tt.want {
			t.Errorf("Receive %q = %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
	n.Close()
	if _, err := n.Receive(); err == nil {
		t.Error("Receive after Close gave no error")
	}
}

// BenchmarkRatio tells how much more than a bare fork and exec a start costs: it
// takes turns, so that a busy machine slows both.
func BenchmarkRatio(b *testing.B) {
	bare := func() {
		attr := &syscall.ProcAttr{Dir: "/", Env: path, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true}}
		pid, err := syscall.ForkExec("/bin/true", []string{"true"}, attr)
		if err != nil {
			b.Fatal(err)
		}
		syscall.Wait4(pid, nil, 0, nil)
	}
	start := func(c *jobs.Class) func() {
		return func() {
			s := New(c, jobs.Main, path, Options{Stdin: -1, Stdout: 1, Stderr: 2})
			st, err := Start(s, func(fork func() (int, error)) (int, error) { return fork() })
			if err != nil {
				b.Fatal(err)
			}
			st.Wait()
			syscall.Wait4(st.PID, nil, 0, nil)
		}
	}
	ways := []func(){bare, start(class("/bin/true", false)), start(class("/bin/true", false, func(c *jobs.Class) { c.Nice = ptr(0) }))}
	var least [3]int64
	for b.Loop() {
		for i, way := range ways {
			began := now()
			way()
			if took := now() - began; least[i] == 0 || took < least[i] {
				least[i] = took
			}
		}
	}
	b.ReportMetric(float64(least[1])/float64(least[0]), "direct/bare")
	b.ReportMetric(float64(least[2])/float64(least[0]), "staged/bare")
}

func now() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}
