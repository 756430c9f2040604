package initctl

import "tend/jobs/control"

// table begins a request about the environment: that of the job that we run in, or
// outside of a job and with --global that of all jobs.
func (p *program) table(command string, vars []string) *control.Request {
	req := &control.Request{Command: command, Vars: vars, Global: p.opts.global}
	if job, instance, ok := own(); ok && !req.Global {
		req.Job, req.Instance = job, instance
	}
	return req
}

func getEnv(p *program, args []string) error {
	if len(args) == 0 {
		return usage("missing variable name")
	}
	r, err := p.ask(p.table(control.CmdGetEnv, args[:1]))
	if err != nil {
		return err
	}
	p.print(r.Text)
	return nil
}

func listEnv(p *program, _ []string) error {
	r, err := p.ask(p.table(control.CmdListEnv, nil))
	if err != nil {
		return err
	}
	for _, v := range r.Vars {
		p.print(v)
	}
	return nil
}

func setEnv(p *program, args []string) error {
	if len(args) == 0 {
		return usage("missing variable value")
	}
	req := p.table(control.CmdSetEnv, args)
	req.Retain = p.opts.retain
	_, err := p.ask(req)
	return err
}

func unsetEnv(p *program, args []string) error {
	if len(args) == 0 {
		return usage("missing variable name")
	}
	_, err := p.ask(p.table(control.CmdUnsetEnv, args))
	return err
}

func resetEnv(p *program, _ []string) error {
	_, err := p.ask(p.table(control.CmdResetEnv, nil))
	return err
}
