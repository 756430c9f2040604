// Package child sets up and executes the processes of jobs.
//
// # Two ways
//
// A process that needs only what fork can do by itself (a session, descriptors, a
// user, a directory) is forked and executed directly. One that needs more (limits,
// nice, look-ups in another root, …) is first our own program again, the second
// stage, which changes itself step by step and then executes the job's program.
// Spec.direct decides. When the direct way fails it tells an errno only, so the
// second stage is then asked to do the same and to say which step it was.
//
// # The second stage
//
// It finds three descriptors: the specification (a file, see codec.go), the pipe of its
// result, and the standard error of the program. All are closed by exec. It writes to
// the pipe:
//
//	record                              meaning
//	'w' stage errno arg hint            a step was left out, and why
//	'e' stage errno arg hint            a step could not be done; it exits
//	'x'                                 the next thing is execve
//	end of file after 'x'               execve has succeeded
//	end of file without 'x'             it has died
//	anything else                       what the Go runtime said as it died
//
// An 'e' may follow 'x' when execve itself fails. stage and errno are numbers, arg
// and hint texts, in the encoding of the specification. The runtime writes to standard
// error, which is the pipe as well until 'x'. It dies when it cannot have its threads, so
// near a pids limit; that is reported as a fork that failed with EAGAIN.
package child
