package docker

import (
	"io"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"tend/jobs/fault"
	"tend/jobs/file"
	"tend/reaper/self"
)

// ClientNames are the names by which this program is initctl or one of its short forms.
var ClientNames = []string{
	"initctl", "start", "stop", "restart", "reload", "status", "emit", "runlevel",
	"telinit", "shutdown", "reboot", "halt", "poweroff",
}

// Install makes the links of all names that this program goes by in dir, beside tend,
// which it copies there when it is missing. It overwrites nothing. It returns the exit
// status: 1 when something could not be made.
func Install(dir string, stdout, stderr io.Writer) int {
	status := 0
	say := func(line string) { io.WriteString(stdout, line+"\n") }
	report := func(err error) {
		io.WriteString(stderr, "tend: "+err.Error()+"\n")
		status = 1
	}
	if err := makeDirs(dir); err != nil {
		report(fault.Of("cannot make "+dir, cause(err)))
		return status
	}
	target := path.Join(dir, "tend")
	if err := unix.Lstat(target, new(unix.Stat_t)); err == nil {
		say("left " + target + " as it is")
	} else if err := copySelf(target); err != nil {
		report(fault.Of("cannot copy tend to "+target, cause(err)))
		return status
	} else {
		say("made " + target)
	}
	for _, name := range append(ClientNames[:len(ClientNames):len(ClientNames)], "init-checkconf") {
		link := path.Join(dir, name)
		err := os.Symlink("tend", link)
		switch {
		case err == nil:
			say("made " + link + " -> tend")
		case os.IsExist(err):
			if to, _ := os.Readlink(link); to == "tend" {
				say("left " + link + " -> tend as it is")
			} else {
				say("left " + link + " as it is: it is another program")
			}
		default:
			report(fault.Of("cannot make "+link, cause(err)))
		}
	}
	return status
}

// makeDirs makes a directory, and those above it.
func makeDirs(dir string) error {
	err := unix.Mkdir(dir, 0o755)
	switch {
	case err == unix.EEXIST && file.Exists(dir+"/"): // with the slash: a directory
		return nil
	case err == unix.ENOENT && path.Dir(dir) != dir:
		if err := makeDirs(path.Dir(dir)); err != nil {
			return err
		}
		return unix.Mkdir(dir, 0o755)
	case err == unix.EEXIST:
		return unix.ENOTDIR
	}
	return err
}

// copySelf copies this program to a file that does not exist. The copy gets its name
// only when it is whole.
func copySelf(to string) error {
	program, err := file.Read(self.Path())
	if err != nil {
		return err
	}
	name := path.Join(path.Dir(to), ".tend-"+strconv.Itoa(os.Getpid()))
	_ = os.Remove(name) // of an earlier run that was killed
	part, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	_, err = part.Write(program)
	if e := part.Chmod(0o755); err == nil {
		err = e
	}
	if e := part.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	// A link, unlike a rename, fails when somebody has made the file meanwhile.
	return os.Link(part.Name(), to)
}

// cause takes the path out of an error whose message names it already.
func cause(err error) error {
	switch e := err.(type) {
	case *os.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	}
	return err
}
