package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/test/tty"
)

// TestCommandStatus: in place of tini, the container's status is the command's.
func TestCommandStatus(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{"0", []string{"true"}, 0},
		{"3", []string{"sh", "-c", "exit 3"}, 3},
		{"255", []string{"sh", "-c", "exit 255"}, 255},
		{"KILL", []string{"sh", "-c", "kill -9 $$"}, 137},
		{"TERM", []string{"sh", "-c", "kill $$"}, 143},
		{"not executable", []string{"/etc/passwd"}, 126},
		{"not found", []string{"/no/such/program"}, 127},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := run(t, jobsImage(t), nil, append([]string{"--"}, tt.args...)...)
			if got := c.wait(); got != tt.want {
				t.Errorf("status %d, want %d\n%s", got, tt.want, c.log())
			}
		})
	}
}

// TestScratch: one program and tend, nothing else in the image, ends well on docker
// stop.
func TestScratch(t *testing.T) {
	t.Parallel()
	c := run(t, exampleImage(t, "tini"), nil)
	c.answers(8080, "/", "hello")
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
	if !strings.Contains(c.log(), "closed") {
		t.Errorf("the server was not asked to end\n%s", c.log())
	}
}

// TestSignalsThroughDocker: docker kill --signal reaches the command.
func TestSignalsThroughDocker(t *testing.T) {
	t.Parallel()
	script := ""
	signals := []string{"HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "WINCH", "PWR", "TERM"}
	for _, s := range signals {
		script += fmt.Sprintf("trap 'echo got %s' %s\n", s, s)
	}
	c := run(t, jobsImage(t), nil, "--", "sh", "-c", script+"echo ready; while :; do sleep 1000 & wait $!; done")
	c.logHas("ready")
	for _, s := range signals {
		c.docker("kill", "--signal", s, c.name)
		c.logHas("got " + s)
	}
}

// TestInteractive: docker run -it gives a shell with job control, with and without
// jobs behind it, and the shell's status is the container's.
func TestInteractive(t *testing.T) {
	out := t.TempDir()
	for _, tt := range []struct {
		name    string
		options []string
	}{
		{"alone", nil},
		{"beside jobs", mount(t, map[string]string{
			"noise.conf": "start on filesystem\nscript\nwhile :; do echo din; sleep 0.5; done\nend script\npost-stop exec touch /out/stopped\n",
		}, "-v", out+":/out")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image := jobsImage(t)
			term := tty.Open(t)
			name := newName()
			args := append([]string{"run", "--rm", "-it", "--name", name, "-e", "PS1=ready> "}, tt.options...)
			cmd := exec.Command("docker", append(args, image, "--", "bash", "--norc", "--noprofile")...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = term.Other, term.Other, term.Other
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = exec.Command("docker", "rm", "-f", name).Run() })
			term.Other.Close()
			term.Expect("ready> ")
			term.Type("sleep 1000 && echo not reached\n")
			term.Expect("not reached")
			term.TypeUntil("\x03", "ready> ")
			term.Type("echo status $?\n")
			term.Expect("status 130")
			term.Type("sleep 1000\n")
			term.Expect("sleep 1000")
			term.TypeUntil("\x1a", "Stopped")
			term.Type("kill %1; wait; echo $((40+2))\n")
			term.Expect("42")
			if tt.options != nil {
				term.Type("/sbin/initctl status noise\n")
				term.Expect("noise start/running, process ")
			}
			term.Type("exit 3\n")
			err := cmd.Wait()
			if _, err := os.Stat(out + "/stopped"); err != nil && tt.options != nil {
				t.Errorf("the service was not stopped: %v", err)
			}
			if status := cmd.ProcessState.ExitCode(); status != 3 {
				t.Errorf("docker run ends with status %d (%v), want 3; the terminal shows %q", status, err, term.Screen())
			}
			if s := term.Screen(); strings.Contains(s, "no job control") || strings.Contains(s, "din") {
				t.Errorf("the terminal shows %q", s)
			}
		})
	}
}

// TestNoZombies: what docker exec leaves behind is reaped.
func TestNoZombies(t *testing.T) {
	t.Parallel()
	c := run(t, jobsImage(t), nil, "--", "sleep", "1000")
	for range 5 {
		c.exec("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.05 & exit 0); done")
	}
	c.eventually("no zombie", func() bool { return len(c.zombies()) == 0 })
	if err := syscall.Kill(atoi(t, c.inspect("{{.State.Pid}}")), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := c.wait(); status != 143 {
		t.Errorf("status %d, want sleep's 143\n%s", status, c.log())
	}
}
