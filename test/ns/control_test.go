package ns

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// otherUsers skips the test unless jobs can run under other uids.
func otherUsers(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		need.Skip(t, "setuid: %v", unix.EPERM)
	}
}

// open lets all users into the scratch directory, whose parent is closed to them.
func (ct *container) open() {
	ct.t.Helper()
	if err := os.Chmod(filepath.Dir(ct.dir), 0o755); err != nil {
		ct.t.Fatal(err)
	}
}

// must runs a control command that has to succeed and returns its output.
func (ct *container) must(args ...string) string {
	ct.t.Helper()
	out, status := ct.ctl(args...)
	if status != 0 {
		ct.t.Fatalf("%q: status %d\n%s\n%s", args, status, out, ct.dump())
	}
	return out
}

// decode runs a control command and decodes the JSON that it prints.
func (ct *container) decode(v any, args ...string) {
	ct.t.Helper()
	if out := ct.must(args...); json.Unmarshal([]byte(out), v) != nil {
		ct.t.Fatalf("%q prints %q, which is not the JSON of a %T", args, out, v)
	}
}

// waiting waits until a job is in stop/waiting.
func (ct *container) waiting(job string) {
	ct.t.Helper()
	ct.eventually(job+" waiting", func() bool {
		out, _ := ct.ctl("status", job)
		return out == job+" stop/waiting\n"
	})
}

// watch starts a control command that goes on until the test ends, and returns what
// it has printed so far.
func (ct *container) watch(args ...string) *output {
	ct.t.Helper()
	need.Program(ct.t, "nsenter")
	options := []string{"-t", strconv.Itoa(ct.cmd.Process.Pid), "--mount", "--pid"}
	if os.Getuid() != 0 {
		options = append(options, "--user", "--preserve-credentials")
	}
	out := new(output)
	cmd := exec.Command("nsenter", append(append(options, "--", need.Tend(ct.t), "ctl"), args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	// nsenter forks, and its child is to end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		ct.t.Fatal(err)
	}
	ct.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
	})
	return out
}

// TestOwnJobOfAnotherUser: a job's process may change its own job whatever its uid,
// by the environment of the job and by name.
func TestOwnJobOfAnotherUser(t *testing.T) {
	otherUsers(t)
	for _, user := range []string{"nobody", "12345"} {
		t.Run(user, func(t *testing.T) {
			jobs := map[string]string{"other.conf": service}
			// Only a signal ends a main process, so that nothing but the request stops it.
			main := func(name, script string) {
				jobs[name+".conf"] = "setuid " + user + "\nscript\n" + script + "\nexec sleep 1000\nend script\n"
			}
			for _, how := range []string{"bare", "name"} {
				arg := func(job string) string {
					if how == "name" {
						return " " + job
					}
					return ""
				}
				main("stop-"+how, "@TEND@ ctl stop"+arg("stop-"+how)+" || echo bad >@T@/stop-"+how)
				main("restart-"+how, "id -u >>@T@/runs-"+how+"\n"+
					"if mkdir @T@/once-"+how+"; then @TEND@ ctl restart"+arg("restart-"+how)+" || echo bad >>@T@/runs-"+how+"; fi")
				main("reload-"+how, "trap 'echo hup >@T@/hup-"+how+"' HUP\n"+
					"@TEND@ ctl reload"+arg("reload-"+how)+" >@T@/reload-"+how+" 2>&1 && rc=0 || rc=$?\n"+
					"echo status $rc >>@T@/reload-"+how)
				// By name a start waits for the job, which waits for its pre-stop.
				start := "start"
				if how == "name" {
					start = "start --no-wait" + arg("start-"+how)
				}
				jobs["start-"+how+".conf"] = "setuid " + user + "\nexec sleep 1000\npre-stop script\n" +
					"@TEND@ ctl " + start + " >@T@/start-" + how + " 2>&1 && rc=0 || rc=$?\n" +
					"echo status $rc >>@T@/start-" + how + "\nend script\n"
			}
			ct := start(t, config{jobs: withTend(t, jobs)})
			ct.running("other")
			ct.open()
			for _, how := range []string{"bare", "name"} {
				ct.must("start", "--no-wait", "stop-"+how)
				ct.waiting("stop-" + how)
				if _, err := os.Stat(ct.dir + "/stop-" + how); err == nil {
					t.Errorf("stop %s was refused\n%s", how, ct.dump())
				}

				ct.must("start", "--no-wait", "restart-"+how)
				uid := user
				if uid == "nobody" {
					uid = "65534"
				}
				ct.eventually("restart", func() bool { return ct.file("runs-"+how) == uid+"\n"+uid+"\n" })
				ct.running("restart-" + how)

				ct.must("start", "reload-"+how)
				if got := ct.file("hup-" + how); got != "hup\n" {
					t.Errorf("reload %s: %q", how, got)
				}
				if got := ct.file("reload-" + how); got != "status 0\n" {
					t.Errorf("reload %s says %q", how, got)
				}

				ct.must("start", "start-"+how)
				pid := ct.pid("start-" + how)
				ct.must("stop", "--no-wait", "start-"+how)
				ct.eventually("start in pre-stop", func() bool { return strings.Contains(ct.file("start-"+how), "status ") })
				if got := ct.file("start-" + how); !strings.HasSuffix(got, "status 0\n") {
					t.Errorf("start %s in pre-stop: %q", how, got)
				}
				ct.running("start-" + how)
				if got := ct.pid("start-" + how); got != pid || pid == 0 {
					t.Errorf("start %s in pre-stop leaves process %d, want %d", how, got, pid)
				}
			}
		})
	}
}

// TestPermissionsOfAnotherUser: a job's process under another uid may look, and change
// nothing but its own job.
func TestPermissionsOfAnotherUser(t *testing.T) {
	otherUsers(t)
	const refused = "You do not have permission to "
	tests := []struct {
		args string
		want string // of the output, when it is refused all of it but for the name
	}{
		{"status other", "other start/running, process "},
		{"status", "asks start/running, process "},
		{"list", "other start/running, process "},
		{"version", "upstart 1.13 compatible"},
		{"health", "ok, jobs up: 2\n"},
		{"emit x", refused + "emit an event\n"},
		{"stop other", refused + "modify job: other\n"},
		{"start idle", refused + "modify job: idle\n"},
		{"restart other", refused + "modify job: other\n"},
		{"reload other", refused + "modify job: other\n"},
		{"signal other USR1", refused + "modify job: other\n"},
		{"reload-configuration", refused + "reload configuration\n"},
		{"log-priority debug", refused + "set log priority\n"},
		{"set-env --global A=b", refused + "modify job environment\n"},
		{"list-env", refused + "query job environment\n"},
		{"show-config", refused + "query job configuration\n"},
		{"why other", refused + "query job configuration\n"},
		{"log other", refused + "read job output\n"},
		{"monitor", refused + "monitor events\n"},
		{"status --orphans", refused + "query processes\n"},
		{"shutdown --exit-code 3", refused + "request shutdown\n"},
	}
	script := "setuid nobody\nscript\n"
	for i, tt := range tests {
		script += fmt.Sprintf("@TEND@ ctl %s >@T@/%d 2>&1 && rc=0 || rc=$?\necho status $rc >>@T@/%d\n", tt.args, i, i)
	}
	script += "echo done >@T@/done\nexec sleep 1000\nend script\n"
	ct := start(t, config{jobs: withTend(t, map[string]string{
		"other.conf": service, "idle.conf": "exec sleep 1000\n", "asks.conf": script})})
	ct.running("other")
	ct.open()
	other := ct.pid("other")
	ct.must("start", "asks")
	ct.file("done")
	for i, tt := range tests {
		got := ct.file(strconv.Itoa(i))
		if !strings.HasPrefix(tt.want, refused) {
			if !strings.Contains(got, tt.want) || !strings.HasSuffix(got, "status 0\n") {
				t.Errorf("%s = %q, want %q and status 0", tt.args, got, tt.want)
			}
			continue
		}
		name, _, _ := strings.Cut(got, ": ")
		if want := name + ": " + tt.want + "status 1\n"; got != want {
			t.Errorf("%s = %q, want %q", tt.args, got, want)
		}
	}
	if got := ct.pid("other"); got != other {
		t.Errorf("other has process %d, want %d as before", got, other)
	}
	if got := ct.must("status", "idle"); got != "idle stop/waiting\n" {
		t.Errorf("a job was started: %s", got)
	}
}

// TestWhyAndHealth: the reasons for what runs and what does not.
func TestWhyAndHealth(t *testing.T) {
	ct := start(t, config{jobs: map[string]string{
		"web.conf":  service,
		"bad.conf":  "script\necho last words\nexit 3\nend script\n",
		"both.conf": "start on (started web and (later or unheard))\nexec sleep 1000\n",
		"from.conf": "emits later\nexec true\n",
		"slow.conf": "pre-start exec sleep 1000\nexec sleep 1000\n",
		"late.conf": "respawn\nrespawn delay 100000\nexec sh -c 'exit 5'\n",
		"die.conf":  "respawn\nrespawn limit 2 60\nexec sh -c 'exit 4'\n",
	}})
	ct.running("web")
	why := func(job string, want ...string) {
		t.Helper()
		out := ct.must("why", job)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("why %s has no %q:\n%s", job, w, out)
			}
		}
	}
	health := func(want int, text string, jobs ...string) {
		t.Helper()
		out, status := ct.ctl(append([]string{"health"}, jobs...)...)
		if status != want || out != text {
			t.Errorf("health %q = %d %q, want %d %q", jobs, status, out, want, text)
		}
	}
	health(0, "ok, jobs up: 1\n")
	health(0, "ok, jobs up: 1\n", "web")
	why("web", "web start/running, process ", "  in this state for ", "start on startup\n")
	why("both", "both stop/waiting\n", "  it has never been started\n", "  started web: true, by started JOB=web",
		"  later: not true; emitted by job from\n", "  unheard: not true; nobody is known to emit it (initctl emit unheard does)\n")

	ct.must("start", "--no-wait", "slow")
	why("slow", "slow start/pre-start, process ", "  waits for its pre-start process to end\n", "only a command starts it (start slow)\n")
	ct.must("stop", "slow")

	ct.must("start", "--no-wait", "bad")
	ct.waiting("bad")
	ct.must("start", "--no-wait", "die")
	ct.waiting("die")
	// A line may be read after the end of its process has been noticed.
	ct.eventually("the last words", func() bool { return ct.must("log", "bad") == "last words\n" })
	why("bad", "the last run of bad has failed: ", "status 3", "  its last output:\n    last words\n")
	why("die", "the last run of die has failed: ", "status 4")
	out, status := ct.ctl("health")
	if status != 1 || !strings.Contains(out, "bad: ") || !strings.Contains(out, "die: ") || strings.Contains(out, "web") {
		t.Errorf("health = %d %q, want 1 with the reasons for bad and die only", status, out)
	}
	health(0, "ok, jobs up: 1\n", "web")
	var answer struct {
		OK      bool
		Reasons []struct{ Job, Text string }
	}
	out, _ = ct.ctl("health", "--json", "bad")
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.OK || len(answer.Reasons) != 1 || answer.Reasons[0].Job != "bad" {
		t.Errorf("health --json bad prints %q (%v)", out, err)
	}
	ct.must("start", "--no-wait", "late")
	ct.eventually("a respawn that is due", func() bool {
		return strings.Contains(ct.must("why", "late"), "  waits before the next respawn, due in 27 h ")
	})
	if out, status := ct.ctl("health", "late"); status != 1 || !strings.HasPrefix(out, "late: is ") {
		t.Errorf("health late = %d %q, want 1 while it waits", status, out)
	}
	if out, status := ct.ctl("why", "nosuch"); status != 1 || !strings.Contains(out, "Unknown job: nosuch") {
		t.Errorf("why nosuch = %d %q", status, out)
	}
}

// TestLogAndSignal: the last lines of a job, those that come, and a signal that makes
// it write one.
func TestLogAndSignal(t *testing.T) {
	signals := strings.Join(helper("signals", "0"), " ")
	ct := start(t, config{jobs: map[string]string{
		"web.conf": "start on startup\nscript\necho one\necho two\nexec " + signals + "\nend script\n",
	}})
	ct.eventually("three lines", func() bool { out, _ := ct.ctl("log", "web"); return out == "one\ntwo\nready\n" })
	if got := ct.must("log", "-n", "2", "web"); got != "two\nready\n" {
		t.Errorf("log -n 2 web = %q", got)
	}
	follow := ct.watch("log", "-n", "1", "-f", "web")
	ct.eventually("the last line", func() bool { return follow.String() == "ready\n" })
	ct.must("signal", "web", "USR1")
	ct.eventually("what came", func() bool { return follow.String() == "ready\ngot 10\n" })
	ct.must("signal", "web", "12")
	ct.eventually("what came then", func() bool { return follow.String() == "ready\ngot 10\ngot 12\n" })
	var line struct{ Time, Job, Msg string }
	ct.decode(&line, "log", "--json", "-n", "1", "web")
	if _, err := time.Parse(time.RFC3339, line.Time); err != nil || line.Job != "web" || line.Msg != "got 12" {
		t.Errorf("log --json = %+v (%v)", line, err)
	}
	if out, status := ct.ctl("signal", "web", "NONE"); status != 1 || !strings.Contains(out, "unknown signal: NONE") {
		t.Errorf("signal web NONE = %d %q", status, out)
	}
}

// notice is a line of monitor --json.
type notice struct {
	Time, Kind, Job, Event, From, To, Process string
	Env                                       []string
	PID                                       int
	Status                                    *int
}

// what is a notice without what differs between runs.
func (n *notice) what() string {
	text := strings.Join(strings.Fields(fmt.Sprint(n.Kind, " ", n.Job, " ", n.Event, " ", strings.Join(n.Env, " "), " ", n.From, " ", n.To, " ", n.Process)), " ")
	if n.Status != nil {
		text += " status " + strconv.Itoa(*n.Status)
	}
	return text
}

// TestMonitor: events and transitions, as they happen and in their order.
func TestMonitor(t *testing.T) {
	ct := start(t, config{jobs: map[string]string{
		"web.conf":  service,
		"task.conf": "start on go\ntask\nexec sh -c 'exit 3'\n",
	}})
	ct.running("web")
	text, lines := ct.watch("monitor"), ct.watch("monitor", "--json")
	// Both listen once they have told of an event that comes again and again.
	ct.eventually("monitors that listen", func() bool {
		ct.must("emit", "marker")
		return strings.Contains(text.String(), " event marker\n") && strings.Contains(lines.String(), `"marker"`)
	})
	if out, status := ct.ctl("emit", "go", "A=b"); status != 1 {
		t.Errorf("emit go = %d %q, want 1 since the job fails", status, out)
	}
	ct.must("emit", "end")
	ct.eventually("the end", func() bool {
		return strings.Contains(text.String(), " event end finished\n") && strings.Count(lines.String(), `"end"`) == 2
	})

	rest := text.String()
	for _, want := range []string{
		" event go A=b\n", " task: goal changed from stop to start\n", " task: state changed from waiting to starting\n",
		" event starting JOB=task INSTANCE=\n", " event starting finished\n",
		" task: main process (", ") started\n", " task: main process (", ") terminated with status 3\n",
		" task: goal changed from start to stop\n", " event stopped JOB=task INSTANCE= RESULT=failed PROCESS=main EXIT_STATUS=3\n",
		" event end\n", " event end finished\n",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("monitor prints no %q at its place:\n%s", want, text)
		}
		rest = after
	}

	var got []string
	pids := map[int]bool{}
	for _, line := range strings.Split(strings.TrimSpace(lines.String()), "\n") {
		var n notice
		if err := json.Unmarshal([]byte(line), &n); err != nil {
			t.Fatalf("%v in line %q", err, line)
		}
		if _, err := time.Parse(time.RFC3339, n.Time); err != nil {
			t.Errorf("%v in line %q", err, line)
		}
		if n.PID != 0 {
			pids[n.PID] = true
		}
		got = append(got, n.what())
	}
	if len(pids) != 1 {
		t.Errorf("processes %v, want one", pids)
	}
	all := strings.Join(got, "\n") + "\n"
	rest = all
	for _, want := range []string{
		"event go A=b", "goal task stop start", "state task waiting starting", "event starting JOB=task INSTANCE=",
		"process-started task main", "process-ended task main status 3", "goal task start stop",
		"event stopped JOB=task INSTANCE= RESULT=failed PROCESS=main EXIT_STATUS=3", "event-finished end",
	} {
		_, after, ok := strings.Cut(rest, want+"\n")
		if !ok {
			t.Fatalf("monitor --json prints no %q at its place:\n%s", want, all)
		}
		rest = after
	}
}

// TestJSON: what programs read about jobs, and the two kinds of things that are easily
// overlooked, masked jobs and orphans.
func TestJSON(t *testing.T) {
	ct := start(t, config{args: []string{"--mask", "hidden"}, jobs: map[string]string{
		"web.conf":    "start on startup or go A=b\nstop on halt\nemits ready\nexec sleep 1000\n",
		"idle.conf":   "exec sleep 1000\n",
		"hidden.conf": service,
	}})
	ct.running("web")
	type status struct {
		Job, Instance, Goal, State string
		Processes                  []struct {
			Process string
			PID     int
		}
		Masked bool
	}
	var one status
	ct.decode(&one, "status", "--json", "web")
	if one.Job != "web" || one.Goal != "start" || one.State != "running" || len(one.Processes) != 1 ||
		one.Processes[0].Process != "main" || one.Processes[0].PID != ct.pid("web") {
		t.Errorf("status --json web = %+v", one)
	}
	var all []status
	ct.decode(&all, "list", "--json")
	byName := map[string]status{}
	for _, s := range all {
		byName[s.Job] = s
	}
	if len(all) != 3 || byName["web"].State != "running" || byName["idle"].State != "waiting" || !byName["hidden"].Masked || byName["web"].Masked {
		t.Errorf("list --json = %+v", all)
	}
	if got := ct.must("list", "--masked"); got != "hidden stop/waiting\n" {
		t.Errorf("list --masked = %q", got)
	}
	ct.decode(&all, "list", "--masked", "--json")
	if len(all) != 1 || all[0].Job != "hidden" {
		t.Errorf("list --masked --json = %+v", all)
	}
	var conf []struct {
		Job     string
		Emits   []string
		StartOn struct {
			Expression string
			Terms      []struct {
				Event string
				Args  []string
			}
		} `json:"start_on"`
	}
	ct.decode(&conf, "show-config", "--json", "web")
	if len(conf) != 1 || conf[0].Job != "web" || fmt.Sprint(conf[0].Emits) != "[ready]" ||
		fmt.Sprint(conf[0].StartOn.Terms) != "[{startup []} {go [A=b]}]" {
		t.Errorf("show-config --json web = %+v", conf)
	}
	var version struct {
		Protocol int
		Version  string
	}
	ct.decode(&version, "version", "--json")
	if version.Protocol != 1 || version.Version+"\n" != ct.must("version") {
		t.Errorf("version --json = %+v", version)
	}

	var orphans []struct {
		PID     int
		Command string
	}
	ct.decode(&orphans, "status", "--orphans", "--json")
	if len(orphans) != 0 {
		t.Errorf("status --orphans --json = %+v, want none yet", orphans)
	}
	ct.inside("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 </dev/null &")
	ct.eventually("an orphan", func() bool {
		ct.decode(&orphans, "status", "--orphans", "--json")
		return len(orphans) == 1 && orphans[0].Command == "sleep"
	})
	if got, want := ct.must("status", "--orphans"), fmt.Sprintf("%d\tsleep\n", orphans[0].PID); got != want {
		t.Errorf("status --orphans = %q, want %q", got, want)
	}
}

// TestManyJobsThatStopThemselves at once, with the most common idiom of job files.
func TestManyJobsThatStopThemselves(t *testing.T) {
	n := 500
	if testing.Short() {
		n = 100
	}
	jobs := map[string]string{"web.conf": service}
	for i := range n {
		// The shell ends at the first command that fails, so ran has those who got
		// through.
		jobs[fmt.Sprintf("j%d.conf", i)] = "start on go\npre-start script\n@TEND@ ctl emit --no-wait x\n" +
			"@TEND@ ctl stop\necho $UPSTART_JOB >>@T@/ran\nexit 0\nend script\nscript\necho $UPSTART_JOB >>@T@/main\nexec sleep 1000\nend script\n"
	}
	ct := start(t, config{jobs: withTend(t, jobs)})
	ct.running("web")
	web := ct.pid("web")
	ct.must("emit", "--no-wait", "go")
	ct.eventually("all waiting", func() bool {
		ran, _ := os.ReadFile(filepath.Join(ct.dir, "ran"))
		if strings.Count(string(ran), "\n") < n {
			return false
		}
		return strings.Count(ct.must("list"), " stop/waiting\n") == n
	})
	if main, err := os.ReadFile(filepath.Join(ct.dir, "main")); err == nil {
		t.Errorf("main processes ran in spite of stop: %q", main)
	}
	ran := map[string]bool{}
	for _, job := range strings.Fields(ct.file("ran")) {
		ran[job] = true
	}
	if len(ran) != n {
		t.Errorf("%d jobs ran, want %d", len(ran), n)
	}
	if got := ct.pid("web"); got != web || web == 0 {
		t.Errorf("web has process %d, want %d as before\n%s", got, web, ct.dump())
	}
	if got := ct.stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, ct.dump())
	}
}
