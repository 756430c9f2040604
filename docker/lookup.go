package docker

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs/environ"
	"tend/jobs/file"
)

// execError says why a program could not be executed.
type execError struct {
	status int // 127 not found, 126 not executable, 1 for any other reason
	msg    string
	hint   string // the next step, when it is known
}

func (e *execError) Error() string {
	if e.hint == "" {
		return e.msg
	}
	return e.msg + " (" + e.hint + ")"
}

// defaultPath is searched when the environment has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// findProgram returns the path of the program, looked for in PATH as execvp(3) does
// when its name has no slash.
func findProgram(name string, env environ.Env) (string, *execError) {
	if name == "" {
		return "", &execError{status: 127, msg: "cannot execute the command: its name is empty"}
	}
	if strings.Contains(name, "/") {
		return name, nil
	}
	path, ok := env.Lookup("PATH")
	if !ok {
		path = defaultPath
	}
	denied := ""
	for _, dir := range strings.Split(path, ":") {
		if dir == "" {
			dir = "."
		}
		file := dir + "/" + name
		var st unix.Stat_t
		if unix.Stat(file, &st) != nil {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG && executable(file) {
			return file, nil
		}
		if denied == "" {
			denied = file
		}
	}
	if denied != "" {
		return "", explainExec(denied, unix.EACCES)
	}
	e := &execError{status: 127, msg: "cannot execute " + name + ": not found in PATH (" + path + ")"}
	if strings.ContainsAny(name, " \t") {
		e.hint = "it is one word with spaces in it; give the arguments as words of their own"
	}
	return "", e
}

// explainExec finds out why the kernel did not execute a file: its error number alone
// rarely tells.
func explainExec(file string, errno error) *execError {
	e := &execError{status: 1, msg: "cannot execute " + file + ": " + errno.Error()}
	var st unix.Stat_t
	statErr := unix.Stat(file, &st)
	head := readHead(file)
	switch errno {
	case unix.ENOENT, unix.ENOTDIR:
		e.status = 127
		if statErr == nil {
			e.explainMissing(file, head)
		}
	case unix.EACCES, unix.EPERM:
		e.status = 126
		e.explainDenied(file, st.Mode, head)
	case unix.ENOEXEC:
		e.status = 126
		e.explainFormat(file, head)
	case unix.ETXTBSY:
		e.status = 126
		e.hint = "a process has it open for writing"
	case unix.E2BIG:
		e.status = 126
		e.hint = "one argument or variable may have 128 KiB, all of them together a quarter of the stack limit"
	case unix.ELOOP, unix.ENAMETOOLONG, unix.EISDIR, unix.ELIBBAD, unix.EINVAL, unix.EIO:
		e.status = 126
	case unix.EAGAIN:
		e.hint = "the container's limit of processes (pids) or RLIMIT_NPROC is reached"
	}
	return e
}

// headSize is enough for an interpreter line, which the kernel reads up to 256 bytes of,
// and for the program headers of an ELF file.
const headSize = 4096

func readHead(file string) []byte {
	fd, err := syscall.Open(file, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	head := make([]byte, headSize)
	n, _ := syscall.Read(fd, head)
	return head[:max(n, 0)]
}

// explainMissing is for a file that exists although the kernel says "no such file": what
// is missing is its interpreter.
func (e *execError) explainMissing(file string, head []byte) {
	if interp, cr := scriptInterpreter(head); cr {
		e.msg = "cannot execute " + file + ": its first line ends in a carriage return, which counts as part of the interpreter's name"
		e.hint = `convert it to Unix line ends: sed -i 's/\r$//' ` + file
	} else if interp != "" {
		e.msg = "cannot execute " + file + ": its interpreter " + interp + " does not exist"
		if interp == "/bin/sh" {
			e.hint = "this image has no shell; execute a program instead of a script"
		}
	} else if interp := elfInterpreter(head); interp != "" {
		e.msg = "cannot execute " + file + ": its dynamic loader " + interp + " does not exist"
		e.hint = "the program is linked dynamically to another C library than the image has; link it statically or take an image with that library"
	}
}

func (e *execError) explainDenied(file string, mode uint32, head []byte) {
	var fs unix.Statfs_t
	switch {
	case mode&unix.S_IFMT == unix.S_IFDIR:
		e.msg = "cannot execute " + file + ": it is a directory"
	case mode&unix.S_IFMT != 0 && mode&unix.S_IFMT != unix.S_IFREG:
		e.msg = "cannot execute " + file + ": it is not a regular file"
	case mode&unix.S_IFMT != 0 && mode&0o111 == 0:
		e.msg = "cannot execute " + file + ": it has no execute permission"
		e.hint = "chmod +x " + file
	case unix.Statfs(file, &fs) == nil && fs.Flags&unix.ST_NOEXEC != 0:
		e.msg = "cannot execute " + file + ": its file system is mounted noexec"
	case executable(file):
		if interp, _ := scriptInterpreter(head); interp != "" {
			e.hint = "its interpreter " + interp + " may not be executed"
		}
	case os.Geteuid() != 0:
		e.hint = "user " + strconv.Itoa(os.Geteuid()) + " may not execute it, or may not pass one of its directories"
	}
}

func (e *execError) explainFormat(file string, head []byte) {
	switch machine := elfMachine(head); {
	case len(head) == 0:
		e.msg = "cannot execute " + file + ": it is empty"
	case machine != "":
		e.msg = "cannot execute " + file + ": it is built for " + machine + ", this machine is " + runtime.GOARCH
		e.hint = "take the image or the program for this platform (docker build --platform)"
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf#!")):
		e.msg = "cannot execute " + file + ": a byte order mark stands before its #!"
	case bytes.IndexByte(head, 0) < 0:
		e.msg = "cannot execute " + file + ": it is a script without an interpreter line"
		e.hint = "put #!/bin/sh into its first line, or execute: /bin/sh " + file
	}
}

// scriptInterpreter returns the program that a "#!" line names, and whether the line
// ends in a carriage return right behind it.
func scriptInterpreter(head []byte) (interp string, cr bool) {
	if !bytes.HasPrefix(head, []byte("#!")) {
		return "", false
	}
	line, _, _ := bytes.Cut(head[2:], []byte("\n"))
	fields := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' })
	if len(fields) == 0 {
		return "", false
	}
	name, cr := strings.CutSuffix(fields[0], "\r")
	return name, cr
}

// elfLayout says where the header of an ELF file has what is looked for in it.
func elfLayout(head []byte) (order binary.ByteOrder, wide bool) {
	if len(head) < 64 || !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return nil, false
	}
	order = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	return order, head[4] == 2
}

// elfInterpreter returns the dynamic loader that an ELF file asks for (PT_INTERP), or "".
func elfInterpreter(head []byte) string {
	const ptInterp = 3
	order, wide := elfLayout(head)
	if order == nil {
		return ""
	}
	phoff, phentsize, phnum := uint64(order.Uint32(head[28:])), uint64(order.Uint16(head[42:])), uint64(order.Uint16(head[44:]))
	if wide {
		phoff, phentsize, phnum = order.Uint64(head[32:]), uint64(order.Uint16(head[54:])), uint64(order.Uint16(head[56:]))
	}
	size := uint64(len(head))
	for i := uint64(0); i < phnum; i++ {
		at := phoff + i*phentsize
		if at >= size || size-at < 56 {
			return ""
		}
		ph := head[at:]
		if order.Uint32(ph) != ptInterp {
			continue
		}
		offset, length := uint64(order.Uint32(ph[4:])), uint64(order.Uint32(ph[16:]))
		if wide {
			offset, length = order.Uint64(ph[8:]), order.Uint64(ph[32:])
		}
		if offset >= size || length > size-offset {
			return ""
		}
		return strings.TrimRight(string(head[offset:offset+length]), "\x00")
	}
	return ""
}

// elfMachine returns the architecture of an ELF file, in Go's words where there is one;
// "" when the file is none.
func elfMachine(head []byte) string {
	order, wide := elfLayout(head)
	if order == nil {
		return ""
	}
	switch machine := order.Uint16(head[18:]); machine {
	case 3:
		return "386"
	case 8:
		return "mips"
	case 20:
		return "ppc"
	case 21:
		if order == binary.LittleEndian {
			return "ppc64le"
		}
		return "ppc64"
	case 22:
		return "s390x"
	case 40:
		return "arm"
	case 62:
		return "amd64"
	case 183:
		return "arm64"
	case 243:
		if wide {
			return "riscv64"
		}
		return "riscv32"
	case 258:
		return "loong64"
	default:
		return "machine " + strconv.Itoa(int(machine))
	}
}

// executable tells whether this process may execute a file.
func executable(path string) bool { return file.Access(path, unix.X_OK) == nil }
