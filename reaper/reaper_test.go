package reaper

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

func itoa(n int) string { return strconv.Itoa(n) }

// doubleForks is a script that leaves n orphans, which end at once.
func doubleForks(n int) string {
	return "i=0; while [ $i -lt " + itoa(n) + " ]; do ( : & ); i=$((i+1)); done"
}

func processes(r *Reaper) (n int) {
	r.proc.others(nil, func(int) { n++ })
	return n
}

func cpu() time.Duration {
	var ru unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &ru)
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func TestOrphansAreReaped(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	const n = 20_000
	r := start(t)
	began := cpu()
	main := spawn(t, r, 1, doubleForks(n/2))
	if e := exitOf(t, r, main); e.Owner != 1 || Status(e.Status) != 0 {
		t.Errorf("exit = %+v, want owner 1 and status 0", e)
	}
	used := cpu() - began
	// How many gather depends on what else the machine does: one good run of five will do.
	const bound = 100
	peak := n
	for try := 0; try < 5 && peak > bound; try++ {
		before := r.Reaped()
		main = spawn(t, r, 1, doubleForks(n))
		peak = 0
		for r.Alive(main) {
			peak = max(peak, processes(r))
			pause()
		}
		until(t, "all orphans reaped", func() bool { return r.Reaped() >= before+n })
		if n := processes(r); n != 1 {
			t.Errorf("%d processes are left, want only ourselves", n)
		}
	}
	if peak > bound {
		t.Errorf("%d processes at the peak, want at most %d", peak, bound)
	}
	t.Logf("%d orphans, %d processes at the peak, %v CPU per 1000", r.Reaped(), peak, used/(n/2/1000))
}

// An orphan of a process that entered the namespace from outside comes when we have
// no child at all.
func TestOrphansWithoutAnyChild(t *testing.T) {
	need.Program(t, "nsenter")
	ready := filepath.Join(t.TempDir(), "ready")
	if v := os.Getenv("REAPER_TEST_READY"); v != "" {
		ready = v
	}
	os.Setenv("REAPER_TEST_READY", ready)
	defer os.Unsetenv("REAPER_TEST_READY")
	enter := func(pid int) {
		waitFile(t, ready)
		for range 3 {
			out, err := exec.Command("nsenter", "-t", itoa(pid), "-m", "-p", "/bin/sh", "-c", "(sleep 0.02 &) ; (: &)").CombinedOutput()
			if err != nil {
				t.Errorf("nsenter: %v: %s", err, out)
			}
		}
	}
	if !inside(t, enter) {
		return
	}
	r := start(t)
	if err := os.WriteFile(ready, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	until(t, "orphans reaped", func() bool { return r.Reaped() >= 6 })
	pid := spawn(t, r, 7, "exit 3")
	if e := exitOf(t, r, pid); Status(e.Status) != 3 || e.Owner != 7 {
		t.Errorf("exit = %+v, want owner 7 and status 3", e)
	}
}

func TestStopsAndContinuesAreReported(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t)
	pid := spawn(t, r, 1, "kill -STOP $$; while :; do sleep 0.01; done")
	var got []Exit
	until(t, "stop", func() bool { got = r.Take(got); return len(got) > 0 })
	if !got[0].Status.Stopped() || got[0].Status.StopSignal() != unix.SIGSTOP {
		t.Fatalf("first report = %+v, want a stop", got[0])
	}
	if err := r.Signal(pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "continuation", func() bool { got = r.Take(got); return len(got) > 1 })
	if err := r.SignalGroup(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "end", func() bool { got = r.Take(got); return len(got) > 2 })
	if len(got) != 3 || !got[1].Status.Continued() || Status(got[2].Status) != 143 {
		t.Errorf("reports = %+v, want stop, continuation, 143", got)
	}
}

func TestReapedChildIsNotSignalled(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t)
	pid := spawn(t, r, 1, "exit 0")
	until(t, "reaped", func() bool { return !r.Alive(pid) })
	if err := r.Signal(pid, unix.SIGTERM); err != unix.ESRCH {
		t.Errorf("Signal = %v, want ESRCH", err)
	}
	if err := r.SignalGroup(pid, unix.SIGTERM); err != unix.ESRCH {
		t.Errorf("SignalGroup = %v, want ESRCH", err)
	}
	if err := r.Signal(os.Getpid(), unix.SIGTERM); err != unix.ESRCH {
		t.Errorf("Signal to ourselves = %v, want ESRCH", err)
	}
}

func TestKilledServiceIsNeitherLostNorDoubled(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t)
	for i := range 1000 {
		pid, err := r.Spawn(Owner(i+1), true, func() (int, error) {
			return syscall.ForkExec("/bin/sleep", []string{"sleep", "100"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Signal(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e := exitOf(t, r, pid)
		if e.Owner != Owner(i+1) || Status(e.Status) != 137 {
			t.Fatalf("exit %d = %+v", i, e)
		}
	}
	if left := r.Take(nil); len(left) != 0 || r.Children() != 0 {
		t.Errorf("%d reports and %d children are left, want none", len(left), r.Children())
	}
}

// From the first Spawn on the end of a child finds the reaping thread in waitid, not in
// wait for a SIGCHLD, which takes long where many follow.
func TestSpawnEndsTheWaitForSIGCHLD(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t)
	caught := func() bool {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(status), "\nSigCgt:")
		mask, err := strconv.ParseUint(strings.Fields(after)[0], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return mask&(1<<(unix.SIGCHLD-1)) != 0
	}
	until(t, "wait for SIGCHLD", caught)
	pid := spawn(t, r, 1, "exec sleep 1000")
	until(t, "end of that", func() bool { return !caught() })
	kill(t, r, pid)
	until(t, "wait for SIGCHLD", caught)
}

func TestStatus(t *testing.T) {
	for code := range 256 {
		if got := Status(syscall.WaitStatus(code << 8)); got != code {
			t.Errorf("Status(exit %d) = %d", code, got)
		}
	}
	for sig := 1; sig <= lastSignal; sig++ {
		if got := Status(syscall.WaitStatus(sig)); got != 128+sig {
			t.Errorf("Status(signal %d) = %d, want %d", sig, got, 128+sig)
		}
	}
}

func TestSubscribeLeavesTheRuntimeItsSignals(t *testing.T) {
	list := map[os.Signal]bool{}
	for _, s := range Catchable() {
		list[s] = true
	}
	for _, s := range []syscall.Signal{unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPROF, 32, 33, 34, unix.SIGSEGV} {
		if list[s] {
			t.Errorf("%v is subscribed", s)
		}
	}
	for _, s := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE, unix.SIGTTOU, unix.SIGPWR, 37, 64} {
		if !list[s] {
			t.Errorf("%v is not subscribed", s)
		}
	}
}

// A bare Go program woken by SIGCHLD, for comparison with what TestOrphansAreReaped
// logs.
func TestBareProgramForComparison(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	const n = 10_000
	began := cpu()
	chld := make(chan os.Signal, 1)
	signal.Notify(chld, unix.SIGCHLD)
	if _, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", doubleForks(n)}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}}); err != nil {
		t.Fatal(err)
	}
	reaped := 0
	for range chld {
		pid, err := syscall.Wait4(-1, nil, unix.WNOHANG, nil)
		for ; pid > 0; pid, err = syscall.Wait4(-1, nil, unix.WNOHANG, nil) {
			reaped++
		}
		if err == syscall.ECHILD {
			break
		}
	}
	if reaped != n+1 {
		t.Errorf("%d children, want %d", reaped, n+1)
	}
	t.Logf("%v CPU per 1000", (cpu()-began)/(n/1000))
}

// BenchmarkReap runs a child that ends at once, from its fork until its end has been
// posted; BenchmarkBareForkExec of package child does the same without a Reaper.
func BenchmarkReap(b *testing.B) {
	r, err := New()
	if err != nil {
		b.Skip(err)
	}
	attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true}}
	var exits []Exit
	b.ReportAllocs()
	for b.Loop() {
		_, err := r.Spawn(1, false, func() (int, error) { return syscall.ForkExec("/bin/true", []string{"true"}, attr) })
		if err != nil {
			b.Fatal(err)
		}
		for exits = exits[:0]; len(exits) == 0; exits = r.Take(exits) {
			<-r.C()
		}
	}
}

// A child that gets the pid of one whose end has not been taken yet.
func TestPidThatComesRoundAtOnce(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t)
	posted := func(n int) func() bool {
		return func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.posted) == n
		}
	}
	first := spawn(t, r, 1, "exit 3")
	until(t, "an end", posted(1))
	other := spawn(t, r, 3, "exit 4")
	until(t, "two ends", posted(2))
	if err := os.WriteFile(lastPID, []byte(itoa(first-1)), 0); err != nil {
		need.Skip(t, "%v", err)
	}
	if again := spawn(t, r, 2, "exit 5"); again != first {
		t.Fatalf("the second child has pid %d, want %d again", again, first)
	}
	until(t, "the third end", posted(1))
	exits := r.Earlier()
	if len(exits) != 2 || exits[0].PID != first || exits[0].Owner != 1 || exits[1].PID != other {
		t.Errorf("Earlier = %+v, want the ends of 1 and 3", exits)
	}
	if exits = r.Take(nil); len(exits) != 1 || exits[0].PID != first || exits[0].Owner != 2 || Status(exits[0].Status) != 5 {
		t.Errorf("Take = %+v, want the end of 2", exits)
	}
	if exits = r.Earlier(); len(exits) != 0 {
		t.Errorf("Earlier = %+v, want nothing", exits)
	}
}
