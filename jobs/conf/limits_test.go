package conf

import (
	"strings"
	"testing"
)

// TestWorstFiles reads files of the largest size that could take long; that each
// ends with few errors is what keeps them short.
func TestWorstFiles(t *testing.T) {
	fill := func(s string) []byte { return []byte(strings.Repeat(s, MaxSize/len(s))) }
	for _, src := range [][]byte{
		fill("("), fill("\""), fill("\\"), fill("a "), fill("a\n"), fill("manual "), fill("script\n"), fill("start on (\n"),
		fill("x script\n"), fill("usage \"\n"), fill("start on a or b\n"), fill("exec a\n"), fill("pre-start script x\n"),
		[]byte("start on " + string(fill("a or ")[:MaxSize-10])), []byte("start on " + string(fill("(")[:MaxSize-10])),
		[]byte("start on a " + string(fill("x ")[:MaxSize-20])), []byte("script\n" + string(fill("  x\n")[:MaxSize-20])),
		[]byte("usage " + string(fill("\\\n")[:MaxSize-10])), []byte("emits " + string(fill("a ")[:MaxSize-10])), make([]byte, MaxSize),
	} {
		_, found := new(Parser).Parse("x", "x.conf", src)
		if len(found) > 2*maxErrors+1 {
			t.Errorf("%.20q: %d findings", src, len(found))
		}
		for _, e := range found {
			if len(e.Msg) > 1000 {
				t.Errorf("%.20q: a message of %d bytes", src, len(e.Msg))
			}
		}
	}
	if _, found := new(Parser).Parse("x", "x.conf", make([]byte, MaxSize+1)); len(found) != 1 || !strings.HasPrefix(found[0].Msg, "file too large") {
		t.Errorf("too large: %v", found)
	}
}
