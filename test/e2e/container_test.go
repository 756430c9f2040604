package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// web is a service without a shell.
const web = "start on filesystem\nexec sleep 1000\n"

// TestExitPolicy is the table of when a container ends, as docker inspect has it.
func TestExitPolicy(t *testing.T) {
	for _, tt := range []struct {
		name string
		jobs map[string]string
		args []string
		want int
		last string // in the last log line
	}{
		{name: "command ends", args: []string{"--", "sh", "-c", "exit 5"}, want: 5, last: "exit status 5",
			jobs: map[string]string{"web.conf": web}},
		{name: "essential job ends", want: 3, last: "exit status 3",
			jobs: map[string]string{"web.conf": web, "main.conf": "start on started web\nessential\nexec sh -c 'exit 3'\n"}},
		{name: "essential job is killed", want: 137, last: "exit status 137",
			jobs: map[string]string{"web.conf": web, "main.conf": "start on started web\nessential\nexec sh -c 'kill -9 $$'\n"}},
		{name: "essential job is not found", want: 127,
			jobs: map[string]string{"web.conf": web, "main.conf": "start on started web\nessential\nexec /no/such/program\n"}},
		{name: "essential job hits its limit", want: 6,
			jobs: map[string]string{"web.conf": web, "main.conf": "start on started web\nessential\nrespawn\nrespawn limit 2 60\nexec sh -c 'exit 6'\n"}},
		{name: "all ended well", want: 0,
			jobs: map[string]string{"a.conf": "start on filesystem\ntask\nexec true\n"}},
		{name: "a job failed", want: 21,
			jobs: map[string]string{"a.conf": "start on filesystem\ntask\nexec sh -c 'exit 21'\n"}},
		{name: "no job ever ran", want: 78,
			jobs: map[string]string{"a.conf": "start on nosuchevent\nexec sleep 1000\n"}},
		{name: "shutdown --exit-code", want: 17,
			jobs: map[string]string{"web.conf": web, "end.conf": "start on started web\ntask\nexec shutdown --exit-code 17\n"}},
		{name: "-e", args: []string{"-e", "21"}, want: 0,
			jobs: map[string]string{"a.conf": "start on filesystem\ntask\nexec sh -c 'exit 21'\n"}},
		{name: "telinit 0", want: 0,
			jobs: map[string]string{"web.conf": web, "end.conf": "start on started web\ntask\nexec telinit 0\n"}},
		{name: "strict", args: []string{"--strict"}, want: 78,
			jobs: map[string]string{"web.conf": web, "bad.conf": "frobnicate\n"}},
		{name: "nothing to run", want: 64,
			jobs: map[string]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := run(t, jobsImage(t), mount(t, tt.jobs), tt.args...)
			if got := c.wait(); got != tt.want {
				t.Errorf("status %d, want %d\n%s", got, tt.want, c.log())
			}
			lines := strings.Split(strings.TrimSpace(c.log()), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, tt.last) {
				t.Errorf("last line %q, want it to have %q\n%s", last, tt.last, c.log())
			}
		})
	}
}

// TestIdleStay: an idle container with --idle stay runs until it is stopped.
func TestIdleStay(t *testing.T) {
	t.Parallel()
	c := run(t, jobsImage(t), mount(t, map[string]string{"once.conf": "start on filesystem\ntask\nexec echo done\n"}), "--idle", "stay")
	c.logHas("done")
	c.eventually("an answer", func() bool { state, _ := c.status("once"); return state == "stop/waiting" })
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
}

// TestTerminationLog: the reason of the end and the job's last words go where
// Kubernetes looks for them.
func TestTerminationLog(t *testing.T) {
	t.Parallel()
	file := filepath.Join(confdir(t, map[string]string{"log": ""}), "log")
	c := run(t, jobsImage(t), mount(t, map[string]string{
		"main.conf": "start on filesystem\nessential\nscript\necho last words\nexit 9\nend script\n",
	}, "-v", file+":/dev/termination-log"))
	if status := c.wait(); status != 9 {
		t.Errorf("status %d, want 9\n%s", status, c.log())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"main", "9", "last words"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the termination log is %q, want it to have %q", text, want)
		}
	}
	if len(text) > 4096 {
		t.Errorf("the termination log has %d bytes, Kubernetes keeps 4096", len(text))
	}
}

// seccomp is a profile that refuses some system calls and allows all others.
func seccomp(t *testing.T, rules string) string {
	t.Helper()
	path := filepath.Join(confdir(t, nil), "seccomp.json")
	text := fmt.Sprintf(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [%s]}`, rules)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return "seccomp=" + path
}

// TestNeverRefuses runs a few jobs wherever a container may find itself. The jobs
// run in each place; what is lost there is said in the log and is no crash.
func TestNeverRefuses(t *testing.T) {
	deny := func(call, more string) string {
		return seccomp(t, fmt.Sprintf(`{"names": [%q], "action": "SCMP_ACT_ERRNO", "errnoRet": 1%s}`, call, more))
	}
	noSubreaper := deny("prctl", `, "args": [{"index": 0, "value": 36, "op": "SCMP_CMP_EQ"}]`)
	jobs := map[string]string{
		"direct.conf": "start on filesystem\nexec sleep 1000\n",
		"script.conf": "start on started direct\nscript\necho from a script\nexec sleep 1000\nend script\n",
		"fork.conf":   "start on filesystem\nexpect fork\nscript\nsleep 1000 &\nexit 0\nend script\n",
		"crash.conf":  "start on filesystem\nrespawn\nscript\nsleep 0.3\nexit 1\nend script\n",
	}
	for _, tt := range []struct {
		name    string
		options []string
	}{
		{"default", nil},
		{"init", []string{"--init"}},
		{"the host's processes", []string{"--pid", "host"}},
		{"another user", []string{"--user", "12345"}},
		{"read-only", []string{"--read-only"}},
		{"no capabilities", []string{"--cap-drop", "ALL"}},
		{"no new privileges", []string{"--security-opt", "no-new-privileges"}},
		{"few processes", []string{"--pids-limit", "30"}},
		{"little memory", []string{"--memory", "16m"}},
		{"no network", []string{"--network", "none"}},
		{"a terminal", []string{"-t"}},
		{"an open standard input", []string{"-i"}},
		{"both", []string{"-it"}},
		{"ptrace denied", []string{"--security-opt", deny("ptrace", "")}},
		{"subreaper denied", []string{"--security-opt", noSubreaper}},
		{"close_range denied", []string{"--security-opt", deny("close_range", "")}},
		{"pidfd denied", []string{"--security-opt", deny("pidfd_open", "")}},
		{"all at once", []string{"--init", "--user", "12345", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
			"--pids-limit", "40", "--memory", "16m", "--network", "none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := run(t, jobsImage(t), mount(t, jobs, tt.options...))
			c.runs(true)
		})
	}
	// Where a daemon cannot be found, its job ends when it has left; the log says why.
	t.Run("hidden proc", func(t *testing.T) {
		t.Parallel()
		c := run(t, jobsImage(t), mount(t, jobs, "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined",
			"--security-opt", "apparmor=unconfined", "--entrypoint", "sh"), "-c", "mount -t tmpfs -o ro none /proc && exec /sbin/tend")
		c.logHas("cannot list processes")
		c.runs(false)
	})
	t.Run("subreaper denied to another process than PID 1", func(t *testing.T) {
		t.Parallel()
		c := run(t, jobsImage(t), mount(t, jobs, "--init", "--security-opt", noSubreaper))
		c.logHas("cannot become the parent of orphans")
		c.runs(false)
	})
	t.Run("scratch without a shell", func(t *testing.T) {
		t.Parallel()
		c := run(t, exampleImage(t, "tini"), mount(t, map[string]string{
			"direct.conf": "start on filesystem\nexec /server\n",
			"script.conf": "start on filesystem\nscript\necho never\nend script\n",
		}, "--entrypoint", "/sbin/tend"))
		c.logHas("direct: started")
		c.logHas("/bin/sh")
		c.answers(8080, "/", "hello")
		if status := c.stop(); status != 0 {
			t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
		}
	})
}

// runs checks that the jobs of TestNeverRefuses run, and stop. A daemon can only be
// followed where it becomes a child of tend's that can be seen.
func (c *container) runs(follows bool) {
	c.t.Helper()
	c.logHas("direct: started")
	c.logHas("script | from a script")
	if follows {
		c.logHas("fork: started")
	}
	c.logHas("respawning")
	if status := c.stop(); status != 0 {
		c.t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
	for _, bad := range []string{"panic", "goroutine ", "runtime error"} {
		if strings.Contains(c.log(), bad) {
			c.t.Errorf("the log has %q\n%s", bad, c.log())
		}
	}
}

// TestFewProcesses: with no room for all of its jobs, a container keeps running
// what it has, and says what it could not start.
func TestFewProcesses(t *testing.T) {
	t.Parallel()
	jobs := map[string]string{"first.conf": web}
	for i := range 12 {
		jobs[fmt.Sprintf("more%02d.conf", i)] = "start on started first\nexec sleep 1000\n"
	}
	c := run(t, jobsImage(t), mount(t, jobs, "--pids-limit", "16"))
	c.logHas("first: started")
	c.logHas("resource temporarily unavailable")
	if !c.running() {
		t.Errorf("the container has ended\n%s", c.log())
	}
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
}

// TestFullDisk: with no room for its log files, a container runs on, and says so.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	c := run(t, jobsImage(t), mount(t, map[string]string{
		"talk.conf": "start on filesystem\nscript\nwhile :; do echo 0123456789012345678901234567890123456789; sleep 0.01; done\nend script\n",
	}, "--tmpfs", "/logs:size=4k"), "--logdir", "/logs")
	c.logHas("no space left on device")
	if _, err := c.exec("true"); err != 0 || !c.running() {
		t.Errorf("the container has ended\n%s", c.log())
	}
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
}

// TestOutput is what docker logs shows.
func TestOutput(t *testing.T) {
	jobs := map[string]string{
		"talk.conf": "start on filesystem\ntask\nscript\necho \"A=$A\"\necho err >&2\necho path >/dev/stdout\nend script\n",
		"user.conf": "start on filesystem\ntask\nsetuid nobody\nscript\necho \"$HOME\" >/dev/stdout\nend script\n",
	}
	t.Run("text", func(t *testing.T) {
		t.Parallel()
		c := run(t, jobsImage(t), mount(t, jobs, "-e", "A=b"))
		if status := c.wait(); status != 0 {
			t.Errorf("status %d, want 0\n%s", status, c.log())
		}
		stdout, stderr := c.logs()
		for _, want := range []string{"talk | A=b\n", "talk | path\n", "user | /nonexistent\n"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("stdout has no %q\n%s", want, stdout)
			}
		}
		if !strings.Contains(stderr, "talk | err\n") || !strings.Contains(stderr, "tend | talk: started") {
			t.Errorf("stderr lacks the job's or tend's lines\n%s", stderr)
		}
		if strings.Contains(stdout, "tend | ") {
			t.Errorf("stdout has tend's own lines\n%s", stdout)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		t.Parallel()
		c := run(t, jobsImage(t), mount(t, jobs, "-e", "A=b"), "--log-format", "json")
		c.wait()
		stdout, stderr := c.logs()
		seen := map[string]bool{}
		for _, line := range strings.Split(strings.TrimSpace(stdout+stderr), "\n") {
			object, err := decode(line)
			if err != nil {
				t.Fatalf("%v in line %q", err, line)
			}
			seen[fmt.Sprint(object["job"], " ", object["stream"], " ", object["msg"])] = true
		}
		for _, want := range []string{"talk stdout A=b", "talk stderr err"} {
			if !seen[want] {
				t.Errorf("no line of %q\n%s%s", want, stdout, stderr)
			}
		}
	})
}
