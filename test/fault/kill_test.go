package fault

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// helpers counts the live processes of the container that a job file has started as
// helpers: each is a sleep of so many seconds, or a shell with them in its text.
func (ct *container) helpers(seconds string) int {
	n := 0
	for _, pid := range below(ct.pid) {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(line), seconds) && !strings.Contains(string(stat), ") Z ") {
			n++
		}
	}
	return n
}

// A stop reaches whatever a job has started, wherever that has gone, and nobody else.
func TestWhomAStopReaches(t *testing.T) {
	const stubborn = `sh -c 'trap "" TERM; echo >@T@/stubborn; while :; do sleep 0.1; done # 2000'`
	for _, tt := range []struct {
		name, job string
		up        []string // files that are there when all run
		started   int      // helpers that then live
		left      int      // helpers after the stop
		never     string   // a file that may not be there then
	}{
		{name: "children in the group", started: 2, job: "script\nsleep 2000 &\nsleep 2000\nend script\n"},
		{name: "sessions of its own", started: 2, job: "script\nsetsid sleep 2000 &\nsetsid sh -c 'sleep 2000; :' &\nexec sleep 1000\nend script\n"},
		{name: "daemons", started: 2, job: "script\n(setsid sleep 2000 &)\n(setsid sh -c 'sleep 2000 & exit 0' &)\nexec sleep 1000\nend script\n"},
		{name: "of a main that ends at TERM", started: 1, job: "kill timeout 1\nscript\n(setsid " + stubborn + " &)\nexec sleep 1000\nend script\n", up: []string{"stubborn"}},
		{name: "kill timeout 0", started: 1, never: "termed", up: []string{"up"},
			job: "kill timeout 0\nscript\ntrap 'echo >@T@/termed' TERM\nsetsid sleep 2000 &\necho >@T@/up\nwhile :; do sleep 0.1; done\nend script\n"},
		{name: "KILL at the timeout", started: 1, job: "kill timeout 1\nexec " + stubborn + "\n", up: []string{"stubborn"}},
		{name: "of a post-stop", started: 1, job: "post-stop exec setsid -f sleep 2000\nscript\nsleep 2000\nend script\n"},
		{name: "of a pre-start without main", started: 1, job: "pre-start exec setsid -f sleep 2000\n"},
		{name: "of the group only", started: 2, left: 1, job: "kill scope group\nscript\nsetsid sleep 2000 &\nsleep 2000\nend script\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{jobs: map[string]string{
				"other": "start on startup\nscript\nsetsid sleep 3000 &\n(setsid sleep 3000 &)\nexec sleep 3000\nend script\n",
				"job":   tt.job,
			}})
			other := ct.running("other")
			ct.eventually("the other's helpers", func() bool { return ct.helpers("3000") == 3 })
			ct.ctl("start", "job")
			for _, file := range tt.up {
				ct.file(file)
			}
			ct.eventually("helpers", func() bool { return ct.helpers("2000") >= tt.started })
			if out := ct.ctl("stop", "job"); out != "job stop/waiting\n" {
				t.Errorf("stop: %s", out)
			}
			if tt.left > 0 {
				// A stop that reaches the group waits for main alone.
				ct.eventually("the end of the group", func() bool { return ct.helpers("2000") <= tt.left })
			}
			if n := ct.helpers("2000"); n != tt.left {
				t.Errorf("%d helpers are left, want %d\n%s", n, tt.left, &ct.out)
			}
			if _, err := os.Stat(ct.path(tt.never)); tt.never != "" && err == nil {
				t.Errorf("%s is there", tt.never)
			}
			if n, main := ct.helpers("3000"), ct.main("other"); n != 3 || main != other {
				t.Errorf("%d helpers of the other job and main %d, want 3 and %d\n%s", n, main, other, &ct.out)
			}
			ct.wantStop()
		})
	}
}
