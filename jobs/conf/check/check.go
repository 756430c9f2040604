// Package check is the commands that check job files without running anything:
// tend check and init-checkconf.
package check

import (
	"errors"
	"io"
	"os"
	filepath "path" // which does the same here, with less
	"strconv"
	"strings"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/jobs/jsonl"
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
			io.WriteString(stderr, "tend check: unknown option "+arg+"\n"+usage)
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
			io.WriteString(stderr, "tend check: cannot check "+path+": "+cause(err).Error()+"\n")
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
	if at, ok := errors.AsType[*os.PathError](err); ok {
		return at.Err
	}
	return err
}

// finding is an error or a warning as --json shows it.
type finding struct {
	file                string
	line, column, width int
	severity, message   string
}

func newFinding(e *conf.Error) finding {
	f := finding{file: e.File, line: e.Line, column: e.Column, width: e.Width, severity: "error", message: e.Msg}
	if e.Warning {
		f.severity = "warning"
	}
	return f
}

// Fields is for jsonl.
func (f *finding) Fields(c *jsonl.Codec) {
	c.String("file", &f.file)
	c.Int("line", &f.line)
	c.Int("column", &f.column)
	c.Int("width", &f.width)
	c.String("severity", &f.severity)
	c.String("message", &f.message)
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
	r := report{1, c.files, errors, warnings, make([]finding, len(c.findings))}
	for i, e := range c.findings {
		r.findings[i] = newFinding(e)
	}
	w.Write(append(jsonl.Indent(nil, jsonl.Append(nil, &r)), '\n'))
}

// report is what --json prints.
type report struct {
	version, files, errors, warnings int
	findings                         []finding
}

// Fields is for jsonl.
func (r *report) Fields(c *jsonl.Codec) {
	c.Int("version", &r.version)
	c.Int("files", &r.files)
	c.Int("errors", &r.errors)
	c.Int("warnings", &r.warnings)
	c.List("findings", len(r.findings), func(i int) jsonl.Object { return &r.findings[i] })
}

// numberWidth is the width of the line numbers that are shown for people.
const numberWidth = 6

// write writes the findings for people, file by file.
func (c *checker) write(w io.Writer) {
	file := ""
	for _, e := range c.findings {
		if e.File != file {
			file = e.File
			io.WriteString(w, file+":\n")
		}
		f := newFinding(e)
		io.WriteString(w, "  "+strconv.Itoa(f.line)+":"+strconv.Itoa(f.column)+": "+f.severity+": "+f.message+"\n")
		if line, ok := c.line(file, f.line); ok {
			number := strconv.Itoa(f.line)
			number = jobs.Fill(' ', numberWidth-len(number)) + number
			io.WriteString(w, number+" | "+line+"\n"+jobs.Fill(' ', len(number))+" | "+caret(line, f.column, f.width)+"\n")
		}
	}
	errors, warnings := c.count()
	io.WriteString(w, plural(c.files, "file")+" checked: "+plural(errors, "error")+", "+plural(warnings, "warning")+"\n")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
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
	b.WriteString(jobs.Fill('^', max(len([]rune(word)), 1)))
	return b.String()
}

// nameOf is the name of the job that a file is about when it is checked alone.
func nameOf(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}
