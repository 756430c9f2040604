package initctl

import (
	"errors"
	"strings"

	"tend/jobs/control"
	"tend/jobs/jsonl"
)

func addIgnored(p *program, value string) error {
	p.opts.ignore = append(p.opts.ignore, strings.Split(value, ",")...)
	return nil
}

func showConfig(p *program, args []string) error {
	req := &control.Request{Command: control.CmdShowConfig}
	if len(args) > 0 {
		req.Jobs = args[:1]
	}
	out := p.array()
	err := p.each(req, func(r *control.Response) error {
		switch {
		case r.Config == nil:
			return nil
		case p.opts.json:
			out.add(r.Config)
			return nil
		}
		p.printConfig(r.Config)
		return nil
	})
	return out.end(err)
}

func (p *program) printConfig(c *control.Config) {
	p.print(c.Job)
	for _, e := range c.Emits {
		p.print("  emits " + e)
	}
	p.printCondition("  start on ", c.StartOn)
	p.printCondition("  stop on ", c.StopOn)
}

func (p *program) printCondition(label string, c *control.Condition) {
	switch {
	case c == nil:
	case p.opts.enumerate:
		for _, t := range c.Terms {
			p.print(label + termLine(t))
		}
	default:
		p.print(label + c.Expression)
	}
}

// termLine is EVENT (job:[ NAME], env:[ ARG…]). NAME is that of the job that a job
// event is about.
func termLine(t control.Term) string {
	name, args := "", t.Args
	switch t.Event {
	case "starting", "started", "stopping", "stopped":
		name, args = jobOf(t.Args)
	}
	line := t.Event + " (job:"
	if name != "" {
		line += " " + name
	}
	line += ", env:"
	for _, a := range args {
		line += " " + a
	}
	return line + ")"
}

// jobOf takes the job's name, the first positional argument or JOB=NAME, out of the
// arguments.
func jobOf(args []string) (name string, rest []string) {
	for i, a := range args {
		if value, ok := strings.CutPrefix(a, "JOB="); ok {
			name = value
		} else if i == 0 && !strings.Contains(a, "=") {
			name = a
		} else {
			continue
		}
		return name, append(append([]string(nil), args[:i]...), args[i+1:]...)
	}
	return "", args
}

func checkConfig(p *program, args []string) error {
	req := &control.Request{Command: control.CmdCheckConfig, Ignore: p.opts.ignore, Warn: p.opts.warn}
	if len(args) > 0 {
		req.Jobs = args[:1]
	}
	found := false
	err := p.each(req, func(r *control.Response) error {
		if r.Problem == nil {
			return nil
		}
		found = true
		p.print(r.Problem.Job)
		for _, text := range r.Problem.Texts {
			p.print("  " + text)
		}
		return nil
	})
	if err == nil && found {
		return errSilent
	}
	return err
}

func jobUsage(p *program, args []string) error {
	req := &control.Request{Command: control.CmdUsage}
	if err := target(req, args); err != nil {
		return err
	}
	r, err := p.ask(req)
	if err != nil {
		return err
	}
	p.print("Usage: " + r.Text)
	return nil
}

func reloadConfiguration(p *program, _ []string) error {
	_, err := p.ask(&control.Request{Command: control.CmdReloadConfiguration})
	return err
}

// versions is what version --json prints.
type versions struct {
	protocol int
	version  string
}

// Fields is for jsonl.
func (v *versions) Fields(c *jsonl.Codec) {
	c.Int("protocol", &v.protocol)
	c.String("version", &v.version)
}

func version(p *program, _ []string) error {
	r, err := p.ask(&control.Request{Command: control.CmdVersion})
	if err != nil {
		return err
	}
	if p.opts.json {
		p.printJSON(&versions{protocol: r.V, version: r.Text})
		return nil
	}
	p.print(r.Text)
	return nil
}

func logPriority(p *program, args []string) error {
	req := &control.Request{Command: control.CmdLogPriority}
	if len(args) > 0 {
		if args[0] == "" {
			return errors.New("The log priority given was not recognised")
		}
		req.Priority = args[0]
	}
	r, err := p.ask(req)
	if err == nil && req.Priority == "" {
		p.print(r.Text)
	}
	return err
}

func notifyDisk(p *program, _ []string) error {
	_, err := p.ask(&control.Request{Command: control.CmdNotifyDiskWriteable})
	return err
}

func notifyDBus(_ *program, args []string) error {
	if len(args) == 0 {
		return usage("missing D-Bus address")
	}
	return errors.New("Not permissible to notify D-Bus address for PID 1")
}

func notifyCGroupManager(_ *program, args []string) error {
	if len(args) == 0 {
		return usage("missing address")
	}
	return nil
}

func listSessions(*program, []string) error {
	return errors.New("Unable to query session directory")
}
