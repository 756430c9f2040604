package environ

import (
	"errors"
	"strings"
	"testing"
)

var table = Env{"X=val", "E=", "N=X", "A_1=one", "B=a}b", "D=a$X", "a}b=odd", "S=sp ace"}

func TestExpand(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""}, {"plain \\ '\"", "plain \\ '\""},
		{"$X", "val"}, {"a$X-b", "aval-b"}, {"$X$X", "valval"}, {"$A_1.", "one."}, {"$E", ""},
		{"${X}", "val"}, {"${}", "$"}, {"a${}X", "a$X"},
		{"${X-d}", "val"}, {"${U-d}", "d"}, {"${E-d}", ""}, {"${E:-d}", "d"}, {"${U:-d}", "d"}, {"${X:-d}", "val"}, {"${U-}", ""},
		{"${X+a}", "a"}, {"${U+a}", ""}, {"${E+a}", "a"}, {"${E:+a}", ""}, {"${X:+a}", "a"}, {"${U:+a}", ""},
		{"${$N}", "val"}, {"${${N}}", "val"}, {"${U-$X}", "val"}, {"${U-${X}}", "val"}, {"${U-${V-x}y}z", "xyz"},
		{"${U:-a:b-c+d}", "a:b-c+d"}, {"${U-{}}", "{}"}, {"${$E}", "$"},
		{"$D", "a$X"}, {"${U-$D}", "a$X"}, {"${$B}", "odd"}, {"${U-$B}", "a}b"},
		{"$", "$"}, {"$$", "$$"}, {"$1", "$1"}, {"a$", "a$"}, {"$ X", "$ X"}, {"$-", "$-"}, {"\\$X", "\\val"}, {"'$X'", "'val'"},
		{"${X}}", "val}"}, {"}", "}"}, {"{$X}", "{val}"}, {"$Xé", "valé"}, {"$S", "sp ace"},
	}
	for _, tt := range tests {
		got, err := Expand(tt.in, table.Lookup)
		if err != nil || got != tt.want {
			t.Errorf("Expand(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestExpandErrors(t *testing.T) {
	tests := []struct{ in, want string }{
		{"$U", "Unknown parameter: U"}, {"${U}", "Unknown parameter: U"}, {"a$Ub", "Unknown parameter: Ub"},
		{"${X-$U}", "Unknown parameter: U"}, {"${U+$V}", "Unknown parameter: V"}, {"${$U}", "Unknown parameter: U"},
		{"${$X}", "Unknown parameter: val"}, {"${a b}", "Unknown parameter: a b"},
		{"${X:=y}", "Expected operator"}, {"${X:}", "Expected operator"}, {"${X:", "Expected operator"}, {"${X:?y}", "Expected operator"},
		{"${", "Mismatched braces"}, {"${X", "Mismatched braces"}, {"${X-", "Mismatched braces"}, {"${X:-a${X}", "Mismatched braces"},
		{strings.Repeat("${", 1000), ErrTooLong.Error()},
	}
	for _, tt := range tests {
		got, err := Expand(tt.in, table.Lookup)
		if err == nil || err.Error() != tt.want || got != "" {
			t.Errorf("Expand(%q) = %q, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestExpandIsBounded(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	lookup := func(string) (string, bool) { return long, true }
	if _, err := Expand(strings.Repeat("$X", 100), lookup); !errors.Is(err, ErrTooLong) {
		t.Errorf("ten megabytes: %v", err)
	}
	if got, err := Expand("$X$X", lookup); err != nil || len(got) != 2*len(long) {
		t.Errorf("two values: %d bytes, %v", len(got), err)
	}
}

// TestExpandPlainAllocatesNothing matters because every pattern of every job goes
// this way at every event.
func TestExpandPlainAllocatesNothing(t *testing.T) {
	lookup := table.Lookup
	if n := testing.AllocsPerRun(100, func() { Expand("[2345]", lookup) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$X", "${X:-a$N}", "${$N}", "${U+${E:-b}}", "${}", "${X:=y}", "${", "$1", "${U-${V-${W-}}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Expand(in, table.Lookup)
		switch {
		case err != nil && got != "":
			t.Errorf("Expand(%q) = %q with %v", in, got, err)
		case !strings.Contains(in, "$") && (err != nil || got != in):
			t.Errorf("Expand(%q) = %q, %v", in, got, err)
		}
		// With every variable set, only the form can be wrong.
		_, err = Expand(in, func(string) (string, bool) { return "v", true })
		if err != nil && err != ErrExpectedOperator && err != ErrMismatchedBraces && err != ErrTooLong {
			t.Errorf("Expand(%q): %v", in, err)
		}
	})
}
