package check

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"tend/jobs"
	"tend/jobs/conf"
)

const checkconfUsage = `Usage: %s [OPTION...] FILE

Checks one job file without running anything; see also tend check.

  -s, --noscript   do not check the syntax of scripts
  -d, -f           accepted for compatibility
  -h, --help       print this help
`

// CheckConf is init-checkconf; prog is the name that it was called by. It returns
// the exit status, 0 or 1.
func CheckConf(args []string, prog string, stdout, stderr io.Writer) int {
	fail := func(format string, a ...any) int {
		fmt.Fprintf(stderr, "ERROR: "+format+"\n", a...)
		return 1
	}
	path, shell := "", shellPath()
	for _, arg := range args {
		switch arg {
		case "-h", "--help":
			fmt.Fprintf(stdout, checkconfUsage, filepath.Base(prog))
			return 0
		case "-s", "--noscript":
			shell = ""
		case "-d", "--debug", "-f", "--force", "--":
		default:
			path = arg
		}
	}
	if path == "" {
		return fail("Must specify configuration file")
	}
	src, err := os.ReadFile(path)
	switch {
	case os.IsNotExist(err):
		return fail("File %s does not exist", path)
	case !strings.HasSuffix(path, ".conf"):
		return fail("File must end in .conf")
	case err != nil:
		return fail("File %s: %v", path, cause(err))
	}
	class, found := new(conf.Parser).Parse(nameOf(path), path, src)
	if class == nil {
		code := fail("File %s: syntax invalid:", path)
		for _, e := range found.Fatal() {
			fmt.Fprintln(stderr, e)
		}
		return code
	}
	for kind, command := range class.Processes {
		if command == nil || !command.Script || shell == "" {
			continue
		}
		if text, err := syntax(shell, command.Text); err == nil && text != "" {
			section := jobs.Process(kind).String()
			if jobs.Process(kind) == jobs.Main {
				section = "script"
			}
			code := fail("File %s: shell syntax invalid in %s section:", path, section)
			fmt.Fprintln(stderr, text)
			return code
		}
	}
	fmt.Fprintf(stdout, "File %s: syntax ok\n", path)
	return 0
}
