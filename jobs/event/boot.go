package event

// bootNames lists the events that tend emits on its own, as boot does with all
// that a full system would, and at shutdown and on signals.
var bootNames = []string{
	"startup", "mounted", "virtual-filesystems", "container", "local-filesystems",
	"remote-filesystems", "all-swaps", "filesystem", "net-device-added",
	"net-device-up", "static-network-up", "runlevel",
	"shutdown", "deconfiguring-networking", "unmounted-remote-filesystems",
	"control-alt-delete", "power-status-changed",
}

// bootJobs lists the jobs of a full system whose job events boot emits.
var bootJobs = []string{"mountall", "udev", "udevtrigger", "networking", "rc"}

// BootNames returns the names of the events that tend emits on its own, in the
// order of a container's life, without the four job events.
func BootNames() []string { return append([]string(nil), bootNames...) }

// BootJobs returns the names of the jobs that exist as events only: boot emits
// job events for them although there is no job file.
func BootJobs() []string { return append([]string(nil), bootJobs...) }
