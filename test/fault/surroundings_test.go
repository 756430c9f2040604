package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	if got := ct.threads(); got > before {
		t.Errorf("%d threads, want %d as before", got, before)
	}
	ct.wantStop()
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
			ct.wantStop()
		})
	}
}

func TestShutdownAtPidsLimit(t *testing.T) {
	ct, _ := limited(t, map[string]string{
		"first": "start on startup\nkill timeout 1\npre-stop exec true\npost-stop exec true\nexec sleep 1000\n",
		"late":  "exec sleep 1000\n", "second": "start on startup\nrespawn\nexec sleep 1000\n",
	})
	ct.ctl("start", "--no-wait", "late")
	ct.says("late: cannot start")
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
	if !strings.Contains(log, "survived KILL: state ") && !strings.Contains(log, "does not end after KILL") {
		t.Errorf("the survivor is not named\n%s", log)
	}
	// PID 1 waits in the kernel for the frozen one.
	set(t, group, "freezer.state", "THAWED")
	if got := ct.wait(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, log)
	}
}

// Whatever is missing, jobs run, a stop is answered, and so is the end.
func TestMissingSurroundings(t *testing.T) {
	for _, tt := range []struct {
		name, before, redir string
		args                []string
	}{
		{name: "no proc", before: "umount -l /proc; mount -t tmpfs none /proc"},
		{name: "hidden proc", before: "mount -o remount,hidepid=2 /proc"},
		{name: "read-only log directory", before: "mkdir @T@/log; mount -t tmpfs -o ro none @T@/log", args: []string{"--logdir", "@T@/log"}},
		{name: "full log directory", before: "mkdir @T@/log; mount -t tmpfs -o size=4k none @T@/log; yes >@T@/log/fill || :", args: []string{"--logdir", "@T@/log"}},
		{name: "no null device", before: "mount -t tmpfs none /dev"},
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
				"hooks": "start on startup\nkill timeout 1\npre-start script\n:\nend script\nscript\nsleep 1000\nend script\npost-stop exec true\n",
			}}
			for _, a := range tt.args {
				c.args = append(c.args, strings.ReplaceAll(a, "@T@", "/run/t"))
			}
			c.before = strings.ReplaceAll(c.before, "@T@/log", "/run/t/log")
			c.before = strings.ReplaceAll(c.before, "mkdir /run", "mkdir -p /run")
			ct := start(t, c)
			before := 0
			ct.eventually("jobs", func() bool { before = ct.threads(); return len(children(ct.pid)) >= 2 })
			for range 3 {
				for _, pid := range children(ct.pid) {
					_ = unix.Kill(pid, unix.SIGKILL)
				}
				ct.eventually("a respawned job", func() bool { return len(children(ct.pid)) >= 1 })
			}
			if got := ct.threads(); got > before+1 {
				t.Errorf("%d threads, want %d as before", got, before)
			}
			if got := ct.stop(); got != 0 {
				t.Errorf("status %d, want 0\n%s", got, &ct.out)
			}
			ct.unhurt()
		})
	}
}
