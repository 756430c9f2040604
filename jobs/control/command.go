package control

// The commands of the protocol, as in Request.Command.
const (
	CmdStart               = "start"
	CmdStop                = "stop"
	CmdRestart             = "restart"
	CmdReload              = "reload"
	CmdStatus              = "status"
	CmdList                = "list"
	CmdEmit                = "emit"
	CmdReloadConfiguration = "reload-configuration"
	CmdVersion             = "version"
	CmdLogPriority         = "log-priority"
	CmdShowConfig          = "show-config"
	CmdCheckConfig         = "check-config"
	CmdUsage               = "usage"
	CmdGetEnv              = "get-env"
	CmdListEnv             = "list-env"
	CmdSetEnv              = "set-env"
	CmdUnsetEnv            = "unset-env"
	CmdResetEnv            = "reset-env"
	CmdNotifyDiskWriteable = "notify-disk-writeable"
	CmdMonitor             = "monitor"
	CmdLog                 = "log"
	CmdWhy                 = "why"
	CmdHealth              = "health"
	CmdSignal              = "signal"
	CmdRunlevel            = "runlevel"
	CmdShutdown            = "shutdown"
	CmdCancelShutdown      = "cancel-shutdown"
)

// access says who may give a command.
type access uint8

const (
	// Root and tend's own uid. It is the zero value, so that a command that is added
	// without thought is not open to everyone.
	_ access = iota
	// forOwner: also a process of the job that the command is about.
	forOwner
	// forAll: everyone.
	forAll
)

// command is what the server knows of a command before the supervisor sees it.
type command struct {
	name   string
	access access
	// doing completes "You do not have permission to …".
	doing string
	// large says that the reply may be long: only so many of these are made at once.
	large bool
	// stream says that the reply goes on until the client leaves.
	stream bool
}

const (
	modifyJob = "modify job: " // the job's name follows
	queryEnv  = "query job environment"
	modifyEnv = "modify job environment"
)

// commands is an array, since a map would be made at every start of the program.
var commands = [...]command{
	{name: CmdStart, access: forOwner, doing: modifyJob},
	{name: CmdStop, access: forOwner, doing: modifyJob},
	{name: CmdRestart, access: forOwner, doing: modifyJob},
	{name: CmdReload, access: forOwner, doing: modifyJob},
	{name: CmdSignal, doing: modifyJob},

	{name: CmdStatus, access: forAll},
	{name: CmdList, access: forAll, large: true},
	{name: CmdHealth, access: forAll, large: true},
	{name: CmdVersion, access: forAll},

	{name: CmdEmit, doing: "emit an event"},
	{name: CmdReloadConfiguration, doing: "reload configuration"},
	{name: CmdLogPriority, doing: "set log priority"},
	{name: CmdNotifyDiskWriteable, doing: "notify disk is writeable"},
	{name: CmdGetEnv, doing: queryEnv},
	{name: CmdListEnv, doing: queryEnv},
	{name: CmdSetEnv, doing: modifyEnv},
	{name: CmdUnsetEnv, doing: modifyEnv},
	{name: CmdResetEnv, doing: modifyEnv},

	{name: CmdShowConfig, doing: "query job configuration", large: true},
	{name: CmdCheckConfig, doing: "query job configuration", large: true},
	{name: CmdUsage, doing: "query job configuration"},
	{name: CmdWhy, doing: "query job configuration"},
	{name: CmdLog, doing: "read job output", stream: true},
	{name: CmdMonitor, doing: "monitor events", stream: true},

	{name: CmdRunlevel, access: forAll},
	{name: CmdShutdown, doing: "request shutdown"},
	{name: CmdCancelShutdown, doing: "request shutdown"},
}

// lookUp returns what is known of a command; nil when there is none of that name.
//
//go:noinline
func lookUp(name string) *command {
	for i := range commands {
		if commands[i].name == name {
			return &commands[i]
		}
	}
	return nil
}
