package check

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/jobs/file"
	"tend/jobs/number"
)

// shellPath is the shell that runs scripts, or "" when there is none.
func shellPath() string {
	const path = "/bin/sh"
	if file.Access(path, unix.X_OK) != nil {
		return ""
	}
	return path
}

// scripts passes the scripts of a class, other than those it has from base, through
// the shell.
func (c *checker) scripts(class *jobs.Class, path string, base *jobs.Class) []*conf.Error {
	if c.shell == "" {
		return nil
	}
	var found []*conf.Error
	for kind, command := range class.Processes {
		if command == nil || !command.Script || base != nil && base.Processes[kind] == command {
			continue
		}
		text, err := syntax(c.shell, command.Text)
		if err != nil {
			found = append(found, &conf.Error{File: path, Line: int(command.Line), Column: 1, Warning: true, Msg: "cannot check the script: " + err.Error()})
		} else if text != "" {
			line, msg := shellError(text)
			found = append(found, &conf.Error{File: path, Line: int(command.Line) + line, Column: 1, Msg: jobs.Process(kind).String() + " script: " + msg})
		}
	}
	return found
}

// syntax runs "sh -n" on a script and returns what it says when it is wrong. The
// script and the answer are files in memory, so neither side waits for the other.
func syntax(shell, script string) (string, error) {
	in, err := memory("script")
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := memory("messages")
	if err != nil {
		return "", err
	}
	defer out.Close()
	if _, err := io.WriteString(in, script); err != nil {
		return "", err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	pid, err := syscall.ForkExec(shell, []string{"sh", "-n"}, &syscall.ProcAttr{
		Env:   []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"},
		Files: []uintptr{in.Fd(), out.Fd(), out.Fd()},
	})
	if err != nil {
		return "", err
	}
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if err == nil {
			break
		}
		if err != syscall.EINTR {
			return "", err
		}
	}
	if status.Exited() && status.ExitStatus() == 0 {
		return "", nil
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	text, err := file.Rest(out, 64<<10)
	if len(text) == 0 {
		return "sh -n ended with status " + strconv.Itoa(status.ExitStatus()), err
	}
	return strings.TrimSpace(string(text)), err
}

func memory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// shellError takes the number of the line out of the first message of a shell:
// "sh: 3: Syntax error: …", "sh: line 3: syntax error …". The line is 0 when the
// message has none.
func shellError(text string) (line int, msg string) {
	text, _, _ = strings.Cut(text, "\n")
	msg = text
	for _, part := range strings.Split(text, ": ") {
		n, err := number.Int(strings.TrimPrefix(part, "line "))
		if err == nil && n > 0 {
			_, msg, _ = strings.Cut(text, part+": ")
			return n, msg
		}
	}
	return 0, strings.TrimPrefix(msg, "sh: ")
}
