package fault

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// service is a job that runs until it is stopped.
const service = "start on startup\nexec sleep 1000\n"

// hostile is an environment that would steer a Go program.
var hostile = []string{"GOMAXPROCS=64", "GODEBUG=schedtrace=0,madvdontneed=1", "GOGC=1", "GOTRACEBACK=crash"}

// limited starts tend in a pids group and lets it have no more than it has.
func limited(t *testing.T, jobs map[string]string) (ct *container, group string) {
	t.Helper()
	group = cgroup(t, "pids")
	ct = start(t, config{cgroup: group, env: hostile, jobs: jobs, args: []string{"--idle", "stay"}})
	ct.running("first")
	limit(t, group, 0)
	return ct, group
}

// limit lets a pids group have so many more than it has.
func limit(t *testing.T, group string, more int) {
	t.Helper()
	text, err := os.ReadFile(group + "/pids.current")
	must(t, err)
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	set(t, group, "pids.max", n+more)
}

func TestPidsLimit(t *testing.T) {
	ct, group := limited(t, map[string]string{"first": service, "late": "exec sleep 1000\n", "staged": "umask 077\nexec sleep 1000\n"})
	before := ct.threads()
	for _, job := range []string{"late", "staged"} {
		ct.ctl("start", "--no-wait", job)
	}
	ct.says("late: cannot start main process")
	ct.says("staged: cannot start main process")
	ct.signal(unix.SIGHUP)
	limit(t, group, 20)
	ct.running("late")
	ct.running("staged")
	if got := ct.threads(); got != before {
		t.Errorf("%d threads, want %d as before", got, before)
	}
	ct.wantStop()
}

// A pids limit that is too low for tend itself is said before anything else, as it may be
// the end.
func TestPidsLimitTooLow(t *testing.T) {
	group := cgroup(t, "pids")
	confdir := t.TempDir()
	must(t, os.WriteFile(confdir+"/first.conf", []byte("start on startup\nexec true\n"), 0o644))
	for _, limit := range []int{10, 14} {
		set(t, group, "pids.max", limit)
		cmd := exec.Command("/bin/sh", "-c", "echo 0 >"+group+"/cgroup.procs; exec \"$@\"", "sh",
			need.Tend(t), "--confdir", confdir, "--boot", "none", "--idle", "exit")
		var out output
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.WaitDelay = time.Second
		timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		err := cmd.Run()
		if !timer.Stop() {
			t.Fatalf("limit %d: it hangs\n%s", limit, &out)
		}
		first, _, _ := strings.Cut(out.String(), "\n")
		if !strings.HasPrefix(first, "tend | the pids limit leaves ") || !strings.HasSuffix(first, "(allow 16 or more)") {
			t.Errorf("limit %d: the first line is %q (%v)", limit, first, err)
		}
	}
}

// A service whose set-up needs more than a fork comes back when the room is enough for its
// process but not for the threads of its second stage, however often that is so.
func TestSecondStageAtPidsLimit(t *testing.T) {
	group := cgroup(t, "pids")
	ct := start(t, config{cgroup: group, env: hostile, args: []string{"--idle", "stay"}, jobs: map[string]string{
		"first": service, "nice": "start on startup\nrespawn\nnice 5\nexec sleep 1000\n",
	}})
	ct.running("first")
	old := ct.running("nice")
	before := ct.threads()
	for more := range 4 {
		limit(t, group, more)
		ct.inside("kill", "-KILL", strconv.Itoa(old))
		if more == 0 {
			ct.says("nice: cannot start main process: cannot fork: resource temporarily unavailable (is the pids limit")
		}
		ct.eventually("the end of the old process", func() bool { return ct.main("nice") != old })
		limit(t, group, 20)
		old = ct.running("nice")
	}
	if got := ct.threads(); got != before {
		t.Errorf("%d threads, want %d as before", got, before)
	}
	ct.wantStop()
}

// injected makes every fork of tend fail with an error, as the kernel does without
// memory, until stop is called. A thread that tend would make would fail as well.
func (ct *container) injected(errno string) (stop func()) {
	ct.t.Helper()
	need.Program(ct.t, "strace")
	const calls = "clone,clone3,fork,vfork"
	var says output
	cmd := exec.Command("strace", "-f", "-p", strconv.Itoa(ct.pid), "-e", "trace="+calls, "-e", "inject="+calls+":error="+errno)
	cmd.Stderr = &says
	must(ct.t, cmd.Start())
	ct.eventually("strace at each thread", func() bool {
		tracers, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", ct.pid))
		n := 0
		for _, file := range tracers {
			if text, _ := os.ReadFile(file); strings.Contains(string(text), fmt.Sprintf("\nTracerPid:\t%d\n", cmd.Process.Pid)) {
				n++
			}
		}
		return n == len(tracers)
	})
	return func() {
		ct.t.Helper()
		must(ct.t, cmd.Process.Signal(unix.SIGTERM))
		_ = cmd.Wait()
		if !strings.Contains(says.String(), errno) {
			ct.t.Errorf("nothing has failed with %s:\n%s", errno, &says)
		}
	}
}

// Without memory for a fork a start is tried again, whatever kind it is of, nothing
// that runs is given up, and control answers.
func TestNoMemoryForFork(t *testing.T) {
	ct := start(t, config{env: hostile, args: []string{"--idle", "stay"}, jobs: map[string]string{
		"first": service, "comes-back": "start on startup\nrespawn\nexec sleep 1000\n",
		"late": "exec sleep 1000\n", "staged": "umask 077\nexec sleep 1000\n", "hooked": "pre-start exec true\nexec sleep 1000\n",
		"never": "exec sleep 1000\n",
	}})
	first, old := ct.running("first"), ct.running("comes-back")
	before := ct.threads()
	stop := ct.injected("ENOMEM")
	for _, job := range []string{"late", "staged", "hooked", "never"} {
		ct.ctl("start", "--no-wait", job)
	}
	ct.inside("kill", "-KILL", strconv.Itoa(old))
	for _, says := range []string{"late: cannot start main", "staged: cannot start main", "hooked: cannot start pre-start", "comes-back: cannot start main"} {
		ct.says(says)
	}
	ct.says("cannot allocate memory")
	// A stop does not wait for memory.
	ct.ctl("stop", "never")
	ct.waiting("never")
	stop()
	for _, job := range []string{"late", "staged", "hooked", "comes-back"} {
		ct.running(job)
	}
	if got := ct.main("first"); got != first {
		t.Errorf("the first job has process %d, want %d", got, first)
	}
	if got := ct.threads(); got != before {
		t.Errorf("%d threads, want %d as before", got, before)
	}
	// Nor does the end.
	stop = ct.injected("ENOMEM")
	ct.ctl("start", "--no-wait", "never")
	ct.says("never: cannot start main")
	ct.wantStop()
	stop()
}

// A start that waits for a pid is overtaken by a stop, and nothing is started by it
// any more.
func TestStopOfWhatCannotBeForked(t *testing.T) {
	for name, job := range map[string]string{
		"killed at once": "kill timeout 0\nexec sleep 1000\n",
		"with patience":  "kill timeout 20\nexec sleep 1000\n",
		"in pre-start":   "pre-start exec sleep 1000\nexec sleep 1000\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ct, group := limited(t, map[string]string{"first": service, "late": job})
			before := ct.threads()
			ct.ctl("start", "--no-wait", "late")
			ct.says("late: cannot start")
			began := time.Now()
			ct.ctl("stop", "late")
			ct.waiting("late")
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("the stop took %v", took)
			}
			limit(t, group, 20)
			ct.ctl("start", "--no-wait", "late")
			ct.ctl("stop", "late")
			ct.waiting("late")
			if left := children(ct.pid); len(left) != 1 {
				t.Errorf("children %v, want that of the first job alone\n%s", left, &ct.out)
			}
			if got := ct.threads(); got != before {
				t.Errorf("%d threads, want %d as before", got, before)
			}
			ct.wantStop()
		})
	}
}

func TestShutdownAtPidsLimit(t *testing.T) {
	ct, _ := limited(t, map[string]string{
		"first": "start on startup\nkill timeout 1\npre-stop exec true\npost-stop exec true\nexec sleep 1000\n",
		"late":  "exec sleep 1000\n", "second": "start on startup\nrespawn\nexec sleep 1000\n",
	})
	before := ct.threads()
	ct.ctl("start", "--no-wait", "late")
	ct.says("late: cannot start")
	if got := ct.threads(); got != before {
		t.Errorf("%d threads, want %d as before", got, before)
	}
	ct.wantStop()
}

// A freeze in the middle of a kill timeout takes nothing from it.
func TestFreezeInKillTimeout(t *testing.T) {
	group := cgroup(t, "freezer")
	ct := start(t, config{cgroup: group, args: []string{"--idle", "stay"}, jobs: map[string]string{
		"slow": "start on startup\nkill timeout 4\nscript\ntrap 'echo 1 >@T@/termed; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2; done; echo 1 >@T@/clean; exit 0' TERM\necho 1 >@T@/up\nwhile :; do sleep 0.1; done\nend script\n",
	}})
	ct.file("up")
	// Nothing else may be due in the freeze.
	<-time.After(2 * time.Second)
	ct.ctl("stop", "--no-wait", "slow")
	ct.file("termed")
	before := ct.threads()
	set(t, group, "freezer.state", "FROZEN")
	frozen := 8 * time.Second
	if !testing.Short() {
		frozen = 30 * time.Second
	}
	<-time.After(frozen)
	set(t, group, "freezer.state", "THAWED")
	ct.waiting("slow")
	if _, err := os.Stat(ct.path("clean")); err != nil {
		t.Errorf("the job was not left the rest of its time: %v\n%s", err, &ct.out)
	}
	if got := ct.threads(); got != before {
		t.Errorf("%d threads, want %d as before", got, before)
	}
	ct.wantStop()
}

// A process that KILL does not end is named, and the stop ends at its deadline.
func TestUndyingProcess(t *testing.T) {
	group := cgroup(t, "freezer")
	ct := start(t, config{args: []string{"--stop-timeout", "3"}, jobs: map[string]string{
		"stuck": "start on startup\nkill timeout 1\nexec sleep 1000\n",
		"other": service,
	}})
	ct.running("stuck")
	ct.running("other")
	for _, pid := range children(ct.pid) {
		if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); strings.Contains(string(line), "UPSTART_JOB=stuck") {
			set(t, group, "cgroup.procs", pid)
		}
	}
	set(t, group, "freezer.state", "FROZEN")
	t.Cleanup(func() { set(t, group, "freezer.state", "THAWED") })
	ct.signal(unix.SIGTERM)
	ct.says("stopped in")
	log := ct.out.String()
	if !strings.Contains(log, "survived KILL: state D in ") && !strings.Contains(log, "does not end after KILL; going on without it (state D in ") {
		t.Errorf("the survivor is not named\n%s", log)
	}
	// PID 1 waits in the kernel for the frozen one.
	set(t, group, "freezer.state", "THAWED")
	if got := ct.wait(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, log)
	}
}

// A process of a job that is stopped and does not end after KILL is named, with what it
// is doing, and the stop is answered.
func TestStopOfUndyingProcess(t *testing.T) {
	group := cgroup(t, "freezer")
	ct := start(t, config{jobs: map[string]string{
		"main":  "start on startup\nkill timeout 0\nexec sleep 1000\n",
		"left":  "start on startup\nkill timeout 1\nscript\nsetsid sleep 2000 &\nexec sleep 1000\nend script\n",
		"other": service,
	}})
	main, other := ct.running("main"), ct.running("other")
	ct.running("left")
	frozen := 0
	ct.eventually("both processes", func() bool {
		frozen = 0
		for _, pid := range below(ct.pid) {
			env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if strings.Contains(string(env), "UPSTART_JOB=main") || string(line) == "sleep\x002000\x00" {
				set(t, group, "cgroup.procs", pid)
				frozen++
			}
		}
		return frozen == 2
	})
	set(t, group, "freezer.state", "FROZEN")
	t.Cleanup(func() { set(t, group, "freezer.state", "THAWED") })
	for _, job := range []string{"main", "left"} {
		ct.ctl("stop", job)
		ct.waiting(job)
	}
	for _, want := range []string{
		fmt.Sprintf("main: main process \\(%d\\) does not end after KILL; going on without it \\(state D in \\w+\\)", main),
		"left: processes that the job has left do not end after KILL; going on without them, sleep \\(\\d+\\) in state D in \\w+",
	} {
		if !regexp.MustCompile(want).MatchString(ct.out.String()) {
			t.Errorf("the log does not say %q\n%s", want, &ct.out)
		}
	}
	set(t, group, "freezer.state", "THAWED")
	ct.eventually("their end", func() bool { return len(children(ct.pid)) == 1 })
	if got := ct.main("other"); got != other {
		t.Errorf("the other job has process %d, want %d", got, other)
	}
	ct.wantStop()
}

// below lists the descendants of a process, as the test sees them.
func below(pid int) (pids []int) {
	for _, child := range children(pid) {
		pids = append(append(pids, child), below(child)...)
	}
	return pids
}

// Whatever is missing, jobs run, a stop is answered, and so is the end.
func TestMissingSurroundings(t *testing.T) {
	for _, tt := range []struct {
		name, before, redir string
		args                []string
		says                string // what is lost, if anything
	}{
		{name: "no proc", before: "umount -l /proc; mount -t tmpfs none /proc",
			says: "cannot list processes: read /proc/self: no such file or directory; what jobs leave behind is not found, so it is not stopped with its job"},
		// Root is shown all but what it may not trace.
		{name: "hidden proc", before: "mount -o remount,hidepid=2 /proc\nset -- setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace \"$@\""},
		{name: "read-only log directory", before: "mkdir @T@/log; mount -t tmpfs -o ro none @T@/log", args: []string{"--logdir", "@T@/log"},
			says: "noisy: cannot write to log file /run/t/log/noisy.log: read-only file system"},
		{name: "full log directory", before: "mkdir @T@/log; mount -t tmpfs -o size=4k none @T@/log; yes >@T@/log/fill || :", args: []string{"--logdir", "@T@/log"},
			says: "noisy: cannot write to log file /run/t/log/noisy.log: no space left on device"},
		{name: "no null device", before: "mount -t tmpfs none /dev", says: "/dev/null: no such file or directory; a pipe stands in for it"},
		{name: "closed stdout and stderr", redir: ">&- 2>&-"},
		{name: "all closed", redir: "<&- >&- 2>&-"},
		{name: "full stdout", redir: ">/dev/full 2>&1"},
		{name: "read-only everything", before: "mount -o remount,ro,bind / || :; mount -o remount,ro /run"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := config{before: tt.before, redir: tt.redir, jobs: map[string]string{
				"web":   "start on startup\nrespawn\nexec sleep 1000\n",
				"noisy": "start on startup\nexec yes\n",
				"other": "start on startup\nrespawn\nsetuid nobody\nexec sleep 1000\n",
				"hooks": "start on startup\nkill timeout 1\npre-start script\n:\nend script\nscript\nsleep 1000\nend script\npost-stop exec true\n",
			}}
			for _, a := range tt.args {
				c.args = append(c.args, strings.ReplaceAll(a, "@T@", "/run/t"))
			}
			c.before = strings.ReplaceAll(c.before, "@T@/log", "/run/t/log")
			c.before = strings.ReplaceAll(c.before, "mkdir /run", "mkdir -p /run")
			ct := start(t, c)
			ct.eventually("jobs", func() bool { return len(children(ct.pid)) >= 2 })
			ct.says(tt.says) // before the job that it is about is killed
			before := ct.threads()
			for range 3 {
				for _, pid := range children(ct.pid) {
					_ = unix.Kill(pid, unix.SIGKILL)
				}
				ct.eventually("a respawned job", func() bool { return len(children(ct.pid)) >= 1 })
			}
			if got := ct.threads(); got != before {
				t.Errorf("%d threads, want %d as before", got, before)
			}
			if got := ct.stop(); got != 0 {
				t.Errorf("status %d, want 0\n%s", got, &ct.out)
			}
			if n := strings.Count(ct.out.String(), tt.says); tt.says != "" && n != 1 {
				t.Errorf("%q is said %d times, want once\n%s", tt.says, n, &ct.out)
			}
			ct.unhurt()
		})
	}
}
