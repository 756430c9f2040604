package docker

import (
	"reflect"
	"testing"

	"tend/jobs"
	"tend/jobs/engine"
	"tend/jobs/environ"
)

func TestConfinementIsExpandedAgainstTheProcessEnvironment(t *testing.T) {
	class := jobs.NewClass("net/web")
	class.AppArmorSwitch = "profile-$KIND"
	class.CGroups = []jobs.CGroup{{Controller: "memory"}, {Controller: "cpu", Name: "$UPSTART_CGROUP/$KIND", Key: "shares", Value: "5"}}
	a := engine.Spawn{Class: class, Instance: "a/b", Env: environ.Env{"KIND=x"}}
	profile, groups, err := confinement(a)
	want := []jobs.CGroup{
		{Controller: "memory", Name: "upstart/net_web-a_b"},
		{Controller: "cpu", Name: "upstart/net_web-a_b/x", Key: "shares", Value: "5"},
	}
	if err != nil || profile != "profile-x" || !reflect.DeepEqual(groups, want) {
		t.Errorf("confinement = %q, %v, %v, want profile-x, %v", profile, groups, err, want)
	}
	if class.CGroups[0].Name != "" {
		t.Error("confinement changed the class")
	}
	a.Env = nil
	if _, _, err := confinement(a); err == nil || err.Error() != "Unknown parameter: KIND" {
		t.Errorf("confinement without KIND = %v, want Unknown parameter: KIND", err)
	}
}
