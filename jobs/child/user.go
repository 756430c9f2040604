package child

import (
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs/environ"
	"tend/jobs/number"
)

// identity is whom a process runs as.
type identity struct {
	uid, gid    int
	groups      []int
	name        string // for messages
	home, shell string // empty: not known
	login       string
}

// Where users and groups are looked up.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// lookUp finds the identity that the setuid and setgid stanzas name, in /etc/passwd
// and /etc/group of the present root. Names come before numbers; a number needs no
// entry. Without an entry the group stays as it is.
func lookUp(user, group string) (identity, *Error) {
	id := identity{uid: unix.Geteuid(), gid: unix.Getegid(), name: user}
	users, usersErr := readFile(passwdFile)
	groups, groupsErr := readFile(groupFile)
	// What is there and cannot be read for the moment is not taken for absent.
	if scarce(usersErr) {
		return id, missing(StageUser, user, passwdFile, users, usersErr)
	}
	if scarce(groupsErr) {
		return id, missing(StageGroup, group, groupFile, groups, groupsErr)
	}
	var entry []string
	if user == "" {
		entry = find(users, func(f []string) bool { return len(f) >= 7 && f[2] == strconv.Itoa(id.uid) })
	} else {
		entry = find(users, func(f []string) bool { return len(f) >= 7 && f[0] == user })
		if entry == nil {
			n, ok := parseID(user)
			if !ok {
				return id, missing(StageUser, user, passwdFile, users, usersErr)
			}
			id.uid, id.home = n, "/"
			entry = find(users, func(f []string) bool { return len(f) >= 7 && f[2] == user })
		}
	}
	if entry != nil {
		uid, ok := parseID(entry[2])
		gid, ok2 := parseID(entry[3])
		if !ok || !ok2 {
			return id, &Error{Stage: StageUser, Arg: user, Hint: "its entry in /etc/passwd has no valid ids"}
		}
		id.uid, id.login, id.home, id.shell = uid, entry[0], entry[5], entry[6]
		if user != "" {
			id.gid = gid
		}
		if id.shell == "" {
			id.shell = shell
		}
	}
	if group != "" {
		entry := find(groups, func(f []string) bool { return len(f) >= 3 && f[0] == group })
		n, ok := parseID(group)
		if entry != nil {
			n, ok = parseID(entry[2])
		}
		if !ok {
			return id, missing(StageGroup, group, groupFile, groups, groupsErr)
		}
		id.gid = n
	}
	id.groups = []int{id.gid}
	find(groups, func(f []string) bool {
		if len(f) >= 4 && id.login != "" && slices.Contains(strings.Split(f[3], ","), id.login) {
			if n, ok := parseID(f[2]); ok && !slices.Contains(id.groups, n) {
				id.groups = append(id.groups, n)
			}
		}
		return false
	})
	return id, nil
}

// missing is the error about a user or group that was not found in the text of a file,
// or in one that could not be read.
func missing(stage Stage, name, file, text string, err error) *Error {
	e := &Error{Stage: stage, Arg: name, Hint: "no such user in " + file}
	if stage == StageGroup {
		e.Hint = "no such group in " + file
	}
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR || err == nil && text == "":
		e.Hint = "no " + file + " to look it up in; use a number"
	case err != nil:
		e.Errno, e.Hint = toErrno(err), file
	}
	return e
}

// scarce tells whether a file could not be read for want of something.
func scarce(err error) bool {
	return err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOMEM
}

// environment returns the table with what the user's entry provides, for those keys
// that may be set.
func (id *identity) environment(env environ.Env, keys []string) environ.Env {
	for _, entry := range []string{"HOME=" + id.home, "USER=" + id.login, "LOGNAME=" + id.login, "SHELL=" + id.shell} {
		key, value, _ := environ.Split(entry)
		if value != "" && slices.Contains(keys, key) {
			env = env.Set(entry)
		}
	}
	return env
}

// userKeys are the variables that a user's entry provides.
var userKeys = []string{"HOME", "USER", "LOGNAME", "SHELL"}

// find returns the fields of the first line that fits.
func find(text string, fits func([]string) bool) []string {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimRight(line, "\n"), ":")
		if fits(fields) {
			return fields
		}
	}
	return nil
}

// parseID accepts what the kernel does but for -1, which means "unchanged".
func parseID(text string) (int, bool) {
	n, err := number.Uint(text, 10, 32)
	return int(uint32(n)), err == nil && n != 1<<32-1 && text[0] != '+'
}

// readFile returns the content of a file.
func readFile(path string) (string, error) {
	fd, err := syscall.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	return string(readAll(fd)), nil
}

// readAll reads up to the end of file or the first error.
func readAll(fd int) []byte {
	buf := make([]byte, 4096)
	for got := 0; ; {
		n, err := syscall.Read(fd, buf[got:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return buf[:got]
		}
		if got += n; got == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}
