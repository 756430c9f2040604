package conf

import (
	"reflect"
	"testing"
	"time"

	"tend/jobs"
	"tend/jobs/event"
)

func ptr(n int) *int { return &n }

// TestStanzas has every stanza with what it sets; all else keeps its default.
func TestStanzas(t *testing.T) {
	tests := []struct {
		in   string
		want func(c *jobs.Class)
	}{
		{"", func(c *jobs.Class) {}},
		{"description \"a b\"\nauthor me\nversion 1\nusage u", func(c *jobs.Class) {
			c.About, c.Usage = &jobs.About{Description: "a b", Author: "me", Version: "1"}, "u"
		}},
		{"usage a\nusage b", func(c *jobs.Class) { c.Usage = "b" }},
		{"instance $A-$B", func(c *jobs.Class) { c.Instance = "$A-$B" }},
		{"emits a b*\nemits c", func(c *jobs.Class) { c.Emits = []string{"a", "b*", "c"} }},
		{"env A=1\nenv B\nenv A='x y'", func(c *jobs.Class) { c.Env = []string{"A=1", "B", "A=x y"} }},
		{"export A B\nexport C", func(c *jobs.Class) { c.Export = []string{"A", "B", "C"} }},
		{"start on a X=1 Y!=2\nstop on b c", func(c *jobs.Class) {
			c.StartOn = &event.Operator{Name: "a", Line: 1, Col: 10, Args: []event.Arg{
				{Key: "X", Pattern: "1", Raw: "X=1"}, {Key: "Y", Negate: true, Pattern: "2", Raw: "Y!=2"}}}
			c.StopOn = &event.Operator{Name: "b", Line: 2, Col: 9, Args: []event.Arg{{Pattern: "c", Raw: "c"}}}
		}},
		{"start on a\nmanual", func(c *jobs.Class) {}},
		{"manual\nstart on a", func(c *jobs.Class) { c.StartOn = &event.Operator{Name: "a", Line: 2, Col: 10} }},
		{"\n exec a  b # c\npre-start exec b\npost-stop script\n x\nend script", func(c *jobs.Class) {
			c.Processes[jobs.Main] = &jobs.Command{Text: "a  b", Line: 2}
			c.Processes[jobs.PreStartProcess] = &jobs.Command{Text: "b", Line: 3}
			c.Processes[jobs.PostStopProcess] = &jobs.Command{Text: "x\n", Script: true, Line: 4}
		}},
		{"task\nrespawn\nessential\ndebug", func(c *jobs.Class) { c.Task, c.Respawn, c.Essential, c.Debug = true, true, true, true }},
		{"respawn limit 3 60", func(c *jobs.Class) { c.RespawnLimit, c.RespawnInterval = 3, time.Minute }},
		{"respawn limit unlimited", func(c *jobs.Class) { c.RespawnLimit, c.RespawnInterval = 0, 0 }},
		{"respawn limit 0 5", func(c *jobs.Class) { c.RespawnLimit, c.RespawnInterval = 0, 0 }},
		{"respawn limit 5 0", func(c *jobs.Class) { c.RespawnLimit, c.RespawnInterval = 0, 0 }},
		{"respawn limit 99999999999 5", func(c *jobs.Class) { c.RespawnLimit = maxInt }},
		{"respawn delay 2 30", func(c *jobs.Class) { c.RespawnDelay, c.RespawnDelayMax = 2*time.Second, 30*time.Second }},
		{"normal exit 0 TERM\nnormal exit SIGCLD 300", func(c *jobs.Class) {
			c.NormalExit = []jobs.ExitStatus{{}, {Signal: 15}, {Signal: 17}, {Code: 300}}
		}},
		{"expect stop", func(c *jobs.Class) { c.Expect = jobs.ExpectStop }},
		{"expect fork\nexpect none", func(c *jobs.Class) {}},
		{"expect daemon", func(c *jobs.Class) { c.Expect = jobs.ExpectDaemon }},
		{"expect notify\nstart timeout 7", func(c *jobs.Class) { c.Expect, c.StartTimeout = jobs.ExpectNotify, 7*time.Second }},
		{"kill timeout 20\nkill signal SIGINT\nkill scope group", func(c *jobs.Class) {
			c.KillTimeout, c.KillSignal, c.KillScope = 20*time.Second, 2, jobs.KillGroup
		}},
		{"kill timeout 0\nkill signal 34\nreload signal USR1", func(c *jobs.Class) {
			c.KillTimeout, c.KillSignal, c.ReloadSignal = 0, 34, 10
		}},
		{"console none", func(c *jobs.Class) { c.Console = jobs.ConsoleNone }},
		{"console output\nconsole log", func(c *jobs.Class) { c.Console = jobs.ConsoleLog }},
		{"console owner", func(c *jobs.Class) { c.Console = jobs.ConsoleOwner }},
		{"umask 0027\nnice -5", func(c *jobs.Class) { c.Umask, c.Nice = 0o27, ptr(-5) }},
		{"oom score -300", func(c *jobs.Class) { c.OOMScore = ptr(-300) }},
		{"oom -17", func(c *jobs.Class) { c.OOMScore = ptr(-1000) }},
		{"oom 7", func(c *jobs.Class) { c.OOMScore = ptr(466) }},
		{"oom -5", func(c *jobs.Class) { c.OOMScore = ptr(-294) }},
		{"oom never", func(c *jobs.Class) { c.OOMScore = ptr(-1000) }},
		{"oom 0", func(c *jobs.Class) { c.OOMScore = ptr(0) }},
		{"limit nofile 10 20\nlimit core 0 unlimited\nlimit nofile -1 5", func(c *jobs.Class) {
			c.Limits = []jobs.Limit{{Resource: 4, Name: "core", Hard: jobs.Unlimited}, {Resource: 7, Name: "nofile", Soft: jobs.Unlimited, Hard: 5}}
		}},
		{"chroot /x\nchdir /y\nsetuid u\nsetgid g", func(c *jobs.Class) { c.Chroot, c.Chdir, c.SetUID, c.SetGID = "/x", "/y", "u", "g" }},
		{"apparmor load /p\napparmor switch n", func(c *jobs.Class) { c.AppArmorLoad, c.AppArmorSwitch = "/p", "n" }},
		{"cgroup cpu\ncgroup cpu n\ncgroup cpu k v\ncgroup cpu n k v", func(c *jobs.Class) {
			c.CGroups = []jobs.CGroup{{Controller: "cpu"}, {Controller: "cpu", Name: "n"},
				{Controller: "cpu", Key: "k", Value: "v"}, {Controller: "cpu", Name: "n", Key: "k", Value: "v"}}
		}},
	}
	for _, tt := range tests {
		want := jobs.NewClass("x")
		want.Path = "x.conf"
		tt.want(want)
		got, err := Parse("x", "x.conf", []byte(tt.in))
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%q = %+v, want %+v", tt.in, got, want)
		}
	}
}

func TestOverride(t *testing.T) {
	base, err := Parse("x", "x.conf", []byte("author a\nstart on a\nenv A=1\nlimit nofile 1 1\nlimit core 1 1\nexec one\ntask\nnormal exit 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	before := string(Format(base))
	first, err := Apply(base, "x.override", []byte("manual\nauthor b\nenv B=2\nlimit core 2 2\nnormal exit 2\nexec two"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := Apply(base, "y.override", []byte("env C=3\nnormal exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	if first.Override != "x.override" || first.Path != "x.conf" || first.Name != "x" {
		t.Errorf("files %s, %s", first.Path, first.Override)
	}
	if got, want := string(Format(first)), "author b\nenv A=1\nenv B=2\ntask\nnormal exit 1\nnormal exit 2\nlimit core 2 2\nlimit nofile 1 1\nexec two\n"; got != want {
		t.Errorf("first override:\n%swant\n%s", got, want)
	}
	if got, want := string(Format(second)), "author a\nstart on a\nenv A=1\nenv C=3\ntask\nnormal exit 1\nnormal exit 3\nlimit core 1 1\nlimit nofile 1 1\nexec one\n"; got != want {
		t.Errorf("second override:\n%swant\n%s", got, want)
	}
	if broken, err := Apply(base, "x.override", []byte("env D=4\nbogus\nexec three")); broken != nil || err == nil {
		t.Errorf("broken override: %v, %v", broken, err)
	}
	if after := string(Format(base)); after != before {
		t.Errorf("base has become\n%s", after)
	}
}

func TestEmpty(t *testing.T) {
	if found := new(Parser).Empty("/etc/init.conf", []byte("# c\n\n  # d")); len(found) != 0 {
		t.Error(found)
	}
	found := new(Parser).Empty("/etc/init.conf", []byte("# c\nexec a\n"))
	if len(found) != 1 || found[0].Line != 2 {
		t.Error(found)
	}
}
