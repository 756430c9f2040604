package conf

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"tend/jobs"
	"tend/jobs/event"
)

// Format writes a job file that defines the class, but for its name and the files
// that it comes from. What has its default is left out.
func Format(class *jobs.Class) []byte {
	f := formatter{}
	def := jobs.NewClass("")
	if about := class.About; about != nil {
		f.text("description", about.Description)
		f.text("author", about.Author)
		f.text("version", about.Version)
	}
	f.text("usage", class.Usage)
	f.expression("start on", class.StartOn)
	f.expression("stop on", class.StopOn)
	f.text("instance", class.Instance)
	f.list("emits", class.Emits)
	for _, entry := range class.Env {
		f.line("env", quoted(entry))
	}
	f.list("export", class.Export)
	f.flag("task", class.Task)
	f.flag("essential", class.Essential)
	f.flag("debug", class.Debug)
	f.respawn(class, def)
	f.exits(class.NormalExit)
	if class.Expect != def.Expect {
		f.line("expect", [...]string{"none", "stop", "fork", "daemon", "notify"}[class.Expect])
	}
	if class.StartTimeout != def.StartTimeout {
		f.line("start timeout", seconds(class.StartTimeout))
	}
	if class.KillTimeout != def.KillTimeout {
		f.line("kill timeout", seconds(class.KillTimeout))
	}
	if class.KillSignal != def.KillSignal {
		f.line("kill signal", strconv.Itoa(int(class.KillSignal)))
	}
	if class.KillScope != def.KillScope {
		f.line("kill scope group")
	}
	if class.ReloadSignal != def.ReloadSignal {
		f.line("reload signal", strconv.Itoa(int(class.ReloadSignal)))
	}
	if class.Console != def.Console {
		f.line("console", [...]string{"", "none", "log", "output", "owner"}[class.Console])
	}
	f.settings(class, def)
	f.text("apparmor load", class.AppArmorLoad)
	f.text("apparmor switch", class.AppArmorSwitch)
	for _, g := range class.CGroups {
		words := []string{g.Controller}
		for _, word := range []string{g.Name, g.Key, g.Value} {
			if word != "" {
				words = append(words, word)
			}
		}
		f.list("cgroup", words)
	}
	for _, kind := range []jobs.Process{jobs.PreStartProcess, jobs.Main, jobs.PostStartProcess, jobs.PreStopProcess, jobs.PostStopProcess} {
		f.command(kind, class.Processes[kind])
	}
	return f.Bytes()
}

type formatter struct{ bytes.Buffer }

func (f *formatter) line(words ...string) {
	f.WriteString(strings.Join(words, " "))
	f.WriteByte('\n')
}

func (f *formatter) text(name, value string) {
	if value != "" {
		f.line(name, quoted(value))
	}
}

func (f *formatter) list(name string, words []string) {
	if len(words) == 0 {
		return
	}
	f.WriteString(name)
	for _, word := range words {
		f.WriteString(" " + quoted(word))
	}
	f.WriteByte('\n')
}

func (f *formatter) flag(name string, on bool) {
	if on {
		f.line(name)
	}
}

func (f *formatter) respawn(class, def *jobs.Class) {
	f.flag("respawn", class.Respawn)
	switch {
	case class.RespawnLimit == def.RespawnLimit && class.RespawnInterval == def.RespawnInterval:
	case class.RespawnLimit == 0 || class.RespawnInterval == 0:
		f.line("respawn limit unlimited")
	default:
		f.line("respawn limit", strconv.Itoa(class.RespawnLimit), seconds(class.RespawnInterval))
	}
	switch {
	case class.RespawnDelayMax != 0:
		f.line("respawn delay", seconds(class.RespawnDelay), seconds(class.RespawnDelayMax))
	case class.RespawnDelay != 0:
		f.line("respawn delay", seconds(class.RespawnDelay))
	}
}

func (f *formatter) exits(list []jobs.ExitStatus) {
	for _, exit := range list {
		if exit.Signal != 0 {
			f.line("normal exit", jobs.SignalName(exit.Signal))
		} else {
			f.line("normal exit", strconv.Itoa(exit.Code))
		}
	}
}

func (f *formatter) settings(class, def *jobs.Class) {
	if class.Umask != def.Umask {
		f.line("umask", strconv.FormatInt(int64(class.Umask), 8))
	}
	if class.Nice != nil {
		f.line("nice", strconv.Itoa(*class.Nice))
	}
	if class.OOMScore != nil {
		f.line("oom score", strconv.Itoa(*class.OOMScore))
	}
	for _, l := range class.Limits {
		f.line("limit", l.Name, limitValue(l.Soft), limitValue(l.Hard))
	}
	f.text("chroot", class.Chroot)
	f.text("chdir", class.Chdir)
	f.text("setuid", class.SetUID)
	f.text("setgid", class.SetGID)
}

func (f *formatter) command(kind jobs.Process, c *jobs.Command) {
	if c == nil {
		return
	}
	if kind != jobs.Main {
		f.WriteString(kind.String() + " ")
	}
	if c.Script {
		f.WriteString("script\n" + c.Text + "end script\n")
	} else {
		f.line("exec", c.Text)
	}
}

// expression writes parentheses around every operand that is not a single event.
func (f *formatter) expression(name string, o *event.Operator) {
	if o == nil {
		return
	}
	f.WriteString(name + " ")
	f.operator(o)
	f.WriteByte('\n')
}

func (f *formatter) operator(o *event.Operator) {
	if o.Kind != event.Match {
		f.operand(o.Left)
		f.WriteString(" " + o.Kind.String() + " ")
		f.operand(o.Right)
		return
	}
	f.WriteString(quoted(o.Name))
	for i := range o.Args {
		f.WriteString(" " + quoted(o.Args[i].String()))
	}
}

func (f *formatter) operand(o *event.Operator) {
	if o.Kind == event.Match {
		f.operator(o)
		return
	}
	f.WriteByte('(')
	f.operator(o)
	f.WriteByte(')')
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

func limitValue(n uint64) string {
	if n == jobs.Unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

// quoted writes a word such that it is read as this text: in double quotes, with a
// double quote itself in single ones and a backslash doubled, unless nothing in it
// needs that.
func quoted(text string) string {
	bare := text != "and" && text != "or" && text != ""
	for i := 0; bare && i < len(text); i++ {
		bare = kindOf[text[i]] == 0
	}
	if bare {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			b.WriteString(`\\`)
		case '"':
			b.WriteString(`"'"'"`)
		default:
			b.WriteByte(text[i])
		}
	}
	b.WriteByte('"')
	return b.String()
}
