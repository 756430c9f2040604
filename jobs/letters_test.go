package jobs

import (
	"strings"
	"testing"
)

func TestLetters(t *testing.T) {
	var ascii []byte
	for c := range byte(0x80) {
		ascii = append(ascii, c)
	}
	if got, want := Upper(string(ascii)), strings.ToUpper(string(ascii)); got != want {
		t.Errorf("Upper: %q, want %q", got, want)
	}
	if got, want := Lower(string(ascii)), strings.ToLower(string(ascii)); got != want {
		t.Errorf("Lower: %q, want %q", got, want)
	}
	if got := Fill('x', 3) + Fill('y', 0) + Fill('z', -1); got != "xxx" {
		t.Errorf("Fill: %q", got)
	}
	if got := Upper("é\xff") + Lower("É\xff"); got != "é\xffÉ\xff" {
		t.Errorf("other letters become %q", got)
	}
}
