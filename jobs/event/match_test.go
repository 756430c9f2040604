package event

import (
	"strings"
	"testing"

	"tend/jobs/environ"
)

func TestFnMatch(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "b", false}, {"a", "", false},
		{"*", "", true}, {"*", "a/.b", true}, {"?", "/", true}, {"?", "", false}, {"?", ".", true}, {"?", "é", false},
		{"a*b*c", "axxbyyc", true}, {"a*b*c", "axxbyy", false}, {"*a", "ba", true}, {"*a", "ab", false}, {"**", "x", true},
		{"a*ab", "aaab", true}, {"*?", "", false}, {"*?", "a", true}, {"eth*", "eth0", true},
		{"[2345]", "2", true}, {"[2345]", "6", false}, {"[!2345]", "6", true}, {"[!2345]", "2", false}, {"[^2345]", "6", true},
		{"[!2345]", "", false}, {"[2345]", "23", false}, {"[a-c]x", "bx", true}, {"[a-c]", "d", false}, {"[c-a]", "b", false},
		{"[]a]", "]", true}, {"[]a]", "a", true}, {"[!]a]", "b", true}, {"[!]a]", "]", false}, {"[a-]", "-", true}, {"[-a]", "-", true},
		{"[[:digit:]]", "5", true}, {"[[:digit:]]", "a", false}, {"[![:space:]x]", "a", true}, {"[![:space:]x]", "x", false},
		{"[[:alpha:][:digit:]_]*", "_1", true}, {"[[:upper:]]", "a", false}, {"[[:nonsense:]]", "a", false}, {"[[:xdigit:]]", "F", true},
		{"[[:punct:]]", "!", true}, {"[[:blank:]]", "\t", true}, {"[[:cntrl:]]", "\x01", true}, {"[[:print:]]", " ", true},
		{"[[:graph:]]", " ", false}, {"[[:lower:]]", "a", true}, {"[[:alnum:]]", "-", false},
		{"[[.a.]]", "a", true}, {"[[=a=]b]", "a", true}, {"[[.a.]-c]", "b", true},
		{"[", "[", true}, {"[a", "[a", true}, {"[a", "a", false}, {"x[", "x[", true}, {"[!", "[!", true}, {"[]", "[]", true},
		{`\*`, "*", true}, {`\*`, "a", false}, {`a\b`, "ab", true}, {`\\`, `\`, true}, {`\`, `\`, false}, {`a\`, "a", false}, {`[\]]`, "]", true}, {`[a\-c]`, "b", false}, {`[a\-c]`, "-", true},
		{"[/]", "/", true}, {"a*/b", "a/x/b", true}, {"*[ab]*c", "xxbxxcxc", true}, {"*.conf", ".conf", true},
		{`\[2]`, "[2]", true},
	}
	for _, tt := range tests {
		if got := FnMatch(tt.pattern, tt.s); got != tt.want {
			t.Errorf("FnMatch(%q, %q) = %v, want %v", tt.pattern, tt.s, got, tt.want)
		}
	}
}

func TestMatches(t *testing.T) {
	ev := Event{Name: "ev", Env: environ.Env{"A=1", "B=two/x", "C="}}
	job := environ.Env{"V=1", "G=t*"}
	tests := []struct {
		term string
		want bool
	}{
		{"ev", true}, {"e*", false}, {"EV", false}, {"ev 1", true}, {"ev 2", false}, {"ev 1 t*", true}, {"ev 1 t* ?", false}, {"ev * * *", true},
		{"ev * * * *", false}, {"ev A=1", true}, {"ev B=two*", true}, {"ev B=one*", false}, {"ev C=", true}, {"ev C!=", false},
		{"ev A!=2", true}, {"ev A!=1", false}, {"ev D!=1", false}, {"ev D=", false}, {"ev !=1", false}, {"ev =1", false},
		{"ev A=$V", true}, {"ev B=$G", true}, {"ev A=$U", false}, {"ev A!=$U", false}, {"ev A=${U:-1}", true}, {"ev A=${U", false},
		{"ev 1 B=two/x", true}, {"ev A=[12]", true}, {"ev A=1=1", false}, {`ev A=\1`, true},
	}
	for _, tt := range tests {
		var b Builder
		for i, word := range strings.Fields(tt.term) {
			if err := b.Word(word, true, 1, i); err != nil {
				t.Fatalf("%s: %v", tt.term, err)
			}
		}
		term, err := b.Finish()
		if err != nil {
			t.Fatalf("%s: %v", tt.term, err)
		}
		if got := term.Matches(ev, environ.Layers{Over: job}); got != tt.want {
			t.Errorf("%s matches %v: %v, want %v", tt.term, ev, got, tt.want)
		}
	}
}

// TestMatchesAllocatesNothing matters because every event is offered to every term
// of every job.
func TestMatchesAllocatesNothing(t *testing.T) {
	term := &Operator{Name: "runlevel", Args: []Arg{{Pattern: "[2345]", Raw: "[2345]"}, {Key: "PREVLEVEL", Negate: true, Pattern: "S", Raw: "PREVLEVEL!=S"}}}
	ev := Event{Name: "runlevel", Env: environ.Env{"RUNLEVEL=2", "PREVLEVEL=N"}}
	if n := testing.AllocsPerRun(100, func() {
		if !term.Matches(ev, environ.Layers{}) {
			t.Error("no match")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestBuilder(t *testing.T) {
	tests := []struct{ in, want string }{
		{"a", "a"}, {"a or b and c", "((a or b) and c)"}, {"a and ( b or c ) and d", "((a and (b or c)) and d)"},
		{"( ( a ) )", "a"}, {"a X=1 y=2", "a X=1 y=2"}, {"a b c=d", "a b c=d"},
		{"", "Expected event"}, {"or", "Expected event"}, {"a or", "Expected event"}, {"a or and b", "Expected event"}, {"( )", "Expected event"}, {")", "Expected event"},
		{"a )", "Mismatched parentheses"}, {"( a", "Mismatched parentheses"}, {"( a ) b", "Expected operator"}, {"a ( b )", "Expected operator"},
		{"( a ) ( b )", "Expected operator"}, {"a X=1 b", "Expected variable name before value"}, {"a !=1 b", "Expected variable name before value"},
		{strings.Repeat("( ", 1000) + "a", ErrTooLarge.Error()}, {strings.Repeat("a or ", 5000) + "a", ErrTooLarge.Error()},
	}
	for _, tt := range tests {
		got := build(tt.in)
		if got != tt.want {
			t.Errorf("%.40q = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// build returns the expression or the error.
func build(in string) string {
	var b Builder
	for i, word := range strings.Fields(in) {
		var err error
		switch word {
		case "(":
			err = b.Open(1, i)
		case ")":
			err = b.Close()
		default:
			err = b.Word(word, true, 1, i)
		}
		if err != nil {
			return err.Error()
		}
	}
	tree, err := b.Finish()
	if err != nil {
		return err.Error()
	}
	return tree.String()
}

func FuzzBuilder(f *testing.F) {
	for _, s := range []string{"a or b and c", "( a or ( b ) ) and c X=1", "( )", ") (", "a !=1 b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		words := strings.ReplaceAll(strings.ReplaceAll(in, "(", " ( "), ")", " ) ")
		text := build(words)
		for _, err := range []error{ErrExpectedEvent, ErrExpectedOperator, ErrExpectedVariable, ErrMismatched, ErrTooLarge} {
			if text == err.Error() {
				return
			}
		}
		again := build(strings.ReplaceAll(strings.ReplaceAll(text, "(", " ( "), ")", " ) "))
		if again != text {
			t.Errorf("%q = %s, and that is %s", in, text, again)
		}
	})
}

// FuzzFnMatch compares the match with the definition, which takes every star by
// itself.
func FuzzFnMatch(f *testing.F) {
	for _, s := range []string{"a*b?c", "[!a-c]*", `\**`, "[[:digit:]]*x", "[]"} {
		f.Add(s, "aXbYc")
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		got := FnMatch(pattern, s)
		if len(pattern) > 12 || len(s) > 12 {
			return
		}
		if want := defined(pattern, s); got != want {
			t.Errorf("FnMatch(%q, %q) = %v, want %v", pattern, s, got, want)
		}
	})
}

func defined(p, s string) bool {
	if p == "" {
		return s == ""
	}
	if p[0] == '*' {
		return defined(p[1:], s) || s != "" && defined(p, s[1:])
	}
	if s == "" {
		return false
	}
	n, ok := matchOne(p, s[0])
	return ok && n <= len(p) && defined(p[n:], s[1:])
}

// BenchmarkMatches offers an event to terms of which one fits, one has another name
// and one does not fit.
func BenchmarkMatches(b *testing.B) {
	ev := Event{Name: "runlevel", Env: environ.Env{"RUNLEVEL=2", "PREVLEVEL=N"}}
	var none environ.Layers
	for _, tt := range []struct {
		name string
		term Operator
	}{
		{"fits", Operator{Name: "runlevel", Args: []Arg{{Pattern: "[2345]"}, {Key: "PREVLEVEL", Negate: true, Pattern: "S"}}}},
		{"other name", Operator{Name: "started", Args: []Arg{{Pattern: "web"}}}},
		{"other value", Operator{Name: "runlevel", Args: []Arg{{Pattern: "[!2345]"}}}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tt.term.Matches(ev, none)
			}
		})
	}
}
