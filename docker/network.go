package docker

import (
	"encoding/binary"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs/environ"
	"tend/jobs/event"
)

// iface is a network interface that is up.
type iface struct {
	name     string
	index    int
	loopback bool
	global   bool // has an address of global scope, or a default route
}

// events are what ifup and the udev bridge of Ubuntu emit for it.
//
//go:noinline
func (i iface) events() []event.Event {
	method := "static"
	if i.loopback {
		method = "loopback"
	}
	return []event.Event{
		{Name: "net-device-added", Env: environ.Env{"INTERFACE=" + i.name}},
		{Name: "net-device-up", Env: environ.Env{"IFACE=" + i.name, "LOGICAL=" + i.name, "ADDRFAM=inet", "METHOD=" + method}},
	}
}

// loopback stands for lo where netlink is not to be had: every container has it.
var loopback = iface{name: "lo", index: 1, loopback: true}

// interfaces returns lo and then, by index, the other interfaces that are up. On the
// host's network, where engines keep dozens of bridges and virtual pairs, only those
// that have a default route or a global address count. Netlink is asked, since /sys
// may be hidden.
func interfaces() ([]iface, error) {
	links, err := dump(unix.RTM_GETLINK)
	if err != nil {
		return []iface{loopback}, err
	}
	byIndex := map[int]*iface{}
	host := false
	for _, m := range links {
		if i, up, ok := parseLink(m); ok {
			host = host || isEngineInterface(i.name)
			if up {
				byIndex[i.index] = &i
			}
		}
	}
	for _, kind := range []uint16{unix.RTM_GETADDR, unix.RTM_GETROUTE} {
		msgs, err := dump(kind)
		if err != nil {
			return []iface{loopback}, err
		}
		for _, m := range msgs {
			index := globalAddress(m)
			if kind == unix.RTM_GETROUTE {
				index = defaultRoute(m)
			}
			if i := byIndex[index]; i != nil {
				i.global = true
			}
		}
	}
	var indexes []int
	for index, i := range byIndex {
		if !i.loopback && (i.global || !host) {
			indexes = append(indexes, index)
		}
	}
	sort.Sort(sort.IntSlice(indexes))
	out := []iface{loopback}
	for _, index := range indexes {
		out = append(out, *byIndex[index])
	}
	return out, nil
}

// isEngineInterface tells whether an interface is one that container engines and
// hypervisors make on a host.
func isEngineInterface(name string) bool {
	for _, prefix := range []string{"docker", "br-", "veth", "cni", "podman", "virbr", "lxcbr", "flannel", "cali"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// message is one netlink message without its header.
type message struct {
	kind uint16
	data []byte
}

// openNetlink opens a route netlink socket that listens to the multicast groups.
func openNetlink(groups uint32) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// dump asks for all objects of one kind. The kernel answers at once, so this does
// not block; a receive time-out guards against one that does not.
func dump(kind uint16) ([]message, error) {
	fd, err := openNetlink(0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	tv := unix.NsecToTimeval(200e6)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return nil, err
	}
	req := make([]byte, unix.NLMSG_HDRLEN+unix.SizeofRtMsg)
	binary.NativeEndian.PutUint32(req, uint32(len(req)))
	binary.NativeEndian.PutUint16(req[4:], kind)
	binary.NativeEndian.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var out []message
	buf := make([]byte, 1<<16)
	for {
		n, err := syscall.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		msgs, done := parseMessages(append([]byte(nil), buf[:n]...))
		out = append(out, msgs...)
		if done {
			return out, nil
		}
	}
}

// parseMessages cuts a datagram into messages; done is set by the end of a dump or
// an error. Lengths that do not fit end the datagram.
func parseMessages(b []byte) (out []message, done bool) {
	for len(b) >= unix.NLMSG_HDRLEN {
		n := int(binary.NativeEndian.Uint32(b))
		kind := binary.NativeEndian.Uint16(b[4:])
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			return out, true
		}
		if kind == unix.NLMSG_DONE || kind == unix.NLMSG_ERROR {
			return out, true
		}
		out = append(out, message{kind, b[unix.NLMSG_HDRLEN:n]})
		b = b[min((n+3)&^3, len(b)):]
	}
	return out, false
}

// attributes calls fn for each attribute behind the fixed part of a message.
func attributes(b []byte, fixed int, fn func(kind uint16, value []byte)) {
	if len(b) < fixed {
		return
	}
	for b = b[fixed:]; len(b) >= 4; {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return
		}
		fn(binary.NativeEndian.Uint16(b[2:]), b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

// parseLink reads struct ifinfomsg: family 1, pad 1, type 2, index 4, flags 4.
func parseLink(m message) (i iface, up, ok bool) {
	if m.kind != unix.RTM_NEWLINK || len(m.data) < unix.SizeofIfInfomsg {
		return iface{}, false, false
	}
	flags := binary.NativeEndian.Uint32(m.data[8:])
	i.index = int(int32(binary.NativeEndian.Uint32(m.data[4:])))
	i.loopback = flags&unix.IFF_LOOPBACK != 0
	attributes(m.data, unix.SizeofIfInfomsg, func(kind uint16, value []byte) {
		if kind == unix.IFLA_IFNAME {
			i.name = strings.TrimRight(string(value), "\x00")
		}
	})
	return i, flags&unix.IFF_UP != 0, i.name != ""
}

// globalAddress returns the interface of an address of global scope, else 0
// (struct ifaddrmsg: family 1, prefix 1, flags 1, scope 1, index 4).
func globalAddress(m message) int {
	if m.kind != unix.RTM_NEWADDR || len(m.data) < unix.SizeofIfAddrmsg || m.data[3] != unix.RT_SCOPE_UNIVERSE {
		return 0
	}
	return int(binary.NativeEndian.Uint32(m.data[4:]))
}

// defaultRoute returns the interface of a default route, else 0 (struct rtmsg:
// family 1, destination length 1).
func defaultRoute(m message) (index int) {
	if m.kind != unix.RTM_NEWROUTE || len(m.data) < unix.SizeofRtMsg || m.data[1] != 0 {
		return 0
	}
	attributes(m.data, unix.SizeofRtMsg, func(kind uint16, value []byte) {
		if kind == unix.RTA_OIF && len(value) >= 4 {
			index = int(binary.NativeEndian.Uint32(value))
		}
	})
	return index
}
