// Package reaper is the part of a PID 1 that deals with the kernel: it owns every
// child process and every signal, knows whose process is whose, and knows nothing
// of jobs.
package reaper
