// Package check is the commands that check job files without running anything:
// tend check and init-checkconf.
package check

import "io"

// Main is "tend check" with the arguments behind these words. It returns the exit
// status: 0 when there is no error, 1 when there is, 2 for a wrong call.
func Main(args []string, stdout, stderr io.Writer) int { return 0 }

// CheckConf is init-checkconf; prog is the name that it was called by. It returns
// the exit status, 0 or 1.
func CheckConf(args []string, prog string, stdout, stderr io.Writer) int { return 0 }
