package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// service is one service that a peer is to run.
type service struct {
	number int
	words  []string // of its command
}

func (s service) name() string    { return fmt.Sprintf("s%05d", s.number) }
func (s service) command() string { return strings.Join(s.words, " ") }

// script is an executable script that costs no shell.
func (s service) script() string { return "#!" + s.command() + "\n" }

// newServices returns n services of one mode; more words follow its number.
func newServices(n int, mode string, words ...string) []service {
	out := make([]service, n)
	for i := range out {
		out[i] = service{i, append([]string{servicePath, mode, strconv.Itoa(i)}, words...)}
	}
	return out
}

// kind says what a peer is for, and so which figures it takes part in.
type kind string

const (
	supervisor kind = "supervisor" // runs many services and starts them again
	shim       kind = "shim"       // runs one command
	floor      kind = "floor"      // what the language and the kernel cost
)

// peerFile is a file of a peer: where it lies in its root and on this machine.
type peerFile struct{ path, from string }

// peer is a program that is measured.
type peer struct {
	name     string
	kind     kind
	note     string      // what has been set to make it as quick as it can be
	programs []string    // looked up in PATH; the first is the peer itself
	optional []string    // looked up too, but may be missing
	links    [][2]string // in its root: path and target
	stop     unix.Signal // asks it to stop; 0 is TERM
	slowStop bool        // its stop takes seconds by design: measured once
	kills    bool        // can be told to send KILL after 2 s
	restarts bool        // starts again at once what has ended
	most     int         // of services; 0: no limit of its own
	chain    int         // how long a chain of services it takes, each started when the one before it has been
	forwards bool        // passes HUP on to its only child
	logs     logging     // what becomes of the output of a service
	generate func(g *genesis) []string
	env      []string
	files    []peerFile
}

// logging is how the output of a service gets out.
type logging uint8

const (
	notLogged logging = iota
	copied            // through the peer, as it is or with a prefix
	inherited         // not through the peer at all
)

// variant is what is asked for beside the services themselves.
type variant uint8

const (
	plain   variant = iota
	logged          // the output of services is what is being measured
	chained         // each service starts when the one before it has been started
	scripts         // each service is a script of a shell, which executes the program
)

// genesis writes the configuration of a peer, which it finds in /cfg.
type genesis struct {
	dir      string
	services []service
	variant  variant
	files    []peerFile // of the peer
	err      error
}

func (g *genesis) write(path, text string, mode os.FileMode) {
	path = filepath.Join(g.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		g.err = err
		return
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		g.err = err
	}
}

// command is the command of a service: the program, or the shell with a script.
func (g *genesis) command(s service) string {
	if g.variant != scripts {
		return s.command()
	}
	path := "scripts/" + s.name()
	g.write(path, "exec "+s.command()+"\n", 0o644)
	return "/bin/sh -e /cfg/" + path
}

// run is an executable script, which costs a shell only where scripts are measured.
func (g *genesis) run(s service) string {
	if g.variant == scripts {
		return "#!/bin/sh -e\nexec " + s.command() + "\n"
	}
	return s.script()
}

// before names the service that s waits for, when the services are a chain.
func (g *genesis) before(s service) (name string, ok bool) {
	return service{number: s.number - 1}.name(), g.variant == chained && s.number > 0
}

// each returns one line for each service.
func (g *genesis) each(format string, args func(s service) []any) string {
	var b strings.Builder
	for _, s := range g.services {
		fmt.Fprintf(&b, format, args(s)...)
	}
	return b.String()
}

// tendPeer is tend with further stanzas in each job file.
func tendPeer(name, note string, logs logging, stanzas string) *peer {
	return &peer{
		name: name, kind: supervisor, note: note, kills: true, restarts: true, chain: 1000, logs: logs,
		programs: []string{"tend"},
		generate: func(g *genesis) []string {
			for _, s := range g.services {
				g.write("jobs/"+s.name()+".conf", g.job(s, stanzas), 0o644)
			}
			return []string{"/bin/tend", "--confdir", "/cfg/jobs", "--boot", "none"}
		},
	}
}

// job is the job file of a service.
func (g *genesis) job(s service, stanzas string) string {
	on := "startup"
	if name, ok := g.before(s); ok {
		on = "started " + name
	}
	text := "start on " + on + "\nrespawn\nrespawn limit unlimited\nkill timeout 2\n" + stanzas
	if g.variant == scripts {
		return text + "script\n    exec " + s.command() + "\nend script\n"
	}
	return text + "exec " + s.command() + "\n"
}

// peers is every program that this benchmark knows, in the order of the tables.
var peers = []*peer{
	tendPeer("tend", "console log, the default: two pipes a job, lines with a prefix", copied, ""),
	tendPeer("tend-output", "console output: jobs inherit our own stdout", inherited, "console output\n"),
	{
		name: "tend-command", kind: shim, note: "tend -- COMMAND, no job files", forwards: true, programs: []string{"tend"},
		generate: func(g *genesis) []string { return append([]string{"/bin/tend", "--"}, g.services[0].words...) },
	},
	{
		name: "floor", kind: floor, note: "the least that a supervisor in Go can be", kills: true, restarts: true, chain: 1000, logs: inherited,
		programs: []string{"floor"},
		generate: func(g *genesis) []string {
			g.write("list", g.each("%s\n", func(s service) []any { return []any{g.command(s)} }), 0o644)
			return []string{"/bin/floor", "/cfg/list"}
		},
	},
	oneCommand("tini", "--"),
	oneCommand("tini-static", "--"),
	oneCommand("dumb-init"),
	oneCommand("catatonit", "--"),
	{
		name: "dinit", kind: supervisor, note: "-o, no restart delay; it refuses a longer chain than 30", kills: true, restarts: true, chain: 30, logs: inherited,
		programs: []string{"dinit"}, generate: generateDinit,
	},
	{
		name: "s6", kind: supervisor, note: "s6-svscan as PID 1, an s6-supervise for each, an s6-log where output is measured, s6-rc where services are a chain",
		kills: true, restarts: true, logs: copied, chain: 30,
		programs: []string{"s6-svscan", "s6-supervise", "s6-log"},
		optional: []string{"s6-svscanctl", "s6-svc", "s6-svlisten1", "s6-ftrigrd", "s6-rc", "s6-rc-init", "s6-rc-compile"}, generate: generateS6,
	},
	{
		name: "runit", kind: supervisor, note: "runsvdir as PID 1, stopped by HUP; a runsv for each", restarts: true, stop: unix.SIGHUP, most: 990,
		programs: []string{"runsvdir", "runsv"}, optional: []string{"sv"},
		generate: func(g *genesis) []string {
			for _, s := range g.services {
				g.write("sv/"+s.name()+"/run", g.run(s), 0o755)
			}
			return []string{"/bin/runsvdir", "-P", "/cfg/sv"}
		},
	},
	{
		name: "busybox", kind: supervisor, note: "busybox init: its stop sleeps twice for a second", restarts: true, slowStop: true, logs: inherited,
		programs: []string{"busybox"}, links: [][2]string{{"/sbin/init", "/bin/busybox"}, {"/etc/inittab", "/cfg/inittab"}},
		generate: func(g *genesis) []string {
			g.write("inittab", g.each("::respawn:%s\n", func(s service) []any { return []any{g.command(s)} }), 0o644)
			return []string{"/sbin/init"}
		},
	},
	{
		name: "pebble", kind: supervisor, note: "backoff-delay 1ms, kill-delay 2s", kills: true, restarts: true, logs: copied, most: 100,
		programs: []string{"pebble"}, env: []string{"PEBBLE=/cfg/pebble"}, generate: generatePebble,
	},
}

// oneCommand is a program that takes options and a command.
func oneCommand(name string, options ...string) *peer {
	return &peer{
		name: name, kind: shim, forwards: true, programs: []string{name},
		generate: func(g *genesis) []string {
			return append(append([]string{"/bin/" + name}, options...), g.services[0].words...)
		},
	}
}

func generateDinit(g *genesis) []string {
	g.write("d/boot", "type = internal\nwaits-for.d = boot.d\n", 0o644)
	for _, s := range g.services {
		text := "type = process\ncommand = " + g.command(s) + "\nrestart = true\nrestart-delay = 0\nrestart-limit-count = 0\nstop-timeout = 2\n"
		if name, ok := g.before(s); ok {
			text += "depends-on: " + name + "\n"
		}
		if g.variant == logged {
			text += "logfile = /b/out\n"
		}
		g.write("d/"+s.name(), text, 0o644)
		g.write("d/boot.d/"+s.name(), "", 0o644)
	}
	return []string{"/bin/dinit", "-o", "-d", "/cfg/d", "-p", "/run/dinitctl", "-q", "boot"}
}

func generateS6(g *genesis) []string {
	if g.variant == chained {
		return generateS6RC(g)
	}
	for _, s := range g.services {
		g.write("scan/"+s.name()+"/run", g.run(s), 0o755)
		g.write("scan/"+s.name()+"/timeout-kill", "2000\n", 0o644)
		if g.variant == logged {
			g.write("scan/"+s.name()+"/log/run", "#!/bin/sh\nexec /bin/s6-log -b 1\n", 0o755)
		}
	}
	return []string{"/bin/s6-svscan", "-c", "2200", "/cfg/scan"}
}

var errNoS6RC = errors.New("a chain needs s6-rc, which is not here")

// generateS6RC has s6-rc bring the services up as soon as s6-svscan is there, and down
// before that ends.
func generateS6RC(g *genesis) []string {
	for _, s := range g.services {
		dir := "rc/" + s.name()
		g.write(dir+"/type", "longrun\n", 0o644)
		g.write(dir+"/run", g.run(s), 0o755)
		if name, ok := g.before(s); ok {
			g.write(dir+"/dependencies", name+"\n", 0o644)
		}
	}
	g.write("rc/all/type", "bundle\n", 0o644)
	g.write("rc/all/contents", g.each("%s\n", func(s service) []any { return []any{s.name()} }), 0o644)
	g.write("scan/.s6-svscan/SIGTERM", "#!/bin/sh\ns6-rc -l /run/s6-rc -bda change\nexec s6-svscanctl -t /cfg/scan\n", 0o755)
	g.write("init", "#!/bin/sh\n{\n    until s6-rc-init -c /cfg/compiled -l /run/s6-rc /cfg/scan 2>/dev/null; do :; done\n"+
		"    exec s6-rc -l /run/s6-rc -u change all\n} &\nexec s6-svscan -c 2200 /cfg/scan\n", 0o755)
	for _, f := range g.files {
		if filepath.Base(f.path) == "s6-rc-compile" {
			out, err := exec.Command(f.from, filepath.Join(g.dir, "compiled"), filepath.Join(g.dir, "rc")).CombinedOutput()
			if err != nil {
				g.err = fmt.Errorf("s6-rc-compile: %s", out)
			}
			return []string{"/bin/sh", "/cfg/init"}
		}
	}
	g.err = errNoS6RC
	return []string{"/bin/sh", "/cfg/init"}
}

func generatePebble(g *genesis) []string {
	layer := g.each("  %s:\n    override: replace\n    command: %s\n    startup: enabled\n    on-failure: restart\n"+
		"    on-success: restart\n    backoff-delay: 1ms\n    kill-delay: 2s\n",
		func(s service) []any { return []any{s.name(), g.command(s)} })
	g.write("pebble/layers/001-services.yaml", "services:\n"+layer, 0o644)
	argv := []string{"/bin/pebble", "run"}
	if g.variant == logged {
		argv = append(argv, "--verbose")
	}
	return argv
}

// find looks the programs of a peer up: where the user has said, else in PATH.
func (p *peer) find(given map[string]string) error {
	p.files = nil
	for _, name := range append(append([]string{}, p.programs...), p.optional...) {
		from := given[name]
		if from == "" {
			var err error
			if from, err = exec.LookPath(name); err != nil {
				if len(p.files) < len(p.programs) {
					return err
				}
				continue
			}
		}
		from, err := filepath.EvalSymlinks(from)
		if err != nil {
			return err
		}
		p.files = append(p.files, peerFile{"/bin/" + name, from})
	}
	return nil
}

// takes tells whether the peer can run n services.
func (p *peer) takes(n int) bool {
	return n == 1 || p.kind != shim && (p.most == 0 || n <= p.most)
}

func (p *peer) stopSignal() unix.Signal {
	if p.stop != 0 {
		return p.stop
	}
	return unix.SIGTERM
}
