package child

import (
	"slices"
	"strconv"
	"strings"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/file"
)

// Spec says how to set up one process. New makes it; the fields are for reading.
type Spec struct {
	Process jobs.Process
	Argv    []string
	Script  string // what the process reads from descriptor 9; empty: nothing
	Env     environ.Env
	// UserKeys are those of HOME, USER, LOGNAME and SHELL that the entry of the
	// user it runs as decides.
	UserKeys []string

	// Files become descriptors 0, 1, 2 and so on. -1 stands for /dev/null in the
	// first three, and for a closed descriptor elsewhere.
	Files []int
	// Terminal makes descriptor 0 the controlling terminal.
	Terminal bool
	// Foreground leaves the process in our session, in a process group of its own,
	// which gets the terminal when descriptor 0 is ours.
	Foreground bool

	AppArmor string // profile to switch to
	Limits   []jobs.Limit
	Umask    int
	Nice     *int
	OOMScore *int
	Chroot   string
	Dir      string
	User     string
	Group    string
	CGroups  []jobs.CGroup
	Debug    bool // stop before exec
}

// Options is what New cannot learn from the class.
type Options struct {
	// Stdin, Stdout and Stderr are descriptors of the caller; -1 stands for
	// /dev/null.
	Stdin, Stdout, Stderr int
	// FDs are descriptors that events hand to the job. They get the numbers from 3
	// on, 9 left out when the process reads a script from there, and UPSTART_FDS
	// names them.
	FDs []int
	// Base is the table that the job's environment began with. A HOME, USER,
	// LOGNAME or SHELL that is still as in Base gives way to that of the user.
	Base environ.Env
	// Terminal makes Stdin the controlling terminal (console owner).
	Terminal bool
	// Debug honours the debug stanza.
	Debug bool
	// AppArmor and CGroups are those of the class with their variables expanded.
	AppArmor string
	CGroups  []jobs.CGroup
	// NotifySocket is the value of NOTIFY_SOCKET, if any.
	NotifySocket string
}

// ownUmask is the umask that the direct way leaves a child with: that of this
// process, which self.Prepare sets.
const ownUmask = 0o022

// New returns the specification of a process of a job with that environment. c must
// define the process.
func New(c *jobs.Class, p jobs.Process, env environ.Env, o Options) *Spec {
	s := &Spec{
		Process:    p,
		Env:        env,
		Files:      []int{o.Stdin, o.Stdout, o.Stderr},
		Terminal:   o.Terminal,
		Foreground: c.Foreground && p == jobs.Main,
		Umask:      ownUmask,
		Debug:      o.Debug && c.Debug,
	}
	s.Argv, s.Script = commandLine(c.Processes[p], func() bool { return canOpenScript(c, p) })
	s.inherit(o.FDs)
	if o.NotifySocket != "" {
		s.Env = s.Env.Set("NOTIFY_SOCKET=" + o.NotifySocket)
	}
	if p == jobs.SecurityProcess {
		// It prepares the confinement of the others and runs outside of it.
		return s
	}
	if p == jobs.Main {
		s.AppArmor = o.AppArmor
	}
	s.Limits = c.Limits
	s.Umask, s.Nice = c.Umask, c.Nice
	if c.OOMScore != nil && *c.OOMScore != 0 {
		s.OOMScore = c.OOMScore
	}
	s.Chroot, s.Dir = c.Chroot, c.Chdir
	if s.Dir == "" && !c.Foreground {
		s.Dir = "/"
	}
	s.User, s.Group, s.CGroups = c.SetUID, c.SetGID, o.CGroups
	if s.User != "" {
		s.UserKeys = keysOfUser(c, env, o.Base)
	}
	return s
}

// keysOfUser returns the keys that neither the job file nor a start argument nor an
// event has set.
func keysOfUser(c *jobs.Class, env, base environ.Env) []string {
	var keys []string
	for _, key := range userKeys {
		value, has := env.Lookup(key)
		outer, had := base.Lookup(key)
		set := slices.ContainsFunc(c.Env, func(entry string) bool {
			return entry == key || strings.HasPrefix(entry, key+"=")
		})
		if !set && (!has || had && value == outer) {
			keys = append(keys, key)
		}
	}
	return keys
}

// inherit appends descriptors to Files, and the script's place when there is one.
func (s *Spec) inherit(fds []int) {
	var names []string
	for _, fd := range fds {
		if s.Script != "" && len(s.Files) == scriptFD {
			s.Files = append(s.Files, -1)
		}
		names = append(names, strconv.Itoa(len(s.Files)))
		s.Files = append(s.Files, fd)
	}
	if len(names) > 0 {
		s.Env = s.Env.Set("UPSTART_FDS=" + strings.Join(names, " "))
	}
	for s.Script != "" && len(s.Files) <= scriptFD {
		s.Files = append(s.Files, -1)
	}
}

// canOpenScript says whether the process will find scriptPath.
func canOpenScript(c *jobs.Class, p jobs.Process) bool {
	root := c.Chroot
	if p == jobs.SecurityProcess {
		root = ""
	}
	return file.Exists(root + "/proc/self/fd")
}

// direct decides whether fork itself can set up the process.
func (s *Spec) direct() bool {
	return s.AppArmor == "" && len(s.Limits) == 0 && s.Umask == ownUmask && s.Nice == nil &&
		s.OOMScore == nil && s.Chroot == "" && len(s.CGroups) == 0 && !s.Debug
}
