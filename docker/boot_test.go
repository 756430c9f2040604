package docker

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tend/jobs"
	"tend/jobs/environ"
	"tend/jobs/event"
)

func render(events []event.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, strings.TrimSpace(e.Name+" "+strings.Join(e.Env, " ")))
	}
	return out
}

func TestBootEventsComeInTheOrderOfAFullBoot(t *testing.T) {
	mounts := []mount{{"proc", "/proc", "proc", "rw"}, {"overlay", "/", "overlay", "rw"}}
	ifaces := []iface{loopback, {name: "eth0", index: 7}}
	got := render(bootEvents(mounts, "docker", ifaces, func(string) bool { return false }))
	want := []string{
		"startup",
		"mounted DEVICE=proc MOUNTPOINT=/proc TYPE=proc OPTIONS=rw",
		"mounted DEVICE=overlay MOUNTPOINT=/ TYPE=overlay OPTIONS=rw",
		"virtual-filesystems", "container CONTAINER=docker", "local-filesystems", "remote-filesystems", "all-swaps", "filesystem",
		"started JOB=mountall INSTANCE=", "stopped JOB=mountall INSTANCE= RESULT=ok",
		"started JOB=udev INSTANCE=", "stopped JOB=udevtrigger INSTANCE= RESULT=ok",
		"net-device-added INTERFACE=lo", "net-device-up IFACE=lo LOGICAL=lo ADDRFAM=inet METHOD=loopback",
		"net-device-added INTERFACE=eth0", "net-device-up IFACE=eth0 LOGICAL=eth0 ADDRFAM=inet METHOD=static",
		"static-network-up", "started JOB=networking INSTANCE=",
		"runlevel RUNLEVEL=2 PREVLEVEL=N",
		"starting JOB=rc INSTANCE= RUNLEVEL=2 PREVLEVEL=N", "started JOB=rc INSTANCE= RUNLEVEL=2 PREVLEVEL=N",
		"stopped JOB=rc INSTANCE= RESULT=ok RUNLEVEL=2 PREVLEVEL=N",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("bootEvents =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAJobFileReplacesThePseudoJobOfItsName(t *testing.T) {
	got := render(bootEvents(nil, "docker", nil, func(job string) bool { return job == "networking" || job == "rc" }))
	for _, line := range got {
		if strings.Contains(line, "JOB=networking") || strings.Contains(line, "JOB=rc") {
			t.Errorf("emitted %q although the job exists", line)
		}
	}
	if len(got) != 13 {
		t.Errorf("got %d events, want 13: %q", len(got), got)
	}
}

func TestMountsAreVirtualFirstAndUnescaped(t *testing.T) {
	got := parseMounts([]byte(`600 500 0:50 / / rw,relatime master:1 - overlay over\040lay rw,lowerdir=/a
601 600 0:52 / /proc rw,nosuid - proc proc rw
602 600 8:1 /x /data\040dir ro shared:1 master:2 - ext4 /dev/sda1 rw
truncated line
603 600 0:53 / /dev rw - tmpfs tmpfs rw
`))
	want := []mount{
		{"proc", "/proc", "proc", "rw,nosuid"}, {"tmpfs", "/dev", "tmpfs", "rw"},
		{"over lay", "/", "overlay", "rw,relatime"}, {"/dev/sda1", "/data dir", "ext4", "ro"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("parseMounts = %v, want %v", got, want)
	}
}

func TestContainerKindPrefersTheOrchestrator(t *testing.T) {
	if got := containerKind(environ.Env{"KUBERNETES_SERVICE_HOST=10.0.0.1", "container=lxc"}); got != "kubernetes" {
		t.Errorf("containerKind = %q, want kubernetes", got)
	}
}

func TestInterfacesBeginWithTheLoopback(t *testing.T) {
	got, err := interfaces()
	if err != nil {
		t.Skipf("netlink: %v", err)
	}
	if len(got) == 0 || got[0].name != "lo" {
		t.Errorf("interfaces = %v, want lo first", got)
	}
}

func TestNetlinkMessagesOfBadLengthEndTheDatagram(t *testing.T) {
	for _, b := range [][]byte{nil, {1}, make([]byte, 16), append([]byte{255, 255, 0, 0}, make([]byte, 40)...)} {
		if msgs, _ := parseMessages(b); len(msgs) != 0 {
			t.Errorf("parseMessages(%v) = %v, want none", b, msgs)
		}
	}
	if _, _, ok := parseLink(message{kind: 16, data: []byte{1, 2}}); ok {
		t.Error("parseLink accepted a short message")
	}
}

func TestMasks(t *testing.T) {
	host, plain := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "udev.conf"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	class := func(name, override string) *jobs.Class {
		c := jobs.NewClass(name)
		c.StartOn = &event.Operator{Name: "startup"}
		c.Override = override
		return c
	}
	tests := []struct {
		name, option, dir string // option "-": not given
		class             *jobs.Class
		masked            bool
	}{
		{"a host job in a distribution's directory", "-", host, class("tty1", ""), true},
		{"another job there", "-", host, class("nginx", ""), false},
		{"an override unmasks", "-", host, class("tty1", "/etc/init/tty1.override"), false},
		{"a directory of one's own", "-", plain, class("tty1", ""), false},
		{"named by option", "nginx,redis", plain, class("redis", ""), true},
		{"--mask none", "", host, class("tty1", ""), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			names := strings.FieldsFunc(tt.option, func(r rune) bool { return r == ',' || r == '-' })
			m := newMasks(names, tt.option != "-", tt.dir)
			got := m.apply(tt.class)
			if masked := got.StartOn == nil; masked != tt.masked || m.masked(tt.class.Name) != tt.masked {
				t.Errorf("masked = %v, %v, want %v", masked, m.masked(tt.class.Name), tt.masked)
			}
			if tt.class.StartOn == nil {
				t.Error("apply changed the class itself")
			}
		})
	}
}

func TestLateInterfacesAreNoticedOnceEach(t *testing.T) {
	l := newLateInterfaces(make(chan struct{}, 1), func(text string) { t.Log(text) })
	eth0, eth1 := iface{name: "eth0"}, iface{name: "eth1"}
	if got := l.fresh([]iface{loopback, eth0}); len(got) != 2 {
		t.Errorf("first look = %v, want both", got)
	}
	if got := l.fresh([]iface{loopback, eth0, eth1}); len(got) != 1 || got[0].name != "eth1" {
		t.Errorf("after eth1 came up = %v, want eth1", got)
	}
	l.fresh([]iface{loopback, eth1})
	if got := l.fresh([]iface{loopback, eth0, eth1}); len(got) != 1 || got[0].name != "eth0" {
		t.Errorf("after eth0 came back = %v, want eth0", got)
	}
	lo := &event.Operator{Name: "net-device-up", Args: []event.Arg{{Key: "IFACE", Pattern: "lo"}}}
	notLo := &event.Operator{Name: "net-device-up", Args: []event.Arg{{Key: "IFACE", Negate: true, Pattern: "lo"}}}
	if l.CanFire(lo) || !l.CanFire(notLo) {
		t.Errorf("CanFire(IFACE=lo), CanFire(IFACE!=lo) = %v, %v, want false, true", l.CanFire(lo), l.CanFire(notLo))
	}
}
