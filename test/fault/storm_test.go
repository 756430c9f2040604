package fault

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// rounds is how often a storm test goes round: all of it when all tests are asked
// for, else enough to see what is wrong with every round.
func rounds(all int) int {
	if need.All() {
		return all
	}
	return all / 20
}

// A service that is killed as fast as it comes up is neither lost nor doubled.
func TestKilledAgainAndAgain(t *testing.T) {
	n := rounds(1000)
	ct := start(t, config{jobs: map[string]string{
		"web":   fmt.Sprintf("start on startup\nrespawn\nrespawn limit %d 5\nexec sleep 1000\n", 2*n),
		"other": service,
	}})
	ct.running("web")
	other := ct.running("other")
	seen := map[int]bool{}
	for range n {
		pid := 0
		ct.eventually("one web", func() bool {
			found := named(ct, "web")
			if len(found) > 1 {
				t.Fatalf("%v all run at once\n%s", found, &ct.out)
			}
			if len(found) == 1 && !seen[found[0]] {
				pid = found[0]
			}
			return pid != 0
		})
		seen[pid] = true
		must(t, unix.Kill(pid, unix.SIGKILL))
	}
	ct.eventually("web", func() bool { return len(named(ct, "web")) == 1 })
	ct.running("web")
	if got := ct.main("other"); got != other {
		t.Errorf("other has become %d, want %d as before", got, other)
	}
	ct.wantStop()
}

// named lists the children of tend that have started the program of a job and have
// not ended.
func named(ct *container, job string) (pids []int) {
	for _, pid := range children(ct.pid) {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if strings.Contains(string(env), "\x00UPSTART_JOB="+job+"\x00") && string(comm) == "sleep\n" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// mix is jobs of all kinds; each round starts and stops all of them.
var mix = map[string]string{
	"anchor":  service,
	"plain":   "start on go\nstop on away\nexec sleep 1000\n",
	"script":  "start on go\nstop on away\nscript\ntrap 'exit 0' TERM\nsleep 1000 & wait\nend script\n",
	"hooks":   "start on go\nstop on away\npre-start exec true\npost-start exec true\npre-stop exec true\npost-stop exec true\nexec sleep 1000\n",
	"staged":  "start on go\nstop on away\numask 077\nnice 1\nexec sleep 1000\n",
	"forking": "start on go\nstop on away\nexpect fork\nscript\nsleep 1000 &\nexit 0\nend script\n",
	"task":    "start on go\ntask\nexec true\n",
	"fails":   "start on go\nexec /no/such/program\n",
	"limits":  "start on go\nstop on away\nlimit nofile 100000000 100000000\nexec sleep 1000\n",
	"leaves":  "start on go\nstop on away\nscript\nsetsid sleep 1000 &\nexec sleep 1000\nend script\n",
	"many":    "start on go\nstop on away\ninstance $N\nexec sleep 1000\n",
	"notify":  "start on go\nstop on away\nexpect notify\nstart timeout 1\nexec sleep 1000\n",
}

// Ten thousand starts and stops leave nothing behind. The program is built with a
// command that prints what cannot be seen from outside.
func TestNothingLeaks(t *testing.T) {
	n := rounds(1000)
	program := broken(t, map[string][2]string{
		"docker/handle.go": {"case control.CmdUsage:\n", "s.figures()\n"},
		"docker/lookup.go": {"const headSize = 4096\n", `
func (s *Supervisor) figures() {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	_, due := s.m.Deadline()
	println("figures:", runtime.NumGoroutine(), len(s.timers.list)+bit(due),
		len(s.procs)+len(s.runs)+len(s.held)+len(s.inStage)+len(s.requests)+s.reaper.Children(), m.HeapAlloc)
}
`},
	})
	ct := start(t, config{jobs: mix, args: []string{"-q", "--logdir", "@T@/log"}, program: program})
	ct.running("anchor")
	round := func() {
		ct.ctl("emit", "--no-wait", "go", "N=1")
		ct.eventually("start", func() bool {
			out := ct.ctl("list")
			return strings.Contains(out, "plain start/running") && strings.Contains(out, "many (1) start/running") && strings.Contains(out, "hooks start/running") && strings.Contains(out, "leaves start/running")
		})
		ct.ctl("emit", "away", "N=1")
		ct.eventually("stop", func() bool { return len(children(ct.pid)) == 1 })
	}
	// The heap grows to its size first.
	for range 25 {
		round()
	}
	type use struct{ threads, descriptors, goroutines, timers, entries, heap, memory int }
	look := func() (u use) {
		// Answers to clients are still being closed.
		fds, since := ct.descriptors(), time.Now()
		for time.Since(since) < 200*time.Millisecond {
			<-time.After(10 * time.Millisecond)
			if now := ct.descriptors(); now < fds {
				fds, since = now, time.Now()
			}
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", ct.pid))
		must(t, err)
		for line := range strings.Lines(string(text)) {
			fmt.Sscanf(line, "RssAnon: %d", &u.memory)
		}
		u.threads, u.descriptors = ct.threads(), fds
		seen := len(ct.out.String())
		ct.ctl("usage", "anchor")
		ct.eventually("figures", func() bool {
			_, line, _ := strings.Cut(ct.out.String()[seen:], "figures: ")
			got, _ := fmt.Sscanf(line, "%d %d %d %d\n", &u.goroutines, &u.timers, &u.entries, &u.heap)
			return got == 4
		})
		return u
	}
	before := look()
	for range n {
		round()
	}
	after := look()
	t.Logf("after %d rounds of %d jobs: threads %d to %d, descriptors %d to %d, goroutines %d to %d, timers %d to %d, entries of tables %d to %d, heap in use %d to %d bytes, anonymous memory %d to %d kB",
		n, len(mix)-1, before.threads, after.threads, before.descriptors, after.descriptors, before.goroutines, after.goroutines,
		before.timers, after.timers, before.entries, after.entries, before.heap, after.heap, before.memory, after.memory)
	if after.threads > before.threads || after.descriptors > before.descriptors || after.goroutines > before.goroutines ||
		after.timers > before.timers || after.entries > before.entries {
		t.Errorf("%+v has become %+v", before, after)
	}
	if after.heap > before.heap+64<<10 {
		t.Errorf("%d bytes of heap have become %d", before.heap, after.heap)
	}
	// Go's collector lets a heap grow to 4 MB before it begins.
	if after.memory > before.memory+4096 {
		t.Errorf("%d kB of memory have become %d", before.memory, after.memory)
	}
	ct.wantStop()
}
