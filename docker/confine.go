package docker

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/engine"
	"tend/jobs/environ"
	"tend/jobs/file"
)

// appArmorParser loads AppArmor profiles into the kernel.
const appArmorParser = "/sbin/apparmor_parser"

// withProfile returns the class that is to be loaded for c: with the process that
// loads its AppArmor profile, where there is AppArmor and its parser, and we are in
// no container that has brought its own (reference, section 2).
func withProfile(c *jobs.Class) *jobs.Class {
	if c.AppArmorLoad == "" || !appArmorEnabled() || file.Access(appArmorParser, unix.X_OK) != nil ||
		file.Exists("/run/container_type") {
		return c
	}
	loading := *c
	loading.Processes[jobs.SecurityProcess] = &jobs.Command{Argv: []string{appArmorParser, "-r", "-W", c.AppArmorLoad}}
	return &loading
}

func appArmorEnabled() bool {
	enabled, err := file.Read("/sys/module/apparmor/parameters/enabled")
	return err == nil && bytes.HasPrefix(enabled, []byte("Y"))
}

// confinement expands the variables in the profile and the cgroups of a process
// against its environment, in which UPSTART_CGROUP is the default cgroup of the job.
func confinement(a engine.Spawn) (profile string, groups []jobs.CGroup, err error) {
	if a.Class.AppArmorSwitch == "" && len(a.Class.CGroups) == 0 {
		return "", nil, nil
	}
	if profile, err = environ.Expand(a.Class.AppArmorSwitch, a.Env.Lookup); err != nil {
		return "", nil, err
	}
	own := strings.Join(strings.Split(a.Class.Name, "/"), "_")
	if a.Instance != "" {
		own += "-" + strings.Join(strings.Split(a.Instance, "/"), "_")
	}
	own = "upstart/" + own
	env := a.Env.Set("UPSTART_CGROUP=" + own)
	for _, g := range a.Class.CGroups {
		if g.Name == "" {
			g.Name = own
		} else if g.Name, err = environ.Expand(g.Name, env.Lookup); err != nil {
			return "", nil, err
		}
		groups = append(groups, g)
	}
	return profile, groups, nil
}
