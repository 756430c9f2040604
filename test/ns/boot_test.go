package ns

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// collectionVar names a directory of job files for TestBootConditions to take in
// place of its own: docs/boot.md has the figures of a large one.
const collectionVar = "TEND_TEST_JOBS"

// TestBootConditions boots a directory of job files whose commands are stubs, and
// counts how many of those with a start on have got what they wait for. Of every
// other one, why must name what is missing.
func TestBootConditions(t *testing.T) {
	need.Program(t, "ip", "mount")
	jobs := sample()
	if dir := os.Getenv(collectionVar); dir != "" {
		jobs = collection(t, dir)
	}
	for _, tt := range []struct {
		name string
		args []string
		// want is the least share, in percent.
		want int
	}{
		{"default", nil, 80},
		{"mask none", []string{"--mask", "none"}, 80},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ct := startBooted(t, jobs, tt.args...)
			r := ct.conditions(jobs)
			t.Logf("%d job files, %d broken, %d with a start on that is masked; %d with another start on, of which %d (%.1f %%) have got what they wait for",
				len(jobs), len(r.broken), len(r.masked), r.waiting, r.fulfilled, r.share())
			for _, line := range r.missing {
				t.Logf("waits: %s", line)
			}
			if r.share() < float64(tt.want) {
				t.Errorf("%.1f %% of the conditions are fulfilled, want at least %d %%", r.share(), tt.want)
			}
			for _, job := range r.unexplained {
				out, _ := ct.ctl("why", job)
				t.Errorf("why %s names no missing event\n%s", job, out)
			}
		})
	}
}

// startBooted boots job files in /etc/init of a container with one interface, as
// docker run gives it, and waits until boot is done.
func startBooted(t *testing.T, jobs map[string]string, args ...string) *container {
	t.Helper()
	dir := t.TempDir()
	for name, text := range jobs {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const prepare = `set -e
		mkdir /run/bin
		ln -s "$1" /run/bin/initctl
		ip link set lo up
		ip link add eth0 type veth peer name peer0
		ip addr add 172.17.0.2/16 dev eth0
		ip link set peer0 up
		ip link set eth0 up
		mount -t tmpfs none /etc
		mkdir /etc/init
		mount --bind "$0" /etc/init
		exec "$@"`
	ct := start(t, config{
		prefix: []string{"/bin/sh", "-c", prepare, dir},
		args:   append(args, "--idle", "stay", "--", "sh", "-c", "echo booted; exec sleep 1000"),
		env:    []string{"PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		attr:   func(a *syscall.SysProcAttr) { a.Cloneflags |= unix.CLONE_NEWNET },
	})
	ct.outHas("booted\n")
	ct.settle()
	return ct
}

// quiet is how long nothing may change until all has happened that will happen. It is
// more than the two seconds after which tend takes a daemon as it is.
const quiet = 3 * time.Second

// settle waits until no job changes its state any more.
func (ct *container) settle() {
	ct.t.Helper()
	last, since := "", time.Now()
	ct.eventually("an end of changes", func() bool {
		if now, _ := ct.ctl("list"); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) >= quiet
	})
}

// conditions is what has become of the conditions of jobs.
type conditions struct {
	// waiting is how many have a start on that is not masked.
	waiting, fulfilled int
	masked, broken     []string
	missing            []string // a line per job
	unexplained        []string
}

func (c *conditions) share() float64 { return 100 * float64(c.fulfilled) / float64(max(1, c.waiting)) }

// conditions asks why of every job.
func (ct *container) conditions(jobs map[string]string) conditions {
	ct.t.Helper()
	var r conditions
	for _, file := range slices.Sorted(maps.Keys(jobs)) {
		job, isJob := strings.CutSuffix(file, ".conf")
		if !isJob || !hasStartOn(jobs[file]) {
			continue
		}
		if strings.Contains(ct.err.String(), "/etc/init/"+file+":") {
			r.broken = append(r.broken, job)
			continue
		}
		out, status := ct.ctl("why", job)
		var missing []string
		for line := range strings.Lines(out) {
			if term, _, ok := strings.Cut(line, ": not true; "); ok {
				missing = append(missing, strings.TrimSpace(term))
			}
		}
		if status == 0 && strings.Contains(out, "events do not start it in a container") {
			r.masked = append(r.masked, job)
			continue
		}
		r.waiting++
		switch {
		case status != 0:
			r.unexplained = append(r.unexplained, job)
		case !strings.Contains(out, "it has never been started"):
			r.fulfilled++
		case len(missing) == 0:
			r.unexplained = append(r.unexplained, job)
		default:
			r.missing = append(r.missing, job+": "+strings.Join(missing, ", "))
		}
	}
	return r
}

// hasStartOn tells whether an event may start the job; a later manual takes a start on
// away.
func hasStartOn(text string) bool {
	found := false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) > 1 && words[0] == "start" && words[1] == "on":
			found = true
		case len(words) > 0 && words[0] == "manual":
			found = false
		}
	}
	return found
}

// sample is job files whose conditions are spread as in a large collection of
// real ones.
func sample() map[string]string {
	jobs := map[string]string{}
	add := func(n int, condition string) {
		for range n {
			jobs[fmt.Sprintf("job%02d.conf", len(jobs))] = "start on " + condition + "\n"
		}
	}
	add(10, "runlevel [2345]")
	add(7, "filesystem")
	add(3, "filesystem and static-network-up")
	add(1, "virtual-filesystems")
	add(1, "startup")
	add(1, "local-filesystems")
	add(1, "filesystem and net-device-up IFACE=lo")
	add(1, "(local-filesystems and net-device-up IFACE!=lo)")
	add(1, "filesystem and started networking")
	add(1, "container")
	add(1, "stopped rc RUNLEVEL=[2345]")
	add(1, "mounted MOUNTPOINT=/")
	add(1, "starting dbus")
	add(3, "started dbus")
	add(1, "started udev and started dbus")
	add(1, "(filesystem and started dbus and (plymouth-ready or started null-splash))")
	add(1, "runlevel [06]")
	add(1, "login-session-start or desktop-session-start")
	add(1, "start-exim")
	add(1, "syslog-up")
	jobs["dbus.conf"] = "start on local-filesystems\nexpect fork\n"
	jobs["mountall.conf"] = "start on startup\nexpect daemon\ntask\n"
	jobs["manual.conf"] = "start on filesystem\nmanual\n"
	jobs["task.conf"] = "start on starting job00\ntask\n"
	jobs["syslog.conf"] = "start on virtual-filesystems\npre-start exec initctl emit syslog-up\n"
	for name, text := range jobs {
		jobs[name] = stub(text + "exec /usr/sbin/service\n")
	}
	return jobs
}

// collection reads the job files below a directory. All are put side by side, since
// conditions name jobs without a directory; of files with the same name those deeper
// down keep theirs.
func collection(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(filepath.Clean(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".conf") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files[path] = string(text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	depth := func(path string) int { return strings.Count(path, "/") }
	paths := slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		return cmp.Or(cmp.Compare(depth(a), depth(b)), cmp.Compare(a, b))
	})
	jobs := map[string]string{}
	for _, path := range paths {
		name := filepath.Base(path)
		if jobs[name] != "" {
			name = strings.TrimPrefix(path, filepath.Clean(dir)+"/")
		}
		jobs[name] = stub(files[path])
	}
	return jobs
}

// What a stub does in place of a main process: it is ready as the job expects it,
// and sleeps, but for that of a task, which ends.
var stubs = map[string]string{
	"":       "exec sleep 100000",
	"fork":   "exec sh -c 'sleep 100000 & exit 0'",
	"daemon": "exec sh -c '(sleep 0.05; sleep 100000 & exit 0) & exit 0'",
	"stop":   "exec sh -c 'kill -STOP $$; exec sleep 100000'",
}

// stub replaces the commands of a job file, all but those that do nothing but emit
// an event, which others wait for. Those do not wait themselves, since the jobs of a
// collection are of several hosts and one may hold up an event for ever. It leaves
// out what depends on the users, directories and rights of a host.
func stub(text string) string {
	text = strings.ReplaceAll(text, "\\\n", " ")
	task, expect := false, ""
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 {
			task = task || words[0] == "task"
			if words[0] == "expect" && len(words) > 1 {
				expect = words[1]
			}
		}
	}
	main := stubs[expect]
	if task {
		main, expect = "exec true", ""
	}
	var out strings.Builder
	inScript := false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if inScript {
			inScript = !(len(words) == 2 && words[0] == "end" && words[1] == "script")
			continue
		}
		command := func(i int) bool { return len(words) > i && (words[i] == "exec" || words[i] == "script") }
		emits := func(i int) bool {
			return len(words) > i+2 && words[i] == "exec" && filepath.Base(words[i+1]) == "initctl" && words[i+2] == "emit"
		}
		switch {
		case emits(0), emits(1):
			line = strings.Replace(line, "initctl emit", "initctl emit --no-wait", 1)
			line = strings.Replace(line, "/sbin/", "", 1)
		case command(0):
			line, inScript = main+"\n", words[0] == "script"
		case command(1) && slices.Contains([]string{"pre-start", "post-start", "pre-stop", "post-stop"}, words[0]):
			line, inScript = words[0]+" exec true\n", words[1] == "script"
		case len(words) > 0 && slices.Contains([]string{"setuid", "setgid", "chdir", "chroot", "apparmor", "cgroup", "limit", "nice", "oom"}, words[0]):
			line = ""
		case len(words) > 0 && words[0] == "expect" && task:
			line = ""
		}
		out.WriteString(line)
	}
	return out.String()
}
