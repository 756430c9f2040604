package fault

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// broken builds the program with statements put in after places in its source: bugs.
func broken(t *testing.T, bugs map[string][2]string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	replace := map[string]string{}
	for name, bug := range bugs {
		path := filepath.Join(need.Root(), name)
		text, err := os.ReadFile(path)
		must(t, err)
		before, after, ok := strings.Cut(string(text), bug[0])
		if !ok {
			t.Fatalf("%s has no %q", name, bug[0])
		}
		replace[path] = filepath.Join(dir, filepath.Base(name))
		must(t, os.WriteFile(replace[path], []byte(before+bug[0]+bug[1]+after), 0o644))
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	must(t, err)
	overlay := filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(overlay, text, 0o644))
	cmd := exec.Command("go", "build", "-overlay", overlay, "-trimpath", "-o", filepath.Join(dir, "tend"), "./cmd/tend")
	cmd.Dir = need.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return filepath.Join(dir, "tend")
}

// A bug in tend leaves the processes as they are, and PID 1 there to reap and to
// stop them.
func TestBug(t *testing.T) {
	program := broken(t, map[string][2]string{
		"jobs/engine/machine.go": {"func (m *Machine) handle(in Input) {\n", "if e, ok := in.(Emit); ok && e.Event.Name == \"bug\" { panic(\"injected\") }\n"},
		"docker/handle.go":       {"case control.CmdUsage:\n", "panic(\"injected\")\n"},
	})
	jobs := map[string]string{"web": service, "other": "start on startup\nrespawn\nexec sleep 1000\n"}
	for _, tt := range []struct {
		name   string
		args   []string
		cause  []string
		end    func(*container)
		status int
	}{
		{"in the machine", nil, []string{"emit", "bug"}, func(ct *container) { ct.signal(unix.SIGTERM) }, 0},
		{"in the loop", nil, []string{"usage", "web"}, func(ct *container) { ct.signal(unix.SIGINT) }, 0},
		{"and shutdown", nil, []string{"emit", "bug"}, func(ct *container) { ct.ctl("shutdown", "--exit-code", "5") }, 5},
		{"and the end of all", nil, []string{"emit", "bug"}, func(ct *container) { killAll(ct) }, 70},
		{"and the end of the command", []string{"--", "sh", "-c", "until [ -e @T@/go ]; do sleep 0.05; done; exit 9"}, []string{"emit", "bug"},
			func(ct *container) { ct.write("go", "") }, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ct := start(t, config{jobs: jobs, args: tt.args, program: program})
			ct.running("web")
			ct.running("other")
			before := ct.threads()
			ct.ctl(tt.cause...)
			ct.says("bug in tend: injected")
			if out := ct.ctl("status", "web"); !strings.Contains(out, "tend has failed") {
				t.Errorf("status: %q", out)
			}
			ct.inside("sh", "-c", "(sleep 0.01 &)")
			if got := ct.threads(); got > before {
				t.Errorf("%d threads, want %d as before", got, before)
			}
			if n := len(children(ct.pid)); n < 2 {
				t.Errorf("%d children are left\n%s", n, &ct.out)
			}
			tt.end(ct)
			if got := ct.wait(); got != tt.status {
				t.Errorf("status %d, want %d\n%s", got, tt.status, &ct.out)
			}
		})
	}
}

// A bug on the way of a request costs its client the connection, and no more.
func TestBugInAConnection(t *testing.T) {
	program := broken(t, map[string][2]string{
		"jobs/control/conn.go": {"c.pool.busy(c, true)\n", "if len(req.Vars) > 0 { panic(\"injected\") }\n"},
	})
	ct := start(t, config{jobs: map[string]string{"web": service}, program: program})
	pid := ct.running("web")
	for range 3 {
		ct.ctl("set-env", "--global", "A=b")
	}
	ct.says("bug in tend: injected; a client has lost its connection")
	if got := ct.running("web"); got != pid {
		t.Errorf("web has process %d, want %d", got, pid)
	}
	if got := ct.stop(); got != 0 {
		t.Errorf("status %d, want 0\n%s", got, &ct.out)
	}
}

func killAll(ct *container) {
	for _, pid := range children(ct.pid) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}
