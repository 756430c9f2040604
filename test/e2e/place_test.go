package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// seccomp is a profile that refuses one system call with EPERM and allows all others.
// more narrows the rule down.
func seccomp(t *testing.T, call, more string) string {
	t.Helper()
	path := filepath.Join(confdir(t, nil), "seccomp.json")
	text := fmt.Sprintf(`{"defaultAction": "SCMP_ACT_ALLOW",
		"syscalls": [{"names": [%q], "action": "SCMP_ACT_ERRNO", "errnoRet": 1%s}]}`, call, more)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return "seccomp=" + path
}

// fate is what becomes of a daemon. Where it is not followed, its job ends with the
// process that was started.
type fate int

const (
	followed  fate = iota
	unseen         // it gets TERM when all jobs have stopped
	elsewhere      // it has become the child of another process, which ends it
)

// place is a way to run a container.
type place struct {
	name    string
	options []string
	// before is a command of the shell that prepares the place, with rights that tend
	// need not have, and last of all executes it.
	before string
	// lost is the one line of tend's that says what is missing and what that costs;
	// empty when nothing is lost.
	lost   string
	daemon fate
	// doctor is what tend doctor says of the place: beginnings of lines, with single
	// spaces for those that align them.
	doctor []string
}

// docker returns the options of docker run for the place, and the words behind the
// image, of which args are tend's.
func (p *place) docker(options []string, args ...string) (all, words []string) {
	options = append(options[:len(options):len(options)], p.options...)
	if p.before != "" {
		options = append(options, "--entrypoint", "sh")
		args = append([]string{"-c", p.before, "sh"}, args...)
	}
	return options, args
}

// The places that Docker's options make, one by one and together.
func places(t *testing.T) []place {
	noSubreaper := seccomp(t, "prctl", `, "args": [{"index": 0, "value": 36, "op": "SCMP_CMP_EQ"}]`)
	// What a preparation needs is not Docker's default.
	prepared := []string{"--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"}
	const noProc = "; what jobs leave behind is not found, so it is not stopped with its job"
	const noCapabilities = "capabilities 0x0; missing: kill (signals to jobs of other users), setuid (setuid), setgid (setgid), "
	return []place{
		{name: "default", doctor: []string{
			"process pid 1, the init of its PID namespace", "user uid 0, gid 0", "capabilities 0xa80425fb; missing: sys_resource (raising limits, lowering the oom score)",
			"no_new_privs off", "seccomp filter", "processes no limit", "memory no limit", "/proc yes", "pidfd yes", "cgroups version ",
			"network lo, eth0", "control socket /run/tend.sock", "/bin/sh yes", "standard input /dev/null", "standard output pipe", "terminal none",
		}},
		{name: "init", options: []string{"--init"}, doctor: []string{"process pid ", "child subreaper yes"}},
		{name: "the host's processes", options: []string{"--pid", "host"}, doctor: []string{"process pid ", "child subreaper yes"}},
		{name: "another user", options: []string{"--user", "12345"}, doctor: []string{
			"user uid 12345, gid 0; setuid, setgid and chroot in jobs need root", noCapabilities, "control socket /dev/shm/tend-12345.sock"}},
		{name: "read-only", options: []string{"--read-only"}, doctor: []string{"control socket /dev/shm/tend-0.sock"}},
		{name: "no capabilities", options: []string{"--cap-drop", "ALL"}, doctor: []string{"user uid 0, gid 0", noCapabilities}},
		{name: "no new privileges", options: []string{"--security-opt", "no-new-privileges"}, doctor: []string{
			"no_new_privs on; set-uid programs and file capabilities have no effect in jobs"}},
		{name: "few processes", options: []string{"--pids-limit", "30"}, doctor: []string{"processes at most 30, "}},
		{name: "few open files", options: []string{"--ulimit", "nofile=40:60"}, doctor: []string{"open files at most 60; each job whose output is passed on takes two"}},
		{name: "little memory", options: []string{"--memory", "16m"}, doctor: []string{"memory at most 16 MiB"}},
		{name: "no network", options: []string{"--network", "none"}, doctor: []string{"network lo; jobs that wait for another interface wait until it comes up"}},
		{name: "a terminal", options: []string{"-t"}, doctor: []string{"standard input terminal", "standard error terminal", "terminal ours to hand over"}},
		{name: "an open standard input", options: []string{"-i"}, doctor: []string{"standard input pipe", "terminal none"}},
		{name: "a terminal and an open standard input", options: []string{"-it"}, doctor: []string{"terminal ours to hand over"}},
		{name: "ptrace denied", options: []string{"--security-opt", seccomp(t, "ptrace", "")}, doctor: []string{"ptrace not needed", "seccomp filter"}},
		{name: "close_range denied", options: []string{"--security-opt", seccomp(t, "close_range", "")}},
		{name: "pidfd denied", options: []string{"--security-opt", seccomp(t, "pidfd_open", "")}, doctor: []string{
			"pidfd no: operation not permitted; processes that are not tend's children are signalled after a look at their start time"}},
		{name: "subreaper denied to PID 1", options: []string{"--security-opt", noSubreaper}, doctor: []string{"process pid 1, the init of its PID namespace"}},
		{name: "subreaper denied", options: []string{"--init", "--security-opt", noSubreaper}, daemon: elsewhere,
			lost: "cannot become the parent of orphans: operation not permitted; what jobs leave behind is neither followed nor stopped",
			doctor: []string{
				"child subreaper no: operation not permitted; orphans go to another process and are not stopped with their job"}},
		{name: "no proc", options: prepared, before: `umount -l /proc && exec /sbin/tend "$@"`, daemon: unseen,
			lost: "cannot list processes: read /proc/self: no such file or directory" + noProc,
			doctor: []string{
				"/proc no: no such file or directory; the processes that jobs leave behind are not found, so they are not stopped with their job; scripts are limited to 128 KiB",
				"own executable /sbin/tend"}},
		{name: "a covered proc", options: prepared, before: `mount -t tmpfs -o ro none /proc && exec /sbin/tend "$@"`, daemon: unseen,
			lost:   "cannot list processes: read /proc/self: no such file or directory" + noProc,
			doctor: []string{"/proc no: no such file or directory"}},
		{name: "no proc and another user", options: prepared, daemon: unseen,
			before: `umount -l /proc && exec setpriv --reuid 12345 --regid 12345 --clear-groups --bounding-set=-all /sbin/tend "$@"`,
			lost:   "cannot list processes: read /proc/self: no such file or directory" + noProc,
			doctor: []string{"user uid 12345", "/proc no: no such file or directory"}},
		{name: "a hidden proc and another user", options: prepared,
			before: `mount -o remount,hidepid=2 /proc && exec setpriv --reuid 12345 --regid 12345 --clear-groups --bounding-set=-all /sbin/tend "$@"`,
			doctor: []string{"/proc yes", "other processes hidden (hidepid=invisible); processes of other users that jobs leave behind are not found"}},
		{name: "hardened", options: []string{"--read-only", "--user", "12345", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"},
			doctor: []string{"user uid 12345", noCapabilities, "no_new_privs on", "control socket /dev/shm/tend-12345.sock"}},
		{name: "hardened, with a terminal under another init", options: []string{"-it", "--init", "--read-only", "--user", "12345:12345", "--cap-drop", "ALL",
			"--security-opt", "no-new-privileges", "--tmpfs", "/run"}, doctor: []string{"child subreaper yes", "user uid 12345, gid 12345"}},
		{name: "all at once", options: []string{"--init", "--user", "12345", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
			"--pids-limit", "30", "--memory", "16m", "--network", "none"}, doctor: []string{"child subreaper yes", "processes at most 30, ", "memory at most 16 MiB", "network lo;"}},
	}
}

// placeJobs are a service and one that needs it, neither of which has more than one
// process; a daemon; and one that crashes once. What they do shows in the output.
var placeJobs = map[string]string{
	"base.conf": "start on filesystem\npre-start exec echo prepared\nexec sleep 1000\npost-stop exec echo down\n",
	"top.conf":  "start on started base\nscript\necho up\nexec sleep 1000\nend script\npost-stop exec echo down\n",
	"daemon.conf": "start on started top\nexpect fork\nscript\n" +
		"(trap 'echo gone; exit 0' TERM; echo forked; while :; do sleep 1000 & wait $!; done) &\nexit 0\nend script\n",
	"crash.conf": "start on started daemon or stopped daemon\nrespawn\nscript\n" +
		"if [ -e /dev/shm/crashed ]; then echo back; exec sleep 1000; fi\n: >/dev/shm/crashed\nexit 1\nend script\n",
}

// usual is what tend says of placeJobs where nothing is missing.
var usual = regexp.MustCompile(`^((base|top|daemon|crash): (started, pid \d+|stopped)` +
	`|crash: main process \(\d+\) terminated with status 1, respawning \(1 of 10 in 5 s\)` +
	`|stopping: TERM received, 9 s left; [34] jobs` +
	`|stopped in \d\.\d\d s, exit status 0)$`)

// TestNeverRefuses runs the same jobs wherever a container may find itself. In each
// place they run, docker stop stops them in their order and with status 0, COMMAND's
// status is the container's, and one line says what is lost, if anything is.
func TestNeverRefuses(t *testing.T) {
	for _, p := range places(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			image := jobsImage(t)
			options, args := p.docker(mount(t, placeJobs))
			c := run(t, image, options, args...)
			for _, effect := range []string{"base | prepared", "top | up", "daemon | forked", "crash | back"} {
				c.eventually(effect, func() bool { return strings.Contains(c.plainLog(), effect+"\n") })
			}
			if status := c.stop(); status != 0 {
				t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
			}
			log := c.plainLog()
			stdout, _ := c.logs()
			inOrder(t, plain(stdout), "top | down\n", "base | down\n")
			if before, _, _ := strings.Cut(log, "tend | stopping: "); strings.Contains(before, "daemon: stopped") == (p.daemon == followed) {
				t.Errorf("the daemon is followed or not, want the other\n%s", log)
			}
			if gone := strings.Contains(log, "daemon | gone\n"); gone == (p.daemon == elsewhere) {
				t.Errorf("the daemon was asked to end: %v, want %v\n%s", gone, !gone, log)
			}
			var said []string
			for line := range strings.Lines(log) {
				if text, own := strings.CutPrefix(line, "tend | "); own && !usual.MatchString(strings.TrimSuffix(text, "\n")) {
					said = append(said, strings.TrimSuffix(text, "\n"))
				}
			}
			if got := strings.Join(said, "\n"); got != p.lost {
				t.Errorf("tend complains of %q, want %q\n%s", got, p.lost, log)
			}
			p.command(t, image)
			p.ask(t, image)
		})
	}
}

// command runs COMMAND beside the jobs.
func (p *place) command(t *testing.T, image string) {
	t.Helper()
	options, args := p.docker(mount(t, placeJobs), "--", "sh", "-c", "exit 7")
	c := run(t, image, options, args...)
	if status := c.wait(); status != 7 {
		t.Errorf("status %d, want the command's 7\n%s", status, c.log())
	}
}

// ask has tend doctor look at the place.
func (p *place) ask(t *testing.T, image string) {
	t.Helper()
	options, args := p.docker(nil, "doctor")
	c := run(t, image, options, args...)
	if status := c.wait(); status != 0 {
		t.Errorf("tend doctor ends with status %d", status)
	}
	report := "\n" + c.plainLog()
	for _, want := range p.doctor {
		if !strings.Contains(report, "\n"+want) {
			t.Errorf("tend doctor does not say %q\n%s", want, c.log())
		}
	}
}

// plainLog is the log without what plain leaves out.
func (c *container) plainLog() string { return plain(c.log()) }

// plain is text without the blanks that align it and the carriage returns of a terminal.
func plain(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return out.String()
}

// TestMissingRights: what a stanza needs and the container does not have is one line
// that names it; the job runs without where that is safe, else it fails.
func TestMissingRights(t *testing.T) {
	nobody := []string{"--user", "12345"}
	bare := []string{"--cap-drop", "ALL"}
	for _, tt := range []struct {
		name    string
		options []string
		stanza  string
		ran     bool
		says    string
	}{
		{"setuid as another user", nobody, "setuid nobody", false,
			"failed to start: main: cannot become group 65534: operation not permitted (tend runs as uid 12345, and only root can become another user)"},
		{"setuid without capabilities", bare, "setuid nobody", false,
			"failed to start: main: cannot set the groups of nobody: operation not permitted (needs the capability SETGID)"},
		{"setgid as another user", nobody, "setgid nogroup", false,
			"failed to start: main: cannot become group nogroup: operation not permitted (tend runs as uid 12345, and only root can become another user)"},
		{"chroot without capabilities", bare, "chroot /", false,
			"failed to start: main: cannot change root to /: operation not permitted (needs the capability SYS_CHROOT)"},
		{"a limit above the hard one", []string{"--ulimit", "nofile=1000:1000"}, "limit nofile 2000 2000", false,
			"failed to start: main: cannot set limit nofile to 2000: operation not permitted (hard limit is 1000)"},
		{"nice", nil, "nice -5", true,
			"main: cannot set nice to -5: permission denied (lowering it needs the capability SYS_NICE; left as it is)"},
		{"oom score", nil, "oom score -500", true,
			"main: cannot set oom score to -500: permission denied (lowering it needs the capability SYS_RESOURCE; left as it is)"},
		{"cgroup", nil, "cgroup cpu", true,
			"main: cannot use cgroup cpu upstart/job: read-only file system (control groups are not delegated to this container; left out)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := run(t, jobsImage(t), mount(t, map[string]string{
				"job.conf": "start on filesystem\n" + tt.stanza + "\nexec sh -c 'echo ran; exec sleep 1000'\n",
				"web.conf": "start on started job or stopped job\nexec sleep 1000\n",
			}, tt.options...))
			c.logHas("web: started")
			if tt.ran {
				c.logHas("job | ran")
			}
			if status := c.stop(); status != 0 {
				t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
			}
			if n := strings.Count(c.log(), "tend | job: "+tt.says+"\n"); n != 1 {
				t.Errorf("%d lines say %q, want one\n%s", n, tt.says, c.log())
			}
			if strings.Contains(c.log(), "job | ran") != tt.ran {
				t.Errorf("the job ran, or did not\n%s", c.log())
			}
		})
	}
}

// TestConsoleOwner: with a terminal, which is tend's own, a job that is to own it runs
// on it, and one line says what it cannot have.
func TestConsoleOwner(t *testing.T) {
	t.Parallel()
	c := run(t, jobsImage(t), mount(t, map[string]string{
		"owner.conf": "start on filesystem\nconsole owner\nscript\n[ -t 0 ] && [ -t 1 ] && echo on the terminal\nexec sleep 1000\nend script\n",
	}, "-t"))
	c.logHas("owner: started")
	c.logHas("on the terminal")
	const says = "tend | owner: main: cannot take the terminal: operation not permitted (it is that of another session, so this needs the capability SYS_ADMIN; the job uses it without job control)"
	if n := strings.Count(c.log(), says); n != 1 {
		t.Errorf("%d lines say %q, want one\n%s", n, says, c.log())
	}
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
}
