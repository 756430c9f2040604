package fault

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// A process names another one as main. It is followed when it is, or becomes, a
// child of PID 1, and no process that runs is taken for ended.
func TestMainPID(t *testing.T) {
	need.Program(t, "systemd-notify")
	const wait = "while [ ! -e @T@/go ]; do sleep 0.02; done\n"
	for name, script := range map[string]string{
		"of a parent that ends later": "setsid sh -c 'echo $$ >@T@/pid; exec sleep 1000' &\n" +
			"while [ ! -s @T@/pid ]; do sleep 0.02; done\nsystemd-notify --ready --pid=$(cat @T@/pid)\n" + wait,
		"of a parent that has ended": "setsid sh -c '(echo $$; exec sleep 1000) & exec sh -c \"echo \\$! >@T@/child\"' >/dev/null\n" +
			"pid=$(ps -eo pid,ppid,comm | while read p q c; do [ $q = 1 ] && [ $c = sleep ] && echo $p; done | tail -n 1)\n" +
			"echo $pid >@T@/pid\nsystemd-notify --ready --pid=$pid\n" + wait,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{jobs: map[string]string{"web": "start on startup\nexpect notify\nrespawn\nscript\n" + script + "end script\n"}})
			pid := ct.file("pid")
			ct.running("web")
			ct.write("go", "")
			ct.eventually("main to be "+pid, func() bool { return fmt.Sprint(ct.main("web")) == pid })
			ct.eventually("the end of the first", func() bool { return len(children(ct.pid)) == 1 })
			if got := fmt.Sprint(ct.running("web")); got != pid {
				t.Errorf("main is %s, want %s\n%s", got, pid, &ct.out)
			}
			must(t, unix.Kill(children(ct.pid)[0], unix.SIGKILL))
			ct.says("killed by KILL signal, respawning")
			ct.unhurt()
		})
	}
}
