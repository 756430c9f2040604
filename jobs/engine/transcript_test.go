package engine_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/jobs/engine"
	"tend/jobs/environ"
	"tend/jobs/event"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestTranscripts plays the files in testdata. A file is a list of blocks with a
// blank line between them: a command (see the player's methods) above a line ----
// and what the machine did below. Lines with # are for the reader.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(src))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(src) {
				t.Errorf("%s differs (go test -update rewrites it):\n%s", file, firstDifference(got, string(src)))
			}
		})
	}
	if len(files) < 60 {
		t.Errorf("got %d transcripts, want at least 60", len(files))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			from := max(0, i-12)
			return fmt.Sprintf("line %d\ngot:\n%s\nwant:\n%s", i+1,
				strings.Join(g[from:min(len(g), i+8)], "\n"), strings.Join(w[from:min(len(w), i+8)], "\n"))
		}
	}
	return "the end is missing: " + strings.Join(w[len(g):], "\n")
}

// player carries out the commands of a transcript.
type player struct {
	*world
	out      strings.Builder
	requests map[engine.RequestID]string
	verbose  bool
	envs     bool
}

func play(src string) (out string, err error) {
	defer func() {
		if r := recover(); r != nil && !*update {
			panic(r)
		} else if r != nil {
			err = fmt.Errorf("%v after:\n%s", r, out)
		}
	}()
	p := &player{
		world:    newWorld(engine.Options{Env: environ.Env{"PATH=/bin"}, Init: environ.Env{"TZ=UTC"}}),
		requests: map[engine.RequestID]string{},
		verbose:  true,
	}
	p.log = p.print
	var doc strings.Builder
	if strings.Count(src, "\n\n") == 0 {
		return "", fmt.Errorf("no blocks")
	}
	for n, block := range strings.Split(strings.TrimRight(src, "\n"), "\n\n") {
		input, _, isCommand := strings.Cut(block+"\n", "----\n")
		if n > 0 {
			doc.WriteString("\n")
		}
		doc.WriteString(input)
		if !isCommand {
			continue
		}
		var lines []string
		for _, line := range strings.Split(strings.TrimRight(input, "\n"), "\n") {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
		p.out.Reset()
		if err := p.command(lines[0], lines[1:]); err != nil {
			return doc.String(), fmt.Errorf("%s: %w", lines[0], err)
		}
		doc.WriteString("----\n" + p.out.String())
	}
	return doc.String(), nil
}

// command carries out one line:
//
//	job NAME, with the job file below       loads a class; apparmor load X gives it a
//	                                        security process that runs X
//	unload NAME
//	start|stop|restart|reload [-n] NAME [KEY=VALUE…]
//	in NAME start|stop|restart              from inside the job NAME
//	emit [-n] [--from JOB] [--fds N,N] EVENT [KEY=VALUE…]
//	exit NAME [PROCESS] STATUS|SIGNAL [heir|grandchild] [left]
//	stopped NAME, notify NAME [main]        SIGSTOP, READY=1
//	pass DURATION                           lets time pass
//	status|why|environ NAME, list, order, idle, missing, outcomes
//	set-env|unset-env|reset-env [NAME] VAR…
//	shutdown [TIMEOUT RESERVE|now]
//	hold, spawned, execed [PID], answer     Spawn is answered by hand from hold on
//	fail, want                              so: it cannot be done, or not for the moment
//	brief, verbose, envs                    what is shown
func (p *player) command(line string, body []string) error {
	words := strings.Fields(line)
	verb, args := words[0], words[1:]
	switch verb {
	case "job":
		class, errs := new(conf.Parser).Parse(args[0], args[0]+".conf", []byte(strings.Join(body, "\n")+"\n"))
		if class == nil {
			return fmt.Errorf("%v", errs)
		}
		if class.AppArmorLoad != "" {
			// The driver makes it so, where there is AppArmor.
			class.Processes[jobs.SecurityProcess] = &jobs.Command{Text: class.AppArmorLoad}
		}
		p.give(engine.Load{Class: class})
	case "unload":
		p.give(engine.Unload{Name: args[0]})
	case "start", "stop", "restart", "reload":
		p.request(line, verb, args, 0)
	case "in":
		id, ok := p.m.Lookup(instanceOf(args[0]))
		if !ok {
			return fmt.Errorf("no job %s", args[0])
		}
		p.request(line, args[1], append([]string{args[0]}, args[2:]...), id)
	case "emit":
		p.emit(line, args)
	case "exit":
		return p.exit(args)
	case "stopped":
		p.give(engine.Stopped{PID: p.mainPID(args[0]), Sig: syscall.SIGSTOP})
	case "notify":
		return p.notify(args)
	case "pass":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		p.pass(d)
	case "shutdown":
		return p.shutdown(args)
	case "hold":
		p.manual = true
	case "answer", "spawned", "execed", "fail", "want":
		if len(args) > 0 {
			pid, _ := strconv.Atoi(args[0])
			p.give(engine.Execed{Job: p.flying[0].Job, PID: pid})
			break
		}
		p.answer(verb)
	case "brief", "verbose":
		p.verbose = verb == "verbose"
	case "envs":
		p.envs = true
	case "set-env", "unset-env", "reset-env":
		p.environment(line, verb, args)
	default:
		return p.query(verb, args)
	}
	return nil
}

func instanceOf(word string) (job, instance string) {
	job, instance, _ = strings.Cut(word, ":")
	return job, instance
}

func (p *player) next(line string) engine.RequestID {
	id := engine.RequestID(len(p.requests) + 1)
	p.requests[id] = line
	return id
}

func (p *player) request(line, verb string, args []string, inside engine.JobID) {
	in := engine.Command{Request: p.next(line), Inside: inside, Exact: inside != 0, NoWait: inside != 0}
	in.Verb = map[string]engine.Verb{
		"start": engine.VerbStart, "stop": engine.VerbStop, "restart": engine.VerbRestart, "reload": engine.VerbReload,
	}[verb]
	if args[0] == "-n" {
		in.NoWait, args = true, args[1:]
	}
	in.Job, in.Instance = instanceOf(args[0])
	in.Env = environ.Env(args[1:])
	p.give(in)
}

func (p *player) emit(line string, args []string) {
	in := engine.Emit{Request: p.next(line)}
	for strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-n":
			in.NoWait = true
		case "--from":
			in.From, _ = p.m.Lookup(args[1], "")
			args = args[1:]
		case "--fds":
			for _, fd := range strings.Split(args[1], ",") {
				n, _ := strconv.Atoi(fd)
				in.FDs = append(in.FDs, n)
			}
			args = args[1:]
		}
		args = args[1:]
	}
	in.Event = event.Event{Name: args[0], Env: environ.Env(args[1:])}
	p.give(in)
}

func (p *player) mainPID(name string) int {
	id, _ := p.m.Lookup(instanceOf(name))
	return p.pidOf(id, jobs.Main)
}

func (p *player) exit(args []string) error {
	id, ok := p.m.Lookup(instanceOf(args[0]))
	if !ok {
		return fmt.Errorf("no job %s", args[0])
	}
	kind, args := jobs.Main, args[1:]
	for k := jobs.Process(0); k < jobs.NumProcesses; k++ {
		if args[0] == k.String() {
			kind, args = k, args[1:]
			break
		}
	}
	in := engine.Exited{PID: p.pidOf(id, kind)}
	if code, err := strconv.Atoi(args[0]); err == nil {
		in.Code = code
	} else {
		in.Sig = map[string]syscall.Signal{
			"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "SEGV": syscall.SIGSEGV, "HUP": syscall.SIGHUP,
		}[args[0]]
	}
	for _, word := range args[1:] {
		switch word {
		case "heir":
			p.pid++
			in.Heir = p.pid
		case "grandchild":
			p.pid++
			in.Heir, in.Grandchild = p.pid, true
		case "left":
			p.left[id] = append(p.left[id], "")
		case "left-stubborn":
			p.left[id] = append(p.left[id], "stubborn")
		case "left-undead":
			p.left[id] = append(p.left[id], "undead")
		}
	}
	if p.live[in.PID] == nil {
		return fmt.Errorf("no process")
	}
	p.endWith(in)
	return nil
}

func (p *player) notify(args []string) error {
	id, _ := p.m.Lookup(instanceOf(args[0]))
	in := engine.Notified{Job: id, Ready: true}
	if len(args) > 1 {
		p.pid++
		in.MainPID = p.pid
	}
	p.give(in)
	return nil
}

func (p *player) shutdown(args []string) error {
	in := engine.Shutdown{}
	for i, arg := range args {
		d, err := time.ParseDuration(arg)
		switch {
		case arg == "now":
			in.Now = true
		case err != nil:
			return err
		case i == 0:
			in.Timeout = d
		default:
			in.Reserve = d
		}
	}
	p.give(in)
	return nil
}

// answer answers the oldest Spawn that is not answered yet.
func (p *player) answer(verb string) {
	a := p.flying[0]
	if verb != "spawned" {
		p.flying = p.flying[1:]
	}
	pid := p.pidOf(a.Job, a.Process)
	switch verb {
	case "answer":
		p.launch(a)
		p.give(engine.Elapsed{})
	case "spawned":
		p.pid++
		p.live[p.pid] = &process{job: a.Job, kind: a.Process, text: a.Class.Processes[a.Process].Text}
		p.give(engine.Spawned{Job: a.Job, Process: a.Process, PID: p.pid})
	case "execed":
		p.give(engine.Execed{Job: a.Job, Process: a.Process, PID: pid})
	case "fail":
		delete(p.live, pid)
		p.give(engine.SpawnFailed{Job: a.Job, Process: a.Process, PID: pid, Err: "unable to execute: permission denied", Status: 126})
	case "want":
		delete(p.live, pid)
		p.give(engine.SpawnFailed{Job: a.Job, Process: a.Process, PID: pid, Again: true, Err: "cannot fork: resource temporarily unavailable", Status: 1})
	}
}

func (p *player) environment(line, verb string, args []string) {
	in := engine.EnvRequest{Request: p.next(line)}
	in.Verb = map[string]engine.EnvVerb{"set-env": engine.EnvSet, "unset-env": engine.EnvUnset, "reset-env": engine.EnvReset}[verb]
	for _, arg := range args {
		if name, ok := strings.CutPrefix(arg, "job:"); ok {
			in.Job, in.Instance = instanceOf(name)
		} else if arg == "-r" {
			in.Retain = true
		} else {
			in.Vars = append(in.Vars, arg)
		}
	}
	p.give(in)
}

func (p *player) query(verb string, args []string) error {
	switch verb {
	case "list":
		for _, s := range p.m.List() {
			fmt.Fprintln(&p.out, s)
		}
	case "status":
		s, err, usage := p.m.Resolve(args[0], false, "", environ.Env(args[1:]))
		switch {
		case err != "":
			fmt.Fprintln(&p.out, "error:", err, usage)
		default:
			fmt.Fprintln(&p.out, s)
		}
	case "order":
		for n, level := range p.m.StopOrder() {
			fmt.Fprintf(&p.out, "%d:", n+1)
			for _, id := range level {
				job, instance, _, _ := p.m.Instance(id)
				fmt.Fprint(&p.out, " ", strings.ReplaceAll(jobs.InstanceName(job, instance), " ", ""))
			}
			fmt.Fprintln(&p.out)
		}
	case "idle":
		fmt.Fprintln(&p.out, p.m.Idle())
	case "missing":
		for _, c := range p.m.Missing() {
			fmt.Fprint(&p.out, c.Job, " waits for")
			for _, t := range c.Terms {
				fmt.Fprintf(&p.out, " %s", t)
			}
			fmt.Fprintln(&p.out)
		}
	case "outcomes":
		for _, o := range p.m.Outcomes() {
			fmt.Fprintln(&p.out, jobs.InstanceName(o.Job, o.Instance), "failed with status", o.Status)
		}
	case "why":
		p.why(args[0])
	case "environ":
		job, instance := "", ""
		if len(args) > 0 {
			job, instance = instanceOf(args[0])
		}
		env, err := p.m.Environ(job, instance)
		if err != "" {
			fmt.Fprintln(&p.out, "error:", err)
		}
		for _, entry := range env {
			fmt.Fprintln(&p.out, entry)
		}
	default:
		return fmt.Errorf("unknown command")
	}
	return nil
}

// why writes a Report.
func (p *player) why(name string) {
	r := p.m.Why(name)
	if !r.Known {
		fmt.Fprintln(&p.out, name, "is not known")
		return
	}
	for _, i := range r.Instances {
		fmt.Fprintf(&p.out, "%v for %v, waits for %v %v\n", i.Status, p.now-i.Since, i.Wait, i.WaitsFor)
		if i.RespawnAt != 0 {
			fmt.Fprintf(&p.out, "  respawn in %v\n", i.RespawnAt-p.now)
		}
	}
	for _, t := range r.StartOn {
		fmt.Fprintf(&p.out, "  start on %v\n", t)
	}
	if r.Last != nil {
		fmt.Fprintf(&p.out, "  last run: failed %v, status %d, %s\n", r.Last.Failed, r.Last.Status, r.Last.Reason)
	}
}

// print writes one action as a line.
func (p *player) print(a engine.Action) {
	line := ""
	switch a := a.(type) {
	case engine.Spawn:
		if p.manual || p.envs {
			line = "spawn " + p.name(a.Job) + " " + a.Process.String()
			if a.Again {
				line += " again"
			}
			if p.envs {
				line += " with " + strings.Join(a.Env, " ")
			}
			if len(a.FDs) > 0 {
				line += fmt.Sprint(" fds ", a.FDs)
			}
		}
	case engine.Signal:
		line = fmt.Sprintf("signal %s to %s %s process (%d)", engine.SignalName(a.Sig), p.name(a.Job), a.Process, a.PID)
		if a.Group {
			line += ", its group"
		}
		if a.Deep {
			line += " and all it owns"
		}
	case engine.Sweep:
		line = fmt.Sprintf("sweep what %s has left with %s", p.name(a.Job), engine.SignalName(a.Sig))
	case engine.Inspect:
		if p.verbose {
			line = fmt.Sprintf("inspect %s (%d)", p.name(a.Job), a.PID)
		}
	case engine.CloseFDs:
		line = fmt.Sprint("close fds ", a.FDs)
	case engine.Reply:
		line = "> " + p.requests[a.Request] + ": ok"
		if a.Err != "" {
			line = "> " + p.requests[a.Request] + ": error: " + a.Err
		}
		if a.Reason != "" {
			line += " (" + a.Reason + ")"
		}
		if a.Usage != "" {
			line += "; usage: " + a.Usage
		}
	case engine.InstanceRemoved:
		if a.Failed || a.Status != 0 {
			line = fmt.Sprintf("%s ended, failed %v, status %d", jobs.InstanceName(a.Name, a.Inst), a.Failed, a.Status)
		}
	case engine.EssentialEnded:
		line = fmt.Sprintf("essential %s ended: %s, status %d", jobs.InstanceName(a.Job, a.Instance), a.Text, a.Status)
	case engine.Halted:
		line = "halted"
		for _, s := range a.Stuck {
			line += fmt.Sprintf(", %s %s process (%d) is stuck", s.Job, s.Process, s.PID)
		}
	case *engine.Notice:
		line = p.notice(a)
	}
	if line != "" {
		fmt.Fprintln(&p.out, line)
	}
}

func (p *player) name(id engine.JobID) string {
	job, instance, _, _ := p.m.Instance(id)
	return jobs.InstanceName(job, instance)
}

func (p *player) notice(n *engine.Notice) string {
	name := jobs.InstanceName(n.Job, n.Instance)
	proc := fmt.Sprintf("%s %s process (%d)", name, n.Process, n.PID)
	switch n.Kind {
	case engine.GoalChanged:
		if p.verbose {
			return name + " goal " + n.Goal.String()
		}
	case engine.StateChanged:
		if p.verbose {
			return name + " " + n.State.String()
		}
	case engine.EventHandling:
		return strings.TrimSpace("event " + n.Event.Name + " " + strings.Join(n.Event.Env, " "))
	case engine.ProcessSpawned:
		return proc
	case engine.ProcessExited:
		if n.Code == 0 && n.Sig == 0 {
			return proc + " exited"
		}
		how := fmt.Sprintf("exited with status %d", n.Code)
		if n.Sig != 0 {
			how = "killed by " + engine.SignalName(n.Sig)
		}
		if n.Normal {
			how += ", as asked for"
		}
		return proc + " " + how
	case engine.ProcessBecame:
		return fmt.Sprintf("%s main process (%d) became (%d)", name, n.Count, n.PID)
	case engine.JobFailed, engine.Warning:
		return name + ": " + n.Text
	case engine.Respawning:
		return fmt.Sprintf("%s respawning, %d of %d in %v", name, n.Count, n.Limit, n.Interval)
	case engine.RespawnDelayed:
		return fmt.Sprintf("%s respawns in %v", name, n.Interval)
	case engine.RespawnStopped:
		return name + " respawning too fast"
	}
	return ""
}
