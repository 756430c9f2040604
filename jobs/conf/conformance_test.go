package conf

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const recorded = "../../test/conformance/parser"

// fixed has the verdicts that differ from the recorded ones, with the number of
// the defect of Upstart that we do not share.
var fixed = map[string]struct {
	defect  int
	verdict string
}{
	"badsig99.conf":    {2, "1: Illegal signal status, expected integer: 99 (expected a name or 1 to 64)"},
	"ks_zero.conf":     {2, "1: Illegal signal status, expected integer: 0 (expected a name or 1 to 64)"},
	"ks_lc.conf":       {45, "1: Illegal signal status, expected integer: term (expected a name or 1 to 64; did you mean TERM?)"},
	"ks_neg.conf":      {45, "1: Illegal signal status, expected integer: -1 (expected a name or 1 to 64)"},
	"oomsm1001.conf":   {48, "1: Illegal oom score adjustment, expected -1000 to 1000 or 'never'"},
	"oomsx.conf":       {48, "1: Illegal oom score adjustment, expected -1000 to 1000 or 'never'"},
	"paren_blank.conf": {40, "ok"},
}

// TestRecordedVerdicts compares verdict, line and the beginning of the message
// with what a real Upstart 1.13.2 said about the same files.
func TestRecordedVerdicts(t *testing.T) {
	f, err := os.Open(filepath.Join(recorded, "expected.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files, differ := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); files++ {
		fields := strings.Split(lines.Text(), "\t")
		name, want := fields[1], "ok"
		if fields[0] == "BAD" {
			want = fields[2] + ": " + fields[3]
		}
		if own, ok := fixed[name]; ok {
			want = own.verdict
			differ++
		}
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(filepath.Join(recorded, name))
			if err != nil {
				t.Fatal(err)
			}
			got := verdict(src)
			if want == "ok" && got != "ok" || !strings.HasPrefix(got, want) {
				t.Errorf("%q: %s, want %s", src, got, want)
			}
		})
	}
	if files != 174 || differ != len(fixed) {
		t.Errorf("%d files, %d of %d differences", files, differ, len(fixed))
	}
}

// verdict is "ok", or the line and the message of the first error.
func verdict(src []byte) string {
	_, err := Parse("x", "x.conf", src)
	if err == nil {
		return "ok"
	}
	first := err.(Errors)[0]
	return fmt.Sprintf("%d: %s", first.Line, first.Msg)
}
