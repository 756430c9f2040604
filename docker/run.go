package docker

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/jobs/conf"
	"tend/jobs/conf/confdir"
	"tend/jobs/console"
	"tend/jobs/control"
	"tend/jobs/engine"
	"tend/jobs/environ"
	"tend/jobs/event"
	"tend/jobs/file"
	"tend/reaper"
	"tend/reaper/self"
)

// Where job files are when nothing else is said.
const (
	defaultConfDir  = "/etc/init"
	defaultConfFile = "/etc/init.conf"
)

// The total deadlines of a stop. Docker kills after 10 s, Kubernetes after 30 s.
const (
	dockerStop     = 9 * time.Second
	kubernetesStop = 29 * time.Second
)

// Signals are the subscriptions of this process.
type Signals struct {
	C <-chan os.Signal
	// Ready is closed once C is subscribed to the signals that would end us or ask for
	// a stop. No program may be executed before.
	Ready <-chan struct{}
	// Others subscribes C to the rest, which is done once the first programs are running,
	// and to those of real time only when there is a command to forward them to.
	Others func(realTime bool)
}

// Run is the init. The caller is the main goroutine and has prepared the runtime. Run
// returns the exit status when the container is to end. With job files it runs them; with
// only a command it is tini.
//
//  1. Set up the output.
//  2. Read the job files, while the threads are made.
//  3. Set up what jobs need: the reaper, the control socket.
//  4. Emit the events of boot, one after the other.
//  5. Loop until the container is to end.
func Run(o *Options, sigs Signals) int {
	sources := o.sources()
	o.warnOfDirectories()
	if len(o.Command) > 0 {
		// With a tree of its own: to give up watches takes the kernel 10 ms, and nothing is
		// missed in one that is watched before it is read.
		if changes, problems := confdir.New(sources).Load(); len(changes) == 0 && len(problems) == 0 {
			return runCommand(o, sigs)
		}
	}
	out, err := console.New(console.Options{
		Format: o.format(), JSON: o.LogJSON, Level: o.level(), Stdout: 1, Stderr: 2,
		LogDir: o.logDir(), LogMaxSize: o.LogMaxSize, LogFiles: o.LogFiles, Default: o.console(),
	})
	if err != nil {
		(&reporter{json: o.LogJSON, verbosity: o.Verbosity}).say(LevelError, "cannot set up output: "+err.Error())
		return 1
	}
	self.BootBegins()
	threads := self.Threads(func(room, need int) {
		// Written at once: a thread that is missing would be the end before any log is.
		(&reporter{json: o.LogJSON, verbosity: o.Verbosity}).say(LevelWarning, "the pids limit leaves "+strconv.Itoa(room)+
			" processes, and tend's threads alone need "+strconv.Itoa(need)+": jobs may not start, or tend end (allow "+strconv.Itoa(pidsNeeded)+" or more)")
	})
	tree := confdir.New(sources)
	watch, watchErr := tree.Watch()
	changes, problems := tree.Load()

	log := out.Log()
	for _, w := range o.Warnings {
		log.Warning().Msg(w)
	}
	defer func() {
		if watchErr == nil {
			discard(watch)
		}
		out.Flush(time.Now().Add(flushTime))
	}()
	broken := report(log, problems)
	refuse := func(why string, status int) int {
		log.Error().Msg(why)
		for _, err := range problems {
			why += "\n" + err.Error()
		}
		_ = leaveReason(why + "\n")
		return status
	}
	if broken && o.Strict {
		return refuse("a job file is broken and --strict is given: not starting", exitUnfit)
	}
	if len(changes) == 0 && len(o.Command) == 0 {
		found := "no job file"
		if broken {
			found = "no job file that can be used"
		}
		return refuse("nothing to run: "+found+" in "+strings.Join(places(sources), ", ")+" and no COMMAND; see tend --help", exitNothing)
	}

	s := newSupervisor(o, sigs.C, out, tree)
	s.boot(changes, watch, watchErr, func() { threads(); <-sigs.Ready })
	go sigs.Others(len(o.Command) > 0)
	s.loop()
	s.answerLast()
	return s.status
}

// afterBoot is when a container has usually settled.
const afterBoot = 200 * time.Millisecond

// flushTime is how long output that is still in pipes may take at the end.
const flushTime = 500 * time.Millisecond

// report logs problems of job files and tells whether one of them is an error.
func report(log *console.Log, problems []error) (broken bool) {
	for _, err := range problems {
		if e, ok := errors.AsType[*conf.Error](err); ok && e.Warning {
			log.Warning().Msg(err.Error())
			continue
		}
		log.Error().Msg(err.Error())
		broken = true
	}
	return broken
}

func newSupervisor(o *Options, sigs <-chan os.Signal, out *console.Console, tree *confdir.Tree) *Supervisor {
	table := jobTable(o.Environ, !o.NoInheritEnv)
	essential := map[string]bool{}
	for _, name := range o.Essential {
		essential[name] = true
	}
	s := &Supervisor{
		opts: o, console: out, log: out.Log(), tree: tree, began: time.Now(),
		m:          engine.New(engine.Options{Env: table, Init: clean(o.Environ), Essential: essential, Random: newJitter()}),
		requests:   map[engine.RequestID]func(engine.Reply){},
		procs:      map[int]tracked{},
		runs:       map[engine.JobID]*run{},
		signals:    sigs,
		staged:     make(chan stageResult),
		confRead:   make(chan struct{}),
		confDone:   make(chan struct{}),
		inStage:    map[int]bool{},
		held:       map[int]reaper.Exit{},
		netRead:    make(chan struct{}, 1),
		notified:   make(chan notification),
		runlevel:   [2]string{"N", ""},
		isInit:     os.Getpid() == 1,
		onTerminal: isTerminal(0),
		baseEnv:    table,

		stopTimeout: o.stopTimeout(),
	}
	dir := ""
	if len(o.ConfDirs) == 0 && o.Boot == BootAuto {
		dir = defaultConfDir
	}
	s.masks = newMasks(o.Mask, o.MaskSet, dir)
	s.late = newLateInterfaces(s.netRead, func(text string) { s.log.Warning().Msg(text) })
	if len(o.Command) > 0 {
		s.command = newAttached(o.Command)
	}
	r, err := reaper.New("UPSTART_JOB", "UPSTART_INSTANCE")
	if err != nil {
		s.log.Warning().Msg(err.Error())
	}
	s.reaper = r
	return s
}

// boot loads the classes, opens the control socket and emits the events of boot, once ready
// has returned.
func (s *Supervisor) boot(changes []confdir.Change, watch int, watchErr error, ready func()) {
	unix.Umask(jobs.DefaultUmask)
	self.CloseOnExec()
	if text := s.opts.askForDeathSignal(); text != "" {
		s.log.Warning().Msg(text)
	}
	listening := make(chan error)
	go func() {
		var err error
		s.server, err = control.Listen(s.opts.addresses())
		listening <- err
	}()
	s.watchConfiguration(watch, watchErr)
	if s.opts.Boot == BootAuto {
		s.m.AddSource(s.late)
	}
	s.updateQuiet()
	s.console.Hold()
	s.load(changes)
	if names := s.masks.list(); len(names) > 0 {
		s.log.Notice().Msg("not started by events in a container: " + strings.Join(names, ", ") + " (a file NAME.override or --mask none changes that)")
	}
	for _, name := range s.opts.Essential {
		if _, ok := s.m.Class(name); !ok {
			s.log.Warning().Msg("--essential names " + name + ", and there is no job of that name")
		}
	}
	s.warnOfTimeouts()
	if err := <-listening; err != nil {
		s.log.Warning().Msg("no control socket, initctl will not work: " + err.Error())
	} else {
		s.tellSocket()
	}
	ready()
	s.emitBoot()
	s.booted = true
	s.sayAwaitedSources()
	if s.command != nil {
		s.await()
	}
	s.tellOuter("READY=1")
	s.timers.add(s.now()+afterBoot, func() {
		go self.BootEnds()
	})
	s.settled()
}

// emitBoot emits what boot emits, each event after all that follows from the one
// before. A stop signal that comes meanwhile ends the boot.
func (s *Supervisor) emitBoot() {
	var events []event.Event
	if s.opts.Boot == BootNone {
		events = []event.Event{{Name: "startup"}}
	} else {
		ifaces, err := interfaces()
		if err != nil {
			s.log.Warning().Msg("cannot list network interfaces: " + err.Error() + "; only lo is announced")
		}
		s.late.fresh(ifaces)
		events = bootEvents(readMounts(), containerKind(s.opts.Environ), ifaces, s.hasJob)
	}
	events[0].Name = s.opts.StartupEvent
	if s.opts.NoStartupEvent {
		events = events[1:]
	}
	for _, ev := range events {
		if !s.pollSignals() {
			return
		}
		s.emit(ev)
	}
}

// pollSignals handles the signals that have come in and tells whether boot may go on.
func (s *Supervisor) pollSignals() bool {
	for s.stop == nil {
		select {
		case sig := <-s.signals:
			s.handleSignal(sig.(unix.Signal))
		default:
			return true
		}
	}
	return false
}

// hasJob tells whether an enabled job of that name exists: one that an event may start,
// which one that is masked or manual is not.
func (s *Supervisor) hasJob(name string) bool {
	c, ok := s.m.Class(name)
	return ok && c.StartOn != nil
}

// load hands changed definitions to the machine.
func (s *Supervisor) load(changes []confdir.Change) {
	for _, c := range changes {
		if c.Class == nil {
			s.step(engine.Unload{Name: c.Name})
			continue
		}
		s.step(engine.Load{Class: s.masks.apply(withProfile(c.Class))})
	}
}

// warnOfTimeouts names the jobs that would need more time to stop than there is.
func (s *Supervisor) warnOfTimeouts() {
	total := s.stopTimeout
	if total == 0 {
		return
	}
	for _, c := range s.m.Classes() {
		if c.KillTimeout > total {
			s.log.Warning().Job(c.Name, "").Msg("kill timeout of " + seconds(c.KillTimeout) +
				" is longer than the whole stop may take (" + seconds(total) + "; --stop-timeout)")
		}
	}
}

// stopTimeout is the total deadline of a stop where there are jobs, 0 for none.
func (o *Options) stopTimeout() time.Duration {
	switch {
	case o.StopTimeoutSet:
		return o.StopTimeout
	case containerKind(o.Environ) == "kubernetes":
		return kubernetesStop
	}
	return dockerStop
}

// warnOfDirectories warns of directories that were asked for and are not there: where
// there is a command, it would run without the jobs, and nothing would tell why.
func (o *Options) warnOfDirectories() {
	for _, dir := range slices.Concat(o.PrependConfDirs, o.ConfDirs, o.AppendConfDirs) {
		if err := file.Access(dir, unix.F_OK); err != nil {
			o.Warnings = append(o.Warnings, "no job files are read from "+dir+": "+err.Error())
		}
	}
}

// sources says where job files are looked for (reference 1.1).
func (o *Options) sources() confdir.Sources {
	s := confdir.Sources{
		Prepend: o.PrependConfDirs, File: defaultConfFile, Dirs: o.ConfDirs, Append: o.AppendConfDirs, Reserved: commandJob,
	}
	if len(s.Dirs) == 0 {
		s.Dirs = []string{defaultConfDir}
		if dir, _ := environ.Env(o.Environ).Lookup("UPSTART_CONFDIR"); dir != "" {
			s.Dirs = []string{dir}
		}
	}
	return s
}

// places lists the directories in which job files are looked for, best first.
func places(s confdir.Sources) []string {
	return slices.Concat(s.Prepend, s.Dirs, s.Append)
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}
