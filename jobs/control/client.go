package control

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs/fault"
	"tend/jobs/jsonl"
)

// Client is a connection to tend. It is for one goroutine, and blocks.
type Client struct {
	fd  int
	buf []byte // read but not used
}

// Refused is an error that tend answered with. Its text is complete.
type Refused struct {
	Text   string
	Reason string // more about a job that failed; may be empty
}

func (e *Refused) Error() string { return e.Text }

// Dial connects to the tend at address or, when that is empty, at TEND_SOCKET or
// where Addresses looks for it. A server that is neither root nor our own uid nor
// process 1 is not talked to: it may have taken the name to deceive us.
func Dial(address string) (*Client, error) {
	if address == "" {
		address = os.Getenv(Environment)
	}
	if address != "" {
		fd, err := dial(address)
		if err != nil {
			return nil, fault.Of("cannot connect to "+address, err)
		}
		return &Client{fd: fd}, nil
	}
	return look()
}

// look tries the usual addresses. A tend of another PID namespace, whose place in the
// file system we share, is taken only when no other answers. When none works the error
// is that of the first where somebody seems to be, else that of the first.
func look() (*Client, error) {
	var telling, first error
	distant := -1
	for _, address := range clientAddresses() {
		fd, err := dial(address)
		if err == nil && !near(fd) {
			if distant < 0 {
				distant = fd
			} else {
				syscall.Close(fd)
			}
			continue
		}
		if err == nil {
			if distant >= 0 {
				syscall.Close(distant)
			}
			return &Client{fd: fd}, nil
		}
		named := fault.Of("cannot connect to "+address, err)
		if first == nil {
			first = named
		}
		if telling == nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ECONNREFUSED) {
			telling = named
		}
	}
	switch {
	case distant >= 0:
		return &Client{fd: distant}, nil
	case telling != nil:
		return nil, telling
	}
	return nil, first
}

// near tells whether the server at the other end of fd is in our PID namespace or one
// below it. Containers that share /dev/shm or /run see each other's sockets there.
func near(fd int) bool {
	peer, err := peerOf(fd)
	return err == nil && peer.PID > 0
}

// clientAddresses returns where a tend of our own uid may be, then where that of
// process 1 may be: root enters containers whose tend runs as someone else.
func clientAddresses() []string {
	uid := os.Geteuid()
	addresses := Addresses(uid)
	var stat unix.Stat_t
	if err := unix.Stat("/proc/1", &stat); err == nil && int(stat.Uid) != uid {
		addresses = append(addresses, Addresses(int(stat.Uid))[1:]...)
	}
	return addresses
}

func dial(address string) (int, error) {
	fd, err := connect(address, 0)
	if err != nil {
		return -1, err
	}
	if err := trusted(fd); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// trusted returns nil when the server at the other end of fd may be believed.
func trusted(fd int) error {
	peer, err := peerOf(fd)
	if err != nil {
		return err
	}
	if peer.UID == 0 || int(peer.UID) == os.Geteuid() || peer.PID == 1 {
		return nil
	}
	return errors.New("it belongs to uid " + strconv.FormatUint(uint64(peer.UID), 10) + ", not to root or to us")
}

// Close ends the connection.
func (c *Client) Close() error { return syscall.Close(c.fd) }

// Do makes a request and returns its reply of one line. An error that tend answers
// with is a *Refused.
func (c *Client) Do(req *Request) (*Response, error) {
	var last *Response
	err := c.Each(req, func(r *Response) error {
		last = r
		return nil
	})
	return last, err
}

// Each makes a request and calls line for every line of the reply. It ends at the
// first error of line.
func (c *Client) Each(req *Request, line func(*Response) error) error {
	req.V = Protocol
	if err := c.write(appendLine(nil, req)); err != nil {
		// A server that does not want us says why before it hangs up.
		if r, readErr := c.response(); readErr == nil && r.Error != "" {
			return &Refused{r.Error, r.Reason}
		}
		return err
	}
	for {
		r, err := c.response()
		if err != nil {
			return err
		}
		if r.Error != "" {
			return &Refused{r.Error, r.Reason}
		}
		if err := line(r); err != nil {
			return err
		}
		if !r.More {
			return nil
		}
	}
}

func (c *Client) write(buf []byte) error {
	for len(buf) > 0 {
		n, err := unix.SendmsgN(c.fd, buf, nil, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		buf = buf[n:]
	}
	return nil
}

// response reads the next line.
func (c *Client) response() (*Response, error) {
	searched := 0
	for {
		if i := bytes.IndexByte(c.buf[searched:], '\n'); i >= 0 {
			line := c.buf[:searched+i]
			c.buf = c.buf[searched+i+1:]
			r := new(Response)
			if err := jsonl.Decode(line, r); err != nil {
				return nil, errors.New("malformed reply: " + err.Error())
			}
			return r, nil
		}
		searched = len(c.buf)
		if cap(c.buf)-len(c.buf) < 512 {
			c.buf = append(make([]byte, 0, max(4096, 2*len(c.buf))), c.buf...)
		}
		n, err := syscall.Read(c.fd, c.buf[len(c.buf):cap(c.buf)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return nil, io.ErrUnexpectedEOF
		}
		c.buf = c.buf[:len(c.buf)+n]
	}
}
