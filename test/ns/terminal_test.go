package ns

import (
	"strings"
	"syscall"
	"testing"

	"tend/test/tty"
)

// TestTerminal holds a conversation with an interactive shell: job control works,
// the keyboard's signals reach the foreground job and not the shell or tend, and
// the shell's status is the container's. Beside jobs it is the same.
func TestTerminal(t *testing.T) {
	for _, tt := range []struct {
		name string
		jobs map[string]string
	}{
		{"alone", nil},
		{"beside jobs", map[string]string{"web.conf": "start on startup\nscript\nwhile :; do echo noise; sleep 0.5; done\nend script\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			term := tty.Open(t)
			ct := start(t, config{
				jobs: tt.jobs,
				args: []string{"--", "/bin/bash", "--norc", "--noprofile", "-i"},
				env:  []string{"PS1=ready> ", "TERM=dumb"},
				// A session of its own, whose controlling terminal this is.
				attr: func(a *syscall.SysProcAttr) {
					a.Setpgid, a.Setsid, a.Setctty, a.Ctty = false, true, true, 0
				},
				stdin: term.Other, stdout: term.Other,
				prefix: []string{"/bin/sh", "-c", `exec "$@" 2>&1`, "sh"},
			})
			term.Other.Close()
			term.Expect("ready> ")
			if s := term.Screen(); strings.Contains(s, "no job control") || strings.Contains(s, "cannot set terminal") {
				t.Fatalf("the shell has no terminal: %q", s)
			}
			term.Type("sleep 1000 && echo not reached\n")
			term.Expect("not reached")
			term.TypeUntil("\x03", "ready> ")
			term.Type("echo status $?\n")
			term.Expect("status 130")
			term.Type("sleep 1000\n")
			term.Expect("sleep 1000")
			term.TypeUntil("\x1a", "Stopped")
			term.Type("bg\n")
			term.Expect("sleep 1000 &")
			term.Type("kill %1; wait; echo $((40+2))\n")
			term.Expect("42")
			term.Type("sleep 1.1; echo rested\n") // in which the job makes some noise
			term.Expect("\nrested")
			term.Type("exit 3\n")
			if got := ct.wait(); got != 3 {
				t.Errorf("status %d, want 3; the terminal shows %q", got, term.Screen())
			}
			// What came before the shell had the terminal may be there.
			if _, since, _ := strings.Cut(term.Screen(), "status 130"); strings.Contains(since, "noise") {
				t.Errorf("a job's output is on the command's terminal: %q", term.Screen())
			}
		})
	}
}
