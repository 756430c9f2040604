package child

import (
	"strings"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/environ"
)

// shell runs scripts, and commands that need one.
const shell = "/bin/sh"

// shellCharacters in an exec stanza call for a shell (Upstart reference, 6.1).
const shellCharacters = "~`!$^&*()=|\\{}[];\"'<>?"

// scriptFD is where a script of several lines is put, and scriptPath what the shell
// is told to read. The first line of such a script closes the descriptor, so that
// the script's children do not get it.
const (
	scriptFD      = 9
	scriptPath    = "/proc/self/fd/9"
	scriptPrelude = "exec 9<&-\n"
)

// maxArg is the kernel's limit for one argument (MAX_ARG_STRLEN, execve(2)).
const maxArg = 128 << 10

// DefaultPath is the PATH in which programs are looked for when a job has none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin"

// commandLine returns what to execute for a command, and the script for descriptor
// 9, if any. openable says whether the process will be able to open scriptPath.
func commandLine(c *jobs.Command, openable func() bool) (argv []string, script string) {
	switch {
	case c.Argv != nil:
		return c.Argv, ""
	case !c.Script && !strings.ContainsAny(c.Text, shellCharacters):
		return strings.FieldsFunc(c.Text, func(r rune) bool {
			return r == ' ' || r == '\t' || r == '\r' || r == '\n'
		}), ""
	}
	text := c.Text
	if c.Script {
		text = strings.TrimRight(text, "\n")
	} else {
		text = "exec " + text
	}
	if (c.Script && strings.Contains(text, "\n") || len(text) >= maxArg) && openable() {
		return []string{shell, "-e", scriptPath}, scriptPrelude + text + "\n"
	}
	return []string{shell, "-e", "-c", text, shell}, ""
}

// lookPath finds the file to execute for name in path. exact is false when only the
// process itself can find it, as with a relative directory in path.
func lookPath(name, path string) (file string, exact bool) {
	if strings.Contains(name, "/") {
		return name, true
	}
	for _, dir := range strings.Split(path, ":") {
		if !strings.HasPrefix(dir, "/") {
			return "", false
		}
		file := dir + "/" + name
		var st unix.Stat_t
		if unix.Stat(file, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o111 != 0 {
			return file, true
		}
	}
	return "", false
}

func pathOf(env environ.Env) string {
	if path, ok := env.Lookup("PATH"); ok {
		return path
	}
	return DefaultPath
}
