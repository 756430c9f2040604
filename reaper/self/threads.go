package self

import (
	"bytes"
	"math"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// allThreads is how many threads there are to be: one each for the main loop, the reaper,
// the reader and the two writers of output, the runtime's monitor, its poller and its thread
// that makes threads, two for signals, two that run Go, and two for what comes and goes.
// Under a storm of respawns, output and clients on a busy machine 11 were in use at once.
const allThreads = 14

// Where the container's limit is so low that jobsShare processes would not be left to the
// jobs beside all threads, fewThreads have to do: only one at a time then runs Go. The last
// process of the limit is left alone, in case another thread is needed while they are made.
const (
	fewThreads = 12
	jobsShare  = 4
)

// Threads begins to make all threads that will be needed, and returns a function that
// waits for them. They are left to the scheduler, which reuses idle threads before it makes
// new ones and never ends them. A thread that cannot be made later, under a pids limit,
// would be the end of the program; where that limit is near it makes fewer, and where it
// is too near it first calls tooFew, from another goroutine, with how many tasks the limit
// leaves and how many threads there have to be. It takes about as long as starting a
// program, so it is for those who run jobs.
func Threads(tooFew func(room, need int)) (wait func()) {
	all := make(chan struct{})
	go func() {
		begin, step := make(chan struct{}), make(chan struct{})
		held, most := 0, mostThreads()
		if most < allThreads+jobsShare {
			runtime.GOMAXPROCS(1)
		}
		if most < fewThreads+jobsShare {
			tooFew(most, fewThreads)
		}
		enough := min(max(most-jobsShare, fewThreads), most-1, allThreads)
		for made() < enough {
			// Each holds a thread until all are there, so that the next needs another.
			go func() {
				runtime.LockOSThread()
				step <- struct{}{}
				<-begin
				runtime.UnlockOSThread()
				step <- struct{}{}
			}()
			<-step
			held++
		}
		close(begin)
		for range held {
			<-step
		}
		// Others may have asked for threads meanwhile, and the thread that makes them may
		// not have come to it yet.
		for tries := 0; tries < 1000 && running() < made(); tries++ {
			time.Sleep(100 * time.Microsecond)
		}
		close(all)
	}()
	return func() { <-all }
}

// mostThreads is how many threads there may be, or more than will be wanted.
func mostThreads() int {
	for {
		n := running()
		// A thread that has come meanwhile would be missed.
		if more := room(); n == running() {
			return min(n, allThreads) + min(more, allThreads)
		}
	}
}

// made is how many threads the runtime has made or decided to make.
func made() int {
	n, _ := runtime.ThreadCreateProfile(nil)
	return n
}

// running is how many threads there are; without /proc it cannot be told, and is taken
// for enough.
func running() int {
	status, err := readFile("/proc/self/status")
	_, after, ok := bytes.Cut(status, []byte("\nThreads:"))
	if err != nil || !ok {
		return math.MaxInt32
	}
	line, _, _ := bytes.Cut(after, []byte("\n"))
	n, _ := number(line)
	return n
}

// room is how many more processes and threads the control group allows (pids.max and
// pids.current of either version), as far as it can be seen.
func room() int {
	own, _ := readFile("/proc/self/cgroup")
	least := math.MaxInt32
	for line := range strings.Lines(string(own)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 || fields[1] != "" && fields[1] != "pids" {
			continue
		}
		root := "/sys/fs/cgroup/" + fields[1]
		// A container may see its own group as the root, or below its full path.
		for _, dir := range []string{root, root + fields[2]} {
			limit, ok := readNumber(dir + "/pids.max")
			used, ok2 := readNumber(dir + "/pids.current")
			if ok && ok2 {
				least = min(least, limit-used)
			}
		}
	}
	return least
}

// readNumber reads a file of one number; "max" is none.
func readNumber(path string) (int, bool) {
	b, err := readFile(path)
	if err != nil {
		return 0, false
	}
	return number(b)
}

// number is what b says between white space.
func number(b []byte) (int, bool) {
	n, digits := 0, bytes.TrimSpace(b)
	for _, c := range digits {
		if c < '0' || c > '9' || n >= math.MaxInt32/10 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(digits) > 0
}

// readFile reads a small file. It is not os.ReadFile, which brings os.FileInfo and time
// zones into the program.
func readFile(path string) ([]byte, error) {
	fd, err := syscall.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	buf := make([]byte, 4<<10) // the kernel makes files such as these in one read
	n, err := syscall.Read(fd, buf)
	return buf[:max(n, 0)], err
}
