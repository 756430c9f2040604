package docker

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A command that gets the terminal must be its foreground process group before it
// runs its first instruction: a shell that finds itself in the background stops
// itself. Only a process of the new group that blocks SIGTTOU can arrange that without
// a moment in between, and Go restores the signal mask of a child before it would do so
// itself. So, with a terminal, our own binary is executed first; it takes the terminal
// and becomes the command. Without one the command is executed directly.

// TerminalStage is the name (argv[0]) under which this program runs RunTerminalStage.
const TerminalStage = "tend: terminal"

// RunTerminalStage makes the caller's process group the foreground one of the terminal
// on standard input and executes a program. Its arguments are the log format, the path,
// and the program's argv. It returns only when that is impossible, with the exit status.
func RunTerminalStage(args []string) int {
	if len(args) < 3 {
		return 2
	}
	err := setForeground(0, unix.Getpgrp())
	out := &reporter{json: args[0] == "json"}
	if err != nil && err != unix.ENOTTY && err != unix.ENXIO {
		out.say(LevelWarning, "cannot hand over the terminal: "+err.Error())
	}
	e := explainExec(args[1], syscall.Exec(args[1], args[2:], shown(os.Environ())))
	out.say(LevelError, e.Error())
	return e.status
}

// ownsTerminal tells whether there is a terminal on fd that is ours to hand over: our
// controlling terminal, with our process group in the foreground or one that has died.
// One that a shell keeps while we run in its background is not.
func ownsTerminal(fd int) bool {
	fg, err := foreground(fd)
	if err != nil {
		return false
	}
	return fg == unix.Getpgrp() || fg > 0 && unix.Kill(-fg, 0) == unix.ESRCH
}

// foreground returns the foreground process group of the terminal on fd; 0 stands for
// one that is outside our PID namespace.
func foreground(fd int) (int, error) {
	pgid, err := unix.IoctlGetUint32(fd, unix.TIOCGPGRP)
	return int(int32(pgid)), err
}

// setForeground makes pgid the foreground process group of the terminal on fd. SIGTTOU
// is blocked meanwhile, or the kernel would stop a caller in the background.
func setForeground(fd, pgid int) error {
	runtime.LockOSThread() // signals are blocked by thread
	defer runtime.UnlockOSThread()
	var set, old unix.Sigset_t
	addSignal(&set, unix.SIGTTOU)
	addSignal(&set, unix.SIGTTIN)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old); err != nil {
		return err
	}
	err := unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, pgid)
	if e := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err == nil {
		err = e
	}
	return err
}

// takeTerminalBack makes our own process group the foreground one again after the end of
// the command, which had the given pid, unless somebody else has taken the terminal since.
// A script that started us could not read from it otherwise; with PID 1 everybody who could
// care ends.
func takeTerminalBack(command int) {
	if os.Getpid() == 1 {
		return
	}
	if fg, err := foreground(0); err == nil && (fg == command || fg > 0 && unix.Kill(-fg, 0) == unix.ESRCH) {
		// The group may be gone with the session; then nobody misses the terminal.
		_ = setForeground(0, unix.Getpgrp())
	}
}

// addSignal adds a signal to a set; the kernel numbers the bits from the lowest of the
// first word, whose size is that of a C long.
func addSignal(set *unix.Sigset_t, s syscall.Signal) {
	bits := 8 * uint(unsafe.Sizeof(set.Val[0]))
	n := uint(s) - 1
	set.Val[n/bits] |= 1 << (n % bits)
}

// hiddenPrefix stands before the names of variables that would steer the Go runtime of
// the terminal stage although they are meant for the command.
const hiddenPrefix = "TEND_HIDDEN_"

// hidden returns env with the variables of the Go runtime renamed.
func hidden(env []string) []string {
	out := make([]string, len(env))
	for i, e := range env {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK":
			e = hiddenPrefix + e
		}
		out[i] = e
	}
	return out
}

// shown undoes hidden.
func shown(env []string) []string {
	for i, e := range env {
		env[i] = strings.TrimPrefix(e, hiddenPrefix)
	}
	return env
}
