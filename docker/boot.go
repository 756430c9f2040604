package docker

import (
	"bytes"
	"strings"

	"tend/jobs/environ"
	"tend/jobs/event"
	"tend/jobs/file"
)

// bootStep is an event of boot whose variables are known beforehand. When job is not
// empty it is the event of a pseudo-job: a job of a full Ubuntu whose events job files
// wait for. In a container its work is done by the engine, or nobody, and it exists as
// events only; an enabled job file of the same name takes their place.
type bootStep struct {
	name, job string
	env       environ.Env
}

// The steps of boot before, between and after the network interfaces.
var (
	filesystems = []bootStep{
		{name: "local-filesystems"}, {name: "remote-filesystems"}, {name: "all-swaps"}, {name: "filesystem"},
		{"started", "mountall", nil}, {"stopped", "mountall", environ.Env{"RESULT=ok"}},
		{"started", "udev", nil}, {"stopped", "udevtrigger", environ.Env{"RESULT=ok"}},
	}
	afterNetwork = []bootStep{
		{name: "static-network-up"}, {"started", "networking", nil},
		{"runlevel", "", bootRunlevel},
		{"starting", "rc", bootRunlevel},
		{"started", "rc", bootRunlevel},
		{"stopped", "rc", environ.Env{"RESULT=ok", "RUNLEVEL=2", "PREVLEVEL=N"}},
	}
)

// bootRunlevel are the variables of the runlevel event that ends the boot.
var bootRunlevel = environ.Env{"RUNLEVEL=2", "PREVLEVEL=N"}

// bootEvents lists what boot emits, in order, when everything that a full Ubuntu
// would do has been done by the container engine already. has tells whether an
// enabled job of that name exists.
func bootEvents(mounts []mount, container string, ifaces []iface, has func(job string) bool) []event.Event {
	out := []event.Event{{Name: "startup"}}
	for _, m := range mounts {
		out = append(out, m.event())
	}
	out = append(out, event.Event{Name: "virtual-filesystems"},
		event.Event{Name: "container", Env: environ.Env{"CONTAINER=" + container}})
	out = appendSteps(out, filesystems, has)
	for _, i := range ifaces {
		out = append(out, i.events()...)
	}
	return appendSteps(out, afterNetwork, has)
}

//go:noinline
func appendSteps(out []event.Event, steps []bootStep, has func(job string) bool) []event.Event {
	for _, s := range steps {
		if s.job == "" {
			out = append(out, event.Event{Name: s.name, Env: s.env})
		} else if !has(s.job) {
			out = append(out, event.Event{Name: s.name, Env: append(environ.Env{"JOB=" + s.job, "INSTANCE="}, s.env...)})
		}
	}
	return out
}

// mount is one line of mountinfo.
type mount struct{ device, point, fstype, options string }

// event is what mountall emits for it.
func (m mount) event() event.Event {
	return event.Event{Name: "mounted", Env: environ.Env{
		"DEVICE=" + m.device, "MOUNTPOINT=" + m.point, "TYPE=" + m.fstype, "OPTIONS=" + m.options,
	}}
}

// virtual tells whether the file system has no storage of its own, as the
// "virtual-filesystems" event means it.
func (m mount) virtual() bool {
	switch m.fstype {
	case "proc", "sysfs", "tmpfs", "devtmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "debugfs", "tracefs",
		"securityfs", "pstore", "bpf", "hugetlbfs", "configfs", "fusectl", "binfmt_misc", "efivarfs", "ramfs", "rpc_pipefs":
		return true
	}
	return false
}

// readMounts returns the mounts of this namespace, virtual file systems first and
// otherwise in the kernel's order; none when /proc cannot be read.
func readMounts() []mount {
	data, err := file.Read("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return parseMounts(data)
}

// parseMounts parses mountinfo (proc_pid_mountinfo(5)): the fields behind the lone
// hyphen are type, source and super block options.
func parseMounts(data []byte) []mount {
	var out, others []mount
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		dash := 6
		for dash < len(fields) && fields[dash] != "-" {
			dash++
		}
		if dash+2 >= len(fields) {
			continue
		}
		m := mount{
			device: unescapeOctal(fields[dash+2]), point: unescapeOctal(fields[4]),
			fstype: fields[dash+1], options: fields[5],
		}
		if m.virtual() {
			out = append(out, m)
		} else {
			others = append(others, m)
		}
	}
	return append(out, others...)
}

// unescapeOctal undoes the \ooo by which the kernel writes blanks and backslashes.
func unescapeOctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1]) && isOctal(s[i+2]) && isOctal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(c byte) bool { return '0' <= c && c <= '7' }

// containerKind names what we run in, for the container event: the orchestrator
// before the engine, since that is what a job file would want to know.
func containerKind(env environ.Env) string {
	if _, ok := env.Lookup("KUBERNETES_SERVICE_HOST"); ok {
		return "kubernetes"
	}
	switch {
	case file.Exists("/run/.containerenv"):
		return "podman"
	case file.Exists("/.dockerenv"):
		return "docker"
	}
	if kind, _ := env.Lookup("container"); kind != "" {
		return kind
	}
	if data, err := file.Read("/run/container_type"); err == nil && len(bytes.TrimSpace(data)) > 0 {
		return string(bytes.TrimSpace(data))
	}
	return "other"
}
