// Forkexec is the least that a program in Go can do to run a command: fork, execute,
// wait, and exit with its status. It is what command mode is measured against.
package main

import (
	"os"
	"syscall"
)

func main() {
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}}
	pid, err := syscall.ForkExec(os.Args[1], os.Args[1:], attr)
	if err != nil {
		os.Exit(127)
	}
	var ws syscall.WaitStatus
	syscall.Wait4(pid, &ws, 0, nil)
	os.Exit(ws.ExitStatus())
}
