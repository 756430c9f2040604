package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tend/test/need"
)

// tree makes files in a directory of the test's own and goes there.
func tree(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func run(args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	code = Main(args, &out, &errs)
	return code, out.String(), errs.String()
}

func needShell(t *testing.T) {
	t.Helper()
	if shellPath() == "" {
		need.Skip(t, "no /bin/sh")
	}
}

func TestReport(t *testing.T) {
	tree(t, map[string]string{
		"init/a.conf":     "start on started b\nexec a\n",
		"init/b.conf":     "decription x\n\trespawn  limit 5\n",
		"init/sub/c.conf": "usage \"é\" ü # c\nexec \"",
	})
	code, stdout, stderr := run("init")
	want := `init/b.conf:
  1:1: error: Unknown stanza: decription (did you mean description?)
     1 | decription x
       | ^^^^^^^^^^
  2:18: error: Expected token
     2 | 	respawn  limit 5
       | 	                ^
init/sub/c.conf:
  1:12: error: Unexpected token: ü
     1 | usage "é" ü # c
       |           ^
  2:7: error: Unterminated quoted string; opened at init/sub/c.conf:2:6
     2 | exec "
       |       ^
3 files checked: 4 errors, 0 warnings
`
	if code != 1 || stdout != want || stderr != "" {
		t.Errorf("status %d, stderr %q, stdout:\n%swant\n%s", code, stderr, stdout, want)
	}
}

func TestConditions(t *testing.T) {
	const good = `start on (filesystem and started web INSTANCE=x and runlevel [2345] and starting mountall
 and custom-7 and made and broken/failed and started JOB=w* and stopped and started $J and a X=$SET Y=${U:-1})
stop on deploy $UNKNOWN and starting/failed
env SET=1
env J=web
`
	tree(t, map[string]string{
		"ok/a.conf":        good,
		"ok/web.conf":      "emits custom-* a deploy\npost-start exec initctl emit --no-wait made X=1",
		"ok/b.conf":        "emits broken\nscript\n  [ -x y ] && /sbin/initctl emit \"$NAME\" || true\nend script",
		"bad/a.conf":       "start on strated web or (started wbe and\n  foo/failed or x X=$NO)\nstop on x X=${A\n",
		"bad/web.conf":     "emits x\nexec web",
		"bad/web.override": "stop on nothing\n",
		"bad/no.override":  "manual\n",
	})
	if code, stdout, _ := run("ok"); code != 0 || stdout != "3 files checked: 0 errors, 0 warnings\n" {
		t.Errorf("good conditions: status %d\n%s", code, stdout)
	}
	code, stdout, _ := run("bad")
	want := `bad/a.conf:
  1:10: warning: no job emits the event strated, and tend does not either
     1 | start on strated web or (started wbe and
       |          ^^^^^^^
  1:26: warning: there is no job wbe
     1 | start on strated web or (started wbe and
       |                          ^^^^^^^
  2:3: warning: no job emits the event foo/failed, and tend does not either
     2 |   foo/failed or x X=$NO)
       |   ^^^^^^^^^^
  2:14: warning: and and or are mixed without parentheses; both bind alike, from left to right: (strated web or ((started wbe and foo/failed) or x X=$NO))
     2 |   foo/failed or x X=$NO)
       |              ^^
  2:17: warning: the argument X=$NO never matches: no env stanza sets NO
     2 |   foo/failed or x X=$NO)
       |                 ^
  3:9: warning: the argument X=${A never matches: Mismatched braces
     3 | stop on x X=${A
       |         ^
bad/no.override:
  1:1: warning: there is no no.conf, so this override does nothing
     1 | manual
       | ^
bad/web.override:
  1:9: warning: no job emits the event nothing, and tend does not either
     1 | stop on nothing
       |         ^^^^^^^
4 files checked: 0 errors, 8 warnings
`
	if code != 0 || stdout != want {
		t.Errorf("bad conditions: status %d\n%swant\n%s", code, stdout, want)
	}
	// Of single files it is not known what else there is.
	if _, stdout, _ := run("ok/web.conf", "bad/web.override"); stdout != "2 files checked: 0 errors, 0 warnings\n" {
		t.Errorf("single files:\n%s", stdout)
	}
}

func TestScripts(t *testing.T) {
	needShell(t)
	tree(t, map[string]string{
		"a.conf":     "# c\nscript\n  if true; then\n    echo\n  fi\nend script\npre-start script\n  echo ok\n  fi\nend script\n",
		"b.conf":     "script\n  echo \"$(date)\"\n  case x in\n  y) ;;\n  esac\nend script\n",
		"b.override": "script\n  if\nend script\n",
	})
	code, stdout, _ := run(".")
	if code != 1 || !strings.Contains(stdout, "a.conf:\n  9:1: error: pre-start script: ") || !strings.Contains(stdout, "     9 |   fi\n") ||
		!strings.Contains(stdout, "b.override:\n") || !strings.Contains(stdout, "error: main script: ") || !strings.HasSuffix(stdout, "3 files checked: 2 errors, 0 warnings\n") {
		t.Errorf("status %d\n%s", code, stdout)
	}
}

func TestShellErrors(t *testing.T) {
	tests := []struct {
		in   string
		line int
		msg  string
	}{
		{"sh: 3: Syntax error: \"fi\" unexpected", 3, "Syntax error: \"fi\" unexpected"},
		{"sh: line 12: syntax error near unexpected token `fi'\nsh: line 12: `fi'", 12, "syntax error near unexpected token `fi'"},
		{"sh: syntax error: unexpected end of file (expecting \"then\")", 0, "syntax error: unexpected end of file (expecting \"then\")"},
	}
	for _, tt := range tests {
		if line, msg := shellError(tt.in); line != tt.line || msg != tt.msg {
			t.Errorf("%s: %d, %s", tt.in, line, msg)
		}
	}
}

func TestJSON(t *testing.T) {
	tree(t, map[string]string{"a.conf": "manual task\nnice 99\n"})
	code, stdout, _ := run("--json", "a.conf")
	want := `{
  "version": 1,
  "files": 1,
  "errors": 1,
  "warnings": 1,
  "findings": [
    {
      "file": "a.conf",
      "line": 1,
      "column": 8,
      "width": 4,
      "severity": "warning",
      "message": "manual takes no arguments; what follows is read as another stanza"
    },
    {
      "file": "a.conf",
      "line": 2,
      "column": 6,
      "width": 2,
      "severity": "error",
      "message": "Illegal nice value, expected -20 to 19: 99"
    }
  ]
}
`
	if code != 1 || stdout != want {
		t.Errorf("status %d\n%s", code, stdout)
	}
	tree(t, map[string]string{"a.conf": "task"})
	code, stdout, _ = run("--json", "a.conf")
	var clean struct{ Findings []any }
	if err := json.Unmarshal([]byte(stdout), &clean); code != 0 || err != nil || clean.Findings == nil || len(clean.Findings) != 0 {
		t.Errorf("status %d, %v\n%s", code, err, stdout)
	}
}

func TestCalls(t *testing.T) {
	tree(t, map[string]string{"init/a.conf": "essential\n", "empty/x": "", "-x.conf": "task", "command.conf": "task"})
	t.Setenv("UPSTART_CONFDIR", "init")
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"default directory", nil, 0, "1 file checked: 0 errors, 0 warnings\n", ""},
		{"help", []string{"--help"}, 0, usage, ""},
		{"unknown option", []string{"--foo"}, 2, "", "tend check: unknown option --foo\n" + usage},
		{"after the options", []string{"--", "-x.conf"}, 0, "1 file checked: 0 errors, 0 warnings\n", ""},
		{"no such path", []string{"none"}, 2, "", "tend check: cannot check none: no such file or directory\n"},
		{"no job files", []string{"empty"}, 2, "", "tend check: cannot check empty: no job files are there\n"},
		{"not a job file", []string{"empty/x"}, 2, "", "tend check: cannot check empty/x: the name of a job file ends in .conf or .override\n"},
		{"reserved name", []string{"command.conf"}, 1, "command.conf:\n  1:1: error: the name command is reserved for the command that is run beside the jobs\n" +
			"     1 | task\n       | ^\n1 file checked: 1 error, 0 warnings\n", ""},
		{"upstart", []string{"--upstart"}, 1, "init/a.conf:\n  1:1: error: Unknown stanza: essential (Upstart 1.13 does not know it)\n" +
			"     1 | essential\n       | ^^^^^^^^^\n1 file checked: 1 error, 0 warnings\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if code, stdout, stderr := run(tt.args...); code != tt.code || stdout != tt.stdout || stderr != tt.stderr {
				t.Errorf("status %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

func TestCheckConf(t *testing.T) {
	needShell(t)
	tree(t, map[string]string{
		"ok.conf": "exec a\n", "bad.conf": "exec a\nbogus\n", "sh.conf": "pre-stop script\nfi\nend script\n", "main.conf": "script\nfi\nend script\n", "x": "exec a\n",
	})
	tests := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // stderr: what it begins with
	}{
		{"good", []string{"ok.conf"}, 0, "File ok.conf: syntax ok\n", ""},
		{"bad", []string{"-d", "bad.conf"}, 1, "", "ERROR: File bad.conf: syntax invalid:\nbad.conf:2:1: Unknown stanza: bogus\n"},
		{"script", []string{"sh.conf"}, 1, "", "ERROR: File sh.conf: shell syntax invalid in pre-stop section:\n"},
		{"main script", []string{"-f", "main.conf"}, 1, "", "ERROR: File main.conf: shell syntax invalid in script section:\n"},
		{"without scripts", []string{"-s", "sh.conf"}, 0, "File sh.conf: syntax ok\n", ""},
		{"no file", nil, 1, "", "ERROR: Must specify configuration file\n"},
		{"missing", []string{"none.conf"}, 1, "", "ERROR: File none.conf does not exist\n"},
		{"name", []string{"x"}, 1, "", "ERROR: File must end in .conf\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs strings.Builder
			code := CheckConf(tt.args, "init-checkconf", &out, &errs)
			if code != tt.code || out.String() != tt.stdout || !strings.HasPrefix(errs.String(), tt.stderr) || tt.stderr == "" && errs.String() != "" {
				t.Errorf("status %d\n%s%s", code, out.String(), errs.String())
			}
		})
	}
}
