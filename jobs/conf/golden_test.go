package conf

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata/errors")

// TestErrors checks the findings in each file of testdata/errors against those
// that stand in the file: behind the line, under the word that is wrong; or at the
// end of the file, with line and column, where there is no room for that. They are
// taken out before parsing.
func TestErrors(t *testing.T) {
	files, _ := filepath.Glob("testdata/errors/*.conf")
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			src := withoutExpectations(text)
			_, found := new(Parser).Parse("x", name, src)
			got := withExpectations(src, found)
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if !bytes.Equal(got, text) {
				t.Errorf("got\n%s\nwant\n%s", got, text)
			}
			if len(found) == 0 {
				t.Error("no errors")
			}
		})
	}
}

const mark = "#~"

func withoutExpectations(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte(mark)) {
			out = append(out, line...)
		}
	}
	return out
}

func withExpectations(src []byte, found Errors) []byte {
	var out bytes.Buffer
	n := 0
	for line := range bytes.Lines(src) {
		n++
		out.Write(line)
		for _, e := range found {
			if e.Line == n && e.Column > len(mark) {
				fmt.Fprintf(&out, "%s%s%s %s\n", mark, strings.Repeat(" ", e.Column-1-len(mark)), strings.Repeat("^", max(e.Width, 1)), text(e))
			}
		}
	}
	for _, e := range found {
		if e.Line > n || e.Column <= len(mark) {
			fmt.Fprintf(&out, "%s %d:%d: %s\n", mark, e.Line, e.Column, text(e))
		}
	}
	return out.Bytes()
}

func text(e *Error) string {
	if e.Warning {
		return "warning: " + e.Msg
	}
	return e.Msg
}
