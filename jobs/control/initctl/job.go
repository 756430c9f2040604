package initctl

import (
	"tend/jobs/control"
)

// change is start, stop and restart.
func change(p *program, args []string) error {
	req := &control.Request{Command: p.cmd.name, NoWait: p.opts.noWait}
	if err := target(req, args); err != nil {
		return err
	}
	// A job that waits for its own change would wait for itself.
	if req.Instance != nil {
		req.NoWait = true
	}
	r, err := p.ask(req)
	if err != nil {
		return err
	}
	if r.Status != nil {
		p.print(r.Status.String())
	}
	return nil
}

func reload(p *program, args []string) error {
	req := &control.Request{Command: control.CmdReload}
	if err := target(req, args); err != nil {
		return err
	}
	_, err := p.ask(req)
	return err
}

func sendSignal(p *program, args []string) error {
	switch len(args) {
	case 0:
		return usage("missing job name")
	case 1:
		return usage("missing signal")
	}
	_, err := p.ask(&control.Request{Command: control.CmdSignal, Job: args[0], Signal: args[1], Env: args[2:]})
	return err
}

func status(p *program, args []string) error {
	req := &control.Request{Command: control.CmdStatus, Orphans: p.opts.orphans}
	if req.Orphans {
		return p.orphans(req)
	}
	if err := target(req, args); err != nil {
		return err
	}
	r, err := p.ask(req)
	if err != nil || r.Status == nil {
		return err
	}
	if p.opts.json {
		p.printJSON(r.Status)
		return nil
	}
	p.print(r.Status.String())
	return nil
}

func (p *program) orphans(req *control.Request) error {
	out := p.array()
	err := p.each(req, func(r *control.Response) error {
		switch o := r.Orphan; {
		case o == nil:
			return nil
		case p.opts.json:
			out.add(o)
			return nil
		default:
			p.print(itoa(o.PID) + "\t" + o.Command)
			return nil
		}
	})
	return out.end(err)
}

func list(p *program, _ []string) error {
	out := p.array()
	err := p.each(&control.Request{Command: control.CmdList, Masked: p.opts.masked}, func(r *control.Response) error {
		switch {
		case r.Status == nil:
			return nil
		case p.opts.json:
			out.add(r.Status)
			return nil
		}
		p.print(r.Status.String())
		return nil
	})
	return out.end(err)
}

func emit(p *program, args []string) error {
	if len(args) == 0 {
		return usage("missing event name")
	}
	_, err := p.ask(&control.Request{Command: control.CmdEmit, Event: args[0], Env: args[1:], NoWait: p.opts.noWait})
	return err
}
