package reaper

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Waking up costs more than reaping, so after orphans that nobody waits for the
// thread takes a breath in which more of them may gather, unless they come in such
// numbers that the pids would be missed.
const (
	breath = time.Millisecond
	flood  = 16
)

const waitOptions = unix.WEXITED | unix.WSTOPPED | unix.WCONTINUED | unix.WNOWAIT

// reap is the reaping thread.
//
// While it is blocked in waitid, nobody needs SIGCHLD; with Go's handler in place
// each one would wake another thread for nothing, so the default action, which
// discards it, is restored by hand. (signal.Reset keeps Go's handler.) Only while
// there is no child at all, where waitid cannot block, is SIGCHLD waited for, or a Spawn:
// the end of the first child would find this thread too late where many follow.
func (r *Reaper) reap(ready chan<- struct{}) {
	// Capacity 1: that a child has ended since it was last emptied is all it says.
	chld := make(chan os.Signal, 1)
	signal.Notify(chld, unix.SIGCHLD)
	var handler sigaction
	caught := handler.read(unix.SIGCHLD) == nil
	quiet := func() {
		if caught {
			(&sigaction{}).write(unix.SIGCHLD)
		}
	}
	quiet()
	close(ready)
	for {
		switch pid, status, err := waitid(waitOptions); err {
		case nil:
			switch n, owned := r.collect(pid, status); {
			case owned:
				// Whoever waits for C goes on in this thread, while another one waits:
				// blocked in the kernel, it would be taken for busy for a while.
				runtime.Gosched()
			case n < flood:
				time.Sleep(breath)
			}
		case unix.ECHILD:
			if caught {
				handler.write(unix.SIGCHLD)
			}
			// A child may have come and gone before the handler was there.
			if _, _, err := waitid(waitOptions | unix.WNOHANG); err == unix.ECHILD {
				select {
				case <-chld:
				case <-r.born:
				}
			}
			quiet()
		case unix.EINTR:
		default:
			panic("waitid: " + err.Error())
		}
	}
}

// waitid waits for any child; it takes nothing. It returns the pid, 0 for none, and the
// exit status or, of one that did not exit, the number of a signal, which is never 0.
func waitid(options int) (pid, status int, err error) {
	var info siginfo
	_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)), uintptr(options), 0, 0)
	if errno != 0 {
		return 0, 0, errno
	}
	pid, status = info.child()
	return pid, status, nil
}

// siginfo is the kernel's siginfo_t: three numbers, then, aligned as a pointer, pid, uid
// and status.
type siginfo [128 / 4]int32

func (s *siginfo) child() (pid, status int) {
	at := 3
	if unsafe.Sizeof(uintptr(0)) == 8 {
		at = 4
	}
	return int(s[at]), int(s[at+2])
}

// collect reaps the child that waitid has returned, and then until nothing is left: each
// question for any child has the kernel look at all of them.
// It returns how many ended and whether something was posted.
func (r *Reaper) collect(next, status int) (n int, owned bool) {
	r.mu.Lock()
	for first := true; ; first = false {
		if next > 0 {
			r.bequeath(next, status)
		}
		pid, ws := wait4(next)
		// The first one may have been waited for by who could not set it up.
		if pid <= 0 && !first {
			break
		}
		if pid > 0 {
			ended, posted := r.note(pid, ws)
			owned = owned || posted
			if ended {
				n++
			}
		}
		next = -1
		if len(r.children) > 0 {
			if next, status = waiting(); next == 0 {
				break
			}
		}
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return n, owned
}

// note takes note of what wait4 has returned. It tells whether that was an end, and of a child
// that belongs to somebody. mu is held.
func (r *Reaper) note(pid int, ws syscall.WaitStatus) (ended, owned bool) {
	ended = ws.Exited() || ws.Signaled()
	c, owned := r.children[pid]
	if owned {
		r.posted = append(r.posted, Exit{PID: pid, Status: ws, Owner: c.owner})
	} else if ended {
		r.orphans++
	}
	if ended {
		r.disown(pid)
		r.owners.reaped(pid)
		if r.proc.err != nil {
			delete(r.owners.ids, pid)
		}
	}
	return ended, owned
}

// waiting is waitid that does not block, so the scheduler need not hear of it.
func waiting() (pid, status int) {
	var info siginfo
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)), waitOptions|unix.WNOHANG, 0, 0)
		if errno != unix.EINTR {
			return info.child()
		}
	}
}

// wait4 takes the child pid, or with -1 any, that has changed. It does not block, so
// the scheduler need not hear of it.
func wait4(pid int) (int, syscall.WaitStatus) {
	var status int32
	for {
		got, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&status)),
			unix.WNOHANG|unix.WUNTRACED|unix.WCONTINUED, 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, 0
		}
		return int(got), syscall.WaitStatus(status)
	}
}

// sigaction is the kernel's struct sigaction. Its layout differs between
// architectures, but none has more than 32 bytes, and all zero means the default
// action everywhere.
type sigaction [32]byte

func (a *sigaction) read(sig unix.Signal) error { return rtSigaction(sig, nil, a) }

func (a *sigaction) write(sig unix.Signal) error { return rtSigaction(sig, a, nil) }

func rtSigaction(sig unix.Signal, act, old *sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(act)),
		uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
