package ns

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStandardOutputIsGone: with nobody to read its standard output, or none at all,
// tend goes on, says so, and so do the jobs that write there.
func TestStandardOutputIsGone(t *testing.T) {
	jobs := map[string]string{
		"talk.conf": "start on startup\nscript\nfor i in 1 2 3; do echo lost; sleep 0.1; done\necho up >@T@/up\nexec sleep 1000\nend script\n",
	}
	t.Run("closed by its reader", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		ct := start(t, config{jobs: jobs, stdout: w})
		w.Close()
		ct.file("up")
		ct.errHas("cannot write")
		ct.running("talk")
		if got := ct.stop(); got != 0 {
			t.Errorf("status %d, want 0\n%s", got, ct.dump())
		}
	})
	t.Run("closed by its reader, beside a command", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		marks := t.TempDir()
		ct := start(t, config{jobs: jobs, stdout: w, args: append([]string{"--"}, "sh", "-c",
			"cd \"${0%/*}\"; trap 'touch pipe' PIPE; trap 'exit 7' USR1; touch ready; while :; do sleep 0.05; done", marks+"/x")})
		w.Close()
		ct.file("up")
		ct.errHas("cannot write")
		ct.eventually("the command", func() bool { _, err := os.Stat(marks + "/ready"); return err == nil })
		// Signals of different numbers may overtake each other, but not by a run of the shell.
		ct.ctl("status", "talk")
		ct.signal(unix.SIGUSR1)
		if got := ct.wait(); got != 7 {
			t.Errorf("status %d, want 7\n%s", got, ct.dump())
		}
		if _, err := os.Stat(marks + "/pipe"); err == nil {
			t.Errorf("the PIPE signal of tend's own writing has reached the command\n%s", ct.dump())
		}
	})
	t.Run("never open", func(t *testing.T) {
		ct := start(t, config{jobs: jobs, prefix: []string{"/bin/sh", "-c", `exec "$@" >&-`, "sh"}})
		ct.file("up")
		ct.running("talk")
		if got := ct.stop(); got != 0 {
			t.Errorf("status %d, want 0\n%s", got, ct.dump())
		}
	})
	t.Run("full", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		ct := start(t, config{jobs: jobs, stdout: full})
		ct.file("up")
		ct.errHas("no space left on device")
		ct.running("talk")
		if got := ct.stop(); got != 0 {
			t.Errorf("status %d, want 0\n%s", got, ct.dump())
		}
	})
}
