// The number of processors is set by package self. The runtime need not look for the
// limits of control groups, which takes a part of a millisecond, nor for new ones later.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Tend is a tiny static init for containers; see tend(8). Called by the name of one of
// Upstart's programs it is that program.
package main

import (
	"os"
	"path"

	"tend/docker"
	"tend/jobs"
	"tend/jobs/child"
	"tend/jobs/conf/check"
	"tend/jobs/control/initctl"
	"tend/reaper/self"
)

// statusUsage is the exit status of a wrong call.
const statusUsage = 2

func main() {
	os.Exit(run(os.Args))
}

// run finds out what it has been called as. The stages that run between fork and exec
// come first, as they are waited for.
func run(argv []string) int {
	if len(argv) == 0 {
		argv = []string{"tend"}
	}
	args := argv[1:]
	switch {
	case child.IsStage2(argv):
		return child.Stage2(argv)
	case argv[0] == docker.TerminalStage:
		return docker.RunTerminalStage(args)
	}
	if prog := path.Base(argv[0]); prog != "tend" {
		if f := client(prog); f != nil {
			return f(args)
		}
	}
	if len(args) > 0 {
		if f := subcommand(args[0]); f != nil {
			return f(args[1:])
		}
	}
	return runInit(args)
}

// program is something other than the init: it subscribes to no signals, and nothing has
// to be kept from its Go runtime.
type program func(args []string) int

// client returns the program of that name, nil when there is none.
func client(prog string) program {
	if prog == "init-checkconf" {
		return func(args []string) int { return check.CheckConf(args, prog, os.Stdout, os.Stderr) }
	}
	for _, name := range docker.ClientNames {
		if name == prog {
			return func(args []string) int { return initctl.Main(prog, args, os.Stdin, os.Stdout, os.Stderr) }
		}
	}
	return nil
}

// subcommand returns what the first word of the command line asks for, nil when it is
// no subcommand.
func subcommand(word string) program {
	switch word {
	case "ctl":
		return client("initctl")
	case "check":
		return func(args []string) int { return check.Main(args, os.Stdout, os.Stderr) }
	case "doctor":
		return func(args []string) int {
			if len(args) > 0 {
				return wrong("doctor: unexpected argument "+args[0], "")
			}
			return docker.Doctor(os.Stdout)
		}
	case "install":
		return func(args []string) int {
			if len(args) != 1 {
				return wrong("install: expected one directory", "")
			}
			return docker.Install(args[0], os.Stdout, os.Stderr)
		}
	case "version":
		return func([]string) int { return version() }
	case "help":
		return func([]string) int { return help() }
	}
	return nil
}

// runInit is the init. What can end a PID 1 by mistake is dealt with before anything
// else: signals that nobody has subscribed to, and a runtime that is steered by variables
// meant for the application.
func runInit(args []string) int {
	signals := subscribe()
	prepared := self.Prepare()
	opts, err := docker.ParseOptions(args, self.Environ())
	switch {
	case err != nil:
		e, _ := err.(*docker.UsageError)
		return wrong(e.Msg, e.Hint)
	case opts.Help:
		return help()
	case opts.Version:
		return version()
	}
	if prepared != nil {
		opts.Warnings = append(opts.Warnings, prepared.Error())
	}
	return docker.Run(opts, signals)
}

func help() int {
	os.Stdout.WriteString(usage)
	return 0
}

func version() int {
	os.Stdout.WriteString(jobs.VersionText() + "\n")
	return 0
}

// wrong reports a wrong call.
func wrong(msg, hint string) int {
	os.Stderr.WriteString("tend: " + msg + "\n")
	if hint != "" {
		os.Stderr.WriteString("hint: " + hint + "\n")
	}
	os.Stderr.WriteString(usage[:synopsisEnd])
	return statusUsage
}
