package child

import (
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/file"
	"tend/jobs/number"
)

// stageName is argv[0] of the second stage.
const stageName = "tend: setting up"

// The first bytes of the records of the result pipe, see the package comment.
const (
	recordExec    = 'x'
	recordSkipped = 'w'
	recordError   = 'e'
)

// exitStatus is what a second stage exits with that could not do its work.
const exitStatus = 255

// IsStage2 says whether the program has been executed as a second stage. It is the
// first question of main; Stage2 is then called with the same arguments.
func IsStage2(args []string) bool { return len(args) == 2 && args[0] == stageName }

// Stage2 sets up this process by the specification in its descriptors, and executes
// the job's program in its place. It returns only on failure, with the status to
// exit with.
func Stage2(args []string) int {
	// Nice, profile and credentials are a thread's; exec keeps those of its caller.
	runtime.LockOSThread()
	at, err := number.Int(args[1])
	if err != nil || at < 3 {
		return exitStatus
	}
	result, stderr := at+1, at+2
	for fd := at; fd <= stderr; fd++ {
		unix.CloseOnExec(fd)
	}
	s, err := decode(readAll(at))
	syscall.Close(at)
	c := &setup{Spec: s, result: result, stderr: stderr}
	if err != nil {
		c.tell(recordError, &Error{Stage: StageFork, Hint: err.Error()})
		return exitStatus
	}
	if e := c.run(); e != nil {
		c.tell(recordError, e)
	}
	return exitStatus
}

// setup is the state of a second stage.
type setup struct {
	*Spec
	result int // the pipe, also our standard error
	stderr int // that of the program
	id     identity
	change bool // become id
	cgroup cgroups
}

func (c *setup) tell(kind byte, e *Error) {
	w := writer{b: []byte{kind}}
	if e != nil {
		e.encode(&w)
	}
	syscall.Write(c.result, w.b)
}

// run takes the steps in the order of Upstart (reference 6.2):
//
//  1. session and descriptors, which fork has done; the controlling terminal
//  2. AppArmor profile
//  3. limits by their numbers, umask, nice, oom score
//  4. root and directory
//  5. look-up of user and group, inside that root
//  6. supplementary groups, cgroups, group, user
//  7. environment, debug stop, exec
func (c *setup) run() *Error {
	c.cgroup.open(c.CGroups)
	steps := [...]func() *Error{
		c.takeTerminal, c.switchProfile, c.setLimits, c.setPriorities, c.changeRoot,
		c.lookUpUser, c.setGroups, c.joinCGroups, c.becomeUser,
	}
	for _, step := range steps {
		if e := step(); e != nil {
			return e
		}
	}
	if c.Debug {
		unix.Kill(unix.Getpid(), unix.SIGSTOP)
	}
	return c.execute()
}

//go:noinline
func failed(stage Stage, arg string, err error, hint string) *Error {
	return &Error{Stage: stage, Arg: arg, Errno: toErrno(err), Hint: hint}
}

func (c *setup) takeTerminal() *Error {
	if !c.Terminal {
		return nil
	}
	// 1: take it from a session that has it, as a console's owner does.
	err := unix.IoctlSetInt(0, unix.TIOCSCTTY, 1)
	if err == unix.EPERM {
		err = unix.IoctlSetInt(0, unix.TIOCSCTTY, 0)
	}
	switch err {
	case nil:
	case unix.EPERM:
		// In a container it is tend's own, and the capability is rarely there.
		c.tell(recordSkipped, failed(StageTerminal, "", err,
			"it is that of another session, so this needs the capability SYS_ADMIN; the job uses it without job control"))
	default:
		return failed(StageTerminal, "", err, "")
	}
	return nil
}

// switchProfile has the kernel change the profile at the next exec of this thread.
func (c *setup) switchProfile() *Error {
	if c.AppArmor == "" {
		return nil
	}
	if file.Access("/sys/module/apparmor", unix.F_OK) != nil {
		c.tell(recordSkipped, &Error{Stage: StageAppArmor, Arg: c.AppArmor, Hint: "this kernel has no AppArmor; the job runs unconfined"})
		return nil
	}
	if err := writeFile(unix.AT_FDCWD, "/proc/thread-self/attr/exec", "exec "+c.AppArmor); err != nil {
		return failed(StageAppArmor, c.AppArmor, err, "")
	}
	return nil
}

func (c *setup) setLimits() *Error {
	for _, l := range c.Limits {
		// syscall's Setrlimit, because it is what tells exec not to restore nofile.
		err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: l.Soft, Max: l.Hard})
		if err == nil {
			continue
		}
		arg, hint := l.Name+" to "+limitText(l.Soft), ""
		if l.Hard != l.Soft {
			arg += " " + limitText(l.Hard)
		}
		var old syscall.Rlimit
		if err == unix.EPERM && syscall.Getrlimit(l.Resource, &old) == nil {
			hint = "hard limit is " + limitText(old.Max)
		}
		return failed(StageLimit, arg, err, hint)
	}
	return nil
}

func limitText(n uint64) string {
	if n == jobs.Unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

// setPriorities leaves out what needs a capability that a container mostly lacks:
// the job would run all the same, and its file may be written for a host.
func (c *setup) setPriorities() *Error {
	unix.Umask(c.Umask)
	if c.Nice != nil {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, *c.Nice); err != nil {
			e := failed(StageNice, strconv.Itoa(*c.Nice), err, "lowering it needs the capability SYS_NICE; left as it is")
			if err != unix.EACCES && err != unix.EPERM {
				return e
			}
			c.tell(recordSkipped, e)
		}
	}
	if c.OOMScore == nil {
		return nil
	}
	score := strconv.Itoa(*c.OOMScore)
	switch err := writeFile(unix.AT_FDCWD, "/proc/self/oom_score_adj", score); err {
	case nil:
	case unix.EACCES, unix.EPERM:
		c.tell(recordSkipped, failed(StageOOM, score, err, "lowering it needs the capability SYS_RESOURCE; left as it is"))
	case unix.ENOENT, unix.EROFS:
		c.tell(recordSkipped, failed(StageOOM, score, err, "there is no writable /proc; left as it is"))
	default:
		return failed(StageOOM, score, err, "")
	}
	return nil
}

func (c *setup) changeRoot() *Error {
	if c.Chroot != "" {
		if err := unix.Chroot(c.Chroot); err != nil {
			hint := ""
			if err == unix.EPERM {
				hint = "needs the capability SYS_CHROOT"
			}
			return failed(StageChroot, c.Chroot, err, hint)
		}
	}
	if c.Dir != "" {
		if err := unix.Chdir(c.Dir); err != nil {
			return failed(StageChdir, c.Dir, err, "")
		}
	}
	return nil
}

func (c *setup) lookUpUser() *Error {
	if c.User == "" && c.Group == "" {
		return nil
	}
	id, e := lookUp(c.User, c.Group)
	c.id, c.change = id, true
	return e
}

func (c *setup) setGroups() *Error {
	if !c.change || unix.Geteuid() != 0 {
		return nil
	}
	err := setGroups(c.id.groups)
	if err == nil || c.id.uid == 0 && c.id.gid == unix.Getegid() {
		return nil // root that stays root does not depend on its groups
	}
	return failed(StageSetGroups, c.id.label(), err, "needs the capability SETGID")
}

func (c *setup) joinCGroups() *Error {
	for _, e := range c.cgroup.join(c.id, c.change) {
		c.tell(recordSkipped, e)
	}
	return nil
}

func (c *setup) becomeUser() *Error {
	if !c.change {
		return nil
	}
	if c.Script != "" {
		unix.Fchown(scriptFD, c.id.uid, c.id.gid)
	}
	hint := func(capability string) string {
		if euid := unix.Geteuid(); euid != 0 {
			return "tend runs as uid " + strconv.Itoa(euid) + ", and only root can become another user"
		}
		return "needs the capability " + capability
	}
	if c.id.gid != unix.Getegid() || c.id.gid != unix.Getgid() {
		if err := setGID(c.id.gid); err != nil {
			arg := c.Group
			if arg == "" {
				arg = strconv.Itoa(c.id.gid)
			}
			return failed(StageSetGID, arg, err, hint("SETGID"))
		}
	}
	if c.id.uid != unix.Geteuid() || c.id.uid != unix.Getuid() {
		if err := setUID(c.id.uid); err != nil {
			return failed(StageSetUID, c.id.label(), err, hint("SETUID"))
		}
	}
	c.Env = c.id.environment(c.Env, c.UserKeys)
	return nil
}

func (id *identity) label() string {
	if id.name != "" {
		return id.name
	}
	return strconv.Itoa(id.uid)
}

// execute does what execvp does: it looks in each directory of PATH, goes on after
// a program that may not be executed, and runs one of no known format by the shell.
func (c *setup) execute() *Error {
	// As execve passes all else on: Go's handlers become the default action, and
	// its threads block nothing.
	unix.Dup3(c.stderr, 2, 0)
	c.tell(recordExec, nil)
	name, env := c.Argv[0], []string(c.Env)
	err := error(unix.ENOENT)
	for _, file := range candidates(name, pathOf(environ.Env(env))) {
		e := syscall.Exec(file, c.Argv, env)
		if e == unix.ENOEXEC {
			e = syscall.Exec(shell, append([]string{shell, file}, c.Argv[1:]...), env)
		}
		if err != unix.EACCES {
			err = e
		}
		if e != unix.EACCES && e != unix.ENOENT && e != unix.ENOTDIR {
			break
		}
	}
	return failed(StageExec, name, err, execHint(name, c.Argv, err))
}

func execHint(name string, argv []string, err error) string {
	switch {
	case err == unix.ENOENT && name == shell && len(argv) > 2 && argv[1] == "-e":
		return "a script, or an exec with any of " + shellCharacters + " in it, needs a shell, and this image has none"
	case err == unix.ENOENT && file.Exists(name):
		return "its interpreter or dynamic loader is missing"
	}
	return ""
}

// candidates are the files that execvp would try.
func candidates(name, path string) []string {
	if name == "" {
		return nil
	}
	if strings.Contains(name, "/") {
		return []string{name}
	}
	var list []string
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		list = append(list, dir+"/"+name)
	}
	return list
}

// writeFile writes text to an existing file.
func writeFile(dir int, path, text string) error {
	fd, err := unix.Openat(dir, path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	_, err = syscall.Write(fd, []byte(text))
	return err
}
