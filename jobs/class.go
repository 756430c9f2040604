package jobs

import (
	"syscall"
	"time"

	"tend/jobs/event"
)

// Expect says how a service tells that it is ready.
type Expect uint8

// The values of the expect stanza. The zero value is ExpectNone: ready when exec
// has succeeded.
const (
	ExpectNone Expect = iota
	ExpectStop
	ExpectFork
	ExpectDaemon
	ExpectNotify
)

// Console says where a process's standard descriptors go.
type Console uint8

// The values of the console stanza. The zero value means that the file says
// nothing and --default-console decides.
const (
	ConsoleDefault Console = iota
	ConsoleNone
	ConsoleLog
	ConsoleOutput
	ConsoleOwner
)

// KillScope says whom a stop reaches.
type KillScope uint8

// The values of the kill scope stanza. The zero value is everything that the job
// owns.
const (
	KillJob KillScope = iota
	KillGroup
)

// Unlimited is the value of a Limit that is not limited (RLIM_INFINITY).
const Unlimited = ^uint64(0)

// Command is what a process runs.
type Command struct {
	// Text is the raw rest of an exec stanza or the text of a script block.
	Text string
	// Argv, when not nil, is executed as it is, without a shell and whatever Text
	// says. No job file can write it; COMMAND beside jobs is run by it.
	Argv []string
	// Line is the line of the stanza, from 1.
	Line int32
	// Script says that Text is a script.
	Script bool
}

// Limit is one resource limit (setrlimit(2)).
type Limit struct {
	Resource   int    // RLIMIT_…
	Name       string // as in the job file, for example nofile
	Soft, Hard uint64 // Unlimited or the value
}

// CGroup is one cgroup stanza; Name, Key and Value may be empty.
type CGroup struct {
	Controller, Name, Key, Value string
}

// ExitStatus is a result that "normal exit" names: an exit code, or a signal.
type ExitStatus struct {
	Code   int
	Signal syscall.Signal // 0: an exit code
}

// About is what a job file says for people only.
type About struct{ Description, Author, Version string }

// Class is what a job file (and its override) defines. It is immutable once it
// has been parsed; a changed file makes a new Class. There may be thousands: what
// is small lies together, and what few have costs no more than a pointer.
type Class struct {
	Name     string // path below the configuration directory, without .conf
	Path     string // file it was read from, empty for one made by the program
	Override string // file that was applied on top, if any

	About *About // nil when there is nothing
	Usage string

	StartOn, StopOn *event.Operator // nil when there is none
	Instance        string          // before expansion; empty: a single instance
	Emits           []string
	Env             []string // KEY=VALUE, or KEY: taken from tend's own environment
	Export          []string

	Processes [NumProcesses]*Command // nil where there is none

	Task      bool
	Essential bool
	Debug     bool
	Respawn   bool
	Expect    Expect
	KillScope KillScope
	Console   Console
	// Foreground runs main in tend's own session, in a process group of its own,
	// as the owner of standard input and of the terminal. No job file can write it.
	Foreground bool

	RespawnLimit    int           // respawns per interval; 0: no limit
	RespawnInterval time.Duration // 0: no limit
	RespawnDelay    time.Duration
	RespawnDelayMax time.Duration // 0: as RespawnDelay
	NormalExit      []ExitStatus

	StartTimeout time.Duration // 0: none
	KillTimeout  time.Duration // 0: KILL at once
	KillSignal   syscall.Signal
	ReloadSignal syscall.Signal

	Umask    int
	Nice     *int // nil: inherited
	OOMScore *int // nil: untouched
	Limits   []Limit
	Chroot   string
	Chdir    string // empty: /
	SetUID   string // name or number; empty: unchanged
	SetGID   string

	AppArmorLoad   string // profile file to load before the job runs
	AppArmorSwitch string // profile that main switches to, before expansion
	CGroups        []CGroup
}

// The defaults of a class (Upstart reference, section 2).
const (
	DefaultKillTimeout     = 5 * time.Second
	DefaultRespawnLimit    = 10
	DefaultRespawnInterval = 5 * time.Second
	DefaultUmask           = 0o022
	// NotifyStartTimeout is the start timeout of a job with "expect notify" that
	// sets none.
	NotifyStartTimeout = 90 * time.Second
)

// NewClass returns a class with the defaults and no processes.
//
//go:noinline
func NewClass(name string) *Class {
	return &Class{
		Name:            name,
		RespawnLimit:    DefaultRespawnLimit,
		RespawnInterval: DefaultRespawnInterval,
		KillTimeout:     DefaultKillTimeout,
		KillSignal:      syscall.SIGTERM,
		ReloadSignal:    syscall.SIGHUP,
		Umask:           DefaultUmask,
	}
}
