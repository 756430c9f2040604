package child

import (
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/environ"
)

func full() *Spec {
	return &Spec{
		Process: jobs.PreStopProcess, Argv: []string{"a", "", "\xff"}, Script: scriptPath,
		Env: environ.Env{"A=", "B=x\ny"}, UserKeys: []string{"HOME"},
		Dir: "/d", Chroot: "/c", User: "u", Group: "g", Umask: 0o77, Nice: ptr(-5), OOMScore: ptr(-999),
		Limits:   []jobs.Limit{{Resource: 7, Name: "nofile", Soft: 1, Hard: jobs.Unlimited}},
		AppArmor: "p", CGroups: []jobs.CGroup{{Controller: "cpu", Name: "n", Key: "k", Value: "v"}},
		Debug: true, Terminal: true, Foreground: true,
	}
}

func TestSpecificationSurvivesTheTransfer(t *testing.T) {
	for _, want := range []*Spec{full(), {Argv: []string{"x"}}} {
		got, err := decode(want.encode())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("decode(encode) = %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestEveryPartOfASpecificationIsNeeded(t *testing.T) {
	b := full().encode()
	for n := range b {
		if _, err := decode(b[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(b))
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full().encode())
	f.Add([]byte{0, 1, 1, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decode(b); err == nil {
			again, err := decode(s.encode())
			if err != nil || !reflect.DeepEqual(s, again) {
				t.Errorf("%+v became %+v, %v", s, again, err)
			}
		}
	})
}

func TestReadResult(t *testing.T) {
	record := func(kind byte, e *Error) string {
		w := writer{b: []byte{kind}}
		e.encode(&w)
		return string(w.b)
	}
	exec := &Error{Stage: StageExec, Arg: "a", Errno: unix.ENOENT}
	skip := &Error{Stage: StageOOM, Arg: "-9", Errno: unix.EACCES, Hint: "h"}
	tests := []struct {
		name, text string
		skipped    int
		failed     string
	}{
		{"reached", "x", 0, ""},
		{"left out", record('w', skip) + "x", 1, ""},
		{"failed before", record('e', skip), 0, "main: cannot set oom score to -9: permission denied (h)"},
		{"failed at exec", "x" + record('e', exec), 0, "main: cannot execute a: no such file or directory"},
		{"died", "", 0, "main: cannot execute the program: its set-up was ended by a signal"},
		{"died later", record('w', skip), 1, "main: cannot execute the program: its set-up was ended by a signal"},
		{"half a record", record('e', exec)[:3], 0, "main: cannot execute"},
		{"garbage", "q", 0, "main: cannot execute the program: its set-up has failed: q"},
		{"runtime died", record('w', skip) + "fatal error: no luck\n\ngoroutine 1 [running]:\n", 1,
			"main: cannot execute the program: its set-up has failed: fatal error: no luck"},
		{"no thread", "runtime: failed to create new OS thread (have 2 already; errno=11)\nfatal error: newosproc\n", 0,
			"main: cannot fork: resource temporarily unavailable (is the pids limit of the container or a limit nproc reached?)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			skipped, failed := readResult([]byte(tt.text), jobs.Main)
			if len(skipped) != tt.skipped {
				t.Errorf("%d left out, want %d", len(skipped), tt.skipped)
			}
			got := ""
			if failed != nil {
				got = failed.Error()
			}
			if got != tt.failed && (tt.name != "half a record" || failed == nil) {
				t.Errorf("error %q, want %q", got, tt.failed)
			}
		})
	}
}

func FuzzReadResult(f *testing.F) {
	f.Add([]byte("x"))
	f.Add([]byte("w\x08\x05\x01a\x01h"))
	f.Fuzz(func(t *testing.T, b []byte) { readResult(b, jobs.Main) })
}

func TestEveryStageHasWords(t *testing.T) {
	for s := range numStages {
		if s.String() == "" {
			t.Errorf("stage %d has no words", s)
		}
	}
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name     string
		command  jobs.Command
		readable bool
		argv     []string
		script   string
	}{
		{"direct", jobs.Command{Text: "a  b\tc"}, true, []string{"a", "b", "c"}, ""},
		{"assignment", jobs.Command{Text: "A=b c"}, true, []string{"/bin/sh", "-e", "-c", "exec A=b c", "/bin/sh"}, ""},
		{"semicolon", jobs.Command{Text: "a; b"}, true, []string{"/bin/sh", "-e", "-c", "exec a; b", "/bin/sh"}, ""},
		{"script line", jobs.Command{Text: "a\n\n", Script: true}, true, []string{"/bin/sh", "-e", "-c", "a", "/bin/sh"}, ""},
		{"script lines", jobs.Command{Text: "a\nb\n", Script: true}, true, []string{"/bin/sh", "-e", "/proc/self/fd/9"}, "exec 9<&-\na\nb\n"},
		{"script lines without /proc", jobs.Command{Text: "a\nb\n", Script: true}, false, []string{"/bin/sh", "-e", "-c", "a\nb", "/bin/sh"}, ""},
		{"given", jobs.Command{Text: "x", Argv: []string{"a b", "$c"}}, true, []string{"a b", "$c"}, ""},
	}
	for _, c := range shellCharacters {
		tests = append(tests, struct {
			name     string
			command  jobs.Command
			readable bool
			argv     []string
			script   string
		}{"character " + string(c), jobs.Command{Text: "a " + string(c)}, true, []string{"/bin/sh", "-e", "-c", "exec a " + string(c), "/bin/sh"}, ""})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			argv, script := commandLine(&tt.command, func() bool { return tt.readable })
			if !reflect.DeepEqual(argv, tt.argv) || script != tt.script {
				t.Errorf("commandLine = %q, %q, want %q, %q", argv, script, tt.argv, tt.script)
			}
		})
	}
}
