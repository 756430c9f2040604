package ns

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// service is a job that runs until it is stopped.
const service = "start on startup\nexec sleep 1000\n"

// TestExitPolicy is the table of when the container ends, and with what status.
func TestExitPolicy(t *testing.T) {
	for _, tt := range []struct {
		name string
		jobs map[string]string
		args []string
		want int
		log  string // what stderr says
	}{
		{name: "command ends", args: []string{"--", "sh", "-c", "exit 5"}, want: 5,
			jobs: map[string]string{"web.conf": service}},
		{name: "command beside a task that has ended", args: []string{"--", "sh", "-c", "exit 5"}, want: 5,
			jobs: map[string]string{"once.conf": "start on startup\ntask\nexec true\n"}},
		{name: "command beside a job that none starts", args: []string{"--", "sh", "-c", "exit 5"}, want: 5,
			jobs: map[string]string{"manual.conf": "exec sleep 1000\n"}},
		{name: "command beside a job that waits for it", args: []string{"--", "sleep", "1000"}, want: 143,
			jobs: map[string]string{"end.conf": "start on started command\nexec @TEND@ ctl shutdown now\n"}},
		{name: "command beside a job that waits in vain", args: []string{"--", "sh", "-c", "exit 5"}, want: 5,
			jobs: map[string]string{"a.conf": "start on nosuchevent\nexec sleep 1000\n"}},
		{name: "command beside a broken file", args: []string{"--", "sh", "-c", "exit 5"}, want: 5, log: "broken.conf:1:1: ",
			jobs: map[string]string{"broken.conf": "frobnicate\n"}},
		{name: "command and runlevel 6", args: []string{"--", "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done"}, want: 9,
			jobs: map[string]string{"end.conf": "start on started command\ntask\nexec @TEND@ ctl emit --no-wait runlevel RUNLEVEL=6 PREVLEVEL=2\n"}},
		{name: "command is stopped", args: []string{"--", "sleep", "1000"}, want: 143, log: "stopping: the command has been stopped",
			jobs: map[string]string{"web.conf": service, "end.conf": "start on started command\ntask\nexec @TEND@ ctl stop --no-wait command\n"}},
		{name: "command is killed", args: []string{"--", "sh", "-c", "kill -9 $$"}, want: 137,
			jobs: map[string]string{"web.conf": service}},
		{name: "command is not found", args: []string{"--", "/no/such"}, want: 127,
			jobs: map[string]string{"web.conf": service}},
		{name: "essential service exits", want: 3,
			jobs: map[string]string{"web.conf": service, "main.conf": "start on startup\nessential\nexec sh -c 'exit 3'\n"}},
		{name: "essential service exits well", want: 0,
			jobs: map[string]string{"web.conf": service, "main.conf": "start on startup\nessential\nexec sh -c 'exit 0'\n"}},
		{name: "essential by option", args: []string{"--essential", "web,main"}, want: 4,
			jobs: map[string]string{"web.conf": service, "main.conf": "start on startup\nexec sh -c 'exit 4'\n"}},
		{name: "essential service is killed", want: 139,
			jobs: map[string]string{"web.conf": service, "main.conf": "start on startup\nessential\nexec sh -c 'ulimit -c 0; kill -SEGV $$'\n"}},
		{name: "essential service is not found", want: 127,
			jobs: map[string]string{"web.conf": service, "main.conf": "start on startup\nessential\nexec /no/such/program\n"}},
		{name: "essential service is not executable", want: 126,
			jobs: map[string]string{"web.conf": service, "main.conf": "start on startup\nessential\nexec /etc/passwd\n"}},
		{name: "essential service has a failing pre-start", want: 1,
			jobs: map[string]string{"web.conf": service, "main.conf": "start on startup\nessential\npre-start exec sh -c 'exit 9'\nexec sleep 1000\n"}},
		{name: "essential service hits its respawn limit", want: 6,
			jobs: map[string]string{"web.conf": service, "main.conf": "start on startup\nessential\nrespawn\nrespawn limit 2 60\nexec sh -c 'exit 6'\n"}},
		{name: "essential task fails", want: 8,
			jobs: map[string]string{"web.conf": service, "once.conf": "start on startup\nessential\ntask\nexec sh -c 'exit 8'\n"}},
		{name: "essential task ends well", want: 11, // the other one ends the container later
			jobs: map[string]string{"web.conf": service, "once.conf": "start on startup\nessential\ntask\nexec true\n",
				"main.conf": "start on stopped once\nessential\nexec sh -c 'exit 11'\n"}},
		{name: "all ended well", want: 0,
			jobs: map[string]string{"a.conf": "start on startup\ntask\nexec true\n", "b.conf": "start on stopped a\ntask\nexec true\n"}},
		{name: "the first that failed", want: 21,
			jobs: map[string]string{"a.conf": "start on startup\ntask\nexec sh -c 'exit 21'\n", "b.conf": "start on stopped a\ntask\nexec sh -c 'exit 22'\n"}},
		{name: "no job ever ran", want: 78, log: "nosuchevent",
			jobs: map[string]string{"a.conf": "start on nosuchevent\nexec sleep 1000\n"}},
		{name: "shutdown with a status", want: 17,
			jobs: map[string]string{"web.conf": service, "end.conf": "start on started web\ntask\nexec @TEND@ ctl shutdown --exit-code 17\n"}},
		{name: "shutdown mapped to 0", args: []string{"-e", "17"}, want: 0,
			jobs: map[string]string{"web.conf": service, "end.conf": "start on started web\ntask\nexec @TEND@ ctl shutdown --exit-code 17\n"}},
		{name: "runlevel 0 from a job", want: 0,
			jobs: map[string]string{"web.conf": service, "end.conf": "start on started web\ntask\nexec @TEND@ ctl emit --no-wait runlevel RUNLEVEL=0 PREVLEVEL=2\n"}},
		{name: "runlevel 6 from a job", want: 0,
			jobs: map[string]string{"web.conf": service, "end.conf": "start on started web\ntask\nexec @TEND@ ctl emit --no-wait runlevel RUNLEVEL=6 PREVLEVEL=2\n"}},
		{name: "strict and a broken file", args: []string{"--strict"}, want: 78, log: "broken.conf:2:1: ",
			jobs: map[string]string{"web.conf": service, "broken.conf": "exec true\nfrobnicate\n"}},
		{name: "every job has failed at its start", want: 78, log: "no job has run and none can start any more; a had failed",
			jobs: map[string]string{"a.conf": "start on startup\npre-start exec sh -c 'echo oops; exit 5'\nexec sleep 1000\n"}},
		{name: "rc switched off by hand", want: 5,
			jobs: map[string]string{"rc.conf": "start on runlevel [0123456]\ntask\nexec sleep 1000\n", "rc.override": "manual\n",
				"web.conf": "start on stopped rc RUNLEVEL=[2345]\nessential\nexec sh -c 'exit 5'\n"}},
		{name: "only a broken file", want: 64, log: "nothing to run: no job file that can be used in ",
			jobs: map[string]string{"broken.conf": "frobnicate\n"}},
		{name: "nothing to run", want: 64, log: "init",
			jobs: map[string]string{"README": "no job file\n"}},
		{name: "unknown option", args: []string{"--stop-timout", "3"}, want: 2, log: "--stop-timeout",
			jobs: map[string]string{"web.conf": service}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{jobs: withTend(t, tt.jobs), args: tt.args})
			if got := ct.wait(); got != tt.want {
				t.Errorf("status %d, want %d\n%s", got, tt.want, ct.dump())
			}
			if !strings.Contains(ct.err.String(), tt.log) {
				t.Errorf("stderr does not say %q\n%s", tt.log, ct.dump())
			}
			if n := strings.Count(ct.err.String(), "broken.conf:"); n > 1 {
				t.Errorf("the broken file is told of %d times\n%s", n, ct.dump())
			}
		})
	}
}

// TestStopRequests: each way to ask for a stop ends a container without a command
// with status 0.
func TestStopRequests(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGPWR, 34 + 3} {
		t.Run(fmt.Sprintf("signal %d", sig), func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{jobs: map[string]string{"web.conf": service}})
			ct.errHas("web: started")
			ct.signal(sig)
			if got := ct.wait(); got != 0 {
				t.Errorf("status %d, want 0\n%s", got, ct.dump())
			}
		})
	}
	for _, program := range [][]string{{"shutdown", "now"}, {"poweroff"}, {"halt"}, {"reboot"}, {"telinit", "0"}, {"telinit", "6"}} {
		t.Run(strings.Join(program, " "), func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{jobs: map[string]string{"web.conf": service}})
			ct.errHas("web: started")
			link := filepath.Join(ct.dir, program[0])
			if err := os.Symlink(tendPath(t), link); err != nil {
				t.Fatal(err)
			}
			// Its own status is unknown: it may be killed with the container.
			ct.inside(append([]string{link}, program[1:]...)...)
			if got := ct.wait(); got != 0 {
				t.Errorf("status %d, want 0\n%s", got, ct.dump())
			}
		})
	}
}

// TestIdleStay: with --idle stay the container outlives its last process.
func TestIdleStay(t *testing.T) {
	ct := start(t, config{args: []string{"--idle", "stay"},
		jobs: map[string]string{"once.conf": "start on startup\ntask\nexec true\n", "later.conf": "exec sleep 1000\n"}})
	ct.eventually("control answers", func() bool { out, _ := ct.ctl("status", "once"); return out == "once stop/waiting\n" })
	if out, status := ct.ctl("start", "later"); status != 0 {
		t.Errorf("start later: %s", out)
	}
	if got := ct.stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
}

// TestOtherSignalsWithJobs: they change nothing, and reach a command beside the
// jobs.
func TestOtherSignalsWithJobs(t *testing.T) {
	ct := start(t, config{jobs: map[string]string{"web.conf": service}, args: append([]string{"--"}, helper("signals", "0")...)})
	ct.outHas("ready\n")
	for _, sig := range forwarded() {
		switch sig {
		case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGPWR, 34 + 3:
			continue
		}
		t.Run(fmt.Sprint(int(sig)), func(t *testing.T) {
			ct.t = t
			ct.signal(sig)
			ct.outHas(fmt.Sprintf("got %d\n", sig))
		})
	}
	ct.t = t
	if got := ct.stop(); got != 0 {
		t.Errorf("status %d, want the command's 0\n%s", got, ct.dump())
	}
}

// TestHangupReloads: HUP makes a new job file known.
func TestHangupReloads(t *testing.T) {
	ct := start(t, config{jobs: map[string]string{"web.conf": service}})
	ct.errHas("web: started")
	if err := os.WriteFile(filepath.Join(ct.dir, "init", "new.conf"), []byte("exec sleep 1000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ct.signal(unix.SIGHUP)
	ct.eventually("new is known", func() bool { out, _ := ct.ctl("status", "new"); return out == "new stop/waiting\n" })
}

// TestRespawn: a killed service comes back with a new process, and stops with one
// clear line when it is killed past its limit; the other service goes on.
func TestRespawn(t *testing.T) {
	ct := start(t, config{jobs: map[string]string{
		"other.conf": service,
		"web.conf":   "start on startup\nrespawn\nrespawn limit 3 60\nexec sleep 1000\n",
	}})
	ct.running("web")
	ct.running("other")
	other := ct.pid("other")
	for range 4 {
		old := ct.pid("web")
		if old == 0 {
			t.Fatalf("web has no process\n%s", ct.dump())
		}
		ct.inside("/bin/kill", "-KILL", fmt.Sprint(old))
		ct.eventually("another process", func() bool {
			out, _ := ct.ctl("status", "web")
			return !strings.Contains(out, fmt.Sprint("process ", old))
		})
	}
	ct.eventually("web stopped", func() bool { out, _ := ct.ctl("status", "web"); return out == "web stop/waiting\n" })
	if n := strings.Count(ct.err.String(), "respawning too fast"); n != 1 {
		t.Errorf("%d lines about the limit, want 1\n%s", n, ct.dump())
	}
	if got := ct.pid("other"); got != other {
		t.Errorf("the other service has process %d, want %d\n%s", got, other, ct.dump())
	}
}

// TestForkIsFollowed: with "expect fork" and "expect daemon" the job's process is
// the daemon, not its dead parent.
func TestForkIsFollowed(t *testing.T) {
	const worker = `sh -c 'echo $$ >>@T@/daemon; exec sleep 1000'`
	for _, tt := range []struct{ expect, script string }{
		{"fork", worker + " & exit 0"},
		{"daemon", "(" + worker + " & exit 0) & wait; exit 0"},
	} {
		t.Run(tt.expect, func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{jobs: map[string]string{
				"d.conf": "start on startup\nexpect " + tt.expect + "\nrespawn\nscript\n" + tt.script + "\nend script\n",
			}})
			ct.running("d")
			daemon := strings.TrimSpace(ct.file("daemon"))
			if got := fmt.Sprint(ct.pid("d")); got != daemon {
				t.Fatalf("the job's process is %s, want %s\n%s", got, daemon, ct.dump())
			}
			ct.inside("/bin/kill", "-KILL", daemon)
			ct.eventually("a second daemon that is followed", func() bool {
				lines := strings.Fields(ct.file("daemon"))
				return len(lines) == 2 && fmt.Sprint(ct.pid("d")) == lines[1]
			})
			if got := ct.stop(); got != 0 {
				t.Errorf("status %d, want 0\n%s", got, ct.dump())
			}
		})
	}
}

// TestBadInput: what is wrong is said, and the rest runs.
func TestBadInput(t *testing.T) {
	t.Run("a broken job file", func(t *testing.T) {
		ct := start(t, config{jobs: map[string]string{
			"bad.conf": "exec true\nfrobnicate\nkill timeout soon\n",
			"web.conf": service,
		}})
		ct.errHas("web: started")
		ct.errHas("bad.conf:2:1: ")
		ct.errHas("bad.conf:3:14: ")
	})
	t.Run("a program that is missing", func(t *testing.T) {
		ct := start(t, config{jobs: map[string]string{
			"bad.conf": "start on startup\nexec /no/such/program\n",
			"web.conf": service,
		}})
		ct.errHas("web: started")
		ct.errHas("no such file or directory")
	})
	t.Run("a full standard output", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		ct := start(t, config{stdout: full, jobs: map[string]string{
			"web.conf": "start on startup\nscript\necho hello\nexec sleep 1000\nend script\n",
		}})
		ct.errHas("web: started")
		ct.errHas("no space left on device")
		if got := ct.stop(); got != 0 {
			t.Errorf("status %d, want 0\n%s", got, ct.dump())
		}
	})
	t.Run("a closed standard output", func(t *testing.T) {
		ct := start(t, config{prefix: []string{"/bin/sh", "-c", `exec "$@" >&-`, "sh"}, jobs: map[string]string{
			"web.conf": "start on startup\nscript\necho hello\nexec sleep 1000\nend script\n",
		}})
		ct.errHas("web: started")
		if got := ct.stop(); got != 0 {
			t.Errorf("status %d, want 0\n%s", got, ct.dump())
		}
	})
	t.Run("a reader that has gone", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		ct := start(t, config{stdout: w, jobs: map[string]string{
			"web.conf": "start on startup\nscript\necho ready >@T@/ready\nwhile :; do echo hello; sleep 0.1; done\nend script\n",
		}})
		ct.file("ready")
		r.Close()
		ct.errHas("broken pipe")
		if got := ct.stop(); got != 0 {
			t.Errorf("status %d, want 0\n%s", got, ct.dump())
		}
	})
}

// TestOutput: lines of jobs bear their names, the log bears tend's, and stdout and
// stderr stay apart.
func TestOutput(t *testing.T) {
	job := map[string]string{
		"talk.conf":  "start on startup\ntask\nscript\necho out; echo err >&2; printf unfinished\nend script\n",
		"inst.conf":  "start on startup\ninstance $N\nenv N=one\ntask\nexec echo from an instance\n",
		"quiet.conf": "start on stopped talk\nconsole none\ntask\nexec echo never seen\n",
	}
	t.Run("prefix", func(t *testing.T) {
		ct := start(t, config{jobs: job})
		ct.wait()
		lines := strings.Split(ct.out.String(), "\n")
		for _, want := range []string{"talk | out", "talk | unfinished", "inst/one | from an instance"} {
			if !hasLine(lines, want) {
				t.Errorf("stdout has no line %q\n%s", want, ct.dump())
			}
		}
		if !hasLine(strings.Split(ct.err.String(), "\n"), "talk | err") {
			t.Errorf("stderr has no line of the job's stderr\n%s", ct.dump())
		}
		if strings.Contains(ct.out.String(), "tend | ") || strings.Contains(ct.out.String(), "never seen") {
			t.Errorf("stdout has what does not belong there\n%s", ct.dump())
		}
	})
	t.Run("raw", func(t *testing.T) {
		ct := start(t, config{jobs: job, args: []string{"--job-output", "raw"}})
		ct.wait()
		if !hasLine(strings.Split(ct.out.String(), "\n"), "out") {
			t.Errorf("stdout has no bare line\n%s", ct.dump())
		}
	})
	t.Run("none", func(t *testing.T) {
		ct := start(t, config{jobs: job, args: []string{"--job-output", "none", "--logdir", "/run/log"}})
		ct.wait()
		if s := ct.out.String(); s != "" {
			t.Errorf("stdout %q, want nothing", s)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		ct := start(t, config{jobs: job, args: []string{"--log-format", "json"}})
		ct.wait()
		messages := map[string]bool{}
		for _, line := range strings.Split(strings.TrimSpace(ct.out.String()+ct.err.String()), "\n") {
			var object map[string]any
			if err := json.Unmarshal([]byte(line), &object); err != nil {
				t.Fatalf("%v in line %q", err, line)
			}
			if object["job"] == "talk" && object["stream"] != nil {
				messages[fmt.Sprint(object["stream"], " ", object["msg"])] = true
			}
		}
		for _, want := range []string{"stdout out", "stderr err", "stdout unfinished"} {
			if !messages[want] {
				t.Errorf("no line for %q\n%s", want, ct.dump())
			}
		}
	})
}

// hasLine compares without the padding that lines names up.
func hasLine(lines []string, want string) bool {
	for _, line := range lines {
		name, text, _ := strings.Cut(line, "| ")
		if line == want || strings.TrimRight(name, " ")+" | "+text == want {
			return true
		}
	}
	return false
}

// TestEnvironmentReachesTheJobs as it was given to the container, and nothing of
// tend's own.
func TestEnvironmentReachesTheJobs(t *testing.T) {
	ct := start(t, config{
		env: []string{"PLAIN=b", "EMPTY=", "LINES=one\ntwo", "PERCENT=100%s %d", "GOMAXPROCS=64", "GODEBUG=madvdontneed=1", "GOGC=7", "TEND_IDLE=stay",
			"NOTIFY_SOCKET=/nowhere", "LISTEN_FDS=3", "UPSTART_JOB=outer"},
		jobs: map[string]string{"env.conf": "start on startup\ntask\nexec sh -c 'env -0 >@T@/env; echo done >@T@/done'\n"},
	})
	ct.file("done")
	text, err := os.ReadFile(filepath.Join(ct.dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(string(text), "\x00")
	has := func(want string) bool {
		for _, v := range env {
			if v == want {
				return true
			}
		}
		return false
	}
	for _, want := range []string{"PLAIN=b", "EMPTY=", "LINES=one\ntwo", "PERCENT=100%s %d", "GOMAXPROCS=64", "GODEBUG=madvdontneed=1", "GOGC=7", "UPSTART_JOB=env"} {
		if !has(want) {
			t.Errorf("the job has no %q in its environment %q", want, env)
		}
	}
	for _, v := range env {
		for _, name := range []string{"TEND_", "NOTIFY_SOCKET=", "LISTEN_"} {
			if strings.HasPrefix(v, name) {
				t.Errorf("the job has %q", v)
			}
		}
	}
	ct.stop()
}

// TestDescriptorsStayWithTend: what the container was started with above 2 is not passed
// on to jobs, however they are started.
func TestDescriptorsStayWithTend(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "inherited"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const list = "ls -l /proc/self/fd"
	ct := start(t, config{files: []*os.File{file, file, file}, jobs: map[string]string{
		"direct.conf": "start on startup\ntask\nexec " + list + "\n",
		"staged.conf": "start on startup\ntask\numask 077\nlimit core 0 0\nexec " + list + "\n",
		"script.conf": "start on startup\ntask\nscript\n" + list + "\nend script\n",
		"output.conf": "start on startup\ntask\nconsole output\nexec " + list + "\n",
	}})
	if got := ct.wait(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
	if out := ct.out.String(); strings.Count(out, " 2 -> ") != 4 || strings.Contains(out, file.Name()) {
		t.Errorf("jobs have what tend has inherited\n%s", out)
	}
}
