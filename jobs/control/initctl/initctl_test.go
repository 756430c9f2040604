package initctl

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tend/jobs"
	"tend/jobs/control"
)

// run runs a program and returns what it printed, stdout before stderr, and its
// exit status.
func run(prog string, args ...string) (string, int) {
	var out, errs bytes.Buffer
	status := Main(prog, args, strings.NewReader(""), &out, &errs)
	return out.String() + errs.String(), status
}

// outside makes sure that we do not seem to run in a job.
func outside(t *testing.T) {
	t.Helper()
	for _, name := range []string{"UPSTART_JOB", "UPSTART_INSTANCE", "UPSTART_SESSION", "RUNLEVEL", "PREVLEVEL"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	t.Setenv(control.Environment, filepath.Join(t.TempDir(), "nobody.sock"))
}

const tryInitctl = "Try `initctl --help' for more information.\n"

func TestWrongCalls(t *testing.T) {
	outside(t)
	for _, tt := range []struct {
		call string // words; the first is the program
		want string
	}{
		{"initctl", "initctl: missing command\n" + tryInitctl},
		{"initctl bogus", "initctl: invalid command: bogus\n" + tryInitctl},
		{"initctl help-all", "initctl: invalid command: help-all\n" + tryInitctl},
		{"initctl --bogus list", "initctl: invalid option: --bogus\n" + tryInitctl},
		{"initctl --no-wait start x", "initctl: invalid option: --no-wait\n" + tryInitctl},
		{"initctl start --bogus a", "initctl: invalid option: --bogus\n" + tryInitctl},
		{"initctl start --bogus=1 a", "initctl: invalid option: --bogus\n" + tryInitctl},
		{"initctl start -x a", "initctl: invalid option: -x\n" + tryInitctl},
		{"initctl start -nx a", "initctl: invalid option: -x\n" + tryInitctl},
		{"initctl start --no-wai a", "initctl: invalid option: --no-wai\n" + tryInitctl},
		{"initctl start --no-wait=yes a", "initctl: unexpected argument: --no-wait=yes\n" + tryInitctl},
		{"initctl --dest", "initctl: missing argument: --dest\n" + tryInitctl},
		{"initctl check-config -i", "initctl: missing argument: -i\n" + tryInitctl},
		{"initctl start", "initctl: missing job name\n" + tryInitctl},
		{"initctl stop", "initctl: missing job name\n" + tryInitctl},
		{"initctl restart", "initctl: missing job name\n" + tryInitctl},
		{"initctl reload", "initctl: missing job name\n" + tryInitctl},
		{"initctl status", "initctl: missing job name\n" + tryInitctl},
		{"initctl usage", "initctl: missing job name\n" + tryInitctl},
		{"initctl emit", "initctl: missing event name\n" + tryInitctl},
		{"initctl emit -n", "initctl: missing event name\n" + tryInitctl},
		{"initctl get-env", "initctl: missing variable name\n" + tryInitctl},
		{"initctl unset-env -g", "initctl: missing variable name\n" + tryInitctl},
		{"initctl set-env -g", "initctl: missing variable value\n" + tryInitctl},
		{"initctl notify-dbus-address", "initctl: missing D-Bus address\n" + tryInitctl},
		{"initctl notify-dbus-address a", "initctl: Not permissible to notify D-Bus address for PID 1\n"},
		{"initctl notify-cgroup-manager-address", "initctl: missing address\n" + tryInitctl},
		{"initctl list-sessions", "initctl: Unable to query session directory\n"},
		{"initctl signal web", "initctl: missing signal\n" + tryInitctl},
		{"initctl --user list", "initctl: UPSTART_SESSION isn't set in the environment. Unable to locate the Upstart instance.\n"},
		{"start", "start: missing job name\nTry `start --help' for more information.\n"},
		{"stop --bogus", "stop: invalid option: --bogus\nTry `stop --help' for more information.\n"},
		{"telinit", "telinit: missing runlevel\nTry `telinit --help' for more information.\n"},
		{"telinit 7", "telinit: illegal runlevel: 7\nTry `telinit --help' for more information.\n"},
		{"telinit 22", "telinit: illegal runlevel: 22\nTry `telinit --help' for more information.\n"},
		{"telinit -e", "telinit: missing argument: -e\nTry `telinit --help' for more information.\n"},
		{"shutdown", "shutdown: time expected\nTry `shutdown --help' for more information.\n"},
		{"shutdown -h 25:00", "shutdown: illegal time value: 25:00\nTry `shutdown --help' for more information.\n"},
		{"shutdown soon", "shutdown: illegal time value: soon\nTry `shutdown --help' for more information.\n"},
		{"shutdown --exit-code 256", "shutdown: illegal exit code: 256\nTry `shutdown --help' for more information.\n"},
		{"shutdown --exit-code x", "shutdown: illegal number: x\nTry `shutdown --help' for more information.\n"},
		{"runlevel", "unknown\n"},
	} {
		words := strings.Fields(tt.call)
		if got, status := run(words[0], words[1:]...); got != tt.want || status != 1 {
			t.Errorf("%s: status %d\n%swant status 1\n%s", tt.call, status, got, tt.want)
		}
	}
}

func TestNoServer(t *testing.T) {
	outside(t)
	address := os.Getenv(control.Environment)
	for _, call := range []string{"list", "status a", "start a", "emit x", "version", "check-config", "health"} {
		want := "initctl: Unable to connect to Upstart: cannot connect to " + address + ": no such file or directory\n"
		if got, status := run("initctl", strings.Fields(call)...); got != want || status != 1 {
			t.Errorf("%s: status %d, %swant %s", call, status, got, want)
		}
	}
}

// serve answers requests with what answer makes of them, and returns the requests.
func serve(t *testing.T, answer func(*control.Call)) <-chan control.Request {
	t.Helper()
	outside(t)
	server, err := control.Listen([]string{filepath.Join(t.TempDir(), "s.sock")})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(control.Environment, server.Address)
	requests := make(chan control.Request, 64)
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case call := <-server.Calls():
				if call.Cancels != nil {
					continue
				}
				requests <- call.Request
				answer(call)
			case <-ending:
				return
			}
		}
	}()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		close(ending)
		<-ended
	})
	return requests
}

func TestWhatIsAsked(t *testing.T) {
	requests := serve(t, func(c *control.Call) { c.Reply(&control.Response{}) })
	for _, tt := range []struct {
		call, env string // env: UPSTART_JOB/UPSTART_INSTANCE
		want      string
	}{
		{"start web", "", `{"v":1,"command":"start","job":"web"}`},
		{"initctl start web A=1 B=", "", `{"v":1,"command":"start","job":"web","env":["A=1","B="]}`},
		{"initctl start -n web", "", `{"v":1,"command":"start","job":"web","no_wait":true}`},
		{"initctl start web --no-wait X=1", "", `{"v":1,"command":"start","job":"web","env":["X=1"],"no_wait":true}`},
		{"initctl start -- --no-wait", "", `{"v":1,"command":"start","job":"--no-wait"}`},
		{"initctl -qv --system --dest x --session stop web", "", `{"v":1,"command":"stop","job":"web"}`},
		{"stop", "web/one", `{"v":1,"command":"stop","job":"web","instance":"one","no_wait":true}`},
		{"status", "web/", `{"v":1,"command":"status","job":"web","instance":""}`},
		{"status db", "web/one", `{"v":1,"command":"status","job":"db"}`},
		{"initctl list extra", "", `{"v":1,"command":"list"}`},
		{"initctl emit ev A=1", "", `{"v":1,"command":"emit","event":"ev","env":["A=1"]}`},
		{"initctl set-env A=1 B", "web/one", `{"v":1,"command":"set-env","job":"web","instance":"one","vars":["A=1","B"]}`},
		{"initctl set-env -gr A=1", "web/one", `{"v":1,"command":"set-env","vars":["A=1"],"global":true,"retain":true}`},
		{"initctl check-config -w --ignore-events=a,b -i c web", "", `{"v":1,"command":"check-config","jobs":["web"],"ignore":["a","b","c"],"warn":true}`},
		{"initctl log -fn3 web", "", `{"v":1,"command":"log","job":"web","lines":3,"follow":true}`},
		{"initctl signal web HUP X=1", "", `{"v":1,"command":"signal","job":"web","env":["X=1"],"signal":"HUP"}`},
		{"telinit q", "", `{"v":1,"command":"reload-configuration"}`},
		{"shutdown -h now", "", `{"v":1,"command":"shutdown","runlevel":"0","halt":"POWEROFF"}`},
		{"shutdown -H +0 bye", "", `{"v":1,"command":"shutdown","runlevel":"0","halt":"HALT"}`},
		{"shutdown -r now", "", `{"v":1,"command":"shutdown","runlevel":"6"}`},
		{"shutdown --exit-code 3", "", `{"v":1,"command":"shutdown","runlevel":"0","halt":"POWEROFF","exit_code":3}`},
		{"reboot", "", `{"v":1,"command":"shutdown","runlevel":"6"}`},
		{"poweroff -f", "", `{"v":1,"command":"shutdown","runlevel":"0","halt":"POWEROFF","force":true}`},
		{"halt", "", `{"v":1,"command":"shutdown","runlevel":"0","halt":"HALT"}`},
	} {
		job, instance, inside := strings.Cut(tt.env, "/")
		os.Unsetenv("UPSTART_JOB")
		os.Unsetenv("UPSTART_INSTANCE")
		if inside {
			t.Setenv("UPSTART_JOB", job)
			t.Setenv("UPSTART_INSTANCE", instance)
		}
		words := strings.Fields(tt.call)
		if out, status := run(words[0], words[1:]...); out != "" || status != 0 {
			t.Errorf("%s: status %d, %s", tt.call, status, out)
			continue
		}
		got, err := json.Marshal(<-requests)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s (%s) asks %s, %v\nwant %s", tt.call, tt.env, got, err, tt.want)
		}
	}
}

func TestWhatIsPrinted(t *testing.T) {
	running := control.NewStatus(jobs.Status{Job: "web", Instance: "one", Goal: jobs.Start, State: jobs.Running,
		Processes: []jobs.RunningProcess{{Process: jobs.Main, PID: 7}}})
	condition := &control.Condition{Expression: "(started b or foo two X=1)", Terms: []control.Term{
		{Event: "started", Args: []string{"b", "INSTANCE=x"}}, {Event: "stopped", Args: []string{"RESULT=ok", "JOB=c"}}, {Event: "foo", Args: []string{"two", "X=1"}}}}
	serve(t, func(c *control.Call) {
		switch c.Command {
		case control.CmdStart:
			c.Reply(&control.Response{Error: "Job failed to start", Reason: "pre-start exited with status 3"})
		case control.CmdStop:
			c.Refuse("Unknown parameter: X\nUsage: needs X")
		case control.CmdReload:
			c.Refuse("file.conf:3: Unknown stanza")
		case control.CmdStatus, control.CmdRestart:
			c.Reply(&control.Response{Status: running})
		case control.CmdList:
			c.ReplyAll(func(yield func(*control.Response) bool) {
				_ = yield(&control.Response{Status: control.NewStatus(jobs.Status{Job: "a"})}) && yield(&control.Response{Status: running})
			})
		case control.CmdShowConfig:
			c.Reply(&control.Response{Config: &control.Config{Job: "a", Emits: []string{"x"}, StartOn: condition}})
		case control.CmdCheckConfig:
			c.Reply(&control.Response{Problem: &control.Problem{Job: "a", Texts: []string{"start on: unknown event x"}}})
		case control.CmdHealth:
			c.Reply(&control.Response{Health: &control.Health{OK: len(c.Jobs) > 0, Jobs: 2, Reasons: []control.Reason{{Job: "web", Instance: "one", Text: "is stop/killed"}}}})
		case control.CmdRunlevel:
			c.Reply(&control.Response{Text: "N 2"})
		case control.CmdMonitor:
			c.Send(&control.Response{Notice: &control.Notice{Time: "2024-01-02T03:04:05.678Z", Text: "event x"}})
			c.Reply(&control.Response{Lost: 3})
		default:
			c.Reply(&control.Response{Text: c.Command})
		}
	})
	for _, tt := range []struct {
		call   string
		want   string
		status int
	}{
		{"start web", "start: Job failed to start\n", 1},
		{"start -v web", "start: Job failed to start: pre-start exited with status 3\n", 1},
		{"stop web", "stop: Unknown parameter: X\nUsage: needs X\n", 1},
		{"reload web", "reload:file.conf:3: Unknown stanza\n", 1},
		{"restart web", "web (one) start/running, process 7\n", 0},
		{"restart -q web", "", 0},
		{"status --json web", `{"job":"web","instance":"one","goal":"start","state":"running","processes":[{"process":"main","pid":7}]}` + "\n", 0},
		{"list", "a stop/waiting\nweb (one) start/running, process 7\n", 0},
		{"initctl list -q", "", 0},
		{"initctl list --json", `[{"job":"a","instance":"","goal":"stop","state":"waiting"},` + "\n" +
			`{"job":"web","instance":"one","goal":"start","state":"running","processes":[{"process":"main","pid":7}]}]` + "\n", 0},
		{"initctl show-config", "a\n  emits x\n  start on (started b or foo two X=1)\n", 0},
		{"initctl show-config -e", "a\n  emits x\n  start on started (job: b, env: INSTANCE=x)\n  start on stopped (job: c, env: RESULT=ok)\n  start on foo (job:, env: two X=1)\n", 0},
		{"initctl check-config", "a\n  start on: unknown event x\n", 1},
		{"initctl health", "web (one): is stop/killed\n", 1},
		{"initctl usage web", "Usage: usage\n", 0},
		{"initctl version", "version\n", 0},
		{"runlevel", "N 2\n", 0},
		{"initctl monitor", "03:04:05.678 event x\n(3 lines lost)\n", 0},
		{"initctl --version", "initctl (tend " + jobs.Version + ", upstart 1.13 compatible)\n", 0},
		{"initctl notify-cgroup-manager-address x", "", 0},
		{"shutdown -k now", "", 0},
	} {
		words := strings.Fields(tt.call)
		if got, status := run(words[0], words[1:]...); got != tt.want || status != tt.status {
			t.Errorf("%s: status %d\n%swant status %d\n%s", tt.call, status, got, tt.status, tt.want)
		}
	}
	if got, status := run("initctl", "status", ""); got != "web (one) start/running, process 7\n" || status != 0 {
		t.Errorf("status of an empty name is not asked for: %s %d", got, status)
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	outside(t)
	list, status := run("initctl", "help")
	if status != 0 {
		t.Fatalf("help: status %d", status)
	}
	for _, c := range commands {
		if !strings.Contains(list, "\n  "+c.name+" ") && !strings.Contains(list, "\n  "+c.name+"\n") {
			t.Errorf("help does not list %s", c.name)
		}
		got, status := run("initctl", c.name, "--help", "--bogus")
		if status != 0 || !strings.HasPrefix(got, "Usage: initctl "+c.name+" [OPTION]...") || !strings.Contains(got, c.summary) {
			t.Errorf("initctl %s --help: status %d\n%s", c.name, status, got)
		}
		if got, _ := run(c.name, "--help"); !strings.HasPrefix(got, "Usage: "+c.name+" [OPTION]...") {
			t.Errorf("%s --help:\n%s", c.name, got)
		}
		for _, line := range strings.Split(got, "\n") {
			if len(line) > 80 {
				t.Errorf("%s --help: line longer than 80: %s", c.name, line)
			}
		}
	}
}

func TestDelayUntil(t *testing.T) {
	now := time.Date(2024, 5, 6, 12, 30, 15, 0, time.UTC)
	for when, want := range map[string]int{
		"now": 0, "+0": 0, "+5": 300, "5": 300, "12:31": 45, "12:30": 24*3600 - 15, "00:00": 11*3600 + 29*60 + 45,
	} {
		if got, err := delayUntil(when, now); err != nil || got != want {
			t.Errorf("delayUntil(%s) = %d, %v, want %d", when, got, err, want)
		}
	}
	for _, when := range []string{"", "+", "-5", "24:00", "1:60", "1:2:3", "soon", "+99999999999"} {
		if got, err := delayUntil(when, now); err == nil {
			t.Errorf("delayUntil(%q) = %d, want an error", when, got)
		}
	}
}
