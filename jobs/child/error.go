package child

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs"
)

// Stage is a step on the way from fork to exec.
type Stage uint8

// The stages, in their order.
const (
	StageFork Stage = iota
	StageScript
	StageConsole
	StageTerminal
	StageAppArmor
	StageLimit
	StageUmask
	StageNice
	StageOOM
	StageChroot
	StageChdir
	StageUser
	StageGroup
	StageCGroup
	StageSetGroups
	StageSetGID
	StageSetUID
	StageExec
	numStages
)

// stageWords complete "cannot".
var stageWords = [numStages]string{
	StageFork: "fork", StageScript: "pass the script", StageConsole: "open",
	StageTerminal: "take the terminal", StageAppArmor: "switch to AppArmor profile",
	StageLimit: "set limit", StageUmask: "set umask", StageNice: "set nice to",
	StageOOM: "set oom score to", StageChroot: "change root to", StageChdir: "change directory to",
	StageUser: "find user", StageGroup: "find group", StageCGroup: "use cgroup",
	StageSetGroups: "set the groups of", StageSetGID: "become group", StageSetUID: "become user",
	StageExec: "execute",
}

// String returns what follows "cannot".
func (s Stage) String() string {
	if s < numStages {
		return stageWords[s]
	}
	return "go on"
}

// Error says which step of a process's set-up could not be done.
type Error struct {
	Process jobs.Process
	Stage   Stage
	Arg     string        // what the step was about
	Errno   syscall.Errno // 0: the Hint is the whole cause
	Hint    string        // a known reason or remedy
}

// Error returns one line such as "main: cannot set limit nofile to 1000000:
// operation not permitted (hard limit is 524288)".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Process.String() + ": cannot " + e.Stage.String())
	if e.Arg != "" {
		b.WriteString(" " + e.Arg)
	}
	switch {
	case e.Errno == 0:
		b.WriteString(": " + e.Hint)
	case e.Hint == "":
		b.WriteString(": " + e.Errno.Error())
	default:
		b.WriteString(": " + e.Errno.Error() + " (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap makes the errno testable with errors.Is.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// Status is what a shell would return: 127 for a program that was not found, 126
// for one that cannot be executed, 1 for anything else.
func (e *Error) Status() int {
	switch {
	case e.Stage != StageExec:
		return 1
	case e.Errno == unix.ENOENT || e.Errno == unix.ENOTDIR || e.Errno == unix.ENAMETOOLONG || e.Errno == unix.ELOOP:
		return 127
	default:
		return 126
	}
}
