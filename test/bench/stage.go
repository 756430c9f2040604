package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The stage turns this program, started in new namespaces, into a peer as PID 1 of
// something like a container:
//
//  1. mounts: nothing is seen by the host; a private root with /proc, empty /run and
//     /tmp, the devices that programs expect, and the directories /cfg and /b;
//  2. the root is changed and the loopback interface is set up;
//  3. the time and the CPU time used so far are written to descriptor 3;
//  4. the peer is executed.
//
// What the stage has used is on the account of the main thread, which execve keeps.

// stageName is argv[0] of the stage.
const stageName = "bench-stage"

// report is the descriptor to which the stage tells.
const report = 3

// devices are what a container has in /dev, as far as any peer asks for it.
var devices = []string{"null", "zero", "full", "random", "urandom"}

// stage runs in the new namespaces: argv is the directory of the life, the root and
// the words of the peer. It does not return.
func stage(argv []string) {
	runtime.LockOSThread()
	life, root, peer := argv[0], argv[1], argv[2:]
	err := arrange(life, root)
	if err == nil {
		raiseLimit()
		var used, now unix.Timespec
		unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used)
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
		line := fmt.Sprintf("%d %d\n", now.Nano(), used.Nano())
		unix.Write(report, []byte(line))
		unix.CloseOnExec(report)
		err = syscall.Exec(peer[0], peer, os.Environ())
		err = fmt.Errorf("cannot execute %s: %w", peer[0], err)
	}
	unix.Write(report, []byte("! "+err.Error()+"\n"))
	os.Exit(1)
}

func arrange(life, root string) error {
	mount := func(source, to, fstype string, flags uintptr) error {
		if err := unix.Mount(source, to, fstype, flags, ""); err != nil {
			return fmt.Errorf("cannot mount %s: %w", to, err)
		}
		return nil
	}
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE); err != nil {
		return err
	}
	if err := mount(root, root, "", unix.MS_BIND|unix.MS_REC); err != nil {
		return err
	}
	for _, name := range devices {
		if err := mount("/dev/"+name, root+"/dev/"+name, "", unix.MS_BIND); err != nil {
			return err
		}
	}
	for _, dir := range []string{"cfg", "b"} {
		if err := mount(filepath.Join(life, dir), filepath.Join(root, dir), "", unix.MS_BIND); err != nil {
			return err
		}
	}
	if err := mount("proc", root+"/proc", "proc", 0); err != nil {
		return err
	}
	for _, dir := range []string{"run", "tmp"} {
		if err := mount(dir, filepath.Join(root, dir), "tmpfs", 0); err != nil {
			return err
		}
	}
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("cannot change the root to %s: %w", root, err)
	}
	loopback()
	return unix.Chdir("/")
}

// loopback brings the interface up; a peer that wants it will say so.
func loopback() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// raiseLimit allows as many descriptors as may be had: a thousand services with
// pipes need more than the usual 1024.
func raiseLimit() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = min(limit.Max, 1<<16)
		syscall.Setrlimit(unix.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit.Cur, Max: limit.Max})
	}
}

// stageEnv is what a peer finds in its environment.
func stageEnv(extra []string) []string {
	env := []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/", "TERM=dumb", "container=docker"}
	for _, kv := range extra {
		if strings.Contains(kv, "=") {
			env = append(env, kv)
		}
	}
	return env
}
