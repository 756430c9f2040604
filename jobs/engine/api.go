package engine

import (
	"syscall"
	"time"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/event"
)

// JobID names an instance for as long as it exists. Numbers are given in order
// from 1 and never used again; 0 is no job.
type JobID uint64

// ByID sorts instances by their numbers, and so by age.
type ByID []JobID

func (l ByID) Len() int           { return len(l) }
func (l ByID) Less(i, j int) bool { return l[i] < l[j] }
func (l ByID) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// RequestID names a waiting caller. The caller of Step chooses it; 0 is nobody:
// no Reply is made.
type RequestID uint64

// Input is one thing that happened outside the machine. Step takes exactly one.
type Input interface{ input() }

// Load defines a class, or replaces the one of the same name: at once when that
// has no instance, else when its last instance has ended (reference 1.5), or
// between the stop and the start of a restarted singleton.
type Load struct{ Class *jobs.Class }

// Unload says that the definition of a class has gone. A running instance keeps
// its definition and may be restarted.
type Unload struct{ Name string }

// Verb is what a Command asks for.
type Verb uint8

// The verbs of Command.
const (
	VerbStart Verb = iota
	VerbStop
	VerbRestart
	VerbReload // sends the reload signal to main
)

// Command is a request to change a job.
type Command struct {
	Request RequestID
	Verb    Verb
	Job     string
	// Exact says that Instance is the name of an existing instance, as from inside
	// a job; else the instance is found by expanding the class's instance stanza
	// against Env.
	Exact    bool
	Instance string
	Env      environ.Env
	// NoWait asks for the Reply after the goal change, not at the end.
	NoWait bool
	// Inside is the job one of whose processes asks, 0 for anyone else. It decides
	// about "cancelled" (reference 9, 23).
	Inside JobID
}

// SignalJob asks for sig to be sent to main of an instance.
type SignalJob struct {
	Request  RequestID
	Job      string
	Exact    bool
	Instance string
	Env      environ.Env
	Signal   syscall.Signal
}

// Emit adds an event to the queue.
type Emit struct {
	Request RequestID
	Event   event.Event
	NoWait  bool  // Reply at once
	FDs     []int // handed to the jobs that the event starts, closed by CloseFDs
	// From is the job one of whose processes emits, 0 for anyone else; the stop
	// order uses it.
	From JobID
}

// EnvVerb is what an EnvRequest does.
type EnvVerb uint8

// The verbs of EnvRequest.
const (
	EnvSet EnvVerb = iota
	EnvUnset
	EnvReset // the table as it was at the start of the program or of the job
)

// EnvRequest changes the global job table, or the environment of an instance when
// Job is not empty. To read, see Machine.Environ.
type EnvRequest struct {
	Request       RequestID
	Verb          EnvVerb
	Job, Instance string
	Vars          []string // KEY=VALUE or KEY for EnvSet, KEY for EnvUnset
	Retain        bool     // EnvSet: keep the value of a name that is already set
}

// Spawned reports that a process has been forked for an earlier Spawn.
type Spawned struct {
	Job     JobID
	Process jobs.Process
	PID     int
}

// Execed reports that a forked process has reached its exec. It comes after Spawned.
type Execed struct {
	Job     JobID
	Process jobs.Process
	PID     int // 0: of the process that is there
}

// SpawnFailed reports that a process could not be forked, or not be set up up to
// its exec. It comes in place of Execed (and of Spawned, when nothing was forked);
// no Exited follows.
type SpawnFailed struct {
	Job     JobID
	Process jobs.Process
	PID     int    // that Spawned has told, 0 when nothing was forked
	Again   bool   // after Spawned: it may work in a moment, so it is to be asked for again
	Err     string // one line: what could not be done, and why
	Status  int    // 127 not found, 126 not executable, 1 anything else
}

// Exited reports that a tracked process has been reaped.
type Exited struct {
	PID  int
	Code int            // exit code, when Signal is 0
	Sig  syscall.Signal // the signal that killed it
	Core bool
	// Heir is the live descendant that fits best as the next main process, 0 when
	// there is none. It is looked for when the exited process is the main process
	// of a job that is no task, and has ended with 0.
	Heir int
	// Grandchild says that main has forked twice to make Heir.
	Grandchild bool
	// Left says that other live processes of the job were found.
	Left bool
}

// Stopped reports that a tracked process has been stopped by a signal.
type Stopped struct {
	PID int
	Sig syscall.Signal
}

// Continued reports that a tracked process has been continued.
type Continued struct{ PID int }

// Notified is a datagram of the sd_notify protocol from a process of the job.
type Notified struct {
	Job     JobID
	Ready   bool
	Status  string // empty: not given
	MainPID int    // 0: not given
}

// Inspected answers Inspect.
type Inspected struct {
	Job      JobID
	Children bool // main has had a live child when looked at
}

// Swept answers Sweep: at once with what is left, and again with Left false when
// the last of them has gone.
type Swept struct {
	Job  JobID
	Left bool
}

// Elapsed says only that time has passed. See Machine.Deadline.
type Elapsed struct{}

// Shutdown begins the orderly stop of everything. A second one may only bring the
// deadline nearer.
type Shutdown struct {
	// Timeout is the total time for the whole stop from now on; 0 means no limit.
	Timeout time.Duration
	// Reserve is the part of Timeout kept for KILL and post-stop.
	Reserve time.Duration
	// Now sends KILL to everything at once.
	Now bool
	// Runlevel are the variables of the runlevel event that begins the stop; nil for
	// those of a poweroff from runlevel 2. Announced says that it has been emitted.
	Runlevel  environ.Env
	Announced bool
	// CommandSignal replaces the kill signal of Foreground jobs when it is not 0.
	CommandSignal syscall.Signal
}

func (Load) input()        {}
func (Unload) input()      {}
func (Command) input()     {}
func (SignalJob) input()   {}
func (Emit) input()        {}
func (EnvRequest) input()  {}
func (Spawned) input()     {}
func (Execed) input()      {}
func (SpawnFailed) input() {}
func (Exited) input()      {}
func (Stopped) input()     {}
func (Continued) input()   {}
func (Notified) input()    {}
func (Inspected) input()   {}
func (Swept) input()       {}
func (Elapsed) input()     {}
func (Shutdown) input()    {}

// Action is an effect for the caller to carry out, or a fact for it to pass on.
// The caller carries out the actions of one Step in order before the next Step.
type Action interface{ action() }

// Spawn asks for a process to be started. It is answered by Spawned and Execed, or
// by SpawnFailed; one that has no answer yet when the machine asks for the same process
// once more is given up. UPSTART_FDS in Env has the numbers in FDs, so the process must find
// them under these.
type Spawn struct {
	Job      JobID
	Class    *jobs.Class
	Instance string
	Process  jobs.Process
	Again    bool        // SpawnFailed has said so of an earlier one: not at once
	Env      environ.Env // complete but for what the child's user adds (HOME …)
	FDs      []int       // to be inherited, from the events that started the job
}

// Signal asks for a signal to a process of a job. PID is a tracked process that has
// not been reported as Exited.
type Signal struct {
	Job     JobID
	Process jobs.Process
	PID     int
	Sig     syscall.Signal
	// Group sends to the process group of PID, as Upstart does.
	Group bool
	// Deep also sends to what the job owns outside that group (KILL at the end of
	// the kill timeout).
	Deep bool
}

// Sweep asks what the job owns besides its tracked processes: what main or the
// hooks have left. Sig is sent to each of them; 0 only looks. Answered by Swept.
type Sweep struct {
	Job JobID
	Sig syscall.Signal
}

// Inspect asks whether main has had a child. Answered by Inspected.
type Inspect struct {
	Job JobID
	PID int
}

// Track says that main of a job is now the process PID, which the engine was told
// of as Exited.Heir or Notified.MainPID.
type Track struct {
	Job JobID
	PID int
}

// CloseFDs gives back descriptors that came with Emit.
type CloseFDs struct{ FDs []int }

// Reply answers a request, once.
type Reply struct {
	Request RequestID
	// Err is empty for success, else Upstart's text (reference 7.4).
	Err string
	// Reason says why a job has failed, for example "pre-start exited with status
	// 3". It is kept apart from Err, which scripts compare.
	Reason string
	// Job and Instance name the instance that the request was about, if any.
	Job, Instance string
	// Usage is the usage text of the job when an error should quote it.
	Usage string
}

// InstanceAdded and InstanceRemoved frame the life of an instance.
type (
	InstanceAdded struct {
		Job  JobID
		Name string // of the class
		Inst string
	}
	InstanceRemoved struct {
		Job  JobID
		Name string
		Inst string
		// Failed and Status tell how the run ended. Status is that of the process that
		// failed (exit code, 128+n, 127/126/1 for a failure to start); without a
		// failure it is main's, also when main has been stopped, and 0 without main.
		Failed bool
		Status int
	}
)

// Notice is a fact for the log and for monitors. Fields that do not apply are zero. As
// an Action it is a pointer, valid until the next Step.
type Notice struct {
	Kind          NoticeKind
	Process       jobs.Process
	FromGoal      jobs.Goal
	Goal          jobs.Goal
	FromState     jobs.State
	State         jobs.State
	Core          bool
	Normal        bool   // the exit was asked for or is in "normal exit"
	Job, Instance string // of the class; empty for events
	ID            JobID
	PID           int
	Code          int            // exit code
	Sig           syscall.Signal // 0: none
	Event         *event.Event
	Count, Limit  int           // of respawns
	Interval      time.Duration // of the respawn limit, or the delay until the respawn
	Text          string        // of Warning and Failed: complete but for the job's name
}

// NoticeKind says what a Notice tells.
type NoticeKind uint8

// The kinds of notices, with the fields that they use beside Job and Instance.
const (
	GoalChanged      NoticeKind = iota // FromGoal, Goal
	StateChanged                       // FromState, State
	EventHandling                      // Event
	EventFinished                      // Event
	ProcessSpawned                     // Process, PID
	ProcessExited                      // Process, PID, Code or Sig, Core, Normal, Goal, State
	ProcessStopped                     // Process, PID, Sig
	ProcessContinued                   // Process, PID
	ProcessBecame                      // PID (new), Count (old pid): main was handed over
	SignalSent                         // Process, PID, Sig
	JobReady                           // entered running; PID of main, 0 for none
	JobFailed                          // first failure of a run: Process, Code, Sig, Text; Limit after RespawnStopped
	JobEnded                           // entered waiting; Normal is false when it failed
	Respawning                         // PID, Code or Sig, Count, Limit, Interval
	RespawnDelayed                     // Interval until the respawn
	RespawnStopped                     // PID, Code or Sig, Limit, Interval: too fast; JobFailed follows
	Warning                            // Text; Sig KILL: about PID, or 0 for all of the job, that it has not ended
)

// EssentialEnded says that an essential job has ended for another reason than a
// stop; Status is the container's exit status for it.
type EssentialEnded struct {
	Job, Instance string
	Status        int
	Text          string // for the log: "main process exited with status 3"
}

// Halted says, once, that a Shutdown is complete: no job has a process any more,
// or its deadline has passed.
type Halted struct {
	// Stuck names the tracked processes that are still there, if any.
	Stuck []Stuck
}

// Stuck is a process that survived KILL.
type Stuck struct {
	Job, Instance string
	Process       jobs.Process
	PID           int
}

func (Spawn) action()           {}
func (Signal) action()          {}
func (Sweep) action()           {}
func (Inspect) action()         {}
func (Track) action()           {}
func (CloseFDs) action()        {}
func (Reply) action()           {}
func (InstanceAdded) action()   {}
func (InstanceRemoved) action() {}
func (*Notice) action()         {}
func (EssentialEnded) action()  {}
func (Halted) action()          {}

// Options set up a Machine.
type Options struct {
	// Env is the global job table: what every job's environment begins with.
	Env environ.Env
	// Init is tend's own environment, where "env NAME" without a value is looked up.
	Init environ.Env
	// Essential names classes that are essential whatever their files say.
	Essential map[string]bool
	// Random gives jitter for respawn delays: a number in [0, 1). nil means none.
	Random func() float64
}

// Source makes events that job files wait for from something outside, such as
// network interfaces. The machine calls it within Step, so it must return at once
// and may not call the machine.
type Source interface {
	// Claims tells whether events of this name are this source's.
	Claims(name string) bool
	// Watch and Unwatch tell that a loaded class waits for term.
	Watch(class string, term *event.Operator)
	Unwatch(class string, term *event.Operator)
	// CanFire tells whether an event that matches term can still come.
	CanFire(term *event.Operator) bool
}
