package docker

import (
	"path"
	"sort"
	"strings"

	"tend/jobs"
	"tend/jobs/file"
)

// hostJobs are the jobs of Ubuntu 14.04's own /etc/init that manage a host. In a
// container they have nothing to do, or would do harm.
const hostJobs = `udev udev-fallback-graphics udevmonitor udevtrigger udev-finish ureadahead
ureadahead-other upstart-udev-bridge upstart-socket-bridge upstart-file-bridge upstart-dbus-bridge
mounted-debugfs mounted-dev mounted-proc mounted-run mounted-tmp mounted-var mountall mountall-net
mountall-reboot mountall-shell hostname networking network-interface network-interface-container
network-interface-security tty1 tty2 tty3 tty4 tty5 tty6 console console-font console-setup plymouth
plymouth-log plymouth-splash plymouth-stop plymouth-upstart-bridge plymouth-ready plymouth-shutdown
hwclock hwclock-save module-init-tools kmod procps setvtrgb control-alt-delete acpid irqbalance dmesg
failsafe friendly-recovery rc rcS rc-sysinit flush-early-job-log wait-for-state shutdown`

// masks decides which classes events may not start. The zero value masks nothing.
type masks struct {
	names map[string]bool
	found map[string]bool // masked names that have a class
}

// newMasks works out the masked names: those given, when given is set, else the
// host's jobs when dir, the default configuration directory, is a distribution's.
func newMasks(names []string, given bool, dir string) masks {
	m := masks{names: map[string]bool{}, found: map[string]bool{}}
	if !given && dir != "" && isDistribution(dir) {
		names = strings.Fields(hostJobs)
	}
	for _, name := range names {
		m.names[name] = true
	}
	return m
}

// isDistribution tells whether dir holds the jobs that boot an Ubuntu host.
func isDistribution(dir string) bool {
	for _, name := range []string{"rc-sysinit.conf", "mountall.conf", "udev.conf"} {
		if file.Exists(path.Join(dir, name)) {
			return true
		}
	}
	return false
}

// apply returns the class that is to be loaded for c: c itself, or, when it is
// masked, a copy that no event starts. An override by the user unmasks.
func (m *masks) apply(c *jobs.Class) *jobs.Class {
	if !m.names[c.Name] || c.Override != "" {
		delete(m.found, c.Name)
		return c
	}
	m.found[c.Name] = true
	masked := *c
	masked.StartOn = nil
	return &masked
}

// masked tells whether the class of that name is masked.
func (m *masks) masked(name string) bool { return m.found[name] }

// list returns the masked classes that exist, sorted.
func (m *masks) list() []string {
	out := make([]string, 0, len(m.found))
	for name := range m.found {
		out = append(out, name)
	}
	sort.Sort(sort.StringSlice(out))
	return out
}
