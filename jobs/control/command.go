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
	// forAdmin: root and tend's own uid. The zero value, so that a command that is
	// added without thought is not open to everyone.
	forAdmin access = iota
	// forOwner: also a process of the job that the command is about.
	forOwner
	// forAll: everyone.
	forAll
)

// command is what the server knows of a command before the supervisor sees it.
type command struct {
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

var commands = map[string]command{
	CmdStart:   {access: forOwner, doing: modifyJob},
	CmdStop:    {access: forOwner, doing: modifyJob},
	CmdRestart: {access: forOwner, doing: modifyJob},
	CmdReload:  {access: forOwner, doing: modifyJob},
	CmdSignal:  {doing: modifyJob},

	CmdStatus:  {access: forAll},
	CmdList:    {access: forAll, large: true},
	CmdHealth:  {access: forAll, large: true},
	CmdVersion: {access: forAll},

	CmdEmit:                {doing: "emit an event"},
	CmdReloadConfiguration: {doing: "reload configuration"},
	CmdLogPriority:         {doing: "set log priority"},
	CmdNotifyDiskWriteable: {doing: "notify disk is writeable"},
	CmdGetEnv:              {doing: queryEnv},
	CmdListEnv:             {doing: queryEnv},
	CmdSetEnv:              {doing: modifyEnv},
	CmdUnsetEnv:            {doing: modifyEnv},
	CmdResetEnv:            {doing: modifyEnv},

	CmdShowConfig:  {doing: "query job configuration", large: true},
	CmdCheckConfig: {doing: "query job configuration", large: true},
	CmdUsage:       {doing: "query job configuration"},
	CmdWhy:         {doing: "query job configuration"},
	CmdLog:         {doing: "read job output", stream: true},
	CmdMonitor:     {doing: "monitor events", stream: true},

	CmdRunlevel:       {access: forAll},
	CmdShutdown:       {doing: "request shutdown"},
	CmdCancelShutdown: {doing: "request shutdown"},
}
