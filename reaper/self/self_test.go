package self

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// roleEnv tells a copy of the test binary what to play.
const roleEnv = "SELF_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "report":
		report()
	case "threads":
		keepBusy()
	}
}

// report prints what Prepare has made of this process.
func report() {
	// On any thread but the main one, whose name is that of the process.
	runtime.LockOSThread()
	prepared := make(chan error)
	go func() { prepared <- Prepare() }()
	fmt.Println("error", <-prepared)
	fmt.Println("processors", runtime.GOMAXPROCS(0))
	fmt.Println("blocked", blocked())
	fmt.Printf("umask %03o\n", unix.Umask(0))
	for _, key := range []string{"GODEBUG", "GOTRACEBACK", "GOMAXPROCS"} {
		fmt.Printf("own %s %q\n", key, os.Getenv(key))
	}
	for _, entry := range Environ() {
		if strings.HasPrefix(entry, "GO") || strings.HasPrefix(entry, "TEND_") {
			fmt.Println("jobs", entry)
		}
	}
	comm, _ := os.ReadFile("/proc/self/comm")
	fmt.Printf("comm %s", comm)
	fmt.Println("name", os.Args[0])
}

// keepBusy does again and again what wants threads, and prints their number after
// Threads has settled and at the end.
func keepBusy() {
	if err := Prepare(); err != nil {
		fmt.Println(err)
	}
	Threads(func(int, int) {})()
	busy()
	before := threadCount()
	for range 3 {
		busy()
	}
	fmt.Println("threads", before, threadCount())
}

// busy makes blocking system calls on several threads, garbage collections, timers,
// and forks, some of which fail.
func busy() {
	done := make(chan bool)
	for range 3 {
		go func() {
			for range 20 {
				ts := unix.NsecToTimespec(int64(time.Millisecond))
				unix.Nanosleep(&ts, nil)
			}
			done <- true
		}()
	}
	var keep [][]byte
	for range 20 {
		keep = append(keep, make([]byte, 1<<20))
		runtime.GC()
		pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{})
		if err == nil {
			syscall.Wait4(pid, nil, 0, nil)
		}
		<-time.After(time.Millisecond)
	}
	for range 3 {
		<-done
	}
	runtime.KeepAlive(keep)
}

func threadCount() int {
	list, _ := os.ReadDir("/proc/self/task")
	return len(list)
}

func play(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{"PATH=/bin", roleEnv + "=" + role}, env...)
	return cmd
}

func output(t *testing.T, cmd *exec.Cmd) []string {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
}

func TestEnvironmentDoesNotSteer(t *testing.T) {
	got := output(t, play(t, "report", "GODEBUG=gctrace=1", "GOTRACEBACK=crash", "GOMAXPROCS=64", "GOGC=off"))
	for _, want := range []string{
		"error <nil>", "processors 2", "blocked false", "umask 022",
		`own GODEBUG ""`, `own GOTRACEBACK ""`, "jobs GODEBUG=gctrace=1", "jobs GOTRACEBACK=crash", "jobs GOMAXPROCS=64", "jobs GOGC=off",
		"name " + os.Args[0], "comm " + Name()[:min(15, len(Name()))],
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
	for _, line := range got {
		if strings.HasPrefix(line, "jobs TEND_") || strings.HasPrefix(line, "gc ") {
			t.Errorf("unexpected %q", line)
		}
	}
}

func TestBlockedSignalsAreUnblocked(t *testing.T) {
	cmd := play(t, "report")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The mask of a child is that of the process's start, so a helper is needed
	// that blocks and executes.
	python, err := exec.LookPath("python3")
	if err != nil {
		need.Skip(t, "%v", err)
	}
	cmd.Args = []string{"python3", "-c", "import signal,os,sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1]); os.execv(sys.argv[1], sys.argv[1:])", os.Args[0]}
	cmd.Path = python
	if got := output(t, cmd); !slices.Contains(got, "blocked false") || !slices.Contains(got, "error <nil>") {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

// pidsCGroup makes a control group that holds that many processes and threads, and
// returns the file that puts one into it.
func pidsCGroup(t *testing.T, limit int) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		dir := filepath.Join(root, "tend-test-"+strconv.Itoa(os.Getpid())+"-"+strconv.Itoa(limit))
		if err := os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		if err := os.WriteFile(filepath.Join(dir, "pids.max"), []byte(strconv.Itoa(limit)), 0o644); err == nil {
			return filepath.Join(dir, "cgroup.procs")
		}
	}
	need.Skip(t, "no control group for pids can be made")
	return ""
}

func TestThreadsAreConstant(t *testing.T) {
	for _, env := range [][]string{nil, {"GOMAXPROCS=64"}, {"GOMAXPROCS=64", "GODEBUG=gctrace=0"}} {
		t.Run(strings.Join(env, " "), func(t *testing.T) {
			for _, limit := range []int{0, allThreads + jobsShare, fewThreads + 1} {
				cmd := play(t, "threads", env...)
				if limit > 0 {
					procs := pidsCGroup(t, limit)
					cmd.Args = []string{"sh", "-c", "echo $$ >" + procs + "; exec " + os.Args[0]}
					cmd.Path = "/bin/sh"
				}
				got := output(t, cmd)
				var before, after int
				if n, _ := fmt.Sscanf(got[len(got)-1], "threads %d %d", &before, &after); n != 2 {
					t.Fatalf("limit %d: %q", limit, got)
				}
				t.Logf("limit %d: %d threads before, %d after", limit, before, after)
				if before != after {
					t.Errorf("limit %d: %d threads, then %d", limit, before, after)
				}
			}
		})
	}
}

func TestPath(t *testing.T) {
	if got := Path(); got != "/proc/self/exe" {
		t.Errorf("Path() = %q", got)
	}
	if got := executedAs(); filepath.Base(got) != filepath.Base(os.Args[0]) {
		t.Errorf("executedAs() = %q, want %q", got, os.Args[0])
	}
}
