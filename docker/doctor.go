package docker

import (
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/control"
	"tend/jobs/file"
	"tend/jobs/number"
	"tend/reaper/self"
)

// finding is one line of the doctor's report.
type finding struct {
	subject string
	fact    string
	cost    string // what does not work because of it; empty when nothing is missing
	fatal   bool   // tend needs it

	_ [0]func() // not to be compared: the code for that weighs 3,000 bytes
}

// Doctor writes what this place offers to an init and what is missing costs. It returns
// the exit status: 0 when all is there that tend needs, otherwise 1.
func Doctor(w io.Writer) int {
	var all []finding
	for _, f := range []func() []finding{
		findMode, findRights, findLimits, findKernel, findCgroup, findPlaces, findStdio,
	} {
		all = append(all, f()...)
	}
	width, status := 0, 0
	for _, f := range all {
		width = max(width, len(f.subject))
	}
	for _, f := range all {
		line := f.subject + jobs.Fill(' ', width-len(f.subject)+2) + f.fact
		if f.cost != "" {
			line += "; " + f.cost
		}
		if f.fatal {
			line += " (needed)"
			status = 1
		}
		io.WriteString(w, line+"\n")
	}
	return status
}

// check is a finding about something that is there or not.
//
//go:noinline
func check(subject string, err error, cost string) finding {
	if err != nil {
		return finding{subject: subject, fact: "no: " + err.Error(), cost: cost}
	}
	return finding{subject: subject, fact: "yes"}
}

func findMode() []finding {
	pid := finding{subject: "process", fact: "pid " + strconv.Itoa(os.Getpid())}
	if os.Getpid() == 1 {
		pid.fact += ", the init of its PID namespace"
		return []finding{pid}
	}
	var was int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&was)), 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	return []finding{pid, check("child subreaper", err, "orphans go to another process and are not stopped with their job")}
}

func findRights() []finding {
	status := readStatus()
	user := finding{subject: "user", fact: "uid " + strconv.Itoa(os.Geteuid()) + ", gid " + strconv.Itoa(os.Getegid())}
	if os.Geteuid() != 0 {
		user.cost = "setuid, setgid and chroot in jobs need root"
	}
	out := []finding{user, findCapabilities(status["CapEff"])}
	newPrivs := finding{subject: "no_new_privs", fact: "off"}
	if n, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && n == 1 {
		newPrivs.fact, newPrivs.cost = "on", "set-uid programs and file capabilities have no effect in jobs"
	}
	seccomp := finding{subject: "seccomp", fact: "unknown"}
	switch status["Seccomp"] {
	case "0":
		seccomp.fact = "off"
	case "1":
		seccomp.fact = "strict"
	case "2":
		seccomp.fact = "filter"
	}
	return append(out, newPrivs, seccomp)
}

// readStatus returns the fields of /proc/self/status.
func readStatus() map[string]string {
	data, _ := file.Read("/proc/self/status")
	out := map[string]string{}
	for _, line := range strings.Split(string(data), "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok {
			out[key] = strings.TrimSpace(value)
		}
	}
	return out
}

// usefulCapabilities are those that stanzas need.
var usefulCapabilities = []struct {
	bit         uint
	name, needs string
}{
	{unix.CAP_KILL, "kill", "signals to jobs of other users"},
	{unix.CAP_SETUID, "setuid", "setuid"},
	{unix.CAP_SETGID, "setgid", "setgid"},
	{unix.CAP_CHOWN, "chown", "pipes of setuid jobs that they can open by path"},
	{unix.CAP_SYS_CHROOT, "sys_chroot", "chroot"},
	{unix.CAP_SYS_RESOURCE, "sys_resource", "raising limits, lowering the oom score"},
	{unix.CAP_SYS_NICE, "sys_nice", "negative nice values"},
}

func findCapabilities(effective string) finding {
	f := finding{subject: "capabilities", fact: "unknown: /proc/self/status cannot be read"}
	bits, err := number.Uint(effective, 16, 64)
	if err != nil {
		return f
	}
	f.fact = "0x" + strconv.FormatUint(bits, 16)
	var missing []string
	for _, c := range usefulCapabilities {
		if bits&(1<<c.bit) == 0 {
			missing = append(missing, c.name+" ("+c.needs+")")
		}
	}
	if len(missing) > 0 {
		f.cost = "missing: " + strings.Join(missing, ", ")
	}
	return f
}

// pidsNeeded is how many processes and threads tend, one job with a hook, and the client
// take.
const pidsNeeded = 16

func findLimits() []finding {
	var out []finding
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		out = append(out, finding{subject: "open files", fact: "at most " + limitText(files.Cur) + ", can be raised to " + limitText(files.Max)})
	}
	limit, used := readCgroup("pids", "pids.max"), readCgroup("pids", "pids.current")
	pids := finding{subject: "processes", fact: limitOr(limit)}
	if used != "" {
		pids.fact += ", " + used + " in use"
	}
	if n, err := number.Int(limit); err == nil && n < pidsNeeded {
		pids.cost = "fewer than " + strconv.Itoa(pidsNeeded) + ": not every job can be started"
	}
	memory := readCgroup("memory", "memory.max")
	if memory == "" {
		memory = readCgroup("memory", "memory.limit_in_bytes")
	}
	// Version 1 writes "no limit" as the greatest multiple of the page size.
	if n, err := number.Uint(memory, 10, 64); err == nil {
		if memory = strconv.FormatUint(n>>20, 10) + " MiB"; n > 1<<60 {
			memory = "max"
		}
	}
	return append(out, pids, finding{subject: "memory", fact: limitOr(memory)})
}

func limitText(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "any number"
	}
	return strconv.FormatUint(n, 10)
}

func limitOr(v string) string {
	switch v {
	case "":
		return "limit unknown"
	case "max":
		return "no limit"
	}
	return "at most " + v
}

func findKernel() []finding {
	var out []finding
	// Where there is no /proc the directory may still be there, and empty.
	err := unix.Access("/proc/self/task", unix.F_OK)
	out = append(out, check("/proc", err, "the processes that jobs leave behind are neither found nor stopped, scripts are limited to 128 KiB"))
	if err == nil {
		out = append(out, findHiddenProcesses())
	}
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		unix.Close(fd)
	}
	out = append(out, check("pidfd", err, "processes that are not tend's children are signalled after a look at their start time"))
	fd, err = unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		unix.Close(fd)
	}
	out = append(out, check("inotify", err, "changed job files are read on HUP or initctl reload-configuration only"))
	return append(out, findPtrace())
}

// findHiddenProcesses tells whether /proc shows other users' processes.
func findHiddenProcesses() finding {
	f := finding{subject: "other processes", fact: "visible"}
	data, err := file.Read("/proc/self/mountinfo")
	if err != nil {
		return f
	}
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[4] != "/proc" || os.Geteuid() == 0 {
			continue
		}
		for _, option := range strings.Split(fields[len(fields)-1], ",") {
			if v, ok := strings.CutPrefix(option, "hidepid="); ok && v != "0" && v != "off" {
				f.fact, f.cost = "hidden ("+option+")", "processes of other users that jobs leave behind are not found"
			}
		}
	}
	return f
}

// findPtrace reports whether tracing is allowed, as far as it can be told without
// tracing anybody. Nothing in tend needs it.
func findPtrace() finding {
	f := finding{subject: "ptrace", fact: "not needed"}
	if data, err := file.Read("/proc/sys/kernel/yama/ptrace_scope"); err == nil {
		f.fact += ", Yama scope " + strings.TrimSpace(string(data))
	}
	return f
}

// cgroupRoot is where the hierarchies are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// cgroupDir returns the directory of our cgroup, in version 1 that of a controller; ""
// when there is none to be seen.
func cgroupDir(controller string) string {
	root := cgroupRoot
	if !cgroupUnified() {
		root += "/" + controller
	}
	data, _ := file.Read("/proc/self/cgroup")
	for _, line := range strings.Split(string(data), "\n") {
		part := strings.SplitN(line, ":", 3)
		if len(part) < 3 || cgroupUnified() != (part[1] == "") {
			continue
		}
		if part[1] != "" && !slices.Contains(strings.Split(part[1], ","), controller) {
			continue
		}
		// Without a cgroup namespace the path is the host's, and what is mounted
		// is our own part of it.
		if dir := path.Join(root, part[2]); unix.Access(dir, unix.F_OK) == nil {
			return dir
		}
	}
	if unix.Access(root, unix.F_OK) == nil {
		return root
	}
	return ""
}

func cgroupUnified() bool {
	return unix.Access(cgroupRoot+"/cgroup.controllers", unix.F_OK) == nil
}

// readCgroup returns the contents of a file of our cgroup, "" when there is none.
func readCgroup(controller, name string) string {
	data, err := file.Read(path.Join(cgroupDir(controller), name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func findCgroup() []finding {
	const cost = "cgroup stanzas have no effect"
	dir := cgroupDir("pids")
	if dir == "" {
		return []finding{{subject: "cgroups", fact: "none mounted", cost: cost}}
	}
	f := finding{subject: "cgroups", fact: "version 1"}
	if cgroupUnified() {
		f.fact = "version 2"
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		f.fact += ", not delegated (" + err.Error() + ")"
		f.cost = cost
	} else {
		f.fact += ", delegated"
	}
	return []finding{f}
}

func findPlaces() []finding {
	exe := finding{subject: "own executable", fact: self.Path()}
	if err := unix.Access(exe.fact, unix.X_OK); err != nil {
		exe.fact += ": " + err.Error()
		exe.cost = "limits, nice, oom and the like cannot be set for jobs"
		exe.fatal = true
	}
	out := []finding{exe, findSocket(), check("/bin/sh", unix.Access("/bin/sh", unix.X_OK), "scripts and exec lines with shell characters do not run")}
	null := check("/dev/null", unix.Access("/dev/null", unix.R_OK|unix.W_OK), "jobs have no standard input and console none does not work")
	null.fatal = null.cost != ""
	return append(out, null)
}

// findSocket tells at which of its places the control socket would be.
func findSocket() finding {
	f := finding{subject: "control socket"}
	address := os.Getenv(control.Environment)
	if address == "" {
		for _, address = range control.Addresses(os.Geteuid()) {
			if strings.HasPrefix(address, "@") || unix.Access(path.Dir(address), unix.W_OK|unix.X_OK) == nil {
				break
			}
		}
	}
	f.fact = address
	return f
}

func findStdio() []finding {
	var out []finding
	for fd, name := range []string{"standard input", "standard output", "standard error"} {
		out = append(out, finding{subject: name, fact: descriptorKind(fd)})
	}
	f := finding{subject: "terminal", fact: "none"}
	if pgid, err := foreground(0); err == nil {
		switch {
		case ownsTerminal(0):
			f.fact = "ours to hand over"
		default:
			f.fact = "of process group " + strconv.Itoa(pgid) + ", not ours"
			f.cost = "COMMAND does not get it"
		}
	}
	return append(out, f)
}

// descriptorKind says what a descriptor is.
func descriptorKind(fd int) string {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "closed"
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return "pipe"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFREG:
		return "file"
	case unix.S_IFCHR:
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			return "terminal"
		}
		if unix.Major(uint64(st.Rdev)) == 1 && unix.Minor(uint64(st.Rdev)) == 3 {
			return "/dev/null"
		}
		return "device"
	}
	return "something else"
}
