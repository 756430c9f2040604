// Package jobs has the vocabulary of the job machine: a Class is what a job file
// defines, an instance of it has a Goal and a State and runs Processes; Next is
// the transition table (Upstart reference, sections 2 and 5).
package jobs

// Goal is where an instance is heading.
type Goal uint8

// The goals. The zero value is Stop. Respawn is transient: main has died while it
// was starting, or while post-start or pre-stop runs, and the job is to go round once
// that has ended.
const (
	Stop Goal = iota
	Start
	Respawn
)

var goalNames = [...]string{Stop: "stop", Start: "start", Respawn: "respawn"}

// String returns Upstart's spelling.
//
//go:noinline
func (g Goal) String() string { return goalNames[g] }

// State is where an instance is.
type State uint8

// The states, in the order of a job's life. The zero value is Waiting.
const (
	Waiting State = iota
	Starting
	Security
	PreStart
	Spawned
	PostStart
	Running
	PreStop
	Stopping
	Killed
	PostStop
)

// States lists all states in order.
var States = [...]State{Waiting, Starting, Security, PreStart, Spawned, PostStart, Running, PreStop, Stopping, Killed, PostStop}

var stateNames = [...]string{
	Waiting: "waiting", Starting: "starting", Security: "security", PreStart: "pre-start",
	Spawned: "spawned", PostStart: "post-start", Running: "running", PreStop: "pre-stop",
	Stopping: "stopping", Killed: "killed", PostStop: "post-stop",
}

// String returns Upstart's spelling, for example pre-start.
//
//go:noinline
func (s State) String() string { return stateNames[s] }

// Process names one of the processes that a class may define.
type Process uint8

// The kinds of processes, in the order in which status lists them.
const (
	Main Process = iota
	PreStartProcess
	PostStartProcess
	PreStopProcess
	PostStopProcess
	SecurityProcess
	NumProcesses = 6
)

var processNames = [...]string{
	Main: "main", PreStartProcess: "pre-start", PostStartProcess: "post-start",
	PreStopProcess: "pre-stop", PostStopProcess: "post-stop", SecurityProcess: "security",
}

// String returns Upstart's spelling, for example pre-start.
//
//go:noinline
func (p Process) String() string { return processNames[p] }
