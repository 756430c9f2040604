// Package reaper is the part of a PID 1 that deals with the kernel's processes: it
// owns every child, reaps every orphan, and knows whose process is whose. It knows
// nothing of jobs; whoever starts processes names their owner by a number.
//
// # Reaping and signalling
//
// A thread of its own waits for children. An unreaped child keeps its pid, so it
// may be signalled by plain pid, but only while it is certain that it has not been
// reaped: fork, reap and kill therefore exclude each other by one lock, which is
// never held while waiting.
//
//	reaping thread                       loop (one goroutine)
//	waitid(WNOWAIT), without the lock
//	lock; wait4 until nothing is left,   lock; is pid still a child? kill; unlock
//	forget the pids; unlock              lock; fork, remember the pid; unlock
//	post, wake the loop       ------->   Take
//
// Everyone else's processes are signalled through a pidfd after a second look at
// their parent, session and start time.
//
// # Whose process is whose
//
// An owner's processes are its children, their descendants, and what is in a
// session or process group whose number one of them made, or carries the owner's
// marks in its environment. Numbers of sessions and groups are not used again by
// the kernel as long as somebody is in them; owners.go says how that is used.
package reaper
