package docker

import (
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs/alarm"
	"tend/jobs/jsonl"
	"tend/jobs/lock"
	"tend/reaper/self"
)

// command is COMMAND without jobs: one child, and orphans that are only reaped.
type command struct {
	opts     *Options
	out      reporter
	pid      int
	terminal bool // the terminal has been handed over

	// mu is held while signals are sent, while children are reaped, and while either
	// is reported.
	mu lock.Mutex
}

// runCommand runs COMMAND as tini does and returns the exit status. No thread has to be
// locked: what is asked of the kernel here concerns the whole process, and each exchange
// between the runtime's threads costs time that COMMAND waits for.
//
//  1. Ask for the parent's death signal and become the reaper of orphans.
//  2. Execute COMMAND in a process group of its own, which gets the terminal if it is
//     ours. All descriptors, the environment and the limits are those that we were given.
//  3. Pass signals on and reap until COMMAND has ended.
//  4. Take the terminal back for whoever started us, and leave with COMMAND's status.
//
// What COMMAND leaves behind ends with the PID namespace.
func runCommand(o *Options, sigs Signals) int {
	c := &command{opts: o, out: reporter{json: o.LogJSON, verbosity: o.Verbosity}}
	c.prepare()
	<-sigs.Ready
	if err := c.start(); err != nil {
		c.out.say(LevelError, err.Error())
		_ = leaveReason(err.Error() + "\n")
		return err.status
	}
	c.out.say(LevelInfo, "started "+o.Command[0]+", pid "+strconv.Itoa(c.pid))
	go sigs.Others(true)
	// Not later: a timer would take another thread, which a small pids limit has no room for.
	self.ReleaseText()
	status := c.loop(sigs.C)
	if c.terminal {
		takeTerminalBack(c.pid)
	}
	return status
}

// prepare does what concerns ourselves. None of it is a reason not to run the command.
func (c *command) prepare() {
	for _, w := range c.opts.Warnings {
		c.out.say(LevelWarning, w)
	}
	if text := c.opts.askForDeathSignal(); text != "" {
		c.out.say(LevelWarning, text)
	}
	if os.Getpid() == 1 {
		return
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		level := LevelInfo
		if c.opts.Subreaper {
			level = LevelWarning
		}
		c.out.say(level, "cannot become a child subreaper, so orphans are not reaped here: "+err.Error())
	}
}

// askForDeathSignal has the kernel send the signal of -p when our parent dies. It returns
// what is to be told of a failure.
func (o *Options) askForDeathSignal() string {
	if o.ParentDeath == 0 {
		return ""
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(o.ParentDeath), 0, 0, 0); err != nil {
		return "cannot ask for signal " + signalName(o.ParentDeath) + " on the parent's death: " + err.Error()
	}
	return ""
}

// start executes the command, by way of the terminal stage when there is a terminal to
// hand over.
func (c *command) start() *execError {
	argv := c.opts.Command
	path, notFound := findProgram(argv[0], c.opts.Environ)
	if notFound != nil {
		return notFound
	}
	attr := &syscall.ProcAttr{
		Env:   c.opts.Environ,
		Files: []uintptr{0, 1, 2}, // the others are inherited by not being close-on-exec
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	c.terminal = ownsTerminal(0)
	file := path
	if c.terminal {
		if own := self.Path(); executable(own) {
			format := "text"
			if c.opts.LogJSON {
				format = "json"
			}
			argv = append([]string{TerminalStage, format, path}, argv...)
			attr.Env = hidden(c.opts.Environ)
			file = own
		}
	}
	pid, err := syscall.ForkExec(file, argv, attr)
	if err != nil {
		return explainExec(file, err)
	}
	c.pid = pid
	if c.terminal && file == path {
		// Without a path to ourselves there is no stage, and the command may have
		// noticed that it is in the background; SIGCONT wakes one that stopped for it.
		if err := setForeground(0, pid); err != nil {
			c.out.say(LevelWarning, "cannot hand over the terminal: "+err.Error())
		}
		unix.Kill(-pid, unix.SIGCONT)
	}
	return nil
}

// loop reaps until the command has ended, and returns the exit status. It takes a look
// at what has ended before it reaps, so that no signal is sent in between to a pid that
// is free again.
func (c *command) loop(sigs <-chan os.Signal) int {
	go c.pass(sigs)
	for {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != nil && err != unix.EINTR {
			c.out.say(LevelError, "cannot wait for "+c.opts.Command[0]+": "+err.Error())
			return 1
		}
		c.mu.Lock()
		status, ended := c.reap()
		if ended {
			// The lock is kept: nothing may be signalled any more.
			return status
		}
		c.mu.Unlock()
	}
}

// pass passes signals on, and kills the command when a stop takes longer than the
// command line allows.
func (c *command) pass(sigs <-chan os.Signal) {
	var timer *alarm.Alarm
	var elapsed <-chan struct{}
	var killAt time.Time
	for {
		select {
		case s := <-sigs:
			sig, _ := s.(syscall.Signal)
			c.mu.Lock()
			c.forward(sig)
			c.mu.Unlock()
			if timer == nil && c.opts.StopTimeoutSet && c.opts.StopTimeout > 0 && isStopSignal(sig) {
				timer = alarm.New(c.opts.StopTimeout)
				elapsed = timer.C
				killAt = time.Now().Add(c.opts.StopTimeout)
			}
		case <-elapsed:
			now := time.Now()
			// A timer that fires late means that the container was frozen
			// (docker pause); that time does not count.
			if late := now.Sub(killAt); late > time.Second {
				killAt = now.Add(late)
				timer.Reset(late)
				continue
			}
			c.mu.Lock()
			c.out.say(LevelWarning, c.opts.Command[0]+" has not ended within "+seconds(c.opts.StopTimeout)+", killing it")
			c.kill(-c.pid, unix.SIGKILL)
			c.mu.Unlock()
		}
	}
}

// isStopSignal tells whether s asks the container to stop.
func isStopSignal(s syscall.Signal) bool {
	switch s {
	case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGPWR, rtmin3:
		return true
	}
	return false
}

// forward passes a signal on to the command. TTIN and TTOU are about our own use of the
// terminal; SIGPIPE may be the answer to what we wrote ourselves.
func (c *command) forward(s syscall.Signal) {
	switch s {
	case unix.SIGTTIN, unix.SIGTTOU:
		return
	case unix.SIGPIPE:
		if c.out.broken {
			return
		}
	}
	c.out.say(LevelDebug, "passing on signal "+signalName(s))
	target := c.pid
	if c.opts.KillGroup {
		target = -c.pid
	}
	c.kill(target, s)
}

func (c *command) kill(target int, s syscall.Signal) {
	if err := unix.Kill(target, s); err != nil {
		c.out.say(LevelWarning, "cannot send signal "+signalName(s)+" to "+c.opts.Command[0]+": "+err.Error())
	}
}

// reap collects every process that has ended. When the command is among them it returns
// the exit status.
func (c *command) reap() (status int, ended bool) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
		case err != nil || pid == 0:
			return status, ended
		case pid == c.pid:
			status, ended = c.result(ws), true
		case c.opts.WarnReaped:
			c.out.say(LevelWarning, "reaped zombie process, pid "+strconv.Itoa(pid))
		default:
			c.out.say(LevelDebug, "reaped orphan, pid "+strconv.Itoa(pid))
		}
	}
}

// result returns the exit status for the command's end.
func (c *command) result(ws syscall.WaitStatus) int {
	status := ws.ExitStatus()
	if ws.Signaled() {
		status = 128 + int(ws.Signal())
		c.out.say(LevelInfo, c.opts.Command[0]+" was killed by signal "+signalName(syscall.Signal(ws.Signal())))
	} else {
		c.out.say(LevelInfo, c.opts.Command[0]+" exited with status "+strconv.Itoa(status))
	}
	return c.opts.MapStatus(status)
}

// reporter writes the few lines that command mode has to say. It needs no thread and no
// memory, unlike the log of the supervisor, so that the command starts at once.
type reporter struct {
	json      bool
	verbosity int
	broken    bool // standard error cannot be written
}

func (r *reporter) say(level int, text string) {
	if level > r.verbosity || r.broken {
		return
	}
	line := []byte("tend | " + text + "\n")
	if r.json {
		names := [...]string{"error", "warning", "notice", "info", "debug"}
		line = jsonl.AppendTime([]byte(`{"time":"`), time.Now(), 6)
		line = append(line, `","level":"`+names[level-LevelError]+`","msg":`...)
		line = append(jsonl.AppendString(line, text), "}\n"...)
	}
	if _, err := syscall.Write(2, line); err == unix.EPIPE {
		r.broken = true
	}
}
