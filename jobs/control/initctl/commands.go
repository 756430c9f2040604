package initctl

// group is under what heading help lists a command.
type group uint8

const (
	jobGroup group = iota
	eventGroup
	watchGroup
	envGroup
	powerGroup
	otherGroup
)

var groups = [...]string{
	jobGroup: "Job", eventGroup: "Event", watchGroup: "Watching", envGroup: "Environment", powerGroup: "Stopping", otherGroup: "Other",
}

// command is one command of initctl, and a program when called by its name.
type command struct {
	name    string
	group   group
	args    string
	summary string
	options []*option
	details string
	run     func(p *program, args []string) error
}

func (p *program) find(name string) *command {
	for i := range p.commands {
		if p.commands[i].name == name {
			return &p.commands[i]
		}
	}
	return nil
}

const (
	jobArgs   = "[JOB [KEY=VALUE]...]"
	jobDetail = "JOB is the name of a job file without .conf. The KEY=VALUE pairs tell which of\n" +
		"its instances is meant. In a process of a job, JOB may be left out and is that\njob.\n"
)

func noWait(o *options) *bool { return &o.noWait }

var (
	jsonOption   = option{long: "json", help: "print JSON", flag: func(o *options) *bool { return &o.json }}
	globalOption = option{short: 'g', long: "global", help: "apply to the table of all jobs", flag: func(o *options) *bool { return &o.global }}
)

// commands are in the order in which help lists them.
var commands = []command{
	{name: "start", group: jobGroup, args: jobArgs, summary: "Start a job.",
		options: []*option{{short: 'n', long: "no-wait", help: "do not wait for the job to start", flag: noWait}}, run: change,
		details: jobDetail + "The pairs are also put into the environment of the job. Waits until a service\nruns, or until a task has ended."},
	{name: "stop", group: jobGroup, args: jobArgs, summary: "Stop a job.",
		options: []*option{{short: 'n', long: "no-wait", help: "do not wait for the job to stop", flag: noWait}}, run: change, details: jobDetail},
	{name: "restart", group: jobGroup, args: jobArgs, summary: "Stop a job and start it again.",
		options: []*option{{short: 'n', long: "no-wait", help: "do not wait for the job to start again", flag: noWait}}, run: change,
		details: jobDetail + "The job starts with its present definition and with the given pairs only."},
	{name: "reload", group: jobGroup, args: jobArgs, summary: "Send a job its reload signal (HUP).", run: reload, details: jobDetail},
	{name: "signal", group: jobGroup, args: "JOB SIGNAL [KEY=VALUE]...", summary: "Send a signal to a job's main process.", run: sendSignal},
	{name: "status", group: jobGroup, args: jobArgs, summary: "Print the status of a job.", options: []*option{&jsonOption,
		{long: "orphans", help: "list the processes that belong to no job", flag: func(o *options) *bool { return &o.orphans }}},
		run: status, details: jobDetail},
	{name: "list", group: jobGroup, summary: "Print the status of all jobs.", options: []*option{&jsonOption,
		{long: "masked", help: "list what events do not start in containers", flag: func(o *options) *bool { return &o.masked }}},
		run: list},

	{name: "emit", group: eventGroup, args: "EVENT [KEY=VALUE]...", summary: "Emit an event.",
		options: []*option{{short: 'n', long: "no-wait", help: "do not wait for the event to finish", flag: noWait}}, run: emit,
		details: "Waits until all jobs that the event has started or stopped are there, and fails\nif one of them fails."},
	{name: "monitor", group: eventGroup, summary: "Print events and changes of jobs as they happen.", options: []*option{&jsonOption}, run: monitor},

	{name: "why", group: watchGroup, args: "JOB", summary: "Explain why a job runs or does not.", options: []*option{&jsonOption}, run: why},
	{name: "log", group: watchGroup, args: "JOB [KEY=VALUE]...", summary: "Print the last lines of a job's output.", options: []*option{
		{short: 'n', long: "lines", arg: "N", help: "so many lines at most", number: func(o *options) **int { return &o.lines }},
		{short: 'f', long: "follow", help: "go on with what comes", flag: func(o *options) *bool { return &o.follow }}, &jsonOption}, run: showLog},
	{name: "health", group: watchGroup, args: "[JOB]...", summary: "Tell whether all jobs that should be up are up.",
		options: []*option{&jsonOption}, run: health,
		details: "Without JOB all jobs that have been started count. Exits with 0 when they are\nup, else with 1 and the reasons. For a Dockerfile:\n\n  HEALTHCHECK CMD [\"initctl\", \"health\"]"},

	{name: "get-env", group: envGroup, args: "VARIABLE", summary: "Print the value of a variable of the job environment.", options: []*option{&globalOption}, run: getEnv},
	{name: "list-env", group: envGroup, summary: "Print the job environment.", options: []*option{&globalOption}, run: listEnv},
	{name: "reset-env", group: envGroup, summary: "Undo all changes of the job environment.", options: []*option{&globalOption}, run: resetEnv},
	{name: "set-env", group: envGroup, args: "VARIABLE[=VALUE]...", summary: "Set variables of the job environment.", options: []*option{&globalOption,
		{short: 'r', long: "retain", help: "keep the value of a variable that is set", flag: func(o *options) *bool { return &o.retain }}}, run: setEnv},
	{name: "unset-env", group: envGroup, args: "VARIABLE...", summary: "Remove variables from the job environment.", options: []*option{&globalOption}, run: unsetEnv},

	{name: "telinit", group: powerGroup, args: "RUNLEVEL", summary: "Change the runlevel.", options: []*option{{
		short: 'e', arg: "KEY=VALUE", help: "add a variable to the event", set: func(p *program, v string) error {
			p.opts.env = append(p.opts.env, v)
			return nil
		}}}, run: telinit,
		details: "RUNLEVEL is one of 0123456Ss, or q to reload the configuration. 0 and 6 stop\nthe container."},
	{name: "runlevel", group: powerGroup, summary: "Print the previous and the current runlevel.", run: runlevel},
	{name: "shutdown", group: powerGroup, args: "TIME [MESSAGE]", summary: "Stop the container.", options: shutdownOptions, run: shutdown,
		details: "TIME is now, +MINUTES or HH:MM (UTC); with --exit-code it may be left out."},
	{name: "reboot", group: powerGroup, summary: "Stop the container (runlevel 6).", options: haltOptions, run: halt},
	{name: "halt", group: powerGroup, summary: "Stop the container.", options: haltOptions, run: halt},
	{name: "poweroff", group: powerGroup, summary: "Stop the container.", options: haltOptions, run: halt},

	{name: "reload-configuration", group: otherGroup, summary: "Read the job files again.", run: reloadConfiguration},
	{name: "version", group: otherGroup, summary: "Print the version of the running tend.", options: []*option{&jsonOption}, run: version},
	{name: "log-priority", group: otherGroup, args: "[PRIORITY]", summary: "Print or set how much tend logs.", run: logPriority,
		details: "PRIORITY is one of debug, info, message, warn, error, fatal."},
	{name: "show-config", group: otherGroup, args: "[JOB]", summary: "Print what jobs emit, start on and stop on.", options: []*option{
		{short: 'e', long: "enumerate", help: "one line for each event", flag: func(o *options) *bool { return &o.enumerate }}, &jsonOption}, run: showConfig},
	{name: "check-config", group: otherGroup, args: "[JOB]", summary: "Look for conditions that cannot come true.", options: []*option{
		{short: 'i', long: "ignore-events", arg: "EVENT,...", help: "take these events as known", set: addIgnored},
		{short: 'w', long: "warn", help: "report every unknown part, also beside an \"or\"", flag: func(o *options) *bool { return &o.warn }}}, run: checkConfig},
	{name: "usage", group: otherGroup, args: "[JOB]", summary: "Print the usage text of a job.", run: jobUsage},
	{name: "notify-cgroup-manager-address", group: otherGroup, args: "ADDRESS", summary: "Does nothing.", run: notifyCGroupManager},
	{name: "notify-dbus-address", group: otherGroup, args: "ADDRESS", summary: "Not possible with tend.", run: notifyDBus},
	{name: "notify-disk-writeable", group: otherGroup, summary: "Say that log files can be written now.", run: notifyDisk},
	{name: "list-sessions", group: otherGroup, summary: "Not possible with tend.", run: listSessions},
	{name: "help", group: otherGroup, summary: "Print this list.", run: listCommands},
}
