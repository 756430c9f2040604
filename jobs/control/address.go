package control

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Environment is the variable that names the socket. tend's --socket sets it for
// the jobs when theirs would not be found by looking.
const Environment = "TEND_SOCKET"

// Addresses returns where the socket of a tend with this uid may be, best first:
// a place that another network namespace reaches too, one that is writable in a
// container with a read-only root, and a name that needs no file system.
//
// An address is a path, or, beginning with @, an abstract name (unix(7)).
func Addresses(uid int) []string {
	return []string{
		"/run/tend.sock",
		"/dev/shm/tend-" + strconv.Itoa(uid) + ".sock",
		"@tend-" + pidNamespace() + "-" + strconv.Itoa(uid),
	}
}

// pidNamespace returns the inode of our PID namespace, since an abstract name is
// shared by all that share a network namespace. Without /proc it is 0.
func pidNamespace() string {
	link, err := os.Readlink("/proc/self/ns/pid") // pid:[4026531836]
	if err != nil {
		return "0"
	}
	return strings.Trim(strings.TrimPrefix(link, "pid:"), "[]")
}

// Explicit returns the address in use when a client that looks for it could find
// another first, for Environment; else the empty string.
func Explicit(address string) string {
	if address == Addresses(os.Geteuid())[0] {
		return ""
	}
	return address
}

// sockaddr checks an address and turns it into the kernel's form.
func sockaddr(address string) (*unix.SockaddrUnix, error) {
	// sun_path has 108 bytes; a path ends with a NUL, an abstract name begins with
	// one.
	switch {
	case address == "" || address == "@":
		return nil, errors.New("empty socket address")
	case len(address) > 107:
		return nil, errors.New("socket address of " + strconv.Itoa(len(address)) + " bytes is longer than 107")
	}
	return &unix.SockaddrUnix{Name: address}, nil
}

// connectTimeout bounds how long a client waits for a server that does not accept.
const connectTimeout = 10

// connect connects to an address, with more flags for socket(2).
func connect(address string, flags int) (int, error) {
	sa, err := sockaddr(address)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		return -1, err
	}
	// It holds for connect(2) on a unix socket as well; without it nothing but our
	// patience is lost.
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: connectTimeout})
	for {
		err = unix.Connect(fd, sa)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}
