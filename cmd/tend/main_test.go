package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tend/docker"
	"tend/jobs"
	"tend/test/need"
)

func TestMain(m *testing.M) {
	code := m.Run()
	need.Clean()
	os.Exit(code)
}

// TestDispatch calls the program by its names and subcommands. Where it says nothing
// else, the environment is empty and standard input is /dev/null.
func TestDispatch(t *testing.T) {
	dir := t.TempDir()
	tend := filepath.Join(dir, "tend")
	if err := os.Link(need.Tend(t), tend); err != nil {
		if data, e := os.ReadFile(need.Tend(t)); e != nil || os.WriteFile(tend, data, 0o755) != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(tend, "install", dir).CombinedOutput(); err != nil {
		t.Fatalf("install: %v, %s", err, out)
	}
	none := "--confdir=" + t.TempDir()
	const synopsis = "usage: tend [OPTION...] [--] [COMMAND [ARG...]]\n"
	version := jobs.VersionText() + "\n"
	noSocket := "TEND_SOCKET=" + dir + "/no.sock"
	for _, tt := range []struct {
		name           string
		args           []string // the first is a name in dir
		status         int
		stdout, stderr string // what they contain; empty when they must be empty
	}{
		{"version", []string{"tend", "version"}, 0, version, ""},
		{"--version", []string{"tend", "--version"}, 0, version, ""},
		{"help", []string{"tend", "help"}, 0, usage, ""},
		{"--help", []string{"tend", "-v", "--help"}, 0, usage, ""},
		{"unknown option", []string{"tend", "--strct"}, 2, "", "tend: unknown option --strct\nhint: did you mean --strict?\n" + synopsis},
		{"install without a directory", []string{"tend", "install"}, 2, "", "tend: install: expected one directory\n" + synopsis},
		{"doctor with an argument", []string{"tend", "doctor", "x"}, 2, "", "tend: doctor: unexpected argument x\n"},
		{"doctor", []string{"tend", "doctor"}, 0, "\nown executable ", ""},
		{"a subcommand is the first word only", []string{"tend", none, "version"}, 127, "", "cannot execute version: not found"},
		{"no subcommand behind --", []string{"tend", "--", "doctor"}, 127, "", "cannot execute doctor: not found"},
		{"nothing to run", []string{"tend", none}, 64, "", "nothing to run"},
		{"ctl", []string{"tend", "ctl", "list"}, 1, "", "initctl: Unable to connect to Upstart"},
		{"initctl", []string{"initctl", "list"}, 1, "", "initctl: Unable to connect to Upstart"},
		{"start", []string{"start", "web"}, 1, "", "start: Unable to connect to Upstart"},
		{"init-checkconf", []string{"init-checkconf"}, 1, "", "Must specify configuration file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			c := exec.Command(filepath.Join(dir, tt.args[0]), tt.args[1:]...)
			c.Env, c.Stdout, c.Stderr = []string{"PATH=/no/such/directory", noSocket}, &stdout, &stderr
			c.Run()
			if got := c.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("exit status %d, want %d", got, tt.status)
			}
			for _, s := range []struct{ name, got, want string }{{"stdout", stdout.String(), tt.stdout}, {"stderr", stderr.String(), tt.stderr}} {
				if !strings.Contains(s.got, s.want) || s.want == "" && s.got != "" {
					t.Errorf("%s = %q, want %q", s.name, s.got, s.want)
				}
			}
		})
	}
}

// TestUsage: every option that the usage text shows is one, and no line is wider than a
// terminal.
func TestUsage(t *testing.T) {
	if synopsisEnd <= 0 || !strings.HasSuffix(usage[:synopsisEnd], "help\n") {
		t.Errorf("the synopsis ends at %d: %q", synopsisEnd, usage[:max(synopsisEnd, 0)])
	}
	for _, line := range strings.Split(usage, "\n") {
		if len(line) > 80 {
			t.Errorf("wider than 80: %q", line)
		}
		if !strings.HasPrefix(line, "  -") {
			continue
		}
		for _, word := range strings.FieldsFunc(line[:min(len(line), 27)], func(r rune) bool { return r == ' ' || r == ',' }) {
			if !strings.HasPrefix(word, "-") {
				continue
			}
			if _, err := docker.ParseOptions([]string{word, "x"}, nil); err != nil && strings.HasPrefix(err.Error(), "unknown") {
				t.Errorf("usage shows %s: %v", word, err)
			}
		}
	}
}
