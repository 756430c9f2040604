package initctl

import (
	"strings"

	"tend/jobs/number"
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

// option is one option of the command line. One of the last three is there.
type option struct {
	short byte
	long  string
	arg   string // what stands for its argument in help; empty: it has none
	help  string // lines

	flag   func(*options) *bool // what it sets to true
	number func(*options) **int // what it sets to a number
	set    func(p *program, value string) error
}

// take applies the option with its argument.
func (o *option) take(p *program, value string) error {
	switch {
	case o.flag != nil:
		*o.flag(&p.opts) = true
	case o.number != nil:
		n, err := number.Int(value)
		if err != nil || n < 0 {
			return usage("illegal number: " + value)
		}
		*o.number(&p.opts) = &n
	default:
		return o.set(p, value)
	}
	return nil
}

const compatible = "accepted for compatibility"

// globals are the options of every command. These tables are data that the compiler
// lays out: a variable made by calls would cost the init, which has these programs in
// it, time at its start, and a function 15,000 bytes.
var globals = []*option{
	// The buses that Upstart could be reached by; tend has one socket.
	{long: "session", help: compatible, flag: nothing},
	{long: "system", help: compatible, flag: nothing},
	{long: "dest", arg: "NAME", help: compatible, flag: nothing},
	{long: "user", help: "run in user mode (UPSTART_SESSION must be set)", flag: func(o *options) *bool { return &o.user }},
	{long: "socket", arg: "PATH", help: "where tend listens", set: func(p *program, v string) error {
		p.opts.socket = v
		return nil
	}},
	{short: 'q', long: "quiet", help: "print errors only", flag: func(o *options) *bool { return &o.quiet }},
	{short: 'v', long: "verbose", help: "say more about failures", flag: func(o *options) *bool { return &o.verbose }},
	{long: "debug", flag: func(o *options) *bool { return &o.verbose }},
	{long: "help", help: "print this help and exit", set: (*program).help},
	{long: "version", help: "print the version and exit", set: func(p *program, _ string) error {
		p.opts.quiet = false
		p.print(versionText(p.name))
		p.opts.done = true
		return nil
	}},
}

// nothing is what an option sets that is there for compatibility.
func nothing(*options) *bool { return new(bool) }

// parse takes the options out of args and returns the rest. With first, it stops
// before the first word that is no option.
func (p *program) parse(args []string, table []*option, first bool) (rest []string, err error) {
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
func (p *program) long(arg string, args []string, table []*option) ([]string, error) {
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
	return args, o.take(p, value)
}

// short handles -abc; a letter with an argument takes the rest of the word, or the
// next word.
func (p *program) short(arg string, args []string, table []*option) ([]string, error) {
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
		if err := o.take(p, value); err != nil || p.opts.done {
			return args, err
		}
	}
	return args, nil
}

// option returns the first option of a table or of the globals that fits, or nil.
func (p *program) option(table []*option, fits func(*option) bool) *option {
	for _, t := range [...][]*option{table, p.globals} {
		for i := range t {
			if fits(t[i]) {
				return t[i]
			}
		}
	}
	return nil
}
