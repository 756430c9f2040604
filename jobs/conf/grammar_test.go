package conf

import (
	"strings"
	"testing"

	"tend/jobs"
)

// TestWords has what follows "usage " and its value (reference 1.6).
func TestWords(t *testing.T) {
	tests := []struct{ in, want string }{
		{`a\ b`, `a b`},
		{`"a\"b"`, `a\"b`},
		{`'a"b'`, `a"b`},
		{`'it\'s'`, `it\'s`},
		{"\"a  b\tc\"", "a  b\tc"},
		{"\"a   \n   b\"", "a b"},
		{"a\\\nb", "a b"},
		{`"a\xb"`, `a\xb`},
		{`a\nb`, `a\nb`},
		{`\\`, `\`},
		{`a\#b`, `a\#b`},
		{`"a#b"`, `a#b`},
		{`a#b`, `a`},
		{`" a "`, ` a `},
		{"a\r", "a"},
		{`a"b c"d`, `ab cd`},
		{`" "`, ` `},
		{`a"b 'c"'d "'`, `ab 'cd "`},
		{"\\\n  a", "a"},
		{"a \\\n", "a"},
		{`"a \$b"`, `a \$b`},
		{`"a  \ b"`, `a   b`},
		{`"a \\ b"`, `a \ b`},
		{"a\vb\fc", "a\vb\fc"},
	}
	for _, tt := range tests {
		class, err := Parse("x", "x.conf", []byte("usage "+tt.in))
		if err != nil {
			t.Errorf("usage %s: %v", tt.in, err)
		} else if class.Usage != tt.want {
			t.Errorf("usage %s = %q, want %q", tt.in, class.Usage, tt.want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	tests := []struct{ in, want string }{
		{`cmd a#b`, `cmd a`},
		{`cmd "a # b"  # c`, `cmd "a # b"`},
		{`cmd \$HOME  \x`, `cmd \$HOME  \x`},
		{"cmd 1 \\\n   2", "cmd 1 2"},
		{"\\\n   cmd", "cmd"},
		{"cmd 'a\n b'", "cmd 'a b'"},
		{`echo it\'s`, `echo it\'s`},
		{`""`, `""`},
		{"a\x00b", "a"},
		{`  sh -c 'printf x' a   \$b \\c \ d`, `sh -c 'printf x' a   \$b \\c \ d`},
		{"a\\ ", "a\\ "},
	}
	for _, tt := range tests {
		class, err := Parse("x", "x.conf", []byte("exec "+tt.in))
		if err != nil {
			t.Errorf("exec %s: %v", tt.in, err)
		} else if got := class.Processes[jobs.Main].Text; got != tt.want {
			t.Errorf("exec %s = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestBlock(t *testing.T) {
	tests := []struct{ in, want string }{
		{"script\nend script", ""},
		{"script # c\n  a\n    b\nend script\n", "a\n  b\n"},
		{"script\n  a\n\n  b\nend script\n", "  a\n\n  b\n"},
		{"script\n    a\n  b\n  end script # c\n", "  a\nb\n"},
		{"script\n\ta\n  b\nend\tscript\n", "\ta\n  b\n"},
		{"script\n a\r\n b # c\r\nend script#x\n", "a\r\nb # c\r\n"},
		{"script\ncat <<E\nend scriptx\nendscript\nend script foo\nE\n end  script", "cat <<E\nend scriptx\nendscript\nend script foo\nE\n"},
		{"script\n# end script\nend script", "# end script\n"},
		{"exec a\nscript\nb\nend script", "b\n"},
	}
	for _, tt := range tests {
		class, err := Parse("x", "x.conf", []byte(tt.in))
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if c := class.Processes[jobs.Main]; c.Text != tt.want || !c.Script {
			t.Errorf("%q = %q, want %q", tt.in, c.Text, tt.want)
		}
	}
}

// verdicts has the vectors of appendix B of the reference.
var verdicts = func() []struct{ in, want string } {
	const (
		token      = "1: Expected token"
		unexpected = "1: Unexpected token"
		unknown    = "1: Unknown stanza"
		limit      = "1: Illegal limit, expected 'unlimited' or integer"
		interval   = "1: Illegal interval, expected number of seconds"
		exit       = "1: Illegal exit status, expected integer"
		signal     = "1: Illegal signal status, expected integer"
		umask      = "1: Illegal file creation mask, expected octal integer"
		nice       = "1: Illegal nice value, expected -20 to 19"
		oom        = "1: Illegal oom adjustment, expected -17 to 15 or 'never'"           // 48
		score      = "1: Illegal oom score adjustment, expected -1000 to 1000 or 'never'" // 48
		event      = "1: Expected event"
		operator   = "1: Expected operator"
		variable   = "1: Expected variable name before value"
		parens     = "1: Mismatched parentheses"
	)
	return []struct{ in, want string }{
		{"", "ok"}, {"\xef\xbb\xbfusage x", unknown}, {"author", token}, {"description a b", unexpected},
		{`"usage" x`, unknown}, {"USAGE x", unknown}, {"exec", token}, {"exec # c", token},
		{"exec echo it's\nusage foo\n", "3: Unterminated quoted string"},
		{`exec foo \`, "1: Trailing slash in file"}, {"script\necho x\n", "3: Unterminated block"},
		{"script foo\nend script", unexpected}, {"script\nend script", "ok"},
		{"script\necho\nend script\n\nbogus", "5: Unknown stanza"}, {"exec a\r\nusage b\r\n", "ok"},
		{"pre-start", token}, {"pre-start foo", unknown}, {"pre-start exec", token}, {"pre-start script foo", unexpected},
		{"env", token}, {"env A=1 B=2", unexpected}, {"export", token}, {"emits", token},
		{"instance", token}, {"instance a b", unexpected}, {"expect", token}, {"expect foo", unknown},
		{"task x", unexpected}, {"respawn foo", unknown}, {"respawn limit", token}, {"respawn limit 5", token},
		{"respawn limit x 5", limit}, {"respawn limit 5 x", interval}, {"respawn limit 5 5 5", unexpected},
		{"respawn limit -1 5", limit}, {"respawn limit 0 5", "ok"}, {"kill", token}, {"kill timeout", token},
		{"kill foo", unknown}, {"kill timeout 0x5", interval}, {"kill timeout 99999999999999999999", interval},
		{"kill signal SIGFOO", signal}, {"reload signal", token}, {"normal", token}, {"normal exit", token},
		{"normal foo", unknown}, {"normal exit -1", exit}, {"normal exit x", exit}, {"normal exit 256 SIGTERM 15", "ok"},
		{"console", token}, {"console foo", unknown}, {"console logged", unknown},
		{"umask 9", umask}, {"umask 1000", umask}, {"umask 022x", umask}, {"umask 777", "ok"},
		{"nice 20", nice}, {"nice -21", nice}, {"nice -20", "ok"}, {"nice +5 # c", "ok"},
		{"oom 16", oom}, {"oom -17", "ok"}, {"oom never", "ok"}, {"oom score 1001", score}, {"oom score", token},
		{"limit nofile 10", token}, {"limit foo 1 1", unknown}, {"limit locks 1 1", unknown}, {"limit core x 1", limit},
		{"limit nofile -1 -1", "ok"}, {"limit as 1 unlimited", "ok"}, {"setuid a b", unexpected},
		{"apparmor", token}, {"apparmor load", token}, {"cgroup", token}, {"cgroup a b c d e", unexpected},
		{"cgroup a b c d", "ok"}, {"manual foo", unknown}, {"debug foo", unknown}, {"manual exec sleep 9", "ok"},
		{"start", token}, {"start on", token}, {"start when a", unknown}, {`start "on" a`, unknown},
		{"start on a or", event}, {"start on or a", event}, {"start on a or or b", event}, {"start on ()", event}, {"start on )", event},
		{"start on a or b)", parens}, {"start on (a))", parens}, {"start on (a or b\n", "2: Mismatched parentheses"},
		{"start on (\n)", "2: Expected event"}, {"start on (a\n or b # c\n or c)", "ok"},
		{"start on (a\n\n or b)", "ok"}, {"start on (\n# c\na)", "ok"}, // 40
		{"start on (a)\nor b", "2: Unknown stanza"}, {"start on a X=1 y", variable}, {"start on a X!=1 y", variable},
		{"start on a y X=1", "ok"}, {`start on a ""`, token}, {`start on "" or a`, token}, {`start on a X=""`, "ok"},
		{"start on a(b)", operator}, {"start on (a) b", operator}, {"start on a X=(b)", operator},
		{"start on a or(b)and c", "ok"}, {`kill "signal" TERM`, unknown}, {`respawn "limit" 1 1`, unknown},
		{`expect "fork"`, "ok"}, {`console "none"`, "ok"}, {`limit "nofile" 1 1`, "ok"}, {`oom "never"`, "ok"}, {`kill signal "TERM"`, "ok"},
		{"kill signal term", signal}, {"normal exit sigterm", exit}, {"kill timeout 5 6", unexpected},
		{"respawn # c", "ok"}, {"task # c", "ok"}, {`usage "x" # c`, "ok"},
		{"oom -18", oom}, {"oom score -1001", score}, {"oom score -1000", "ok"},
		{"service", unknown}, {"daemon", unknown}, {"session leader", unknown}, {"pid file x", unknown},
		{"normalexit 0", unknown}, {"on x", unknown}, {"import X", unknown}, {"depends x", unknown},

		{"usage a\\\n   b", "2: Unexpected token"}, {`usage a\`, "1: Trailing slash in file"}, {`usage "a`, "1: Unterminated quoted string"},
		{`usage ""`, token}, {"start on a and (b", parens}, {"start on (a or b) (c)", operator},
		{"reload signal 0", "ok"}, {"kill signal 64", "ok"}, {"kill signal 65", signal}, // 2
		{"kill timeout 0", "ok"}, {"kill timeout -1", interval}, {`nice " 5"`, "ok"}, {`nice "5 "`, nice},
		{"essential", "ok"}, {"essential x", unexpected}, {"expect notify", "ok"}, {"start timeout 5", "ok"}, {"start timeout x", interval},
		{"start timeout", token}, {"respawn delay 1", "ok"}, {"respawn delay 1 30", "ok"}, {"respawn delay", token},
		{"respawn delay 5 1", "1: Illegal interval"}, {"respawn delay 1 2 3", unexpected},
		{"kill scope job", "ok"}, {"kill scope group", "ok"}, {"kill scope all", unknown}, {"kill scope", token},
	}
}()

func TestVerdicts(t *testing.T) {
	for _, tt := range verdicts {
		if got := verdict([]byte(tt.in)); got != tt.want && (tt.want == "ok" || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
}

// TestUpstartRefusesOurs has the stanzas that Upstart does not know.
func TestUpstartRefusesOurs(t *testing.T) {
	for _, src := range []string{
		"essential", "expect notify", "start timeout 5", "respawn delay 1", "kill scope job", "start on (a\n\n or b)",
	} {
		p := Parser{Upstart: true}
		class, found := p.Parse("x", "x.conf", []byte(src))
		if class != nil || len(found) != 1 || !strings.Contains(found[0].Msg, "Upstart 1.13 does not know it") && !strings.HasPrefix(src, "start on") {
			t.Errorf("%q: %v, %v", src, class, found)
		}
	}
}

func TestExpressions(t *testing.T) {
	tests := []struct{ in, want string }{
		{"a", "a"},
		{"a or b and c", "((a or b) and c)"},
		{"a or(b)and c", "((a or b) and c)"},
		{"(a and b) or (c X=1 and d Y!=2)", "((a and b) or (c X=1 and d Y!=2))"},
		{`"a b" X="c d"`, "a b X=c d"},
		{`a "or" b`, "a or b"},
		{"not a", "not a"},
		{"a \\\n b", "a b"},
		{"(a\n# c\n\n or b) # d", "(a or b)"},
	}
	for _, tt := range tests {
		class, err := Parse("x", "x.conf", []byte("start on "+tt.in))
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
		} else if got := class.StartOn.String(); got != tt.want {
			t.Errorf("%s = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct{ in, want string }{
		{"manual exec sleep 9", "x.conf:1:8: warning: manual takes no arguments; what follows is read as another stanza"},
		{"start on a and b or c", "x.conf:1:18: warning: and and or are mixed without parentheses; both bind alike, from left to right: ((a and b) or c)"},
		{"start on a or (b) and c", "x.conf:1:19: warning: and and or are mixed without parentheses; both bind alike, from left to right: ((a or b) and c)"},
		{"start on (a or b) and c", ""},
		{"start on (a or b) and (c or d)", ""},
		{"manual # c", ""},
		{"exec a\n script\nend script", "x.conf:2:2: warning: this takes the place of the process in line 1"},
		{"pre-start exec a\npre-start exec b\nexec c", "x.conf:2:1: warning: this takes the place of pre-start in line 1"},
		{"start on a\nstart on b", "x.conf:2:1: warning: this takes the place of start on in line 1; conditions are joined by or"},
		{"start on a\nmanual\nstart on b", ""},
		{"stop on a\nstop on b\nstop on c", "x.conf:2:1: warning: this takes the place of stop on in line 1; conditions are joined by or; " +
			"x.conf:3:1: warning: this takes the place of stop on in line 2; conditions are joined by or"},
	}
	for _, tt := range tests {
		class, found := new(Parser).Parse("x", "x.conf", []byte(tt.in))
		if class == nil || found.Error() != tt.want {
			t.Errorf("%q: %v, want %s", tt.in, found, tt.want)
		}
	}
}
