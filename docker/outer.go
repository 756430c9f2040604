package docker

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/console"
	"tend/jobs/control"
	"tend/jobs/environ"
)

// tellOuter sends a message of the sd_notify protocol to the supervisor above us
// (Podman, systemd), if it has given us a socket for that.
func (s *Supervisor) tellOuter(message string) {
	path, _ := environ.Env(s.opts.Environ).Lookup("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		defer syscall.Close(fd)
		// x/sys writes a leading @ as the NUL of an abstract name.
		err = unix.Sendto(fd, []byte(message), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		s.log.Warning().Msg("cannot tell " + strings.TrimSuffix(message, "=1") + " to the supervisor above (NOTIFY_SOCKET): " + err.Error())
	}
}

// newJitter returns the source of randomness for respawn delays.
func newJitter() func() float64 {
	seed := uint64(time.Now().UnixNano())
	return rand.New(rand.NewPCG(seed, uint64(unix.Getpid()))).Float64
}

// format is how the jobs' output is passed on.
func (o *Options) format() console.Format {
	switch o.JobOutput {
	case OutputRaw:
		return console.Raw
	case OutputNone:
		return console.None
	}
	return console.Prefix
}

// level is the threshold of our own log.
func (o *Options) level() console.Level {
	switch {
	case o.Verbosity <= LevelError:
		return console.Error
	case o.Verbosity == LevelNotice:
		return console.Notice
	case o.Verbosity == LevelInfo:
		return console.Info
	}
	return console.Debug
}

// console is the console of jobs whose files do not say.
func (o *Options) console() jobs.Console {
	if o.DefaultConsole == jobs.ConsoleDefault {
		return jobs.ConsoleLog
	}
	return o.DefaultConsole
}

// logDir is where job output is kept in files, if anywhere.
func (o *Options) logDir() string {
	if o.NoLog {
		return ""
	}
	if o.LogDir == "" {
		dir, _ := environ.Env(o.Environ).Lookup("UPSTART_LOGDIR")
		return dir
	}
	return o.LogDir
}

// addresses are where the control socket may be, best first.
func (o *Options) addresses() []string {
	if o.Socket != "" {
		return []string{o.Socket}
	}
	return control.Addresses(unix.Geteuid())
}
