// Package e2e runs images with tend in a real Docker engine.
package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tend/test/need"
)

// patience is how long a test waits for what must happen, far more than it takes.
const patience = 90 * time.Second

// The base images that .ci/run makes.
const (
	debian = "debian:bookworm-slim"
	golang = "tend-test/golang"
)

// built holds one build per image and test run.
var built sync.Map // name → *build

type build struct {
	once sync.Once
	out  []byte
	err  error
}

// tendImage builds the image of the Dockerfile at the top, once.
func tendImage(t testing.TB) string {
	t.Helper()
	need.Image(t, debian)
	need.Image(t, golang)
	return dockerBuild(t, "tend", need.Root(), "--build-arg", "BASE="+golang)
}

// exampleImage builds an image of docker/examples, once.
func exampleImage(t testing.TB, name string) string {
	t.Helper()
	tendImage(t)
	// The package mirror and the engine's own network need not know each other.
	return dockerBuild(t, "tend-test/"+name, filepath.Join(need.Root(), "docker/examples", name),
		"--build-arg", "GO="+golang, "--network", "host")
}

// jobsImage is Debian with tend: the jobs are mounted.
func jobsImage(t testing.TB) string {
	t.Helper()
	tendImage(t)
	return dockerBuild(t, "tend-test/jobs", filepath.Join(need.Root(), "test/e2e/images"), "-f", filepath.Join(need.Root(), "test/e2e/images/jobs"))
}

// tiniImage is the sample image with only nginx under tini, to compare with.
func tiniImage(t testing.TB) string {
	t.Helper()
	exampleImage(t, "sample")
	return dockerBuild(t, "tend-test/under-tini", filepath.Join(need.Root(), "test/e2e/images"),
		"-f", filepath.Join(need.Root(), "test/e2e/images/under-tini"), "--network", "host")
}

func dockerBuild(t testing.TB, tag, dir string, options ...string) string {
	t.Helper()
	v, _ := built.LoadOrStore(tag, new(build))
	b := v.(*build)
	b.once.Do(func() {
		args := append([]string{"build", "-q", "-t", tag}, options...)
		b.out, b.err = exec.Command("docker", append(args, dir)...).CombinedOutput()
	})
	if b.err != nil {
		t.Fatalf("docker build %s: %v\n%s", tag, b.err, b.out)
	}
	return tag
}

// container is a container that runs in the background.
type container struct {
	t    testing.TB
	name string
}

var counter struct {
	sync.Mutex
	n int
}

func newName() string {
	counter.Lock()
	defer counter.Unlock()
	counter.n++
	return fmt.Sprintf("tend-test-%d-%d", os.Getpid(), counter.n)
}

// run starts a container that is removed with the test. Options come before the
// image, args behind it.
func run(t testing.TB, image string, options []string, args ...string) *container {
	t.Helper()
	c := &container{t: t, name: newName()}
	line := append(append([]string{"run", "-d", "--name", c.name}, options...), image)
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "-f", "-v", c.name).Run() })
	if out, err := exec.Command("docker", append(line, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("docker run %q: %v\n%s", line, err, out)
	}
	return c
}

// docker runs a docker command about the container and returns its standard output.
func (c *container) docker(args ...string) string {
	c.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("docker %s: %v\n%s\n%s", strings.Join(args, " "), err, stderr.Bytes(), c.log())
	}
	return string(out)
}

// logs returns what docker logs has of stdout and of stderr.
func (c *container) logs() (stdout, stderr string) {
	c.t.Helper()
	var out, err bytes.Buffer
	cmd := exec.Command("docker", "logs", c.name)
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil {
		c.t.Fatalf("docker logs: %v\n%s", e, err.Bytes())
	}
	return out.String(), err.String()
}

// log returns stdout and stderr together, for a failure's message.
func (c *container) log() string {
	out, _ := exec.Command("docker", "logs", c.name).CombinedOutput()
	return string(out)
}

// exec runs a program in the container and returns its output and status.
func (c *container) exec(args ...string) (string, int) {
	c.t.Helper()
	out, err := exec.Command("docker", append([]string{"exec", c.name}, args...)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// kill sends KILL to a process, as docker exec of the shell's own kill.
func (c *container) kill(pid int) {
	c.t.Helper()
	if out, status := c.exec("sh", "-c", "kill -9 "+strconv.Itoa(pid)); status != 0 {
		c.t.Fatalf("kill %d: %s\n%s", pid, out, c.log())
	}
}

func (c *container) inspect(format string) string {
	c.t.Helper()
	return strings.TrimSpace(c.docker("inspect", "--format", format, c.name))
}

func (c *container) running() bool { return c.inspect("{{.State.Running}}") == "true" }

// wait waits for the container's end and returns its exit status as Docker has it.
func (c *container) wait() int {
	c.t.Helper()
	for deadline := time.Now().Add(patience); c.running(); {
		if time.Now().After(deadline) {
			c.t.Fatalf("the container does not end\n%s", c.log())
		}
		<-time.After(50 * time.Millisecond)
	}
	status, err := strconv.Atoi(c.inspect("{{.State.ExitCode}}"))
	if err != nil {
		c.t.Fatal(err)
	}
	return status
}

// stop stops the container as a user does, and returns its exit status. Docker's
// own KILL, after ten seconds, would show as status 137.
func (c *container) stop() int {
	c.t.Helper()
	c.docker("stop", c.name)
	return c.wait()
}

// eventually polls a condition and fails the test when patience runs out.
func (c *container) eventually(what string, condition func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) || !c.running() && !condition() {
			c.t.Fatalf("waited in vain for %s\n%s", what, c.log())
		}
		<-time.After(50 * time.Millisecond)
	}
}

// logHas waits until the log has a text.
func (c *container) logHas(text string) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%q in the log", text), func() bool { return strings.Contains(c.log(), text) })
}

// status returns the state and the main process of a job.
func (c *container) status(job string) (state string, pid int) {
	c.t.Helper()
	out, _ := c.exec("/sbin/initctl", "status", job)
	line, _, _ := strings.Cut(out, "\n")
	line = strings.TrimPrefix(line, job+" ")
	state, number, _ := strings.Cut(line, ", process ")
	pid, _ = strconv.Atoi(number)
	return state, pid
}

// ready waits until a job is running and returns its main process.
func (c *container) ready(job string) int {
	c.t.Helper()
	var pid int
	c.eventually(job+" running", func() bool {
		state, p := c.status(job)
		pid = p
		return state == "start/running"
	})
	return pid
}

// get fetches a page from outside the container.
func (c *container) get(port int, path string) (string, error) {
	c.t.Helper()
	address := c.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(fmt.Sprintf("http://%s:%d%s", address, port, path))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(body), err
}

// answers waits until a page can be fetched and has a text.
func (c *container) answers(port int, path, text string) string {
	c.t.Helper()
	var body string
	c.eventually(fmt.Sprintf("%q from port %d", text, port), func() bool {
		var err error
		body, err = c.get(port, path)
		return err == nil && strings.Contains(body, text)
	})
	return body
}

// zombies lists the processes that wait to be reaped by the container's first.
func (c *container) zombies() []string {
	c.t.Helper()
	var found []string
	tasks, _ := filepath.Glob("/proc/" + c.inspect("{{.State.Pid}}") + "/task/*/children")
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, pid := range strings.Fields(string(text)) {
			stat, _ := os.ReadFile("/proc/" + pid + "/stat")
			if bytes.Contains(stat, []byte(") Z ")) {
				found = append(found, strings.TrimSpace(string(stat)))
			}
		}
	}
	return found
}

// confdir makes a directory of job files that containers of any user may read.
func confdir(t testing.TB, jobs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range jobs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mount is the options that give a container job files.
func mount(t testing.TB, jobs map[string]string, more ...string) []string {
	t.Helper()
	return append([]string{"-v", confdir(t, jobs) + ":/etc/init:ro"}, more...)
}

// decode reads one line of JSON.
func decode(line string) (map[string]any, error) {
	var object map[string]any
	err := json.Unmarshal([]byte(line), &object)
	return object, err
}
