// Package ns runs the program as PID 1 of fresh namespaces, without Docker: exit
// statuses, signals, shutdown and reaping, in numbers that containers would be too
// slow for.
package ns

import (
	"fmt"
	"os"
	"testing"

	"tend/test/need"
)

// The test binary plays its own helpers: called as one of these by the environment
// variable, it does what the function does. unusedHelpers keeps the table free
// of leftovers.
const helperVar = "TEND_TEST_HELPER"

var helpers = map[string]func(args []string){
	"enter":   enter,
	"signals": printSignals,
	"orphans": leaveOrphans,
	"fds":     printFDs,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperVar); name != "" {
		os.Unsetenv(helperVar)
		helper, ok := helpers[name]
		if !ok {
			fmt.Fprintln(os.Stderr, "no helper", name)
			os.Exit(99)
		}
		helper(os.Args[1:])
		os.Exit(0)
	}
	code := m.Run()
	if code == 0 && !testing.Short() && !filtered() {
		code = unusedHelpers()
	}
	need.Clean()
	os.Exit(code)
}
