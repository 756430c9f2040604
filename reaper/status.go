package reaper

import "syscall"

// Status returns what a shell would call the status of an ended process: its exit
// code, or 128+n when signal n killed it.
func Status(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}
