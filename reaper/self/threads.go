package self

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"strings"
)

// spareThreads is how many threads Threads makes: for the two processors, the
// signal thread, the reaping thread, the writers of standard output and error, and
// for blocking system calls that the scheduler replaces the caller's thread in.
const spareThreads = 12

// jobsShare is how many processes are left to the jobs where the container's limit
// is so low that not all threads fit.
const jobsShare = 4

// Threads makes all threads that will be needed and leaves them to the scheduler,
// which reuses idle threads before it makes new ones and never ends them. A thread
// that cannot be made later, under a pids limit, would be the end of the program;
// for the same reason it makes fewer where the limit is near. It takes about as long
// as starting a program, so it is for those who run jobs.
func Threads() {
	n := max(min(spareThreads, room()-jobsShare), 0)
	begin, ready := make(chan struct{}), make(chan struct{})
	for range n {
		go func() {
			runtime.LockOSThread()
			ready <- struct{}{}
			<-begin
			runtime.UnlockOSThread()
		}()
	}
	for range n {
		<-ready
	}
	close(begin)
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
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, 4<<10) // the kernel makes files such as these in one read
	n, err := f.Read(buf)
	return buf[:n], err
}
