package control

import "tend/jobs/jsonl"

// The fields of what goes over the wire, in the order of the structs and under the
// names of their tags. A test holds them to those.

// Fields is for jsonl.
func (r *Request) Fields(c *jsonl.Codec) {
	c.Int("v", &r.V)
	c.String("command", &r.Command)
	c.OptString("job", &r.Job)
	c.PtrString("instance", &r.Instance)
	c.OptStrings("jobs", &r.Jobs)
	c.OptString("event", &r.Event)
	c.OptStrings("env", &r.Env)
	c.OptBool("no_wait", &r.NoWait)
	c.OptStrings("vars", &r.Vars)
	c.OptBool("global", &r.Global)
	c.OptBool("retain", &r.Retain)
	c.OptStrings("ignore", &r.Ignore)
	c.OptBool("warn", &r.Warn)
	c.OptString("priority", &r.Priority)
	c.OptString("signal", &r.Signal)
	c.PtrInt("lines", &r.Lines)
	c.OptBool("follow", &r.Follow)
	c.OptBool("masked", &r.Masked)
	c.OptBool("orphans", &r.Orphans)
	c.OptString("runlevel", &r.Runlevel)
	c.OptString("halt", &r.Halt)
	c.PtrInt("exit_code", &r.ExitCode)
	c.OptBool("force", &r.Force)
	c.OptInt("delay", &r.Delay)
}

// Fields is for jsonl.
func (r *Response) Fields(c *jsonl.Codec) {
	c.Int("v", &r.V)
	c.OptString("error", &r.Error)
	c.OptString("reason", &r.Reason)
	c.OptBool("more", &r.More)
	c.OptInt("lost", &r.Lost)
	c.OptString("text", &r.Text)
	c.OptStrings("vars", &r.Vars)
	part(c, "status", &r.Status)
	part(c, "config", &r.Config)
	part(c, "problem", &r.Problem)
	part(c, "notice", &r.Notice)
	part(c, "output", &r.Output)
	part(c, "orphan", &r.Orphan)
	part(c, "health", &r.Health)
	part(c, "why", &r.Why)
}

// Fields is for jsonl.
func (s *Status) Fields(c *jsonl.Codec) {
	c.String("job", &s.Job)
	c.String("instance", &s.Instance)
	c.String("goal", &s.Goal)
	c.String("state", &s.State)
	c.OptList("processes", len(s.Processes), func(i int) jsonl.Object { return element(&s.Processes, i) })
	c.OptBool("masked", &s.Masked)
}

// Fields is for jsonl.
func (p *Process) Fields(c *jsonl.Codec) {
	c.String("process", &p.Process)
	c.Int("pid", &p.PID)
}

// Fields is for jsonl.
func (o *Orphan) Fields(c *jsonl.Codec) {
	c.Int("pid", &o.PID)
	c.String("command", &o.Command)
}

// Fields is for jsonl.
func (f *Config) Fields(c *jsonl.Codec) {
	c.String("job", &f.Job)
	c.OptStrings("emits", &f.Emits)
	part(c, "start_on", &f.StartOn)
	part(c, "stop_on", &f.StopOn)
}

// Fields is for jsonl.
func (n *Condition) Fields(c *jsonl.Codec) {
	c.String("expression", &n.Expression)
	c.List("terms", len(n.Terms), func(i int) jsonl.Object { return element(&n.Terms, i) })
}

// Fields is for jsonl.
func (t *Term) Fields(c *jsonl.Codec) {
	c.String("event", &t.Event)
	c.OptStrings("args", &t.Args)
}

// Fields is for jsonl.
func (p *Problem) Fields(c *jsonl.Codec) {
	c.String("job", &p.Job)
	c.Strings("texts", &p.Texts)
}

// Fields is for jsonl.
func (n *Notice) Fields(c *jsonl.Codec) {
	c.String("time", &n.Time)
	c.String("kind", &n.Kind)
	c.OptString("job", &n.Job)
	c.OptString("instance", &n.Instance)
	c.OptString("event", &n.Event)
	c.OptStrings("env", &n.Env)
	c.OptString("from", &n.From)
	c.OptString("to", &n.To)
	c.OptString("process", &n.Process)
	c.OptInt("pid", &n.PID)
	c.PtrInt("status", &n.Status)
	c.OptString("signal", &n.Signal)
	c.String("text", &n.Text)
}

// Fields is for jsonl.
func (o *Output) Fields(c *jsonl.Codec) {
	c.OptString("time", &o.Time)
	c.String("job", &o.Job)
	c.OptString("instance", &o.Instance)
	c.OptString("process", &o.Process)
	c.OptString("stream", &o.Stream)
	c.String("msg", &o.Msg)
}

// Fields is for jsonl.
func (h *Health) Fields(c *jsonl.Codec) {
	c.Bool("ok", &h.OK)
	c.Int("jobs", &h.Jobs)
	c.OptList("reasons", len(h.Reasons), func(i int) jsonl.Object { return element(&h.Reasons, i) })
}

// Fields is for jsonl.
func (r *Reason) Fields(c *jsonl.Codec) {
	c.String("job", &r.Job)
	c.OptString("instance", &r.Instance)
	c.String("text", &r.Text)
}

// Fields is for jsonl.
func (w *Why) Fields(c *jsonl.Codec) {
	c.String("job", &w.Job)
	c.Strings("lines", &w.Lines)
}

// object is a pointer to a T that is an Object.
type object[T any] interface {
	*T
	jsonl.Object
}

// part is a field that is an object, and is left out when there is none.
func part[T any, P object[T]](c *jsonl.Codec, name string, v *P) {
	if c.Has(name, *v != nil) {
		if *v == nil {
			*v = new(T)
		}
		c.Object(*v)
	}
}

// element returns an element of a list, made if there is not that one yet.
func element[T any](list *[]T, i int) *T {
	if i == len(*list) {
		*list = append(*list, *new(T))
	}
	return &(*list)[i]
}
