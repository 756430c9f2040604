package e2e

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// handling is a line of tend -v about an event.
var handling = regexp.MustCompile(`(?m)^tend \| handling (\S+) event(.*)$`)

// mounted is what an event of that name carries.
var mounted = regexp.MustCompile(`^ DEVICE=\S+ MOUNTPOINT=/\S* TYPE=(\S+) OPTIONS=\S+$`)

// TestBootEvents: in a container boot emits what design and manual page say, in that
// order and with those variables; mounts with the virtual file systems first.
func TestBootEvents(t *testing.T) {
	before := []string{"startup", "mounted", "virtual-filesystems"}
	middle := []string{
		"local-filesystems", "remote-filesystems", "all-swaps", "filesystem",
		"started JOB=mountall INSTANCE=", "stopped JOB=mountall INSTANCE= RESULT=ok",
		"started JOB=udev INSTANCE=", "stopped JOB=udevtrigger INSTANCE= RESULT=ok",
		"net-device-added INTERFACE=lo", "net-device-up IFACE=lo LOGICAL=lo ADDRFAM=inet METHOD=loopback",
	}
	eth0 := []string{"net-device-added INTERFACE=eth0", "net-device-up IFACE=eth0 LOGICAL=eth0 ADDRFAM=inet METHOD=static"}
	network := []string{"static-network-up", "started JOB=networking INSTANCE="}
	level := []string{"runlevel RUNLEVEL=2 PREVLEVEL=N"}
	rc := []string{
		"starting JOB=rc INSTANCE= RUNLEVEL=2 PREVLEVEL=N", "started JOB=rc INSTANCE= RUNLEVEL=2 PREVLEVEL=N",
		"stopped JOB=rc INSTANCE= RESULT=ok RUNLEVEL=2 PREVLEVEL=N",
	}
	in := func(kind string) []string { return []string{"container CONTAINER=" + kind} }
	idle := map[string]string{"idle.conf": "exec sleep 1000\n"}
	for _, tt := range []struct {
		name    string
		options []string
		args    []string
		jobs    map[string]string
		want    []string
	}{
		{name: "default", jobs: idle, want: slices.Concat(before, in("docker"), middle, eth0, network, level, rc)},
		{name: "no network", options: []string{"--network", "none"}, jobs: idle, want: slices.Concat(before, in("docker"), middle, network, level, rc)},
		{name: "in Kubernetes", options: []string{"-e", "KUBERNETES_SERVICE_HOST=10.0.0.1"}, jobs: idle,
			want: slices.Concat(before, in("kubernetes"), middle, eth0, network, level, rc)},
		{name: "boot none", args: []string{"--boot", "none"}, jobs: idle, want: []string{"startup"}},
		{name: "another first event", args: []string{"--startup-event", "begin", "--boot", "none"}, jobs: idle, want: []string{"begin"}},
		{name: "job files in place of pseudo-jobs", jobs: map[string]string{
			"rc.conf": "start on runlevel [0123456]\nexec sleep 1000\n", "networking.conf": "start on static-network-up\nexec sleep 1000\n",
		}, args: []string{"--mask", "none"}, want: slices.Concat(before, in("docker"), middle, eth0, network[:1],
			[]string{"starting JOB=networking INSTANCE=", "started JOB=networking INSTANCE="},
			level, []string{"starting JOB=rc INSTANCE=", "started JOB=rc INSTANCE="})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := run(t, jobsImage(t), mount(t, tt.jobs, tt.options...), append(tt.args, "-v", "--idle", "stay")...)
			last := tt.want[len(tt.want)-1]
			name, _, _ := strings.Cut(last, " ")
			c.logHas("handling " + name + " event" + strings.TrimPrefix(last, name))
			log, virtual := c.log(), true
			var got []string
			for _, event := range handling.FindAllStringSubmatch(log, -1) {
				if event[1] == "mounted" {
					fields := mounted.FindStringSubmatch(event[2])
					if fields == nil {
						t.Fatalf("unexpected variables of mounted: %s", event[2])
					}
					isVirtual := slices.Contains([]string{"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"}, fields[1])
					if isVirtual && !virtual {
						t.Errorf("a virtual file system after others: %s", event[2])
					}
					virtual = isVirtual
					if !slices.Contains(got, "mounted") {
						got = append(got, "mounted")
					}
					continue
				}
				got = append(got, event[1]+event[2])
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("boot emits\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestLateInterface: a job that waits for a network that is connected later keeps the
// container up, the log says so, and the job starts then.
func TestLateInterface(t *testing.T) {
	t.Parallel()
	c := run(t, jobsImage(t), mount(t, map[string]string{
		"late.conf": "start on net-device-up IFACE=eth1\nscript\necho \"$IFACE $LOGICAL $ADDRFAM $METHOD\"\nexec sleep 1000\nend script\n",
	}))
	c.logHas("late: waits for net-device-up IFACE=eth1: no such network interface is up yet")
	network := newName()
	command(t, nil, "docker", "network", "create", network)
	t.Cleanup(func() {
		_ = exec.Command("docker", "rm", "-f", c.name).Run()
		command(t, nil, "docker", "network", "rm", network)
	})
	command(t, nil, "docker", "network", "connect", network, c.name)
	c.logHas("late | eth1 eth1 inet static")
	if status := c.stop(); status != 0 {
		t.Errorf("status %d after docker stop, want 0\n%s", status, c.log())
	}
}

// TestMasks: jobs of a host in a distribution's /etc/init are not started by events,
// one line names them, and each can be had all the same.
func TestMasks(t *testing.T) {
	const service = "start on startup\nscript\necho up\nexec sleep 1000\nend script\n"
	jobs := map[string]string{
		"udev.conf": service, "tty1.conf": service, "hostname.conf": service, "hostname.override": "nice 1\n", "web.conf": service,
	}
	c := run(t, jobsImage(t), mount(t, jobs), "--idle", "stay")
	c.logHas("not started by events in a container: tty1, udev (a file NAME.override or --mask none changes that)")
	c.logHas("web      | up")
	c.logHas("hostname | up")
	if out, _ := c.exec("initctl", "list", "--masked"); out != "tty1 stop/waiting\nudev stop/waiting\n" {
		t.Errorf("list --masked: %q", out)
	}
	if out, _ := c.exec("initctl", "why", "udev"); !strings.Contains(out, "events do not start it in a container") {
		t.Errorf("why: %q", out)
	}
	if out, status := c.exec("start", "tty1"); status != 0 || !strings.HasPrefix(out, "tty1 start/running") {
		t.Errorf("start: %d, %q", status, out)
	}
	if out, status := c.exec("status", "networking"); status != 1 || out != "status: Unknown job: networking (it exists as events only, which boot emits)\n" {
		t.Errorf("status of a pseudo-job: %d, %q", status, out)
	}
	for _, tt := range []struct {
		name string
		args []string
		jobs map[string]string
		up   []string // the names of those that run
	}{
		{"mask none", []string{"--mask", "none"}, jobs, []string{"hostname", "tty1", "udev", "web"}},
		{"masks of one's own", []string{"--mask", "web,nosuch"}, jobs, []string{"hostname", "tty1", "udev"}},
		{"another directory", []string{"--confdir", "/etc/init"}, jobs, []string{"hostname", "tty1", "udev", "web"}},
		{"no distribution", nil, map[string]string{"tty1.conf": service, "web.conf": service}, []string{"tty1", "web"}},
		{"boot none", []string{"--boot", "none"}, jobs, []string{"hostname", "tty1", "udev", "web"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := run(t, jobsImage(t), mount(t, tt.jobs), tt.args...)
			for _, name := range tt.up {
				c.logHas(name + ": started")
			}
			if n := strings.Count(c.log(), ": started"); n != len(tt.up) {
				t.Errorf("%d jobs have been started, want %q\n%s", n, tt.up, c.log())
			}
		})
	}
}
