package docker

import (
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
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

// findings is the doctor's report.
type findings []finding

//go:noinline
func (r *findings) add(subject, fact, cost string) {
	*r = append(*r, finding{subject: subject, fact: fact, cost: cost})
}

// check adds something that is there or not.
//
//go:noinline
func (r *findings) check(subject string, err error, cost string) {
	if err != nil {
		r.add(subject, "no: "+err.Error(), cost)
		return
	}
	r.add(subject, "yes", "")
}

// needed says that tend needs what was added last, if that has a cost.
func (r findings) needed() {
	last := &r[len(r)-1]
	last.fatal = last.cost != ""
}

// Doctor writes what this place offers to an init and what is missing costs. It returns
// the exit status: 0 when all is there that tend needs, otherwise 1.
func Doctor(w io.Writer) int {
	var all findings
	for _, find := range []func(*findings){
		findMode, findRights, findLimits, findKernel, findCgroup, findNetwork, findPlaces, findStdio,
	} {
		find(&all)
	}
	width, status := 0, 0
	for i := range all {
		width = max(width, len(all[i].subject))
	}
	for i := range all {
		f := &all[i]
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

func findMode(r *findings) {
	pid := "pid " + strconv.Itoa(os.Getpid())
	if os.Getpid() == 1 {
		r.add("process", pid+", the init of its PID namespace", "")
		return
	}
	first := ""
	if comm, err := file.Read("/proc/1/comm"); err == nil {
		first = strings.TrimSpace(string(comm))
		pid += ", pid 1 is " + first
	}
	r.add("process", pid, "")
	if first == "tend" {
		return // what matters is what that one can do
	}
	var was int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&was)), 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	r.check("child subreaper", err, "orphans go to another process and are not stopped with their job")
}

func findRights(r *findings) {
	status := readStatus()
	cost := ""
	if os.Geteuid() != 0 {
		cost = "setuid, setgid and chroot in jobs need root"
	}
	r.add("user", "uid "+strconv.Itoa(os.Geteuid())+", gid "+strconv.Itoa(os.Getegid()), cost)
	fact, cost := findCapabilities(status["CapEff"])
	r.add("capabilities", fact, cost)
	fact, cost = "off", ""
	if n, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && n == 1 {
		fact, cost = "on", "set-uid programs and file capabilities have no effect in jobs"
	}
	r.add("no_new_privs", fact, cost)
	fact = "unknown"
	switch status["Seccomp"] {
	case "0":
		fact = "off"
	case "1":
		fact = "strict"
	case "2":
		fact = "filter"
	}
	r.add("seccomp", fact, "")
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

func findCapabilities(effective string) (fact, cost string) {
	bits, err := number.Uint(effective, 16, 64)
	if err != nil {
		return "unknown: /proc/self/status cannot be read", ""
	}
	for _, c := range usefulCapabilities {
		if bits&(1<<c.bit) == 0 {
			if cost == "" {
				cost = "missing: "
			} else {
				cost += ", "
			}
			cost += c.name + " (" + c.needs + ")"
		}
	}
	return "0x" + strconv.FormatUint(bits, 16), cost
}

// filesNeeded is how many open files are enough for what a container usually runs.
const filesNeeded = 256

// pidsNeeded is how many processes and threads tend, one job with a hook, and the client
// take.
const pidsNeeded = 16

func findLimits(r *findings) {
	var files unix.Rlimit
	// The runtime has raised the soft limit, for tend alone.
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		cost := ""
		if files.Max < filesNeeded {
			cost = "each job whose output is passed on takes two"
		}
		r.add("open files", "at most "+limitText(files.Max), cost)
	}
	limit, used := readCgroup("pids", "pids.max"), readCgroup("pids", "pids.current")
	fact, cost := limitOr(limit), ""
	if used != "" {
		fact += ", " + used + " in use"
	}
	if n, err := number.Int(limit); err == nil && n < pidsNeeded {
		cost = "fewer than " + strconv.Itoa(pidsNeeded) + ": not every job can be started"
	}
	r.add("processes", fact, cost)
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
	r.add("memory", limitOr(memory), "")
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

func findKernel(r *findings) {
	// Where there is no /proc the directory may still be there, and empty.
	err := file.Access("/proc/self/task", unix.F_OK)
	r.check("/proc", err, "the processes that jobs leave behind are not found, so they are not stopped with their job; scripts are limited to 128 KiB")
	if err == nil {
		findHiddenProcesses(r)
	}
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		syscall.Close(fd)
	}
	r.check("pidfd", err, "processes that are not tend's children are signalled after a look at their start time")
	fd, err = unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		syscall.Close(fd)
	}
	r.check("inotify", err, "changed job files are read on HUP or initctl reload-configuration only")
	// Whether tracing is allowed cannot be told without tracing somebody, and nothing in
	// tend needs it.
	fact := "not needed"
	if data, err := file.Read("/proc/sys/kernel/yama/ptrace_scope"); err == nil {
		fact += ", Yama scope " + strings.TrimSpace(string(data))
	}
	r.add("ptrace", fact, "")
}

// findHiddenProcesses tells whether /proc shows other users' processes.
func findHiddenProcesses(r *findings) {
	fact, cost := "visible", ""
	data, _ := file.Read("/proc/self/mountinfo")
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[4] != "/proc" || os.Geteuid() == 0 {
			continue
		}
		for _, option := range strings.Split(fields[len(fields)-1], ",") {
			if v, ok := strings.CutPrefix(option, "hidepid="); ok && v != "0" && v != "off" {
				fact, cost = "hidden ("+option+")", "processes of other users that jobs leave behind are not found"
			}
		}
	}
	r.add("other processes", fact, cost)
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
		if dir := path.Join(root, part[2]); file.Exists(dir) {
			return dir
		}
	}
	if file.Exists(root) {
		return root
	}
	return ""
}

func cgroupUnified() bool {
	return file.Exists(cgroupRoot + "/cgroup.controllers")
}

// readCgroup returns the contents of a file of our cgroup, "" when there is none.
func readCgroup(controller, name string) string {
	data, err := file.Read(path.Join(cgroupDir(controller), name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func findCgroup(r *findings) {
	const none = "cgroup stanzas have no effect"
	dir := cgroupDir("pids")
	if dir == "" {
		r.add("cgroups", "none mounted", none)
		return
	}
	fact, cost := "version 1", ""
	if cgroupUnified() {
		fact = "version 2"
	}
	if err := file.Access(dir, unix.W_OK); err != nil {
		fact += ", not delegated (" + err.Error() + ")"
		cost = none
	} else {
		fact += ", delegated"
	}
	r.add("cgroups", fact, cost)
}

// findNetwork lists the interfaces that boot announces.
func findNetwork(r *findings) {
	list, err := interfaces()
	names, cost := "", ""
	for i := range list {
		if i > 0 {
			names += ", "
		}
		names += list[i].name
	}
	switch {
	case err != nil:
		cost = "others cannot be listed: " + err.Error()
	case len(list) == 1:
		cost = "jobs that wait for another interface wait until it comes up"
	}
	r.add("network", names, cost)
}

func findPlaces(r *findings) {
	fact, cost := self.Path(), ""
	if err := file.Access(fact, unix.X_OK); err != nil {
		fact += ": " + err.Error()
		cost = "limits, nice, oom and the like cannot be set for jobs"
	}
	r.add("own executable", fact, cost)
	r.needed()
	r.add("control socket", socketPlace(), "")
	r.check("/bin/sh", file.Access("/bin/sh", unix.X_OK), "scripts and exec lines with shell characters do not run")
	r.check("/dev/null", file.Access("/dev/null", unix.R_OK|unix.W_OK), "jobs have no standard input and console none does not work")
	r.needed()
}

// socketPlace tells at which of its places the control socket would be.
func socketPlace() string {
	address := os.Getenv(control.Environment)
	if address == "" {
		for _, address = range control.Addresses(os.Geteuid()) {
			if strings.HasPrefix(address, "@") || file.Access(path.Dir(address), unix.W_OK|unix.X_OK) == nil {
				break
			}
		}
	}
	return address
}

func findStdio(r *findings) {
	for fd, name := range []string{"input", "output", "error"} {
		r.add("standard "+name, descriptorKind(fd), "")
	}
	fact, cost := "none", ""
	if pgid, err := foreground(0); err == nil {
		if fact = "ours to hand over"; !ownsTerminal(0) {
			fact = "of process group " + strconv.Itoa(pgid) + ", not ours"
			cost = "COMMAND does not get it"
		}
	}
	r.add("terminal", fact, cost)
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
