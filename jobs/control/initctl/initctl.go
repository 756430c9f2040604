// Package initctl is the programs that people and scripts talk to tend with:
// initctl, start, stop, status, telinit, shutdown and their kin (Upstart reference,
// section 7). They ask the server of package control and print.
package initctl

import (
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/control"
	"tend/jobs/jsonl"
)

// program is one run of a client.
type program struct {
	name   string // as messages show it
	stdout *output
	stderr io.Writer
	opts   options
	cmd    *command // nil until it is known

	commands []command
	globals  []*option
	tty      bool // stderr is a terminal
}

// usageError is a wrong call: the message, and where to look.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

//go:noinline
func usage(text string) error { return &usageError{text} }

// errSilent is a failure of which all is said already.
var errSilent = errors.New("failure")

// Names returns the names under which Main is a program of its own.
func Names() []string {
	return []string{
		"initctl", "start", "stop", "restart", "reload", "status", "list", "emit",
		"telinit", "runlevel", "shutdown", "reboot", "halt", "poweroff",
	}
}

// Main runs the program prog and returns its exit status, 0 or 1. A prog that is
// the name of a command is that command; any other is initctl.
func Main(prog string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{
		name: prog, stdout: &output{to: stdout}, stderr: stderr,
		commands: commands, globals: globals,
	}
	if f, ok := stderr.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		p.tty = err == nil
	}
	err := p.main(args)
	// What was printed before an error comes before it.
	if flushErr := p.stdout.flush(); err == nil && flushErr != nil {
		err = flushErr
	}
	return p.report(err)
}

func (p *program) main(args []string) error {
	if p.cmd = p.find(p.name); p.cmd != nil {
		return p.run(args)
	}
	rest, err := p.parse(args, nil, true)
	if err != nil || p.opts.done {
		return err
	}
	if len(rest) == 0 {
		return usage("missing command")
	}
	if p.cmd = p.find(rest[0]); p.cmd == nil {
		return usage("invalid command: " + rest[0])
	}
	return p.run(rest[1:])
}

// run parses the arguments behind the command and runs it.
func (p *program) run(args []string) error {
	rest, err := p.parse(args, p.cmd.options, false)
	if err != nil || p.opts.done {
		return err
	}
	return p.cmd.run(p, rest)
}

// report prints an error as Upstart does and returns the exit status.
func (p *program) report(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errSilent):
		return 1
	}
	text := p.name + ": " + err.Error()
	if first, _, _ := strings.Cut(err.Error(), " "); strings.HasSuffix(first, ":") {
		text = p.name + ":" + err.Error()
	}
	text += "\n"
	if _, wrong := errors.AsType[*usageError](err); wrong {
		text += "Try `" + p.name + " --help' for more information.\n"
	}
	// There is nobody to tell that stderr does not work.
	_, _ = io.WriteString(p.stderr, text)
	return 1
}

// output gathers what is printed, for few writes, and keeps the first error of them.
type output struct {
	to   io.Writer
	text []byte
	err  error
}

func (o *output) write(text string) {
	o.text = append(o.text, text...)
	if len(o.text) >= 4<<10 {
		_ = o.flush() // the error is kept
	}
}

func (o *output) flush() error {
	if len(o.text) > 0 && o.err == nil {
		_, o.err = o.to.Write(o.text)
	}
	o.text = o.text[:0]
	return o.err
}

// print prints a line of normal output.
func (p *program) print(line string) {
	if p.opts.quiet {
		return
	}
	// Errors stay with the writer; Main finds them when it flushes.
	p.stdout.write(line)
	p.stdout.write("\n")
}

// printJSON prints o on a line.
func (p *program) printJSON(o jsonl.Object) { p.print(string(jsonl.Append(nil, o))) }

// dial connects to tend.
func (p *program) dial() (*control.Client, error) {
	if p.opts.user && os.Getenv("UPSTART_SESSION") == "" {
		return nil, errors.New("UPSTART_SESSION isn't set in the environment. Unable to locate the Upstart instance.")
	}
	client, err := control.Dial(p.opts.socket)
	if err != nil {
		return nil, errors.New("Unable to connect to Upstart: " + err.Error())
	}
	return client, nil
}

// ask makes a request whose reply is one line.
func (p *program) ask(req *control.Request) (*control.Response, error) {
	var last *control.Response
	err := p.each(req, func(r *control.Response) error {
		last = r
		return nil
	})
	return last, err
}

// each makes a request and calls fn for every line of the reply.
func (p *program) each(req *control.Request, fn func(*control.Response) error) error {
	client, err := p.dial()
	if err != nil {
		return err
	}
	defer client.Close()
	err = client.Each(req, fn)
	if refused, ok := errors.AsType[*control.Refused](err); ok {
		// Scripts compare Upstart's text; people want to know more.
		if refused.Reason != "" && (p.tty || p.opts.verbose) {
			return errors.New(refused.Text + ": " + refused.Reason)
		}
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the connection was closed before the answer came")
	}
	return err
}

// own returns the job that we run in, by its environment.
func own() (job string, instance *string, ok bool) {
	job, hasJob := os.LookupEnv("UPSTART_JOB")
	inst, hasInstance := os.LookupEnv("UPSTART_INSTANCE")
	if !hasJob || !hasInstance {
		return "", nil, false
	}
	return job, &inst, true
}

// target fills in which job a request is about: the first argument and the
// environment behind it, or the job that we run in.
func target(req *control.Request, args []string) error {
	if len(args) > 0 {
		req.Job, req.Env = args[0], args[1:]
		return nil
	}
	job, instance, ok := own()
	if !ok {
		return usage("missing job name")
	}
	req.Job, req.Instance = job, instance
	return nil
}

// versionText is what --version prints about a program.
func versionText(name string) string {
	return name + " (tend " + jobs.Version + ", upstart 1.13 compatible)"
}
