package check

import (
	"cmp"
	"errors"
	filepath "path" // which does the same here, with less
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/jobs/conf/confdir"
	"tend/jobs/file"
)

// reserved is the name of the job that the command beside the jobs is run as.
const reserved = "command"

// checker collects the findings in files.
type checker struct {
	parser   conf.Parser
	shell    string // empty: scripts are not checked
	files    int
	sources  map[string][]byte
	findings []*conf.Error
	order    map[string]int // of the files, as they have been met

	// The jobs by name, the first of each name only, and whether they are all that
	// there are: a directory has been checked and not single files only.
	classes map[string]*checked
	whole   bool
}

// checked is a job with its override applied.
type checked struct {
	class *jobs.Class
	base  *jobs.Class // without the override
}

// path checks a file, or all files of a directory.
func (c *checker) path(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if !isJobFile(path) {
			return errors.New("the name of a job file ends in .conf or .override")
		}
		return c.one(path)
	}
	c.whole = true
	var err error
	var confs, overrides []string
	path = filepath.Clean(path)
	confdir.Walk(path, func(string) {}, func(file string, override bool) {
		if override {
			overrides = append(overrides, file)
		} else {
			confs = append(confs, file)
		}
	}, func(failed error) { err = errors.Join(err, failed) })
	if err != nil {
		return err
	}
	if len(confs)+len(overrides) == 0 {
		return errors.New("no job files are there")
	}
	for _, file := range confs {
		c.conf(file, jobName(path, file))
	}
	for _, file := range overrides {
		c.override(file, jobName(path, file))
	}
	return nil
}

// one checks a file that is named by itself. An override is checked on top of the
// job file beside it.
func (c *checker) one(path string) error {
	name := nameOf(path)
	if strings.HasSuffix(path, ".conf") {
		c.conf(path, name)
		return nil
	}
	below := strings.TrimSuffix(path, ".override") + ".conf"
	if src, err := file.Read(below); err == nil {
		if class, _ := c.parser.Parse(name, below, src); class != nil {
			c.add(name, class)
		}
	}
	c.override(path, name)
	return nil
}

func isJobFile(path string) bool {
	base := filepath.Base(path)
	ext := filepath.Ext(base)
	return (ext == ".conf" || ext == ".override") && base != ext
}

// jobName is the path below the directory without the extension.
func jobName(dir, file string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(file, dir), "/")
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// read reads a file and remembers its text for the report.
func (c *checker) read(path string) ([]byte, bool) {
	c.files++
	if c.sources == nil {
		c.sources, c.order = make(map[string][]byte), make(map[string]int)
	}
	if _, ok := c.order[path]; !ok {
		c.order[path] = len(c.order)
	}
	src, err := file.ReadSome(path, conf.MaxSize)
	if err == nil {
		c.sources[path] = src
		return src, true
	}
	c.found(&conf.Error{File: path, Line: 1, Column: 1, Msg: "cannot read the file: " + cause(err).Error()})
	return nil, false
}

func (c *checker) found(errs ...*conf.Error) { c.findings = append(c.findings, errs...) }

func (c *checker) conf(path, name string) {
	src, ok := c.read(path)
	if !ok {
		return
	}
	class, found := c.parser.Parse(name, path, src)
	c.found(found...)
	if name == reserved {
		c.found(confdir.Reserved(path, name))
	}
	if class == nil {
		// That the job is broken is told; that it is missing would be wrong.
		class = jobs.NewClass(name)
		class.Path = path
	} else {
		c.found(c.scripts(class, path, nil)...)
	}
	c.add(name, class)
}

func (c *checker) add(name string, class *jobs.Class) {
	if c.classes == nil {
		c.classes = make(map[string]*checked)
	}
	if c.classes[name] == nil {
		c.classes[name] = &checked{class: class, base: class}
	}
}

func (c *checker) override(path, name string) {
	src, ok := c.read(path)
	if !ok {
		return
	}
	job := c.classes[name]
	base := jobs.NewClass(name)
	if job != nil {
		base = job.base
	} else {
		c.found(&conf.Error{File: path, Line: 1, Column: 1, Warning: true, Msg: "there is no " + filepath.Base(name) + ".conf, so this override does nothing"})
	}
	class, found := c.parser.Apply(base, path, src)
	c.found(found...)
	if class == nil {
		return
	}
	c.found(c.scripts(class, path, base)...)
	if job != nil && job.class == job.base {
		job.class = class
	}
}

// byPlace sorts the findings of a checker.
type byPlace checker

func (c *byPlace) Len() int      { return len(c.findings) }
func (c *byPlace) Swap(i, j int) { c.findings[i], c.findings[j] = c.findings[j], c.findings[i] }

func (c *byPlace) Less(i, j int) bool {
	a, b := c.findings[i], c.findings[j]
	return cmp.Or(c.order[a.File]-c.order[b.File], a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Msg, b.Msg)) < 0
}

// sort puts the findings in the order of the files and then of the lines. A place
// is told once for each message.
func (c *checker) sort() {
	sort.Sort((*byPlace)(c))
	c.findings = slices.CompactFunc(c.findings, func(a, b *conf.Error) bool { return *a == *b })
}
