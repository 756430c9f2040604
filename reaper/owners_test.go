package reaper

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// lastPID is where the kernel keeps the pid that it gave last.
const lastPID = "/proc/sys/kernel/ns_last_pid"

func kill(t testing.TB, r *Reaper, pid int) {
	t.Helper()
	if err := r.SignalGroup(pid, unix.SIGKILL); err != nil {
		t.Errorf("kill %d: %v", pid, err)
	}
	exitOf(t, r, pid)
}

func wantLeft(t testing.TB, r *Reaper, owner Owner, pids ...int) {
	t.Helper()
	r.Refresh()
	got := map[int]bool{}
	for _, p := range r.Left(owner) {
		got[p.PID] = true
	}
	for _, pid := range pids {
		if !got[pid] {
			t.Errorf("process %d is not among what owner %d left: %v", pid, owner, got)
		}
	}
	if len(got) != len(pids) {
		t.Errorf("owner %d left %v, want %v", owner, got, pids)
	}
}

// text is what a job executes, as Heir asks for it.
func text(s string) func() string { return func() string { return s } }

func TestLeftAndSweep(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t, "UPSTART_JOB", "UPSTART_INSTANCE")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	r.Mark(1, "web", "")
	r.Mark(2, "db", "")
	// What main leaves: a child of its session, one of a group of its own, one in a
	// session of its own that is found by its parent, one by its environment.
	main := spawn(t, r, 1, "(sleep 100 & echo $! >"+file("child")+");"+
		"(setsid sh -c 'echo $$ >"+file("session")+"; sleep 100 & echo $! >"+file("grandchild")+"; wait' &);"+
		"exec sleep 100", "UPSTART_JOB=web", "UPSTART_INSTANCE=")
	other := spawn(t, r, 2, "setsid sh -c 'echo $$ >"+file("other")+"; exec sleep 100' & exec sleep 100", "UPSTART_JOB=db", "UPSTART_INSTANCE=")
	child, session, grandchild := waitFile(t, file("child")), waitFile(t, file("session")), waitFile(t, file("grandchild"))
	otherChild := waitFile(t, file("other"))
	until(t, "sleep", func() bool { r.Refresh(); return len(r.Left(1)) == 3 })
	wantLeft(t, r, 1, child, session, grandchild)
	wantLeft(t, r, 2, otherChild)
	if err := r.Signal(main, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	exitOf(t, r, main)
	wantLeft(t, r, 1, child, session, grandchild)
	for _, pid := range []int{child, session, grandchild} {
		if owner, ok := r.OwnerOf(pid); owner != 1 || !ok {
			t.Errorf("OwnerOf(%d) = %d, %v, want 1", pid, owner, ok)
		}
	}
	if n := r.Sweep(1, unix.SIGKILL); n > 3 {
		t.Errorf("Sweep = %d, want at most 3", n)
	}
	until(t, "swept", func() bool { r.Refresh(); return len(r.Left(1)) == 0 })
	if !lives(other) || !lives(otherChild) {
		t.Error("a process of another owner has gone")
	}
	kill(t, r, other)
	wantLeft(t, r, 2, otherChild)
	if orphans := r.Orphans(); len(orphans) != 0 {
		t.Errorf("orphans that are nobody's: %+v", orphans)
	}
	r.Forget(2)
	if orphans := r.Orphans(); len(orphans) != 0 && orphans[0].PID != otherChild {
		t.Errorf("orphans after Forget: %+v, want %d", orphans, otherChild)
	}
}

func TestHeirs(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t, "UPSTART_JOB", "UPSTART_INSTANCE")
	dir := t.TempDir()
	tests := []struct {
		name, script string
		// hidden daemons do not show their environment.
		hidden bool
		// twice says that it takes two forks to make it.
		twice bool
	}{
		{name: "one fork", script: "sh -c 'echo $$ >FILE; exec sleep 100' &"},
		{name: "fork and setsid", script: "setsid sh -c 'echo $$ >FILE; exec sleep 100' &"},
		{name: "double fork", script: "setsid sh -c '(sh -c \"echo \\$\\$ >FILE; exec sleep 100\" &)' ; true", twice: true},
		{name: "after other commands", script: "true; sleep 0.01; ls >/dev/null; setsid sh -c 'echo $$ >FILE; exec sleep 100' & sleep 0.1"},
		{name: "beside a helper", script: "sleep 50 & setsid sh -c 'echo $$ >FILE; exec sleep 100' & sleep 0.1"},
		{name: "without marks", script: "setsid env -i /bin/sh -c '(echo $$ >/dev/null; exec env -i /bin/sh -c \"echo \\$\\$ >FILE; exec sleep 100\") & sleep 0.1' & sleep 0.05", hidden: true, twice: true},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			owner := Owner(i + 1)
			file := filepath.Join(dir, itoa(i))
			r.Mark(owner, itoa(i), "")
			main := spawn(t, r, owner, replaceFile(tt.script, file), "UPSTART_JOB="+itoa(i), "UPSTART_INSTANCE=")
			if e := exitOf(t, r, main); Status(e.Status) != 0 {
				t.Fatalf("main ended with %d", Status(e.Status))
			}
			want, got := waitFile(t, file), 0
			until(t, "heir", func() bool { r.Refresh(); got = r.Heir(owner, main, true, text("")); return got == want })
			until(t, "its kinship", func() bool { return r.Grandchild(got, main) == tt.twice })
			if err := r.Track(owner, got); err != nil {
				t.Fatalf("Track: %v", err)
			}
			if err := r.Signal(got, unix.SIGTERM); err != nil {
				t.Errorf("Signal: %v", err)
			}
			if e := exitOf(t, r, got); e.Owner != owner || Status(e.Status) != 143 {
				t.Errorf("exit = %+v, want owner %d, 143", e, owner)
			}
			r.Sweep(owner, unix.SIGKILL)
			until(t, "swept", func() bool { r.Refresh(); return len(r.Left(owner)) == 0 })
		})
	}
}

// TestHeirThatEndsBeforeItIsTracked: what has been proposed as an heir may end, as the
// first of two forks does, before it is taken; its own heir is found all the same.
func TestHeirThatEndsBeforeItIsTracked(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t)
	dir := t.TempDir()
	gate, file := filepath.Join(dir, "gate"), filepath.Join(dir, "file")
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	main := spawn(t, r, 1, replaceFile("sh -c '(sh -c \"echo \\$\\$ >FILE; exec sleep 100\" & read line <"+gate+"; exit 0) & exit 0'", file))
	exitOf(t, r, main)
	want := waitFile(t, file)
	first := r.Heir(1, main, true, text(""))
	if first == 0 || first == want {
		t.Fatalf("Heir = %d, want the parent of %d", first, want)
	}
	if err := os.WriteFile(gate, []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	until(t, "end of the first", func() bool { return unix.Kill(first, 0) == unix.ESRCH })
	if err := r.Track(1, first); err != nil {
		t.Fatalf("Track: %v", err)
	}
	if e := exitOf(t, r, first); e.Owner != 1 {
		t.Errorf("the exit is of owner %d, want 1", e.Owner)
	}
	if got := r.Heir(1, first, true, text("")); got != want {
		t.Errorf("Heir = %d, want %d", got, want)
	}
	kill(t, r, want)
}

// TestOrphansCostNoLook: all processes are looked at when one ends that may have an
// heir, not when an orphan does, or one that has left nothing, whatever others have left.
func TestOrphansCostNoLook(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t)
	looks := func() uint64 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.owners.looks
	}
	spawn(t, r, 1, "exec sleep 100")
	spawn(t, r, 2, doubleForks(1000)+"; exec sleep 100")
	until(t, "orphans reaped", func() bool { return r.Reaped() >= 1000 })
	exitOf(t, r, spawn(t, r, 3, "exit 0"))
	if n := looks(); n != 0 {
		t.Errorf("%d looks for a thousand orphans and a process that left nothing, want none", n)
	}
	exitOf(t, r, spawn(t, r, 4, "sleep 100 & exit 0"))
	if n := looks(); n != 1 {
		t.Errorf("%d looks for a process that left another, want 1", n)
	}
	// What is known to be left by one says nothing of others.
	for owner := Owner(5); owner < 25; owner++ {
		exitOf(t, r, spawn(t, r, owner, "exit 0"))
		if left := r.Left(owner); len(left) > 0 {
			t.Errorf("%d has left %v", owner, left)
		}
	}
	if n := looks(); n != 1 {
		t.Errorf("%d looks after the ends of processes that left nothing, want still 1", n)
	}
	if left := r.Left(4); len(left) != 1 {
		t.Errorf("the process that left another has left %v", left)
	}
	exitOf(t, r, spawn(t, r, 25, "sleep 100 & exit 0"))
	if left := r.Left(25); len(left) != 1 {
		t.Errorf("another such process has left %v", left)
	}
}

// TestHeirsOfHiddenEnvironment: daemons of other users, whose environment PID 1 of a
// container may not read, are told apart although several jobs have them.
func TestHeirsOfHiddenEnvironment(t *testing.T) {
	need.Program(t, "perl", "setpriv")
	if os.Geteuid() != 0 {
		need.Skip(t, "cannot run processes as another user: this is user %d", os.Geteuid())
	}
	if os.Getenv(unprivileged) == "" {
		if !inside(t, nil) {
			return
		}
		dropRights(t)
	}
	r := start(t, "UPSTART_JOB")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	// daemon starts a process of some name that leaves a daemon of some name.
	daemon := func(owner Owner, name, heirName string) (main, heir int) {
		t.Helper()
		file := filepath.Join(dir, itoa(int(owner)))
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		r.Mark(owner, itoa(int(owner)))
		main = spawn(t, r, owner, `exec setpriv --reuid 12345 --clear-groups perl -MPOSIX -e '
			$0 = "`+name+`"; pipe R, W;
			if (fork) { close W; <R>; exit 0 }
			setsid; $0 = "`+heirName+`"; open F, ">", "`+file+`"; print F "$$\n"; close F; close W; sleep 100'`, "UPSTART_JOB="+itoa(int(owner)))
		return main, waitFile(t, file)
	}
	first, firstHeir := daemon(1, "alpha", "alpha")
	second, secondHeir := daemon(2, "beta", "beta")
	until(t, "end of both", func() bool { return unix.Kill(first, 0) == unix.ESRCH && unix.Kill(second, 0) == unix.ESRCH })
	if exits := r.Take(nil); len(exits) != 2 {
		t.Fatalf("%d exits, want 2", len(exits))
	}
	if got := r.Heir(2, second, true, text("")); got != secondHeir {
		t.Errorf("Heir(2) = %d, want %d", got, secondHeir)
	}
	if got := r.Heir(1, first, false, text("")); got != firstHeir {
		t.Errorf("Heir(1) = %d, want %d", got, firstHeir)
	}
	if r.Grandchild(firstHeir, first) {
		t.Errorf("Grandchild(%d) = true for a child", firstHeir)
	}
	// Of those of other names it is taken which the text has, or the only one for
	// which nothing speaks, though others end meanwhile; and nothing is guessed where
	// nothing is left for certain.
	third, thirdHeir := daemon(3, "gamma", "delta")
	fourth, fourthHeir := daemon(4, "epsilon", "zeta")
	fifth, fifthHeir := daemon(5, "eta", "theta")
	until(t, "end of them", func() bool {
		return unix.Kill(third, 0) == unix.ESRCH && unix.Kill(fourth, 0) == unix.ESRCH && unix.Kill(fifth, 0) == unix.ESRCH
	})
	r.Take(nil)
	if got := r.Heir(3, third, false, text("run zeta-d\nrun deltas")); got != 0 {
		t.Errorf("Heir(3) = %d though it is not certain that there is one, want 0", got)
	}
	if got := r.Heir(4, fourth, false, text("run 'zeta'")); got != fourthHeir {
		t.Errorf("Heir(4) = %d, want %d", got, fourthHeir)
	}
	if got := r.Heir(5, fifth, false, text("theta")); got != fifthHeir {
		t.Errorf("Heir(5) = %d, want %d", got, fifthHeir)
	}
	if got := r.Heir(3, third, true, text("")); got != thirdHeir {
		t.Errorf("Heir(3) = %d, want %d", got, thirdHeir)
	}
	for _, pid := range []int{firstHeir, secondHeir, thirdHeir, fourthHeir, fifthHeir} {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Errorf("kill %d: %v", pid, err)
		}
	}
}

// unprivileged says in the environment that dropRights has done its work.
const unprivileged = "REAPER_TEST_UNPRIVILEGED"

// dropRights executes the test anew with none of the rights that let a process look
// at those of other users: only an execve takes them from all threads.
func dropRights(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	for _, right := range []uintptr{unix.CAP_SYS_PTRACE, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, right, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal(syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), unprivileged+"=1")))
}

func replaceFile(script, file string) string {
	out := ""
	for i := 0; i < len(script); i++ {
		if i+4 <= len(script) && script[i:i+4] == "FILE" {
			out += file
			i += 3
			continue
		}
		out += string(script[i])
	}
	return out
}

func TestHadChild(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t)
	without := spawn(t, r, 1, "exec sleep 100")
	with := spawn(t, r, 2, "sleep 100; true")
	until(t, "child", func() bool { return r.HadChild(with) })
	past := spawn(t, r, 3, "(exit 0); exec sleep 100")
	until(t, "child that has ended", func() bool { return r.HadChild(past) })
	if r.HadChild(without) {
		t.Error("a process without children has had one")
	}
}

// Somebody else gets the number of an ended job's session: as a child of ours, and
// as a process that is nobody's.
func TestReusedNumbersAreNotTouched(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	if f, err := os.OpenFile(lastPID, os.O_WRONLY, 0); err != nil {
		need.Skip(t, "%v", err)
	} else {
		f.Close()
	}
	r := start(t, "UPSTART_JOB", "UPSTART_INSTANCE")
	r.Mark(1, "web", "")
	r.Mark(2, "db", "")
	// forkAs makes the kernel give the next process that pid.
	forkAs := func(pid int, owner Owner, script string, env ...string) int {
		t.Helper()
		for range 50 {
			if err := os.WriteFile(lastPID, []byte(itoa(pid-1)), 0); err != nil {
				t.Fatal(err)
			}
			got := spawn(t, r, owner, script, env...)
			if got == pid {
				return got
			}
			kill(t, r, got)
		}
		t.Fatalf("pid %d is not to be had", pid)
		return 0
	}
	for round := range 20 {
		main := spawn(t, r, 1, "(sleep 100 &) ; exec sleep 100", "UPSTART_JOB=web", "UPSTART_INSTANCE=")
		left := orphanOf(t, r, 1)
		// The session goes on without its leader: nobody may get its number.
		if err := r.Signal(main, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		exitOf(t, r, main)
		if err := os.WriteFile(lastPID, []byte(itoa(main-1)), 0); err != nil {
			t.Fatal(err)
		}
		early := spawn(t, r, 2, "exec sleep 100")
		if early == main {
			t.Fatalf("round %d: the kernel has given away the number of a session in use", round)
		}
		kill(t, r, early)
		wantLeft(t, r, 1, left.PID)
		r.Sweep(1, unix.SIGKILL)
		until(t, "end of the session", func() bool { r.Refresh(); return len(r.Left(1)) == 0 && !r.Alive(left.PID) && !lives(left.PID) })
		// Now the number is free. A job gets it, with a child in its session.
		other := forkAs(main, 2, "(sleep 100 &) ; exec sleep 100", "UPSTART_JOB=db", "UPSTART_INSTANCE=")
		helper := orphanOf(t, r, 2)
		if n := r.Sweep(1, unix.SIGKILL); n != 0 {
			t.Fatalf("round %d: Sweep of the ended job has found %d processes", round, n)
		}
		if !lives(other) || !lives(helper.PID) {
			t.Fatalf("round %d: another job's process has been killed", round)
		}
		if err := r.Signal(left.PID, unix.SIGKILL); err != unix.ESRCH {
			t.Errorf("Signal to an old pid = %v, want ESRCH", err)
		}
		// The pid of what was swept goes to a stranger, and an old list names it.
		if err := r.SignalProc(Proc{PID: helper.PID, PPID: left.PPID, SID: left.SID, Start: left.Start - 1}, unix.SIGKILL); err != unix.ESRCH {
			t.Errorf("SignalProc of another process of that pid = %v, want ESRCH", err)
		}
		kill(t, r, other)
		r.Sweep(2, unix.SIGKILL)
		until(t, "end of the other", func() bool { r.Refresh(); return len(r.Left(2)) == 0 && !lives(helper.PID) })
	}
}

// orphanOf waits until all that owner has left is an orphan that sleeps.
func orphanOf(t testing.TB, r *Reaper, owner Owner) Proc {
	t.Helper()
	var left []Proc
	defer func() {
		if t.Failed() {
			t.Logf("left: %+v, orphans: %+v", left, r.Orphans())
		}
	}()
	until(t, "orphan", func() bool {
		r.Refresh()
		left = r.Left(owner)
		return len(left) == 1 && left[0].PPID == os.Getpid() && left[0].Comm == "sleep"
	})
	return left[0]
}

// An orphan that nobody owns gets the number of an ended owner's session.
func TestStrangerWithAnOldNumber(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t)
	main := spawn(t, r, 1, "exec sleep 100")
	r.Observe()
	kill(t, r, main)
	dir := t.TempDir()
	// A shell of owner 9 that is forgotten stands for one from outside.
	script := "echo " + itoa(main-1) + " >" + lastPID + "; setsid sh -c 'echo $$ >" + dir + "/pid; exec sleep 100' & exec sleep 100"
	if err := os.WriteFile(lastPID, []byte(itoa(main+100)), 0); err != nil {
		need.Skip(t, "%v", err)
	}
	outside := spawn(t, r, 9, script)
	stranger := waitFile(t, dir+"/pid")
	if stranger != main {
		t.Fatalf("the stranger has pid %d, not %d", stranger, main)
	}
	r.Forget(9)
	unix.Kill(outside, unix.SIGKILL)
	until(t, "orphan", func() bool { return ppid(stranger) == os.Getpid() })
	wantLeft(t, r, 1)
	if n := r.Sweep(1, unix.SIGKILL); n != 0 || !lives(stranger) {
		t.Errorf("Sweep = %d, stranger lives: %v", n, lives(stranger))
	}
	if orphans := r.Orphans(); len(orphans) != 1 || orphans[0].PID != stranger {
		t.Errorf("orphans = %+v, want %d", orphans, stranger)
	}
}

func ppid(pid int) int {
	b, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	p, _ := parseStat(b)
	return p.PPID
}

func TestWithoutProc(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	if err := unix.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	r, err := New("UPSTART_JOB")
	if err == nil || r.ProcError() == nil {
		t.Fatalf("New = %v, want an error that says what is missing", err)
	}
	pid := spawn(t, r, 1, "(sleep 100 &); exec sleep 100")
	r.Observe()
	if n := r.Sweep(1, unix.SIGKILL); n != 0 {
		t.Errorf("Sweep = %d, want 0", n)
	}
	if owner, ok := r.OwnerOf(pid); owner != 1 || !ok {
		t.Errorf("OwnerOf a child = %d, %v, want 1", owner, ok)
	}
	if heir := r.Heir(1, pid, true, text("")); heir != 0 {
		t.Errorf("Heir = %d, want none", heir)
	}
	if text := r.Doing(pid); text != "state unknown" {
		t.Errorf("Doing = %q", text)
	}
	kill(t, r, pid)
}

func TestForeignProcIsNotBelieved(t *testing.T) {
	if os.Getenv(insideEnv) == "" {
		if !inside(t, nil) {
			return
		}
	}
	// The mount of the namespace above is below ours.
	if err := unix.Unmount("/proc", 0); err != nil {
		t.Fatal(err)
	}
	var f procFS
	if err := f.open(os.Getpid()); err == nil {
		t.Error("a /proc of another PID namespace was accepted")
	}
}

func TestParseStat(t *testing.T) {
	tests := []struct {
		text string
		want Proc
		ok   bool
	}{
		{"12 (a) b (c) S 3 4 5 0 -1 6 7 8 9 10 11 12 13 14 20 0 2 0 777 1 2\n",
			Proc{PID: 12, PPID: 3, PGID: 4, SID: 5, State: 'S', Threads: 2, Waited: true, Start: 777, Comm: "a) b (c"}, true},
		{"12 (a) S 3 4 5 0 -1 6 7 0 9 10 11 12 13 14 20 0 2 0 777 1 2\n",
			Proc{PID: 12, PPID: 3, PGID: 4, SID: 5, State: 'S', Threads: 2, Start: 777, Comm: "a"}, true},
		{"12 (a", Proc{}, false},
		{"", Proc{}, false},
		{"12 (a) S 1 2", Proc{}, false},
		{") (", Proc{}, false},
	}
	for _, tt := range tests {
		got, err := parseStat([]byte(tt.text))
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("parseStat(%q) = %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (a) b (c) S 3 4 5 0 -1 6 7 8 9 10 11 12 13 14 20 0 2 0 777 1 2\n"))
	f.Add([]byte("1 () "))
	f.Fuzz(func(t *testing.T, b []byte) { parseStat(b) })
}

// A look at a thousand children costs no read for each of them.
func BenchmarkLook(b *testing.B) {
	b.ReportAllocs()
	r := &Reaper{self: os.Getpid(), children: map[int]child{}}
	r.owners.init(nil)
	if err := r.proc.open(r.self); err != nil {
		b.Skip(err)
	}
	r.proc.others(nil, func(pid int) { r.children[pid] = child{owner: 1, tracked: true} })
	for b.Loop() {
		r.look()
	}
	b.ReportMetric(float64(len(r.children)), "processes")
}

// Whoever is stepped over changes nothing about the others, whether gaps between the known
// are tried pid by pid or listed.
func TestOthers(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	r := start(t)
	var pids []int
	for _, last := range []string{"", "", "1000", "1010", "20000", ""} {
		if last != "" {
			if err := os.WriteFile(lastPID, []byte(last), 0); err != nil {
				need.Skip(t, "%v", err)
			}
		}
		pids = append(pids, spawn(t, r, 1, "exec sleep 1000"))
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	slices.Sort(all)
	if len(all) != len(pids)+1 {
		t.Fatalf("processes %v, want our own and %v", all, pids)
	}
	for mask := range 1 << len(pids) {
		var known, want, got []int
		for i, pid := range pids {
			if mask>>i&1 != 0 {
				known = append(known, pid)
			}
		}
		for _, pid := range all {
			if !slices.Contains(known, pid) {
				want = append(want, pid)
			}
		}
		if err := r.proc.others(known, func(pid int) { got = append(got, pid) }); err != nil || !slices.Equal(got, want) {
			t.Errorf("others than %v: %v, %v; want %v", known, got, err, want)
		}
	}
	for _, pid := range pids {
		kill(t, r, pid)
	}
}
