package initctl

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"tend/jobs"
	"tend/jobs/control"
	"tend/jobs/number"
)

// exitCodeOption gives the exit status of the container.
var exitCodeOption = option{
	long: "exit-code", arg: "N", help: "the exit status of the container", number: func(o *options) **int { return &o.exitCode },
}

var shutdownOptions = []*option{
	{short: 'r', help: "runlevel 6", flag: func(o *options) *bool { return &o.reboot }},
	{short: 'h', help: "runlevel 0 (the default)", flag: func(o *options) *bool { return &o.poweroff }},
	{short: 'H', help: "runlevel 0, INIT_HALT=HALT", flag: func(o *options) *bool { return &o.halt }},
	{short: 'P', help: "runlevel 0, INIT_HALT=POWEROFF", flag: func(o *options) *bool { return &o.poweroff }},
	{short: 'c', help: "cancel a shutdown that waits for its time", flag: func(o *options) *bool { return &o.cancel }},
	{short: 'k', help: "do nothing: there is nobody to be warned", flag: func(o *options) *bool { return &o.warnOnly }},
	&exitCodeOption,
}

var haltOptions = []*option{
	{short: 'f', long: "force", help: "kill everything at once", flag: func(o *options) *bool { return &o.force }},
	{short: 'p', long: "poweroff", help: compatible, flag: func(o *options) *bool { return &o.poweroff }},
	{short: 'n', long: "no-sync", help: compatible, flag: nothing},
	{short: 'd', long: "no-wtmp", help: compatible, flag: nothing},
	{short: 'w', long: "wtmp-only", help: "do nothing: there is no wtmp", flag: func(o *options) *bool { return &o.wtmpOnly }},
	&exitCodeOption,
}

func shutdown(p *program, args []string) error {
	o := &p.opts
	if o.cancel {
		_, err := p.ask(&control.Request{Command: control.CmdCancelShutdown})
		return err
	}
	when := "now"
	switch {
	case len(args) > 0:
		when = args[0]
	case o.exitCode == nil:
		return usage("time expected")
	}
	delay, err := delayUntil(when, time.Now())
	if err != nil || o.warnOnly {
		return err
	}
	req := &control.Request{Command: control.CmdShutdown, Runlevel: "0", Delay: delay}
	switch {
	case o.reboot:
		req.Runlevel = "6"
	case o.halt:
		req.Halt = "HALT"
	default:
		req.Halt = "POWEROFF"
	}
	return p.end(req)
}

// end asks for the end of the container.
func (p *program) end(req *control.Request) error {
	if code := p.opts.exitCode; code != nil {
		if *code > 255 {
			return usage("illegal exit code: " + strconv.Itoa(*code))
		}
		req.ExitCode = code
	}
	_, err := p.ask(req)
	return err
}

// delayUntil turns now, +MINUTES, MINUTES and HH:MM (UTC) into seconds from now on.
func delayUntil(when string, now time.Time) (int, error) {
	if when == "now" {
		return 0, nil
	}
	if hours, minutes, ok := strings.Cut(when, ":"); ok {
		h, hErr := number.Uint(hours, 10, 8)
		m, mErr := number.Uint(minutes, 10, 8)
		if hErr != nil || mErr != nil || h > 23 || m > 59 {
			return 0, usage("illegal time value: " + when)
		}
		// In UTC, as the log has it: what knows time zones would be 30,000 bytes.
		const day = 24 * 60 * 60
		return (int(h*60+m)*60 - int(now.Unix()%day) + day) % day, nil
	}
	n, err := number.Uint(strings.TrimPrefix(when, "+"), 10, 20)
	if err != nil {
		return 0, usage("illegal time value: " + when)
	}
	return int(n) * 60, nil
}

// halt is reboot, halt and poweroff.
func halt(p *program, _ []string) error {
	if p.opts.wtmpOnly {
		return nil
	}
	req := &control.Request{Command: control.CmdShutdown, Runlevel: "0", Force: p.opts.force}
	switch {
	case p.cmd.name == "reboot":
		req.Runlevel = "6"
	case p.cmd.name == "halt" && !p.opts.poweroff:
		req.Halt = "HALT"
	default:
		req.Halt = "POWEROFF"
	}
	return p.end(req)
}

// telinit emits the event runlevel and does not wait for what follows from it.
func telinit(p *program, args []string) error {
	if len(args) == 0 {
		return usage("missing runlevel")
	}
	level := args[0]
	if len(level) != 1 || !strings.Contains("0123456SsQqUu", level) {
		return usage("illegal runlevel: " + level)
	}
	switch level {
	case "q", "Q":
		return reloadConfiguration(p, nil)
	case "u", "U":
		return errors.New("tend cannot re-execute itself; start a new container")
	}
	r, err := p.ask(&control.Request{Command: control.CmdRunlevel})
	if err != nil {
		return err
	}
	_, prev, _ := strings.Cut(r.Text, " ")
	if prev == "" {
		prev = "N"
	}
	env := append([]string{"RUNLEVEL=" + jobs.Upper(level), "PREVLEVEL=" + prev}, p.opts.env...)
	_, err = p.ask(&control.Request{Command: control.CmdEmit, Event: "runlevel", Env: env, NoWait: true})
	return err
}

// runlevel prints the previous and the current runlevel, or unknown.
func runlevel(p *program, _ []string) error {
	current, prev := os.Getenv("RUNLEVEL"), os.Getenv("PREVLEVEL")
	if current != "" && prev != "" {
		p.print(prev + " " + current)
		return nil
	}
	r, err := p.ask(&control.Request{Command: control.CmdRunlevel})
	if err != nil || r.Text == "" {
		p.print("unknown")
		return errSilent
	}
	p.print(r.Text)
	return nil
}
