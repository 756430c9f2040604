package check

import (
	"io"
	"os"
	filepath "path" // which does the same here, with less
	"strings"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/jobs/file"
)

const checkconfUsage = ` [OPTION...] FILE

Checks one job file without running anything; see also tend check.

  -s, --noscript   do not check the syntax of scripts
  -d, -f           accepted for compatibility
  -h, --help       print this help
`

// CheckConf is init-checkconf; prog is the name that it was called by. It returns
// the exit status, 0 or 1.
func CheckConf(args []string, prog string, stdout, stderr io.Writer) int {
	fail := func(text string) int {
		io.WriteString(stderr, "ERROR: "+text+"\n")
		return 1
	}
	path, shell := "", shellPath()
	for _, arg := range args {
		switch arg {
		case "-h", "--help":
			io.WriteString(stdout, "Usage: "+filepath.Base(prog)+checkconfUsage)
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
	src, err := file.Read(path)
	switch {
	case os.IsNotExist(err):
		return fail("File " + path + " does not exist")
	case !strings.HasSuffix(path, ".conf"):
		return fail("File must end in .conf")
	case err != nil:
		return fail("File " + path + ": " + cause(err).Error())
	}
	class, found := new(conf.Parser).Parse(nameOf(path), path, src)
	if class == nil {
		code := fail("File " + path + ": syntax invalid:")
		for _, e := range found.Fatal() {
			io.WriteString(stderr, e.Error()+"\n")
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
			code := fail("File " + path + ": shell syntax invalid in " + section + " section:")
			io.WriteString(stderr, text+"\n")
			return code
		}
	}
	io.WriteString(stdout, "File "+path+": syntax ok\n")
	return 0
}
