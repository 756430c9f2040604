package docker

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

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
	report := func(err error) {
		fmt.Fprintf(stderr, "tend: %v\n", err)
		status = 1
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		report(fmt.Errorf("cannot make %s: %w", dir, cause(err)))
		return status
	}
	target := filepath.Join(dir, "tend")
	if _, err := os.Lstat(target); err == nil {
		fmt.Fprintf(stdout, "left %s as it is\n", target)
	} else if err := copySelf(target); err != nil {
		report(fmt.Errorf("cannot copy tend to %s: %w", target, cause(err)))
		return status
	} else {
		fmt.Fprintf(stdout, "made %s\n", target)
	}
	for _, name := range append(ClientNames[:len(ClientNames):len(ClientNames)], "init-checkconf") {
		link := filepath.Join(dir, name)
		err := os.Symlink("tend", link)
		switch {
		case err == nil:
			fmt.Fprintf(stdout, "made %s -> tend\n", link)
		case os.IsExist(err):
			if to, _ := os.Readlink(link); to == "tend" {
				fmt.Fprintf(stdout, "left %s -> tend as it is\n", link)
			} else {
				fmt.Fprintf(stdout, "left %s as it is: it is another program\n", link)
			}
		default:
			report(fmt.Errorf("cannot make %s: %w", link, cause(err)))
		}
	}
	return status
}

// copySelf copies this program to a file that does not exist. The copy gets its name
// only when it is whole.
func copySelf(to string) error {
	from, err := os.Open(self.Path())
	if err != nil {
		return err
	}
	defer from.Close()
	part, err := os.CreateTemp(filepath.Dir(to), ".tend-")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	_, err = io.Copy(part, from)
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
