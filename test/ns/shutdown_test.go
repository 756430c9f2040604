package ns

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

func tendPath(t *testing.T) string {
	t.Helper()
	return need.Tend(t)
}

// withTend puts the path of the program in for @TEND@.
func withTend(t *testing.T, jobs map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, text := range jobs {
		out[name] = strings.ReplaceAll(text, "@TEND@", need.Tend(t))
	}
	return out
}

// forever is longer than any test waits: a stop that ends in spite of it has been
// cut short by the total deadline.
const forever = "kill timeout 100000\n"

// TestStubbornJobs: whatever a job does, the stop ends inside the total deadline with
// nothing left, and the log names the job, what had to be killed and how long it took.
// Every other one is in no namespace of its own, so that what is left can be seen.
func TestStubbornJobs(t *testing.T) {
	const loop = "while :; do sleep 0.1; done\n"
	for i, tt := range []struct {
		name, job, killed string // killed: the process that the log names; empty: nothing that is the job's own
	}{
		{"ignores TERM", forever + "script\ntrap '' TERM\necho up >@T@/up\n" + loop + "end script\n", "main"},
		{"ignores TERM, in the open", forever + "script\ntrap '' TERM\necho up >@T@/up\n" + loop + "end script\n", "main"},
		{"hangs in pre-stop", "pre-stop script\ntrap '' TERM\n" + loop + "end script\nscript\necho up >@T@/up\nexec sleep 1000\nend script\n", "pre-stop"},
		{"hangs in post-stop", "post-stop script\ntrap '' TERM\n" + loop + "end script\nscript\necho up >@T@/up\nexec sleep 1000\nend script\n", "post-stop"},
		{"has children that ignore TERM", forever + "script\nsetsid sh -c 'trap \"\" TERM; echo up >@T@/up; while :; do sleep 0.1; done' &\nexec sleep 1000\nend script\n", ""},
		{"has such children, in the open", forever + "script\nsetsid sh -c 'trap \"\" TERM; echo up >@T@/up; while :; do sleep 0.1; done' &\nexec sleep 1000\nend script\n", ""},
		{"forks while it is killed", forever + "script\ntrap '' TERM\necho up >@T@/up\nwhile :; do sleep 0.01 & wait; done\nend script\n", "main"},
		{"forks while it is killed, in the open", forever + "script\ntrap '' TERM\necho up >@T@/up\nwhile :; do setsid sleep 1000 & sleep 0.01; done\nend script\n", "main"},
		{"hangs in pre-start", "pre-start script\ntrap '' TERM\necho up >@T@/up\n" + loop + "end script\nexec sleep 1000\n", "pre-start"},
		{"hangs in post-start", "post-start script\ntrap '' TERM\necho up >@T@/up\n" + loop + "end script\nexec sleep 1000\n", "post-start"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mark := fmt.Sprintf("TEST_MARK_%d=stubborn%d", os.Getpid(), i)
			ct := start(t, config{
				args:   []string{"--stop-timeout", "3"},
				jobs:   map[string]string{"job.conf": "start on startup\n" + tt.job, "web.conf": service},
				shared: i%2 == 1, env: []string{mark},
			})
			ct.file("up")
			if got := ct.stop(); got != 0 {
				t.Errorf("status %d, want 0\n%s", got, ct.dump())
			}
			_, log, _ := strings.Cut(ct.err.String(), "stopping: TERM received, 3 s left; 2 jobs\n")
			if tt.killed != "" && !strings.Contains(log, "job: sending KILL signal to "+tt.killed+" process (") {
				t.Errorf("the log does not say that the %s process is killed\n%s", tt.killed, ct.dump())
			}
			if strings.Contains(log, "survived") || !strings.Contains(log, "exit status 0, the last job was job after ") {
				t.Errorf("the log does not say that job has used the time\n%s", ct.dump())
			}
			if left := marked(mark); len(left) > 0 {
				for _, pid := range left {
					_ = syscall.Kill(pid, unix.SIGKILL)
				}
				t.Errorf("%d processes are left behind\n%s", len(left), ct.dump())
			}
		})
	}
}

// TestDatabaseAtTheBottom: a job at the top that ignores TERM takes its share of the
// time and no more; below it all end by themselves, the last of them the database.
func TestDatabaseAtTheBottom(t *testing.T) {
	clean := func(name string) string {
		return "script\ntrap 'sleep 0.3; echo " + name + " >>@T@/clean; exit 0' TERM\necho up >@T@/" + name + "\nwhile :; do sleep 1000 & wait $!; done\nend script\n"
	}
	ct := start(t, config{
		args: []string{"--stop-timeout", "6"},
		jobs: map[string]string{
			"db.conf":  "start on startup\n" + forever + clean("db"),
			"app.conf": "start on started db\n" + forever + clean("app"),
			"top.conf": "start on started app\n" + forever + "script\ntrap '' TERM\necho up >@T@/top\nwhile :; do sleep 0.1; done\nend script\n",
		},
	})
	for _, job := range []string{"db", "app", "top"} {
		ct.file(job)
	}
	if got := ct.stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
	text, err := os.ReadFile(filepath.Join(ct.dir, "clean"))
	if err != nil || string(text) != "app\ndb\n" {
		t.Errorf("ended cleanly: %q (%v), want app and then db\n%s", text, err, ct.dump())
	}
	_, log, _ := strings.Cut(ct.err.String(), "stopping: ")
	if n := strings.Count(log, "sending KILL"); n != 1 || !strings.Contains(log, "top: sending KILL signal to main process (") {
		t.Errorf("%d processes were killed, want that of top alone\n%s", n, ct.dump())
	}
	if !strings.Contains(log, "the last job was top after ") {
		t.Errorf("the log does not say that top has used the time\n%s", ct.dump())
	}
}

// TestAnotherTend: two that run the same jobs in one PID namespace, as containers with
// the host's do, leave each other's processes alone.
func TestAnotherTend(t *testing.T) {
	var cts []*container
	var marks []string
	for i := range 2 {
		marks = append(marks, fmt.Sprintf("TEST_MARK_%d=another%d", os.Getpid(), i))
		cts = append(cts, start(t, config{shared: true, env: marks[i:], jobs: map[string]string{
			"job.conf": "start on startup\nkill timeout 1\nscript\ntrap '' TERM\nsetsid sleep 1000 &\necho up >@T@/up\nexec sleep 1000\nend script\n",
		}}))
		cts[i].file("up")
		cts[i].eventually("both processes", func() bool { return len(marked(marks[i])) == 3 })
	}
	if got := cts[0].stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, cts[0].dump())
	}
	if left := marked(marks[1]); len(left) != 3 || strings.Contains(cts[1].err.String(), "killed") {
		t.Errorf("tend and its job's two processes are %v now\n%s", left, cts[1].dump())
	}
	if got := cts[1].stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, cts[1].dump())
	}
	for _, mark := range marks {
		if left := marked(mark); len(left) > 0 {
			t.Errorf("%v are left behind", left)
		}
	}
}

// TestKillTimeout: a job that ignores TERM is killed after its own timeout, well
// before a total deadline.
func TestKillTimeout(t *testing.T) {
	ct := start(t, config{
		args: []string{"--stop-timeout", "100000"},
		jobs: map[string]string{"job.conf": "start on startup\nkill timeout 1\nscript\ntrap '' TERM\necho up >@T@/up\nwhile :; do sleep 0.1; done\nend script\n"},
	})
	ct.file("up")
	if got := ct.stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
	if !strings.Contains(ct.err.String(), "sending KILL signal to main process") {
		t.Errorf("the log does not say that the job is killed\n%s", ct.dump())
	}
}

// TestStopOrder: what has started because of another job stops before it, and the
// kill signal is the job's own.
func TestStopOrder(t *testing.T) {
	script := func(name, sig string) string {
		return fmt.Sprintf("kill signal %s\nscript\ntrap 'echo %s >>@T@/order; exit 0' %s\necho up >@T@/up-%s\nwhile :; do sleep 1000 & wait; done\nend script\n", sig, name, sig, name)
	}
	ct := start(t, config{jobs: map[string]string{
		"a.conf": "start on startup\n" + script("a", "INT"),
		"b.conf": "start on started a\n" + script("b", "TERM"),
		"c.conf": "start on started b\n" + script("c", "QUIT"),
	}})
	for _, name := range []string{"up-a", "up-b", "up-c"} {
		ct.file(name)
	}
	if got := ct.stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
	order, err := os.ReadFile(filepath.Join(ct.dir, "order"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(order), "c\nb\na\n"; got != want {
		t.Errorf("stopped in order %q, want %q\n%s", got, want, ct.dump())
	}
}

// TestRepeatedStop: repeats of the stop signals do no harm.
func TestRepeatedStop(t *testing.T) {
	ct := start(t, config{jobs: map[string]string{
		"job.conf": "start on startup\nscript\ntrap 'while [ ! -e @T@/go ]; do sleep 0.02; done; echo clean >@T@/clean; exit 0' TERM\necho up >@T@/up\nwhile :; do sleep 1000 & wait; done\nend script\n",
	}})
	ct.file("up")
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGTERM, unix.SIGQUIT, unix.SIGPWR, 34 + 3, unix.SIGTERM} {
		ct.signal(sig)
	}
	ct.errHas("already stopping")
	if err := os.WriteFile(filepath.Join(ct.dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := ct.wait(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
	if _, err := os.Stat(filepath.Join(ct.dir, "clean")); err != nil {
		t.Errorf("the job was not left to end by itself: %v\n%s", err, ct.dump())
	}
}

// bootJobs is a boot of twenty jobs that takes some time: chains of services with
// hooks, and tasks beside them.
func bootJobs() map[string]string {
	jobs := map[string]string{}
	for chain := range 4 {
		for i := range 5 {
			on := "startup"
			if i > 0 {
				on = fmt.Sprintf("started job%d%d", chain, i-1)
			}
			text := "start on " + on + "\n"
			switch i {
			case 1:
				text += "pre-start exec sleep 0.05\nexec sleep 1000\n"
			case 2:
				text += "post-start exec sleep 0.05\npre-stop exec sleep 0.01\nexec sleep 1000\n"
			case 3:
				text += "expect fork\nscript\nsleep 1000 &\nexit 0\nend script\n"
			case 4:
				text += "task\nexec sleep 0.1\npost-stop exec sleep 0.01\n"
			default:
				text += "respawn\nexec sleep 1000\n"
			}
			jobs[fmt.Sprintf("job%d%d.conf", chain, i)] = text
		}
	}
	return jobs
}

// TestStopDuringBoot stops a boot of twenty jobs at moments 5 ms apart. Every other
// run is in no namespace of its own, so that what it leaves behind can be seen.
func TestStopDuringBoot(t *testing.T) {
	runs := 300
	if !need.All() {
		runs = 30
	}
	for i := range runs {
		moment := time.Duration(i) * 5 * time.Millisecond
		if runs < 300 {
			moment *= 10
		}
		t.Run(moment.String(), func(t *testing.T) {
			t.Parallel()
			mark := fmt.Sprintf("TEND_TEST_MARK_%d=%d", os.Getpid(), i)
			// Not TEND_: those are tend's own, and not passed on.
			mark = strings.TrimPrefix(mark, "TEND_")
			ct := start(t, config{jobs: bootJobs(), shared: i%2 == 1, env: []string{mark}})
			<-time.After(moment)
			// Before tend has subscribed a signal is lost in a namespace, and ends it
			// outside of one; no job has run then.
			for deadline := time.Now().Add(patience); !ct.ended(); {
				if time.Now().After(deadline) {
					t.Fatalf("tend does not end\n%s", ct.dump())
				}
				ct.signal(unix.SIGTERM)
				select {
				case <-ct.done:
				case <-time.After(200 * time.Millisecond):
				}
			}
			subscribed := ct.err.String() != ""
			if got := ct.wait(); got != 0 && (subscribed || got != 143 && got != 2) {
				t.Errorf("status %d, want 0\n%s", got, ct.dump())
			}
			if left := marked(mark); len(left) > 0 {
				for _, pid := range left {
					_ = syscall.Kill(pid, unix.SIGKILL)
				}
				t.Errorf("%d processes are left behind\n%s", len(left), ct.dump())
			}
		})
	}
}

// marked finds the processes that have a variable in their environment.
func marked(variable string) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte(variable+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
