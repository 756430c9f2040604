package conf

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tend/jobs"
	"tend/jobs/event"
)

// seed adds the recorded files, the samples and the inputs of the golden files.
func seed(f *testing.F) {
	for _, pattern := range []string{recorded + "/*.conf", "testdata/*/*.conf"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, name := range files {
			src, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	for _, tt := range verdicts {
		f.Add([]byte(tt.in))
	}
	f.Add([]byte("usage \"a\\ b'\"'\"' \\\\ c\"\nexec a \\\n \"b\n c\" \\$X\n"))
	f.Add([]byte("start on (\"and\" \"or\"=1 or ((a $X) and b =x !=y))\nrespawn delay 1 2\n"))
}

// FuzzParse checks that parsing does not panic, that errors have places inside of
// the file, and that a class that is written and read again is the same.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		class, found := new(Parser).Parse("x", "x.conf", src)
		if (class == nil) != (len(found.Fatal()) > 0) {
			t.Fatalf("class %v with errors %v", class, found)
		}
		lines := bytes.Count(src, []byte("\n")) + 1
		for _, e := range found {
			if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Column > len(src)+1 || strings.Contains(e.Msg, "internal error") || strings.Contains(e.Msg, "\n") {
				t.Fatalf("%v", e)
			}
		}
		if class == nil {
			return
		}
		text := Format(class)
		again, err := Parse("x", "x.conf", text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if forgetLines(class); !reflect.DeepEqual(class, forgetLines(again)) {
			t.Fatalf("%+v\nwritten:\n%s\nread: %+v", class, text, again)
		}
	})
}

// FuzzToken compares the two ways of reading a token, and the two forms.
func FuzzToken(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, end := range []kinds{endOfLine, endOfWord, endOfTerm} {
			for _, dequote := range []bool{false, true} {
				l := lexer{src: src, pos: pos{line: 1}}
				n := l.plainLen(end)
				fast, _ := l.token(end, dequote)
				slow := lexer{src: src, pos: pos{line: 1}}
				unclosed := slow.quoted(end, dequote)
				if n >= 0 && unclosed.line == 0 && !bytes.Equal(fast.text, slow.buf) && end&blank != 0 {
					t.Errorf("%q: %q, %q", src, fast.text, slow.buf)
				}
				if l.off > len(src) || l.line != 1+bytes.Count(src[:l.off], []byte("\n")) {
					t.Errorf("%q: stands at %d in line %d", src, l.off, l.line)
				}
			}
		}
	})
}

// forgetLines takes the places out of a class.
func forgetLines(c *jobs.Class) *jobs.Class {
	for i, p := range c.Processes {
		if p != nil {
			c.Processes[i] = &jobs.Command{Text: p.Text, Script: p.Script}
		}
	}
	forgetPlaces(c.StartOn)
	forgetPlaces(c.StopOn)
	return c
}

func forgetPlaces(o *event.Operator) {
	if o != nil {
		o.Line, o.Col = 0, 0
		forgetPlaces(o.Left)
		forgetPlaces(o.Right)
	}
}
