// Floor is the least that a supervisor written in Go can be: it starts the commands
// of a file, one a line, reaps everything, starts again at once what has ended, and
// at TERM passes TERM on, then KILL after 2 s.
package main

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	list, err := os.ReadFile(os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	var commands [][]string
	for line := range strings.Lines(string(list)) {
		if words := strings.Fields(line); len(words) > 0 {
			commands = append(commands, words)
		}
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM)
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true}}
	running := make(map[int][]string, len(commands))
	start := func(argv []string) {
		if pid, err := syscall.ForkExec(argv[0], argv, attr); err == nil {
			running[pid] = argv
		}
	}
	kill := func(sig syscall.Signal) {
		for pid := range running {
			syscall.Kill(pid, sig)
		}
	}
	for _, argv := range commands {
		start(argv)
	}
	var timeout <-chan time.Time
	for timeout == nil || len(running) > 0 {
		select {
		case sig := <-signals:
			if sig == syscall.SIGTERM && timeout == nil {
				kill(syscall.SIGTERM)
				timeout = time.After(2 * time.Second)
			}
		case <-timeout:
			kill(syscall.SIGKILL)
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
			argv := running[pid]
			delete(running, pid)
			if argv != nil && timeout == nil {
				start(argv)
			}
		}
	}
}
