// Package fault makes the errors that say what could not be done, and why.
//
// It stands in for fmt.Errorf. Without package fmt, and package reflect that comes
// with it, the program is 200,000 bytes smaller.
package fault

// wrapped is a text and the error that it ends with.
type wrapped struct {
	what  string
	cause error
}

// Of returns an error whose text is "WHAT: CAUSE", and in which errors.Is and
// errors.As find the cause.
//
//go:noinline
func Of(what string, cause error) error { return &wrapped{what, cause} }

func (w *wrapped) Error() string { return w.what + ": " + w.cause.Error() }

// Unwrap returns the cause.
func (w *wrapped) Unwrap() error { return w.cause }
