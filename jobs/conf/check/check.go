// Package check is the commands that check job files without running anything:
// tend check and init-checkconf.
package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tend/jobs/conf"
)

const usage = `Usage: tend check [OPTION...] [PATH...]

Checks job files and overrides without running anything. PATH is a file or a
directory; the default is $TEND_CONFDIR, $UPSTART_CONFDIR or /etc/init.

      --json       print the findings as JSON
      --upstart    refuse what Upstart 1.13 does not know
  -h, --help       print this help

Exit status: 0 no errors, 1 errors, 2 a wrong call. Warnings are no errors.

Examples:
  tend check
  tend check --upstart web.conf
  RUN ["/sbin/tend", "check"]        in a Dockerfile
`

// Main is "tend check" with the arguments behind these words. It returns the exit
// status: 0 when there is no error, 1 when there is, 2 for a wrong call.
func Main(args []string, stdout, stderr io.Writer) int {
	c := checker{shell: shellPath()}
	asJSON := false
	var paths []string
	for i, arg := range args {
		if arg == "--" {
			paths = append(paths, args[i+1:]...)
			break
		}
		switch {
		case arg == "--json":
			asJSON = true
		case arg == "--upstart":
			c.parser.Upstart = true
		case arg == "-h" || arg == "--help":
			io.WriteString(stdout, usage)
			return 0
		case strings.HasPrefix(arg, "-"):
			fmt.Fprintf(stderr, "tend check: unknown option %s\n%s", arg, usage)
			return 2
		default:
			paths = append(paths, arg)
		}
	}
	if len(paths) == 0 {
		paths = defaultDirs()
	}
	for _, path := range paths {
		if err := c.path(path); err != nil {
			fmt.Fprintf(stderr, "tend check: cannot check %s: %v\n", path, cause(err))
			return 2
		}
	}
	c.jobs()
	c.sort()
	if asJSON {
		c.writeJSON(stdout)
	} else {
		c.write(stdout)
	}
	if errors, _ := c.count(); errors > 0 {
		return 1
	}
	return 0
}

// defaultDirs are the directories that tend reads when its options name none.
func defaultDirs() []string {
	dirs := strings.FieldsFunc(os.Getenv("TEND_CONFDIR"), func(r rune) bool { return r == ':' })
	if len(dirs) > 0 {
		return dirs
	}
	if dir := os.Getenv("UPSTART_CONFDIR"); dir != "" {
		return []string{dir}
	}
	return []string{"/etc/init"}
}

// cause is an error without the path that the message names already.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// finding is an error or a warning as --json shows it.
type finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Width    int    `json:"width"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
}

func newFinding(e *conf.Error) finding {
	f := finding{File: e.File, Line: e.Line, Column: e.Column, Width: e.Width, Severity: "error", Message: e.Msg}
	if e.Warning {
		f.Severity = "warning"
	}
	return f
}

// count returns the numbers of errors and of warnings.
func (c *checker) count() (errors, warnings int) {
	for i := range c.findings {
		if c.findings[i].Warning {
			warnings++
		} else {
			errors++
		}
	}
	return errors, warnings
}

// writeJSON writes one object; docs/check.md describes it.
func (c *checker) writeJSON(w io.Writer) {
	errors, warnings := c.count()
	list := make([]finding, len(c.findings))
	for i, e := range c.findings {
		list[i] = newFinding(e)
	}
	out, err := json.MarshalIndent(struct {
		Version  int       `json:"version"`
		Files    int       `json:"files"`
		Errors   int       `json:"errors"`
		Warnings int       `json:"warnings"`
		Findings []finding `json:"findings"`
	}{1, c.files, errors, warnings, list}, "", "  ")
	if err != nil {
		panic(err) // strings and numbers only
	}
	w.Write(append(out, '\n'))
}

// write writes the findings for people, file by file.
func (c *checker) write(w io.Writer) {
	file := ""
	for _, e := range c.findings {
		if e.File != file {
			file = e.File
			fmt.Fprintf(w, "%s:\n", file)
		}
		f := newFinding(e)
		fmt.Fprintf(w, "  %d:%d: %s: %s\n", f.Line, f.Column, f.Severity, f.Message)
		if line, ok := c.line(file, f.Line); ok {
			number := fmt.Sprintf("%6d", f.Line)
			fmt.Fprintf(w, "%s | %s\n%*s | %s\n", number, line, len(number), "", caret(line, f.Column, f.Width))
		}
	}
	errors, warnings := c.count()
	fmt.Fprintf(w, "%s checked: %s, %s\n", plural(c.files, "file"), plural(errors, "error"), plural(warnings, "warning"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// line returns a line of a file that has been checked, without its end.
func (c *checker) line(file string, n int) (string, bool) {
	lines := strings.Split(string(c.sources[file]), "\n")
	if n > len(lines) || n == len(lines) && lines[n-1] == "" {
		return "", false
	}
	return strings.TrimRight(lines[n-1], "\r"), true
}

// caret marks the word of the line that begins in the column.
func caret(line string, column, width int) string {
	before := line[:min(column-1, len(line))]
	word := line[len(before):]
	word = word[:min(width, len(word))]
	var b strings.Builder
	for _, r := range before {
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat("^", max(len([]rune(word)), 1)))
	return b.String()
}

// nameOf is the name of the job that a file is about when it is checked alone.
func nameOf(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}
