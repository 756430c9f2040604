package child

import (
	"encoding/hex"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs/file"
	"tend/jobs/number"
)

// Notify is a socket of the sd_notify protocol (sd_notify(3)). Each run of a job
// has its own. Its name is abstract, so that it needs no writable directory and is
// found in a chroot, and cannot be guessed.
type Notify struct {
	// Name is the value for NOTIFY_SOCKET.
	Name string
	file *os.File
	conn syscall.RawConn
}

// Message is one datagram.
type Message struct {
	PID, UID int // of the sender; PID 0 when it cannot be named here
	Ready    bool
	Stopping bool
	Status   string // empty: not given
	MainPID  int    // 0: not given
}

// maxDatagram is what is read of one datagram; systemd reads as much.
const maxDatagram = 4096

// NewNotify opens a socket.
func NewNotify() (*Notify, error) {
	// Not crypto/rand, which is 400 kB of the binary.
	var token [16]byte
	if _, err := unix.Getrandom(token[:], 0); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	name := "@tend/notify/" + hex.EncodeToString(token[:])
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	n := &Notify{Name: name, file: os.NewFile(uintptr(fd), name)}
	n.conn, err = n.file.SyscallConn()
	return n, err
}

// Close ends Receive.
func (n *Notify) Close() error { return n.file.Close() }

// Receive waits for a datagram, in the poller. It returns an error once the socket
// is closed.
func (n *Notify) Receive() (Message, error) {
	buf := make([]byte, maxDatagram)
	// Room for descriptors too, so that they can be found and closed.
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*16))
	var size, oobSize int
	var errRead error
	err := n.conn.Read(func(fd uintptr) bool {
		size, oobSize, errRead = file.Receive(int(fd), buf, oob)
		return errRead != unix.EAGAIN && errRead != unix.EINTR
	})
	if err == nil {
		err = errRead
	}
	if err != nil {
		return Message{}, err
	}
	m := parseNotify(string(buf[:size]))
	messages, _ := unix.ParseSocketControlMessage(oob[:oobSize])
	for i := range messages {
		if cred, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			m.PID, m.UID = int(cred.Pid), int(cred.Uid)
		}
		fds, _ := unix.ParseUnixRights(&messages[i])
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}
	return m, nil
}

// parseNotify reads lines of KEY=VALUE; what is not known is ignored.
func parseNotify(text string) (m Message) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		switch key {
		case "READY":
			m.Ready = m.Ready || value == "1"
		case "STOPPING":
			m.Stopping = m.Stopping || value == "1"
		case "STATUS":
			m.Status = value
		case "MAINPID":
			if pid, err := number.Int(value); err == nil && pid > 1 {
				m.MainPID = pid
			}
		}
	}
	return m
}
