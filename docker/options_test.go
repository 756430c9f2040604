package docker

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/jobs"
	"tend/test/need"
)

func TestParseOptions(t *testing.T) {
	kill := syscall.SIGKILL
	for _, tt := range []struct {
		name string
		args string // words with spaces between them
		env  []string
		want func(o *Options)
	}{
		{"nothing", "", nil, func(o *Options) {}},
		{"a command", "nginx -g x", nil, func(o *Options) { o.Command = []string{"nginx", "-g", "x"} }},
		{"a command after --", "-- -v --help", nil, func(o *Options) { o.Command = []string{"-v", "--help"} }},
		{"-- after the command is the command's", "a -- b", nil, func(o *Options) { o.Command = []string{"a", "--", "b"} }},
		{"a single dash is a command", "-", nil, func(o *Options) { o.Command = []string{"-"} }},
		{"-- alone", "--", nil, func(o *Options) { o.Command = []string{} }},

		{"directories in order", "--confdir a --confdir=b --prepend-confdir p --append-confdir q", nil, func(o *Options) {
			o.ConfDirs, o.PrependConfDirs, o.AppendConfDirs = []string{"a", "b"}, []string{"p"}, []string{"q"}
		}},
		{"directories from the environment", "", []string{"TEND_CONFDIR=a::b"}, func(o *Options) { o.ConfDirs = []string{"a", "b"} }},
		{"the command line replaces the environment's directories", "--confdir c", []string{"TEND_CONFDIR=a:b"}, func(o *Options) { o.ConfDirs = []string{"c"} }},
		{"logdir", "--logdir /l --no-log --log-max-size 2M --log-files 7", nil, func(o *Options) {
			o.LogDir, o.NoLog, o.LogMaxSize, o.LogFiles = "/l", true, 2<<20, 7
		}},
		{"log size in bytes, none", "--log-max-size 0", nil, func(o *Options) { o.LogMaxSize = 0 }},
		{"default console", "--default-console output", nil, func(o *Options) { o.DefaultConsole = jobs.ConsoleOutput }},
		{"startup event", "--startup-event go --no-startup-event", nil, func(o *Options) { o.StartupEvent, o.NoStartupEvent = "go", true }},
		{"no-inherit-env", "--no-inherit-env", nil, func(o *Options) { o.NoInheritEnv = true }},
		{"no-inherit-env from the environment", "", []string{"TEND_NO_INHERIT_ENV=yes"}, func(o *Options) { o.NoInheritEnv = true }},
		{"strict switched off", "", []string{"TEND_STRICT=0"}, func(o *Options) {}},
		{"boot", "--boot none", nil, func(o *Options) { o.Boot = BootNone }},
		{"boot: the command line wins", "--boot auto", []string{"TEND_BOOT=none"}, func(o *Options) {}},
		{"mask none", "--mask none", nil, func(o *Options) { o.MaskSet = true }},
		{"mask", "--mask a,b", nil, func(o *Options) { o.Mask, o.MaskSet = []string{"a", "b"}, true }},
		{"mask replaced", "--mask a", []string{"TEND_MASK=b,c"}, func(o *Options) { o.Mask, o.MaskSet = []string{"a"}, true }},
		{"essential", "--essential a,b --essential c", []string{"TEND_ESSENTIAL=z"}, func(o *Options) { o.Essential = []string{"a", "b", "c"} }},
		{"idle", "--idle stay", nil, func(o *Options) { o.IdleStay = true }},
		{"times", "--command-wait 1.5 --stop-timeout 20", nil, func(o *Options) {
			o.CommandWait, o.StopTimeout, o.StopTimeoutSet = 1500*time.Millisecond, 20*time.Second, true
		}},
		{"no stop timeout", "--stop-timeout=0", nil, func(o *Options) { o.StopTimeoutSet = true }},
		{"stop timeout from the environment", "", []string{"TEND_STOP_TIMEOUT=3"}, func(o *Options) {
			o.StopTimeout, o.StopTimeoutSet = 3*time.Second, true
		}},
		{"an empty variable says nothing", "", []string{"TEND_STOP_TIMEOUT=", "TEND_CONFDIR="}, func(o *Options) {}},
		{"variables that are no option", "", []string{"TEND_PORT=tcp://10.0.0.1:80", "TEND_SERVICE_HOST=10.0.0.1", "TEND_HELP=1", "TEND_VERSION=1"}, func(o *Options) {}},
		{"formats", "--log-format json --job-output raw", nil, func(o *Options) { o.LogJSON, o.JobOutput = true, OutputRaw }},
		{"socket", "--socket /s", nil, func(o *Options) { o.Socket = "/s" }},
		{"help and version", "--help --version", nil, func(o *Options) { o.Help, o.Version = true, true }},
		{"-h", "-h", nil, func(o *Options) { o.Help = true }},

		{"quiet", "-q", nil, func(o *Options) { o.Verbosity = LevelError }},
		{"verbose", "-v", nil, func(o *Options) { o.Verbosity = LevelInfo }},
		{"very verbose", "-vvv", nil, func(o *Options) { o.Verbosity = LevelDebug }},
		{"debug", "--debug", nil, func(o *Options) { o.Verbosity = LevelDebug }},
		{"verbosity from the environment", "", []string{"TEND_VERBOSE=2"}, func(o *Options) { o.Verbosity = LevelDebug }},
		{"the command line replaces the environment's verbosity", "-v", []string{"TEND_DEBUG=1"}, func(o *Options) { o.Verbosity = LevelInfo }},
		{"tini's verbosity, quiet", "", []string{"TINI_VERBOSITY=0"}, func(o *Options) { o.Verbosity = LevelError }},
		{"tini's verbosity, default", "", []string{"TINI_VERBOSITY=1"}, func(o *Options) {}},
		{"tini's verbosity, most", "", []string{"TINI_VERBOSITY=9"}, func(o *Options) { o.Verbosity = LevelDebug }},

		{"bundled switches", "-gvws true", nil, func(o *Options) {
			o.KillGroup, o.Verbosity, o.WarnReaped, o.Subreaper, o.Command = true, LevelInfo, true, true, []string{"true"}
		}},
		{"a value behind a bundle", "-ge 143 -e144", nil, func(o *Options) { o.KillGroup = true; o.zeroed[143], o.zeroed[144] = true, true }},
		{"long forms of tini's switches", "--kill-process-group --subreaper --warn-on-reap --remap-exit 0 --parent-death-signal KILL", nil, func(o *Options) {
			o.KillGroup, o.Subreaper, o.WarnReaped, o.ParentDeath = true, true, true, kill
			o.zeroed[0] = true
		}},
		{"exit statuses from the environment", "", []string{"TEND_REMAP_EXIT=1,255"}, func(o *Options) { o.zeroed[1], o.zeroed[255] = true, true }},
		{"parent death signal by name", "-p SIGKILL", nil, func(o *Options) { o.ParentDeath = kill }},
		{"parent death signal by number", "-p9", nil, func(o *Options) { o.ParentDeath = kill }},
		{"tini's variables, present but empty", "", []string{"TINI_SUBREAPER=", "TINI_KILL_PROCESS_GROUP="}, func(o *Options) { o.Subreaper, o.KillGroup = true, true }},
		{"ours overrule tini's", "", []string{"TINI_KILL_PROCESS_GROUP=1", "TEND_KILL_PROCESS_GROUP=no"}, func(o *Options) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := &Options{StartupEvent: "startup", LogMaxSize: 10 << 20, LogFiles: 3, Environ: tt.env}
			tt.want(want)
			got, err := ParseOptions(strings.Fields(tt.args), tt.env)
			if err != nil {
				t.Fatalf("ParseOptions: %v", err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("ParseOptions(%q, %q) =\n%+v, want\n%+v", tt.args, tt.env, got, want)
			}
		})
	}
}

func TestParseOptionsErrors(t *testing.T) {
	for _, tt := range []struct {
		name      string
		args      string
		env       []string
		msg, hint string // what each of them has to contain
	}{
		{"a letter missing", "--stop-timout 3 x", nil, "unknown option --stop-timout", "--stop-timeout?"},
		{"letters swapped", "--condfir=/x", nil, "unknown option --condfir", "--confdir?"},
		{"shortened", "--ess web", nil, "unknown option --ess", "--essential?"},
		{"far from everything", "--zzzzzz", nil, "unknown option --zzzzzz", "did you mean --"},
		{"one dash", "-confdir /x", nil, "unknown option -confdir", "--confdir?"},
		{"the other case", "-G", nil, "unknown option -G", "-g (--kill-process-group)?"},
		{"unknown switch", "-z", nil, "unknown option -z", "-e -q -v -g -s -w -p -h"},
		{"unknown switch in a bundle", "-gz", nil, "unknown option -z", "the short options are"},
		{"one dash and a letter missing", "-confdr /x", nil, "unknown option -c", "did you mean --confdir?"},
		{"value missing", "--confdir", nil, "option --confdir needs a value", ""},
		{"value of a switch missing", "-ge", nil, "option -e needs a value", ""},
		{"value not wanted", "--strict=yes", nil, "option --strict takes no value", ""},
		{"empty value", "--confdir=", nil, `option --confdir: "" is not valid`, ""},
		{"choice", "--boot fast", nil, "expected auto or none", ""},
		{"console", "--default-console logged", nil, "expected none, log, output or owner", ""},
		{"seconds", "--stop-timeout -1", nil, "expected a number of seconds", ""},
		{"not a number", "--stop-timeout NaN", nil, "expected a number of seconds", ""},
		{"more seconds than a clock has", "--command-wait 1e300", nil, "expected a number of seconds", ""},
		{"exit status", "-e 256", nil, "expected an exit status from 0 to 255", ""},
		{"signal", "-p SIGFOO", nil, "expected the name of a signal", ""},
		{"signal number", "-p 65", nil, "expected the name of a signal", ""},
		{"mask with a hole", "--mask a,,b", nil, "expected none, or names", ""},
		{"log size", "--log-max-size 10X", nil, "expected a size in bytes", ""},
		{"variable", "", []string{"TEND_STOP_TIMEOUT=soon"}, "environment variable TEND_STOP_TIMEOUT: \"soon\"", ""},
		{"variable of a flag", "", []string{"TEND_STRICT=maybe"}, "environment variable TEND_STRICT: \"maybe\" is not valid; expected 1 or 0", ""},
		{"variable of the verbosity", "", []string{"TEND_VERBOSE=yes"}, "expected a number from 0 to 3", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseOptions(strings.Fields(tt.args), tt.env)
			var e *UsageError
			if !errors.As(err, &e) {
				t.Fatalf("ParseOptions(%q, %q) = %v, want a *UsageError", tt.args, tt.env, err)
			}
			if !strings.Contains(e.Msg, tt.msg) || !strings.Contains(e.Hint, tt.hint) || tt.hint == "" && e.Hint != "" {
				t.Errorf("message %q, hint %q, want them to contain %q and %q", e.Msg, e.Hint, tt.msg, tt.hint)
			}
		})
	}
}

func TestMapStatus(t *testing.T) {
	o, err := ParseOptions([]string{"-e", "143", "-e", "7"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for status := range 256 {
		want := status
		if status == 143 || status == 7 {
			want = 0
		}
		if got := o.MapStatus(status); got != want {
			t.Errorf("MapStatus(%d) = %d, want %d", status, got, want)
		}
	}
}

// TestOptionNames: the environment forms are made from the long names, so these must be
// unique, and so must the short ones.
func TestOptionNames(t *testing.T) {
	long, short := map[string]bool{}, map[byte]bool{}
	for i := range options {
		p := &options[i]
		if p.long == "" || long[p.long] || p.short != 0 && short[p.short] {
			t.Errorf("option %d (--%s, -%c) is not unique", i, p.long, p.short)
		}
		if (p.set == nil) == (p.flag == nil) {
			t.Errorf("--%s has both or neither of set and flag", p.long)
		}
		long[p.long], short[p.short] = true, true
	}
}

// TestOptionsAreDocumented: the usage text and the manual page name every option, and the
// page names no variable that there is not.
func TestOptionsAreDocumented(t *testing.T) {
	usage, err := os.ReadFile("../cmd/tend/usage.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/man/tend.8")
	if err != nil {
		t.Fatal(err)
	}
	manual := strings.ReplaceAll(string(page), `\-`, "-")
	variables := map[string]bool{}
	for i := range options {
		p := &options[i]
		word := regexp.MustCompile(`--` + p.long + `\b`)
		if !word.Match(usage) || !word.MatchString(manual) {
			t.Errorf("--%s is not in both the usage text and the manual page", p.long)
		}
		if p.short != 0 && !strings.Contains(string(usage), "-"+string(p.short)+", --"+p.long) {
			t.Errorf("-%c is not in the usage text", p.short)
		}
		variables[p.env()] = true
	}
	for _, name := range regexp.MustCompile(`TEND_[A-Z_]+[A-Z]`).FindAllString(manual, -1) {
		if !variables[name] {
			t.Errorf("the manual page names %s, which is no option's variable", name)
		}
	}
}

// TestManualPagesRender: groff finds nothing to complain of in any page.
func TestManualPagesRender(t *testing.T) {
	need.Program(t, "groff")
	pages, err := filepath.Glob("../docs/man/*.[0-9]")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no manual pages: %v", err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		// One page stands for another only where they are installed.
		if bytes.HasPrefix(text, []byte(".so ")) {
			name := strings.TrimSpace(strings.TrimPrefix(string(text), ".so man8/"))
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), name)); err != nil {
				t.Errorf("%s: %v", page, err)
			}
			continue
		}
		if out, err := exec.Command("groff", "-t", "-man", "-Tutf8", "-ww", "-z", page).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", page, err, out)
		}
	}
}
