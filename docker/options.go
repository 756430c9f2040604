package docker

import (
	"strings"
	"syscall"
	"time"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/jsonl"
	"tend/jobs/number"
)

// BootMode says which events boot emits.
type BootMode uint8

// The values of --boot. The zero value is BootAuto.
const (
	BootAuto BootMode = iota // all that a full Ubuntu would emit
	BootNone                 // startup only
)

// JobOutput says how the jobs' output is passed on.
type JobOutput uint8

// The values of --job-output. The zero value is OutputPrefix.
const (
	OutputPrefix JobOutput = iota // whole lines, "JOB | text"
	OutputRaw                     // whole lines as they are
	OutputNone                    // not passed on
)

// The levels of Options.Verbosity; each includes those before it.
const (
	LevelError   = iota - 2 // -q
	LevelWarning            // no option gives it
	LevelNotice             // the default
	LevelInfo               // -v
	LevelDebug              // -vv or --debug
)

// Options is what the command line and the environment ask of the init.
type Options struct {
	// ConfDirs, when not empty, takes the place of the default directory; PrependConfDirs
	// and AppendConfDirs are searched before and after it.
	ConfDirs, PrependConfDirs, AppendConfDirs []string

	LogDir         string       // where job output is kept in files; empty: nowhere
	LogMaxSize     int64        // the size in bytes at which such a file is rotated; 0: never
	LogFiles       int          // how many files of a job are kept, the current one included
	NoLog          bool         // "console log" means "console none"
	DefaultConsole jobs.Console // of jobs without a console stanza; ConsoleDefault when not given
	StartupEvent   string       // the first event, "startup" by default
	NoStartupEvent bool         // no first event at all
	NoInheritEnv   bool         // jobs get Upstart's minimal environment

	Verbosity int // LevelError to LevelDebug

	Subreaper   bool           // -s: it is an error that is worth a warning not to become one
	KillGroup   bool           // -g: signals go to the command's process group
	WarnReaped  bool           // -w: a warning for every reaped orphan
	ParentDeath syscall.Signal // -p: the signal to get when the parent dies; 0 for none
	zeroed      [256]bool      // -e: the statuses that MapStatus turns into 0

	Boot           BootMode
	CommandWait    time.Duration // how long COMMAND waits for the jobs; 0 means without a limit
	Essential      []string      // jobs that are essential whatever their files say
	IdleStay       bool          // the container stays when nothing runs any more
	StopTimeout    time.Duration // the total deadline of a stop; 0 means none
	StopTimeoutSet bool          // StopTimeout was given, so no default applies
	LogJSON        bool
	JobOutput      JobOutput
	Socket         string   // path of the control socket; empty: the default places
	Mask           []string // names of jobs that events do not start
	MaskSet        bool     // Mask was given, so it takes the place of the default mask; "none" leaves it empty
	Strict         bool     // a broken job file is a refusal to start

	Help, Version bool // asked for; nothing is to be run

	Command []string // COMMAND and its arguments; empty when there is none
	Environ []string // the environment as tend was given it

	Warnings []string // what main has found out and the log is to say
}

// MapStatus returns the exit status of the container for the given status: 0 when -e
// names it, otherwise the status itself.
func (o *Options) MapStatus(status int) int {
	if o.zeroed[status&0xff] {
		return 0
	}
	return status & 0xff
}

// UsageError is a wrong call of tend; the exit status for it is 2.
type UsageError struct {
	Msg  string
	Hint string // the next step, when it is known
}

func (e *UsageError) Error() string { return e.Msg }

// option is one row of the table of options. Its environment form is TEND_ and the
// long name in capitals, with _ for -.
type option struct {
	long  string
	short byte                              // 0 for none
	paths bool                              // repeatable; in the environment, values with colons between them
	set   func(o *Options, v string) string // takes a value; returns what it expects instead, or ""
	flag  func(o *Options)                  // set when the option takes no value
}

// env returns the name of the option's environment form.
func (p *option) env() string {
	return "TEND_" + jobs.Upper(strings.Join(strings.Split(p.long, "-"), "_"))
}

// options is in the order of the usage text. Help and version have no environment form:
// an image that sets it would never run anything.
var options = []option{
	{long: "confdir", paths: true, set: func(o *Options, v string) string { return addName(&o.ConfDirs, v) }},
	{long: "prepend-confdir", paths: true, set: func(o *Options, v string) string { return addName(&o.PrependConfDirs, v) }},
	{long: "append-confdir", paths: true, set: func(o *Options, v string) string { return addName(&o.AppendConfDirs, v) }},
	{long: "boot", set: setBoot},
	{long: "mask", set: setMask},
	{long: "strict", flag: func(o *Options) { o.Strict = true }},
	{long: "startup-event", set: func(o *Options, v string) string { return setName(&o.StartupEvent, v) }},
	{long: "no-startup-event", flag: func(o *Options) { o.NoStartupEvent = true }},
	{long: "no-inherit-env", flag: func(o *Options) { o.NoInheritEnv = true }},
	{long: "default-console", set: setConsole},

	{long: "essential", set: setEssential},
	{long: "idle", set: setIdle},
	{long: "command-wait", set: func(o *Options, v string) string { return setSeconds(&o.CommandWait, v) }},
	{long: "stop-timeout", set: setStopTimeout},
	{long: "remap-exit", short: 'e', set: setZeroed},

	{long: "log-format", set: setLogFormat},
	{long: "job-output", set: setJobOutput},
	{long: "logdir", set: func(o *Options, v string) string { return setName(&o.LogDir, v) }},
	{long: "log-max-size", set: setLogMaxSize},
	{long: "log-files", set: setLogFiles},
	{long: "no-log", flag: func(o *Options) { o.NoLog = true }},
	{long: "quiet", short: 'q', flag: func(o *Options) { o.Verbosity = LevelError }},
	{long: "verbose", short: 'v', flag: func(o *Options) { o.Verbosity = min(max(o.Verbosity, LevelNotice)+1, LevelDebug) }},
	{long: "debug", flag: func(o *Options) { o.Verbosity = max(o.Verbosity, LevelDebug) }},

	{long: "kill-process-group", short: 'g', flag: func(o *Options) { o.KillGroup = true }},
	{long: "subreaper", short: 's', flag: func(o *Options) { o.Subreaper = true }},
	{long: "warn-on-reap", short: 'w', flag: func(o *Options) { o.WarnReaped = true }},
	{long: "parent-death-signal", short: 'p', set: setParentDeath},
	{long: "socket", set: func(o *Options, v string) string { return setName(&o.Socket, v) }},

	{long: "help", short: 'h', flag: func(o *Options) { o.Help = true }},
	{long: "version", flag: func(o *Options) { o.Version = true }},
}

// ParseOptions reads the words after the program's name, and the environment for what
// they do not say. Options end at "--" or at the first word that is none; the rest is
// COMMAND. Its errors are of type *UsageError.
func ParseOptions(args, env []string) (*Options, error) {
	given, command, err := splitArgs(args)
	if err != nil {
		return nil, err
	}
	o := &Options{
		StartupEvent: "startup",
		LogMaxSize:   10 << 20,
		LogFiles:     3,
		Command:      command,
		Environ:      env,
	}
	if err := o.readEnviron(env, given); err != nil {
		return nil, err
	}
	for _, g := range given {
		if g.option.flag != nil {
			g.option.flag(o)
		} else if want := g.option.set(o, g.value); want != "" {
			return nil, &UsageError{Msg: "option " + g.word + ": " + badValue(g.value, want)}
		}
	}
	return o, nil
}

// given is an option of the command line.
type given struct {
	option *option
	word   string // as it was written
	value  string
}

// splitArgs tells options from COMMAND.
func splitArgs(args []string) (out []given, command []string, err error) {
	for i := 0; i < len(args); i++ {
		word := args[i]
		switch {
		case word == "--":
			return out, args[i+1:], nil
		case strings.HasPrefix(word, "--"):
			name, value, has := strings.Cut(word, "=")
			p := findLong(name[2:])
			if p == nil {
				return nil, nil, &UsageError{Msg: "unknown option " + name, Hint: "did you mean --" + nearest(name[2:]) + "?"}
			}
			if p.flag != nil {
				if has {
					return nil, nil, &UsageError{Msg: "option " + name + " takes no value"}
				}
			} else if !has {
				if i++; i == len(args) {
					return nil, nil, missingValue(name)
				}
				value = args[i]
			}
			out = append(out, given{p, name, value})
		case len(word) > 1 && word[0] == '-':
			for j := 1; j < len(word); j++ {
				p := findShort(word[j])
				if p == nil {
					return nil, nil, unknownShort(word, j)
				}
				g := given{option: p, word: "-" + word[j:j+1]}
				if p.flag == nil {
					if g.value = word[j+1:]; g.value == "" {
						if i++; i == len(args) {
							return nil, nil, missingValue(g.word)
						}
						g.value = args[i]
					}
					j = len(word)
				}
				out = append(out, g)
			}
		default:
			return out, args[i:], nil
		}
	}
	return out, nil, nil
}

func missingValue(word string) error { return &UsageError{Msg: "option " + word + " needs a value"} }

//go:noinline
func badValue(v, want string) string {
	return jsonl.Quote(v) + " is not valid; expected " + want
}

// unknownShort returns the error for the switch at word[i]: a long option written with
// one dash, the same letter in the other case, or the list of those that there are.
func unknownShort(word string, i int) error {
	e := &UsageError{Msg: "unknown option -" + word[i:i+1]}
	name, _, _ := strings.Cut(word[1:], "=")
	if findLong(name) != nil {
		e.Msg, e.Hint = "unknown option -"+name, "did you mean --"+name+"?"
		return e
	}
	if p := findShort(word[i] ^ 0x20); p != nil {
		e.Hint = "did you mean -" + string(p.short) + " (--" + p.long + ")?"
		return e
	}
	e.Hint = "the short options are"
	for i := range options {
		if options[i].short != 0 {
			e.Hint += " -" + string(options[i].short)
		}
	}
	if long := nearest(name); distance(name, long) <= len(name)/3 {
		e.Hint += "; did you mean --" + long + "?"
	}
	return e
}

func findLong(name string) *option {
	for i := range options {
		if options[i].long == name {
			return &options[i]
		}
	}
	return nil
}

func findShort(c byte) *option {
	for i := range options {
		if c != 0 && options[i].short == c {
			return &options[i]
		}
	}
	return nil
}

// nearest returns the long option that takes the fewest changes to reach from name; the
// one that comes first of several.
func nearest(name string) string {
	best, least := "", 1<<30
	for i := range options {
		d := distance(name, options[i].long)
		if strings.HasPrefix(options[i].long, name) && name != "" {
			d = 1
		}
		if d < least {
			best, least = options[i].long, d
		}
	}
	return best
}

// distance is the number of bytes to insert, remove or change to make b from a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// readEnviron applies the environment forms of all options that the command line does
// not give. tini's variables come first, so that ours win. A variable that is empty says
// nothing, and names that are no option are not ours: Kubernetes makes TEND_PORT and
// others for a service called tend.
func (o *Options) readEnviron(env environ.Env, given []given) error {
	if _, ok := env.Lookup("TINI_SUBREAPER"); ok {
		o.Subreaper = true
	}
	if _, ok := env.Lookup("TINI_KILL_PROCESS_GROUP"); ok {
		o.KillGroup = true
	}
	if v, ok := env.Lookup("TINI_VERBOSITY"); ok {
		// tini counts from 0, fatal errors only, with 1 as its default, and reads
		// what is no number as 0.
		n, _ := number.Int(v)
		if o.Verbosity = min(n-1, LevelDebug); o.Verbosity < LevelNotice {
			o.Verbosity = LevelError
		}
	}
	for i := range options {
		p := &options[i]
		v, _ := env.Lookup(p.env())
		if v == "" || p.long == "help" || p.long == "version" {
			continue
		}
		if err := o.setFromEnviron(p, v); err != nil {
			return err
		}
	}
	for _, g := range given {
		g.option.forget(o)
	}
	return nil
}

// setFromEnviron applies one variable.
func (o *Options) setFromEnviron(p *option, v string) error {
	bad := func(want string) error {
		return &UsageError{Msg: "environment variable " + p.env() + ": " + badValue(v, want)}
	}
	switch {
	case p.long == "verbose":
		n, err := number.Int(v)
		if err != nil || n < 0 || n > 3 {
			return bad("a number from 0 to 3")
		}
		o.Verbosity = min(n, LevelDebug)
	case p.flag != nil:
		switch jobs.Lower(v) {
		case "1", "true", "yes", "on":
			p.flag(o)
		case "0", "false", "no", "off":
			// Only tini's variables can have set it before.
			switch p.long {
			case "subreaper":
				o.Subreaper = false
			case "kill-process-group":
				o.KillGroup = false
			}
		default:
			return bad("1 or 0")
		}
	case p.paths:
		for _, path := range strings.Split(v, ":") {
			p.set(o, path)
		}
	default:
		if want := p.set(o, v); want != "" {
			return bad(want)
		}
	}
	return nil
}

// forget takes back what the environment says of an option that adds to what is there,
// before the command line says it anew. All others are overwritten.
func (p *option) forget(o *Options) {
	switch p.long {
	case "confdir":
		o.ConfDirs = nil
	case "prepend-confdir":
		o.PrependConfDirs = nil
	case "append-confdir":
		o.AppendConfDirs = nil
	case "essential":
		o.Essential = nil
	case "remap-exit":
		o.zeroed = [256]bool{}
	case "quiet", "verbose", "debug":
		o.Verbosity = LevelNotice
	}
}

func setName(to *string, v string) string {
	if v == "" {
		return "a name that is not empty"
	}
	*to = v
	return ""
}

func addName(to *[]string, v string) string {
	if v == "" {
		return "a name that is not empty"
	}
	*to = append(*to, v)
	return ""
}

func setBoot(o *Options, v string) string {
	switch v {
	case "auto":
		o.Boot = BootAuto
	case "none":
		o.Boot = BootNone
	default:
		return "auto or none"
	}
	return ""
}

func setMask(o *Options, v string) string {
	o.Mask, o.MaskSet = nil, true
	if v == "none" {
		return ""
	}
	for _, name := range strings.Split(v, ",") {
		if name == "" {
			return "none, or names of jobs with commas between them"
		}
		o.Mask = append(o.Mask, name)
	}
	return ""
}

func setConsole(o *Options, v string) string {
	switch v {
	case "none":
		o.DefaultConsole = jobs.ConsoleNone
	case "log":
		o.DefaultConsole = jobs.ConsoleLog
	case "output":
		o.DefaultConsole = jobs.ConsoleOutput
	case "owner":
		o.DefaultConsole = jobs.ConsoleOwner
	default:
		return "none, log, output or owner"
	}
	return ""
}

func setEssential(o *Options, v string) string {
	for _, name := range strings.Split(v, ",") {
		if name == "" {
			return "names of jobs with commas between them"
		}
		o.Essential = append(o.Essential, name)
	}
	return ""
}

func setIdle(o *Options, v string) string {
	switch v {
	case "exit":
		o.IdleStay = false
	case "stay":
		o.IdleStay = true
	default:
		return "exit or stay"
	}
	return ""
}

// maxSeconds keeps a duration far from the end of its range when it is added to a time.
const maxSeconds = 1 << 31

func setSeconds(to *time.Duration, v string) string {
	whole, fraction, _ := strings.Cut(v, ".")
	n, err := number.Uint(whole, 10, 32)
	parts, fractionErr := number.Uint((fraction + "000000000")[:max(9, len(fraction))], 10, 32)
	if err != nil || fractionErr != nil || n > maxSeconds {
		return "a number of seconds"
	}
	*to = time.Duration(n)*time.Second + time.Duration(parts)
	return ""
}

func setStopTimeout(o *Options, v string) string {
	o.StopTimeoutSet = true
	return setSeconds(&o.StopTimeout, v)
}

func setZeroed(o *Options, v string) string {
	for _, one := range strings.Split(v, ",") {
		n, err := number.Uint(one, 10, 8)
		if err != nil {
			return "an exit status from 0 to 255"
		}
		o.zeroed[n] = true
	}
	return ""
}

func setLogFormat(o *Options, v string) string {
	switch v {
	case "text":
		o.LogJSON = false
	case "json":
		o.LogJSON = true
	default:
		return "text or json"
	}
	return ""
}

// setLogMaxSize takes bytes, or with a suffix KiB, MiB or GiB.
func setLogMaxSize(o *Options, v string) string {
	digits, shift := v, 0
	if i := strings.IndexAny(v, "kKmMgG"); i >= 0 && i == len(v)-1 {
		digits = v[:i]
		shift = map[byte]int{'k': 10, 'm': 20, 'g': 30}[v[i]|0x20]
	}
	n, err := number.Uint(digits, 10, 31)
	if err != nil {
		return "a size in bytes, or with the suffix k, M or G"
	}
	o.LogMaxSize = int64(n) << shift
	return ""
}

func setLogFiles(o *Options, v string) string {
	n, err := number.Int(v)
	if err != nil || n < 1 || n > 1000 {
		return "a number from 1 to 1000"
	}
	o.LogFiles = n
	return ""
}

func setJobOutput(o *Options, v string) string {
	switch v {
	case "prefix":
		o.JobOutput = OutputPrefix
	case "raw":
		o.JobOutput = OutputRaw
	case "none":
		o.JobOutput = OutputNone
	default:
		return "prefix, raw or none"
	}
	return ""
}

// setParentDeath takes a signal as SIGTERM, TERM or a number.
func setParentDeath(o *Options, v string) string {
	sig, ok := parseSignal(v)
	if !ok {
		return "the name of a signal or a number from 1 to 64"
	}
	o.ParentDeath = sig
	return ""
}
