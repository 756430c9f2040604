package fault

import (
	"errors"
	"io"
	"io/fs"
	"testing"
)

func TestOf(t *testing.T) {
	cause := &fs.PathError{Op: "open", Path: "/x", Err: io.EOF}
	err := Of("cannot read the file", Of("one more", cause))
	if got, want := err.Error(), "cannot read the file: one more: open /x: EOF"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	var path *fs.PathError
	if !errors.Is(err, io.EOF) || !errors.As(err, &path) || path != cause {
		t.Error("the cause is not found")
	}
}
