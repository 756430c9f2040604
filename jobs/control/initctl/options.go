package initctl

import (
	"strconv"
	"strings"
)

// options is what all options set; every command looks at its own.
type options struct {
	done bool // --help or --version has been answered

	user, quiet, verbose, json bool
	socket                     string

	noWait, enumerate, warn, global, retain bool
	masked, orphans, follow                 bool
	ignore, env                             []string
	lines                                   *int
	exitCode                                *int

	reboot, halt, poweroff, cancel, warnOnly bool
	force, wtmpOnly                          bool
}

// option is one option of the command line.
type option struct {
	short byte
	long  string
	arg   string // what stands for its argument in help; empty: it has none
	help  string // lines
	set   func(p *program, value string) error
}

//go:noinline
func flag(short byte, long, help string, field func(*options) *bool) option {
	return option{short: short, long: long, help: help, set: func(p *program, _ string) error {
		*field(&p.opts) = true
		return nil
	}}
}

func number(short byte, long, arg, help string, field func(*options) **int) option {
	return option{short: short, long: long, arg: arg, help: help, set: func(p *program, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return usage("illegal number: " + value)
		}
		*field(&p.opts) = &n
		return nil
	}}
}

// newGlobals returns the options of every command.
func newGlobals() []option {
	// The buses that Upstart could be reached by; tend has one socket.
	ignore := func(*program, string) error { return nil }
	const compatible = "accepted for compatibility"
	return []option{
		{long: "session", help: compatible, set: ignore},
		{long: "system", help: compatible, set: ignore},
		{long: "dest", arg: "NAME", help: compatible, set: ignore},
		flag(0, "user", "run in user mode (UPSTART_SESSION must be set)", func(o *options) *bool { return &o.user }),
		{long: "socket", arg: "PATH", help: "where tend listens", set: func(p *program, v string) error {
			p.opts.socket = v
			return nil
		}},
		flag('q', "quiet", "print errors only", func(o *options) *bool { return &o.quiet }),
		flag('v', "verbose", "say more about failures", func(o *options) *bool { return &o.verbose }),
		flag(0, "debug", "", func(o *options) *bool { return &o.verbose }),
		{long: "help", help: "print this help and exit", set: (*program).help},
		{long: "version", help: "print the version and exit", set: func(p *program, _ string) error {
			p.opts.quiet = false
			p.print(versionText(p.name))
			p.opts.done = true
			return nil
		}},
	}
}

// parse takes the options out of args and returns the rest. With first, it stops
// before the first word that is no option.
func (p *program) parse(args []string, table []option, first bool) (rest []string, err error) {
	for len(args) > 0 && !p.opts.done {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return append(rest, args...), nil
		case strings.HasPrefix(arg, "--"):
			args, err = p.long(arg, args, table)
		case len(arg) > 1 && arg[0] == '-':
			args, err = p.short(arg, args, table)
		case first:
			return append([]string{arg}, args...), nil
		default:
			rest = append(rest, arg)
		}
		if err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// long handles --NAME and --NAME=VALUE, and takes VALUE from args where it is the
// next word.
func (p *program) long(arg string, args []string, table []option) ([]string, error) {
	name, value, has := strings.Cut(arg[2:], "=")
	o := p.option(table, func(o *option) bool { return o.long == name })
	switch {
	case o == nil || name == "":
		return nil, usage("invalid option: " + "--" + name)
	case o.arg == "" && has:
		return nil, usage("unexpected argument: " + arg)
	case o.arg != "" && !has:
		if len(args) == 0 {
			return nil, usage("missing argument: " + arg)
		}
		value, args = args[0], args[1:]
	}
	return args, o.set(p, value)
}

// short handles -abc; a letter with an argument takes the rest of the word, or the
// next word.
func (p *program) short(arg string, args []string, table []option) ([]string, error) {
	for i := 1; i < len(arg); i++ {
		o := p.option(table, func(o *option) bool { return o.short == arg[i] })
		if o == nil {
			return nil, usage("invalid option: -" + arg[i:i+1])
		}
		value := ""
		if o.arg != "" {
			value = arg[i+1:]
			if value == "" {
				if len(args) == 0 {
					return nil, usage("missing argument: -" + arg[i:i+1])
				}
				value, args = args[0], args[1:]
			}
			i = len(arg)
		}
		if err := o.set(p, value); err != nil || p.opts.done {
			return args, err
		}
	}
	return args, nil
}

// option returns the first option of a table or of the globals that fits, or nil.
func (p *program) option(table []option, fits func(*option) bool) *option {
	for _, t := range [...][]option{table, p.globals} {
		for i := range t {
			if fits(&t[i]) {
				return &t[i]
			}
		}
	}
	return nil
}
