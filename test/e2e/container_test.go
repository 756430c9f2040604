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

// TestExitPolicy is the table of when a container ends, as docker inspect has it. The
// reason is the last line of the log, and what Kubernetes is told.
func TestExitPolicy(t *testing.T) {
	main := func(text string) map[string]string {
		return map[string]string{"web.conf": web, "main.conf": "start on started web\n" + text + "\n"}
	}
	asks := func(words string) map[string]string { return main("task\nexec " + words) }
	one := func(text string) map[string]string { return map[string]string{"a.conf": text + "\n"} }
	for _, tt := range []struct {
		name string
		jobs map[string]string
		args []string
		want int
		why  string // in the last log line and the termination log
		also string // in the termination log
	}{
		{name: "command ends", args: []string{"--", "sh", "-c", "exit 5"}, want: 5, jobs: main("exec sleep 1000"), why: "the command has ended: main exited with status 5"},
		{name: "command is killed", args: []string{"--", "sh", "-c", "kill -9 $$"}, want: 137, jobs: main("exec sleep 1000"), why: "the command has ended: main killed by KILL signal"},
		{name: "command is not found", args: []string{"--", "/no/such"}, want: 127, jobs: main("exec sleep 1000"), why: "the command has ended: main: cannot execute /no/such: no such file or directory"},
		{name: "command is not executable", args: []string{"--", "/etc/passwd"}, want: 126, jobs: main("exec sleep 1000"), why: "the command has ended: main: cannot execute /etc/passwd: permission denied"},
		{name: "no such command alone", args: []string{"--", "/no/such"}, want: 127, jobs: map[string]string{}, why: "cannot execute /no/such: no such file or directory"},
		{name: "essential job ends", want: 3, jobs: main("essential\nexec sh -c 'echo last words; exit 3'"), why: "essential job main has ended: main exited with status 3", also: "\nlast words\n"},
		{name: "essential job ends well", want: 0, jobs: main("essential\nexec true"), why: "essential job main has ended: "},
		{name: "essential by option", args: []string{"--essential", "main"}, want: 4, jobs: main("exec sh -c 'exit 4'"), why: "essential job main has ended: main exited with status 4"},
		{name: "essential job is killed", want: 137, jobs: main("essential\nexec sh -c 'kill -9 $$'"), why: "essential job main has ended: main killed by KILL signal"},
		{name: "essential job is not found", want: 127, jobs: main("essential\nexec /no/such/program"), why: "essential job main has ended: main: cannot execute /no/such/program: no such file or directory"},
		{name: "essential job is not executable", want: 126, jobs: main("essential\nexec /etc/passwd"), why: "essential job main has ended: main: cannot execute /etc/passwd: permission denied"},
		{name: "essential job fails before its start", want: 1, jobs: main("essential\npre-start exec sh -c 'exit 9'\nexec sleep 1000"), why: "essential job main has ended: pre-start exited with status 9"},
		{name: "essential job hits its limit", want: 6, jobs: main("essential\nrespawn\nrespawn limit 2 60\nexec sh -c 'exit 6'"), why: "essential job main has ended: "},
		{name: "essential task fails", want: 8, jobs: main("essential\ntask\nexec sh -c 'exit 8'"), why: "essential job main has ended: main exited with status 8"},
		{name: "all ended well", want: 0, jobs: one("start on filesystem\ntask\nexec true"), why: "nothing runs and nothing can start any more (--idle stay keeps the container up)"},
		{name: "a job failed", want: 21, jobs: one("start on filesystem\ntask\nexec sh -c 'echo last words; exit 21'"), why: "nothing runs and nothing can start any more; a had failed", also: "\nlast words\n"},
		{name: "no job ever ran", want: 78, jobs: one("start on nosuchevent\nexec sleep 1000"), why: "no job has run and none can start any more", also: "\na: never started: waits for nosuchevent\n"},
		{name: "no job has a start on", want: 78, jobs: one("exec sleep 1000"), why: "no job has run and none can start any more (--idle stay keeps the container up)",
			also: "\na: never started: has no start on, so only a command starts it\n"},
		{name: "shutdown --exit-code", want: 17, jobs: asks("shutdown --exit-code 17"), why: "shutdown requested by main"},
		{name: "shutdown now", want: 0, jobs: asks("shutdown now"), why: "shutdown requested by main"},
		{name: "poweroff", want: 0, jobs: asks("poweroff"), why: "shutdown requested by main"},
		{name: "halt", want: 0, jobs: asks("halt"), why: "shutdown requested by main"},
		{name: "reboot", want: 0, jobs: asks("reboot"), why: "shutdown requested by main"},
		{name: "telinit 0", want: 0, jobs: asks("telinit 0"), why: "runlevel 0"},
		{name: "telinit 6", want: 0, jobs: asks("telinit 6"), why: "runlevel 6"},
		{name: "runlevel emitted", want: 0, jobs: asks("initctl emit --no-wait runlevel RUNLEVEL=0"), why: "runlevel 0"},
		{name: "-e", args: []string{"-e", "21"}, want: 0, jobs: one("start on filesystem\ntask\nexec sh -c 'exit 21'"), why: "a had failed"},
		{name: "strict", args: []string{"--strict"}, want: 78, jobs: map[string]string{"web.conf": web, "bad.conf": "frobnicate\n"},
			why: "a job file is broken and --strict is given: not starting", also: "\n/etc/init/bad.conf:1:1: Unknown stanza: frobnicate\n"},
		{name: "nothing to run", want: 64, jobs: map[string]string{}, why: "nothing to run: no job file in /etc/init and no COMMAND"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(confdir(t, map[string]string{"log": ""}), "log")
			c := run(t, jobsImage(t), mount(t, tt.jobs, "-v", file+":/dev/termination-log"), tt.args...)
			if got := c.wait(); got != tt.want {
				t.Errorf("status %d, want %d\n%s", got, tt.want, c.log())
			}
			_, log := c.logs()
			lines := strings.Split(strings.TrimSpace(log), "\n")
			last := strings.TrimPrefix(lines[len(lines)-1], "tend | ")
			if !strings.Contains(last, tt.why) {
				t.Errorf("the last line is %q, want it to have %q\n%s", last, tt.why, log)
			}
			if strings.HasPrefix(last, "stopped in ") && !strings.Contains(last, fmt.Sprintf(" s, exit status %d", tt.want)) {
				t.Errorf("the last line is %q, want it to tell the exit status %d", last, tt.want)
			}
			message, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if first := firstLine(string(message)); first != last {
				t.Errorf("the termination log begins with %q, want the log's last line %q", first, last)
			}
			if !strings.Contains(string(message), tt.also) {
				t.Errorf("the termination log is %q, want it to have %q", message, tt.also)
			}
		})
	}
}

// TestStopStatus: after docker stop the status is COMMAND's, whatever the jobs needed.
func TestStopStatus(t *testing.T) {
	for _, tt := range []struct {
		name, command, job string
		want               int
	}{
		{"a command that handles TERM", "trap 'exit 42' TERM; echo ready; while :; do sleep 0.1; done", "exec sleep 1000", 42},
		{"a command that does not", "echo ready; exec sleep 1000", "exec sleep 1000", 143},
		{"a command that ignores it", "trap '' TERM; echo ready; while :; do sleep 0.1; done", "exec sleep 1000", 137},
		{"a job that has to be killed", "trap 'exit 42' TERM; echo ready; while :; do sleep 0.1; done", "kill timeout 1\nscript\ntrap '' TERM\nwhile :; do sleep 0.1; done\nend script", 42},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := run(t, jobsImage(t), mount(t, map[string]string{"job.conf": "start on filesystem\n" + tt.job + "\n"}), "--", "sh", "-c", tt.command)
			c.logHas("ready")
			if got := c.stop(); got != tt.want {
				t.Errorf("status %d, want %d\n%s", got, tt.want, c.log())
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
		"main.conf": "start on filesystem\nessential\nscript\nfor i in 1 2 3 4 5 6 7 8 9; do printf '%01000d\\n' $i; done\necho last words\nexit 9\nend script\n",
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
	if len(text) != 4096 {
		t.Errorf("the termination log has %d bytes, want the 4096 that Kubernetes keeps", len(text))
	}
}

// TestScratchWithJobs: FROM scratch, without a shell, jobs that need none run, and one
// line says why the other does not.
func TestScratchWithJobs(t *testing.T) {
	t.Parallel()
	c := run(t, exampleImage(t, "tini"), mount(t, map[string]string{
		"direct.conf": "start on filesystem\nexec /server\n",
		"script.conf": "start on started direct\nscript\necho never\nend script\n",
	}, "--entrypoint", "/sbin/tend"))
	c.answers(8080, "/", "hello")
	c.logHas("script: ")
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
	inOrder(t, c.log(), "direct: started", "script: failed to start: main: cannot execute /bin/sh: no such file or directory", "stopping: ")
}

// TestSharedMemory: containers that share /dev/shm, as those of a pod do, and have no other
// place for their sockets are not taken for one another.
func TestSharedMemory(t *testing.T) {
	t.Parallel()
	var first *container
	var all []*container
	for i := range 3 {
		ipc := "shareable"
		if first != nil {
			ipc = "container:" + first.name
		}
		name := fmt.Sprintf("job%d", i)
		c := run(t, jobsImage(t), mount(t, map[string]string{name + ".conf": web}, "--read-only", "--ipc", ipc))
		c.logHas(name + ": started")
		if first == nil {
			first = c
		}
		all = append(all, c)
	}
	for i, c := range all {
		if out, _ := c.exec("initctl", "list"); !strings.HasPrefix(out, fmt.Sprintf("job%d start/running", i)) {
			t.Errorf("container %d lists %q", i, out)
		}
	}
	for i, c := range all {
		if status := c.stop(); status != 0 {
			t.Errorf("status %d of container %d after docker stop, want 0\n%s", status, i, c.log())
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
