package initctl

import (
	"errors"
	"strconv"
	"strings"

	"tend/jobs"
	"tend/jobs/control"
	"tend/jobs/jsonl"
)

func itoa(n int) string { return strconv.Itoa(n) }

// array prints the elements of a JSON array as they come, one a line.
type array struct {
	p *program
	n int
}

func (p *program) array() *array { return &array{p: p} }

func (a *array) add(o jsonl.Object) {
	lead := ",\n"
	if a.n == 0 {
		lead = "["
	}
	a.n++
	if !a.p.opts.quiet {
		// Errors stay with the writer, as those of print.
		a.p.stdout.write(string(jsonl.Append([]byte(lead), o)))
	}
}

// end closes the array, when JSON was asked for and there was no error.
func (a *array) end(err error) error {
	switch {
	case err != nil || !a.p.opts.json:
	case a.n == 0:
		a.p.print("[]")
	default:
		a.p.print("]")
	}
	return err
}

// stream makes a request whose reply goes on, and prints at once.
//
//go:noinline
func (p *program) stream(req *control.Request, fn func(*control.Response) error) error {
	return p.each(req, func(r *control.Response) error {
		if r.Lost > 0 && !p.opts.json {
			p.print("(" + itoa(r.Lost) + " lines lost)")
		}
		if err := fn(r); err != nil {
			return err
		}
		return p.stdout.flush()
	})
}

func monitor(p *program, _ []string) error {
	return p.stream(&control.Request{Command: control.CmdMonitor}, func(r *control.Response) error {
		switch n := r.Notice; {
		case n == nil:
			return nil
		case p.opts.json:
			p.printJSON(n)
			return nil
		default:
			p.print(clock(n.Time) + " " + n.Text)
			return nil
		}
	})
}

// clock is the time of day of a time in RFC 3339.
func clock(t string) string {
	_, t, _ = strings.Cut(t, "T")
	if len(t) > len("15:04:05.000") {
		t = t[:len("15:04:05.000")]
	}
	return t
}

func showLog(p *program, args []string) error {
	req := &control.Request{Command: control.CmdLog, Lines: p.opts.lines, Follow: p.opts.follow}
	if err := target(req, args); err != nil {
		return err
	}
	return p.stream(req, func(r *control.Response) error {
		switch o := r.Output; {
		case o == nil:
			return nil
		case p.opts.json:
			p.printJSON(o)
			return nil
		default:
			p.print(o.Msg)
			return nil
		}
	})
}

func why(p *program, args []string) error {
	req := &control.Request{Command: control.CmdWhy}
	if err := target(req, args); err != nil {
		return err
	}
	r, err := p.ask(req)
	if err != nil || r.Why == nil {
		return err
	}
	if p.opts.json {
		p.printJSON(r.Why)
		return nil
	}
	for _, line := range r.Why.Lines {
		p.print(line)
	}
	return nil
}

func health(p *program, args []string) error {
	r, err := p.ask(&control.Request{Command: control.CmdHealth, Jobs: args})
	if err != nil {
		return err
	}
	if r.Health == nil {
		return errors.New("no answer about health")
	}
	if p.opts.json {
		p.printJSON(r.Health)
	} else {
		for _, reason := range r.Health.Reasons {
			p.print(jobs.InstanceName(reason.Job, reason.Instance) + ": " + reason.Text)
		}
		if r.Health.OK {
			p.print("ok, jobs up: " + itoa(r.Health.Jobs))
		}
	}
	if !r.Health.OK {
		return errSilent
	}
	return nil
}
