// Package self keeps this process as a PID 1 has to be, whatever its environment
// holds for the programs that it will start: the Go runtime's settings, the number
// of its threads, its signal mask, and the way to start itself again.
package self

import (
	"errors"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The runtime's settings. Two processors, because the work is that of one loop and
// of short readers, and each more costs threads, which containers count.
const (
	processors  = 2
	gcPercent   = 100
	bootPercent = 200
	memoryLimit = math.MaxInt64
	traceback   = "single"
)

// carried is put before the name of a variable that the runtime reads before main,
// to keep its value for the jobs when this process starts itself without it.
const carried = "TEND_CARRY_"

// executed is set in the environment once Prepare has executed the program again.
const executed = "TEND_EXECUTED"

// early are the variables that cannot be overruled once main runs. GOMAXPROCS is one
// when it asks for more than the work needs: each processor may have made a thread by
// then, which a pids limit of ten has no room for.
var early = [...]string{"GODEBUG", "GOTRACEBACK", "GOMAXPROCS"}

// Prepare is to be called first in main. It makes the runtime independent of its
// environment; when a variable has taken effect before main, or signals are
// blocked, which every thread has inherited, it executes the program again without
// them. The error says what could not be had; the program can go on all the same.
//
// It calls Path, so that a later change of directory does not matter.
func Prepare() error {
	err := again()
	// Each of these stops the world even when it changes nothing, and a command
	// waits for us.
	if runtime.GOMAXPROCS(0) != processors {
		runtime.GOMAXPROCS(processors)
	}
	if os.Getenv("GOGC") != "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	debug.SetTraceback(traceback)
	Path()
	if os.Getenv(executed) != "" {
		rename(Name())
	}
	return err
}

// rename gives the process a name in place of "exe", which its execution by way of
// /proc/self/exe has left. prctl(2) would name the calling thread.
func rename(name string) {
	if fd, err := syscall.Open("/proc/self/comm", unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
		syscall.Write(fd, []byte(name))
		syscall.Close(fd)
	}
}

// Name is what the program was called as, without directories.
func Name() string {
	if len(os.Args) == 0 {
		return "tend"
	}
	return os.Args[0][strings.LastIndexByte(os.Args[0], '/')+1:]
}

// again executes the program again without what it cannot free itself of. It
// returns when there is nothing of that kind, or no way to do it.
func again() error {
	env, changed := withoutEarly(os.Environ())
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if blocked() {
		unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil)
		changed = true
	}
	// Once is enough: what comes back then comes from elsewhere.
	if !changed || os.Getenv(executed) != "" {
		return nil
	}
	err := syscall.Exec(Path(), os.Args, append(env, executed+"=1"))
	return errors.New("cannot execute " + Path() + " again without GODEBUG, GOTRACEBACK, GOMAXPROCS and blocked signals: " + err.Error())
}

// withoutEarly returns env with the early variables under other names, if they matter.
func withoutEarly(env []string) (out []string, changed bool) {
	for _, entry := range env {
		for _, key := range early {
			if strings.HasPrefix(entry, key+"=") && (key != "GOMAXPROCS" || runtime.GOMAXPROCS(0) > processors) {
				entry, changed = carried+entry, true
			}
		}
		out = append(out, entry)
	}
	return out, changed
}

// blocked says whether signals are blocked. Go's threads block none by themselves.
func blocked() bool {
	var set unix.Sigset_t
	return unix.PthreadSigmask(unix.SIG_SETMASK, nil, &set) == nil && set != unix.Sigset_t{}
}

// Environ returns the environment that this process was given, with the variables
// that Prepare has put aside.
func Environ() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, executed+"=") {
			env = append(env, strings.TrimPrefix(entry, carried))
		}
	}
	return env
}

// Path returns a path by which this program can be executed: that of the running
// file where there is a /proc, else the one that it was executed by.
func Path() string { return path() }

var path = sync.OnceValue(func() string {
	const exe = "/proc/self/exe"
	if _, err := os.Readlink(exe); err == nil {
		return exe
	}
	name := executedAs()
	if name == "" && len(os.Args) > 0 {
		name = os.Args[0]
	}
	if !strings.HasPrefix(name, "/") {
		if dir, err := syscall.Getwd(); err == nil {
			name = dir + "/" + name
		}
	}
	return name
})

// executedAs returns the file name that execve was called with (getauxval(3),
// AT_EXECFN).
func executedAs() string {
	const execFn = 31
	vector, err := unix.Auxv()
	if err != nil {
		return ""
	}
	for _, entry := range vector {
		if entry[0] == execFn {
			// The kernel has put the string above the stack, where it stays.
			return unix.BytePtrToString(*(**byte)(unsafe.Pointer(&entry[1])))
		}
	}
	return ""
}

// CloseOnExec keeps the descriptors above 2 that this process was started with from
// the programs that it starts.
func CloseOnExec() {
	if unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	// Kernels before 5.11. Inherited descriptors have low numbers.
	for fd := 3; fd < 1024; fd++ {
		unix.CloseOnExec(fd)
	}
}
