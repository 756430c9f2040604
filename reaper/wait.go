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
// there is no child at all, where waitid cannot block, is SIGCHLD waited for.
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
		switch err := waitid(waitOptions); err {
		case nil:
			switch n, owned := r.collect(); {
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
			if waitid(waitOptions|unix.WNOHANG) == unix.ECHILD {
				<-chld
			}
			quiet()
		case unix.EINTR:
		default:
			panic("waitid: " + err.Error())
		}
	}
}

// waitid waits for any child; it takes nothing.
func waitid(options int) error {
	_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, 0, uintptr(options), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// collect reaps until nothing is left.
// It returns how many ended and whether something was posted.
func (r *Reaper) collect() (n int, owned bool) {
	r.mu.Lock()
	for {
		next := -1
		if len(r.children) > 0 {
			var status int
			if next, status = waiting(); next == 0 {
				break
			}
			r.bequeath(next, status)
		}
		pid, ws := wait4(next)
		if pid <= 0 {
			break
		}
		ended := ws.Exited() || ws.Signaled()
		c, ok := r.children[pid]
		if ok {
			r.posted = append(r.posted, Exit{PID: pid, Status: ws, Owner: c.owner})
			owned = true
		} else if ended {
			r.orphans++
		}
		if !ended {
			continue
		}
		n++
		r.disown(pid)
		r.owners.reaped(pid)
		if r.proc.err != nil {
			delete(r.owners.ids, pid)
		}
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return n, owned
}

// waiting returns the pid of the child that is to be taken next, 0 for none, and its
// exit status or, when it did not exit, the number of a signal, which is never 0.
func waiting() (pid, status int) {
	var info [128 / 4]int32 // siginfo_t: three numbers, then, aligned as a pointer, pid, uid, status
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)), waitOptions|unix.WNOHANG, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		at := 3
		if unsafe.Sizeof(uintptr(0)) == 8 {
			at = 4
		}
		return int(info[at]), int(info[at+2])
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
