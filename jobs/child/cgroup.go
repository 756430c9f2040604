package child

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/jobs"
)

// cgroupRoot is where containers see their part of the control groups.
const cgroupRoot = "/sys/fs/cgroup"

// cgroups joins control groups where the container may make any; elsewhere each
// stanza is left out with its reason. The root is opened before the process changes
// its own.
type cgroups struct {
	stanzas []jobs.CGroup
	root    int
	err     error
	own     string // /proc/self/cgroup
}

func (g *cgroups) open(stanzas []jobs.CGroup) {
	if g.stanzas = stanzas; len(stanzas) == 0 {
		return
	}
	g.own, _ = readFile("/proc/self/cgroup")
	g.root, g.err = syscall.Open(cgroupRoot, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// join makes the groups, sets their keys, gives them to the user that the process
// becomes, and enters them.
func (g *cgroups) join(id identity, change bool) (skipped []*Error) {
	for _, s := range g.stanzas {
		if err := g.enter(s, id, change); err != nil {
			skipped = append(skipped, failed(StageCGroup, strings.TrimSpace(s.Controller+" "+s.Name), err,
				"control groups are not delegated to this container; left out"))
		}
	}
	return skipped
}

func (g *cgroups) enter(s jobs.CGroup, id identity, change bool) error {
	if g.err != nil {
		return g.err
	}
	base := g.base(s.Controller)
	name := base + "/" + strings.Trim(s.Name, "/")
	for i := len(base) + 1; i <= len(name); i++ {
		if i == len(name) || name[i] == '/' {
			if err := unix.Mkdirat(g.root, name[:i], 0o755); err != nil && err != unix.EEXIST {
				return err
			}
		}
	}
	if s.Key != "" {
		if err := writeFile(g.root, name+"/"+s.Controller+"."+strings.TrimPrefix(s.Key, s.Controller+"."), s.Value); err != nil {
			return err
		}
	}
	if change {
		unix.Fchownat(g.root, name, id.uid, id.gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	return writeFile(g.root, name+"/cgroup.procs", "0")
}

// base is our own group of a controller, relative to the root: version 1 has one
// hierarchy for each controller, version 2 one for all.
func (g *cgroups) base(controller string) string {
	for line := range strings.Lines(g.own) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		for one := range strings.SplitSeq(fields[1], ",") {
			if one != controller {
				continue
			}
			for _, base := range []string{controller + fields[2], controller} {
				var st unix.Stat_t
				if unix.Fstatat(g.root, base+"/cgroup.procs", &st, 0) == nil {
					return strings.TrimRight(base, "/")
				}
			}
		}
	}
	return "."
}
