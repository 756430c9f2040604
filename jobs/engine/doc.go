// Package engine is the machine that runs jobs as Upstart does: it takes one thing
// that has happened at a time, an Input, and says what is to be done, as Actions. It
// opens nothing, waits for nothing and knows no clock but the one it is handed, so
// that the same inputs always give the same actions.
//
// # Goal and state
//
// A job is an instance of a class. It has a goal, start or stop, which commands and
// events turn, and a state. Turning the goal seldom moves the job at once: it goes
// on when the work of its state is done, and the goal decides only where to. The ways
// between the states are jobs.Next, drawn in docs/states.svg.
//
//	state       its work                              done when
//	waiting     none; the job is removed              the goal is start
//	starting    event starting                        nobody blocks it any more
//	security    the security process                  it has ended
//	pre-start   the pre-start process                 it has ended; a failure ends the start
//	spawned     main                                  it is ready as expect says
//	post-start  the post-start process, beside main   it has ended
//	running     event started                         the goal is stop, or main has ended
//	pre-stop    the pre-stop process, beside main     it has ended; goal start: back to running
//	stopping    event stopping                        nobody blocks it any more
//	killed      kill signal, KILL, what main has left all of it has gone
//	post-stop   the post-stop process, what is left   all of it has gone, and the respawn is due
//
// A state without work is passed through in the same Step. A respawn and a restart
// take the whole way by way of stopping and post-stop back to starting, and emit no
// stopped.
//
// # Events and who waits for whom
//
// Events are handled in the order in which they were emitted. A handled event is
// offered to the conditions that name it: stop conditions of instances, start
// conditions of classes, by class name. It is blocked by each term of an "and" that
// it has made true as long as the whole is not, and by each job that it has started
// or stopped until that is through: a service runs, a task has ended, a stopped job
// is waiting. When nothing blocks it, it is finished: its emitter has its answer,
// and a job whose starting or stopping event it was goes on. That is all there is to
// dependencies: "start on starting web" makes web wait for this job, "stop on
// stopping db" makes db wait for this job's end.
//
// A job that fails answers all who wait for it at that moment and marks the events
// that it blocks; a finished event that is marked is followed by NAME/failed.
//
// # What may interrupt what
//
// A stop acts at once in running, in spawned (main need not become ready to be
// killed) and during the delay of a respawn. A pre-start or post-start that it finds
// has one kill timeout to end by itself, then gets the kill signal, and KILL one kill
// timeout later; a start in between takes all of that back. In starting and stopping
// the job waits for others, whatever its goal is; in killed and post-stop it goes on
// to the end. A main process that dies beside a hook waits for the hook, with goal
// respawn if it is to come back.
//
// Nothing waits for ever on a process: one that does not end after KILL is given
// up, one that never does what expect says is taken as it is after 90 s.
//
// # Files
//
//	api.go        inputs and actions
//	machine.go    Machine, Step
//	queue.go      events on their way
//	condition.go  what is true of a start on or stop on; index.go finds them by event
//	class.go      definitions, their replacement
//	job.go        instances: environment, waiters, failure
//	life.go       goals and states
//	process.go    forks and exits, respawn; expect.go readiness; kill.go the end
//	command.go    what clients ask; query.go, why.go what they want to know
//	order.go      who stops before whom; shutdown.go the stop of everything
//	timer.go      what is due when
package engine
