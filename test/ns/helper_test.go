package ns

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// used notes which helpers the tests of this run have named.
var used sync.Map

// helper is the command line of a helper, for use as a command of tend or in a job
// file: env(1) sets the variable that makes the test binary play it.
func helper(name string, args ...string) []string {
	if _, ok := helpers[name]; !ok {
		panic("no helper " + name)
	}
	used.Store(name, true)
	return append([]string{"/usr/bin/env", helperVar + "=" + name, self()}, args...)
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// filtered tells whether only some tests of the package were asked for.
func filtered() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	return false
}

// unusedHelpers fails a full run that has left a helper unused; a run that was
// skipped for lack of rights has used none.
func unusedHelpers() int {
	none := true
	used.Range(func(_, _ any) bool { none = false; return false })
	if none {
		return 0
	}
	code := 0
	for name := range helpers {
		if _, ok := used.Load(name); !ok {
			fmt.Fprintln(os.Stderr, "helper", name, "is registered and unused")
			code = 1
		}
	}
	return code
}

// enter is the first program in fresh namespaces. It gives them a /proc and a /run
// of their own and becomes the program that args name.
func enter(args []string) {
	check := func(what string, err error) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "enter: %s: %v\n", what, err)
			os.Exit(125)
		}
	}
	check("make / private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	check("mount /proc", unix.Mount("proc", "/proc", "proc", 0, ""))
	check("mount /run", unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
	check("exec "+args[0], unix.Exec(args[0], args, os.Environ()))
}

// printSignals prints the number of each signal that it gets, until its standard
// input ends. With arguments it exits with status args[0] on TERM.
func printSignals(args []string) {
	got := make(chan os.Signal, 64)
	signal.Notify(got)
	// The runtime sends it to its own threads.
	signal.Reset(unix.SIGURG)
	fmt.Println("ready")
	for sig := range got {
		n := sig.(syscall.Signal)
		fmt.Println("got", int(n))
		if n == unix.SIGTERM && len(args) > 0 {
			status, err := strconv.Atoi(args[0])
			if err != nil {
				panic(err)
			}
			os.Exit(status)
		}
	}
}

// leaveOrphans starts args[0] children, each of which leaves a grandchild behind
// that ends at once, and exits when all children have ended.
func leaveOrphans(args []string) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	for range n {
		pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "sleep 0.05 & exit 0"},
			&syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
		if err != nil {
			panic(err)
		}
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
			panic(err)
		}
	}
	fmt.Println("orphans left")
}

// printFDs prints the numbers of its open descriptors but for those that the
// runtime has opened, and waits for nothing.
func printFDs([]string) {
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		panic(err)
	}
	var fds []int
	for _, name := range names {
		fd, _ := strconv.Atoi(filepath.Base(name))
		target, err := os.Readlink(name)
		if err != nil || target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]" {
			continue
		}
		fds = append(fds, fd)
	}
	sort.Ints(fds)
	fmt.Println("fds", fds)
}
