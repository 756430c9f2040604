package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tend/test/need"
)

// example is the path of a file of the examples.
func example(elements ...string) string {
	return filepath.Join(append([]string{need.Root(), "docker/examples"}, elements...)...)
}

// command runs a program to its end, which it must reach well.
func command(t testing.TB, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// TestCompose: the compose file builds and runs its services, its health check finds
// them well, and a stop ends them all with status 0 in their own time.
func TestCompose(t *testing.T) {
	line := []string{"docker", "compose"}
	if exec.Command("docker", "compose", "version").Run() != nil {
		need.Program(t, "docker-compose")
		line = []string{"docker-compose"}
	}
	// The layers of both are there then, and compose builds nothing anew.
	exampleImage(t, "web")
	exampleImage(t, "tini")
	project := newName()
	line = append(line, "--file", example("compose", "compose.yaml"), "--project-name", project)
	// Any free port of the host.
	env := []string{"PORT=0", "GO=" + golang, "DOCKER_BUILDKIT=0", "COMPOSE_DOCKER_CLI_BUILD=0"}
	compose := func(args ...string) string {
		t.Helper()
		return command(t, env, line[0], append(line[1:], args...)...)
	}
	t.Cleanup(func() { compose("down", "--volumes", "--rmi", "local", "--timeout", "1") })
	compose("up", "--detach")
	service := func(name string) *container {
		t.Helper()
		return &container{t: t, name: compose("ps", "--quiet", name)}
	}
	web, server := service("web"), service("server")
	web.eventually("a healthy web", func() bool { return web.inspect("{{.State.Health.Status}}") == "healthy" })
	web.answers(80, "/", "answered after 0 s")
	server.answers(8080, "/", "hello")
	compose("stop")
	for _, c := range []*container{web, server} {
		if status := c.wait(); status != 0 {
			t.Errorf("status %d after the stop, want 0\n%s", status, c.log())
		}
	}
}

// client asks the service one request after the other, each of an address of its own,
// and writes a line for each answer.
const client = `
	for (;;) {
		$at = gethostbyname("web");
		$body = @file_get_contents("http://$at/?seconds=$argv[1]");
		echo $body === false ? "failed: " . error_get_last()["message"] : trim($body), " ($at)\n";
		usleep(50000);
	}`

// TestSwarm: a rolling update of the stack replaces all tasks while clients go on
// asking, and none of their requests fails.
func TestSwarm(t *testing.T) {
	image := exampleImage(t, "web")
	ensureSwarm(t)
	stack := newName()
	// Two names for the image make two releases.
	releases := []string{image + ":first", image + ":second"}
	for _, release := range releases {
		command(t, nil, "docker", "tag", image, release)
		t.Cleanup(func() { command(t, nil, "docker", "rmi", release) })
	}
	deploy := func(release string) {
		t.Helper()
		command(t, []string{"IMAGE=" + release}, "docker", "stack", "deploy", "--resolve-image", "never",
			"--compose-file", example("swarm", "stack.yaml"), stack)
	}
	service := stack + "_web"
	tasks := func(state string) []string {
		return strings.Fields(command(t, nil, "docker", "ps", "--all", "--quiet", "--filter", "status="+state,
			"--filter", "label=com.docker.swarm.service.name="+service))
	}
	t.Cleanup(func() { removeStack(t, stack) })
	deploy(releases[0])
	wait(t, "two healthy tasks", func() bool {
		return command(t, nil, "docker", "service", "ls", "--filter", "name="+service, "--format", "{{.Replicas}}") == "2/2"
	})
	first := tasks("running")
	var clients []*container
	for _, seconds := range []string{"0", "0", "1", "2"} {
		clients = append(clients, run(t, image, []string{"--network", stack + "_front", "--entrypoint", "php"}, "-r", client, "--", seconds))
	}
	for _, c := range clients {
		c.logHas("answered")
	}
	deploy(releases[1])
	wait(t, "the end of the update", func() bool {
		return command(t, nil, "docker", "service", "inspect", "--format", "{{with .UpdateStatus}}{{.State}}{{end}}", service) == "completed"
	})
	second := tasks("running")
	wait(t, "the end of the first release", func() bool { return len(tasks("exited")) == len(first) })
	answers := 0
	for _, c := range clients {
		before := strings.Count(c.log(), "answered")
		c.eventually("an answer of the second release", func() bool { return strings.Count(c.log(), "answered") > before+1 })
		answers += strings.Count(c.log(), "answered")
		if strings.Contains(c.log(), "failed") {
			t.Errorf("requests have failed\n%s", c.log())
		}
	}
	t.Logf("%d requests answered", answers)
	if len(first) != 2 || len(second) != 2 || strings.Join(first, " ") == strings.Join(second, " ") {
		t.Errorf("the tasks are %v after the update, and %v before it", second, first)
	}
	for _, id := range first {
		c := &container{t: t, name: id}
		if status := c.inspect("{{.State.ExitCode}}"); status != "0" {
			t.Errorf("a task of the first release has ended with status %s\n%s", status, c.log())
		}
		if strings.Contains(c.log(), "KILL") {
			t.Errorf("something was killed\n%s", c.log())
		}
	}
}

// ensureSwarm makes the engine a swarm of one node until the test ends, unless it is
// in a swarm already.
func ensureSwarm(t *testing.T) {
	t.Helper()
	var info struct{ LocalNodeState string }
	if err := json.Unmarshal([]byte(command(t, nil, "docker", "info", "--format", "{{json .Swarm}}")), &info); err != nil {
		t.Fatal(err)
	}
	if info.LocalNodeState != "inactive" {
		return
	}
	out, err := exec.Command("docker", "swarm", "init", "--advertise-addr", "127.0.0.1").CombinedOutput()
	if err != nil {
		need.Skip(t, "docker swarm init: %s", bytes.TrimSpace(out))
	}
	t.Cleanup(func() { command(t, nil, "docker", "swarm", "leave", "--force") })
}

// removeStack removes a stack and waits until its tasks have gone, which Docker does
// not.
func removeStack(t *testing.T, stack string) {
	label := "label=com.docker.stack.namespace=" + stack
	command(t, nil, "docker", "stack", "rm", stack)
	wait(t, "the removal of the tasks", func() bool {
		return command(t, nil, "docker", "ps", "--quiet", "--filter", label) == ""
	})
	if left := command(t, nil, "docker", "ps", "--all", "--quiet", "--filter", label); left != "" {
		command(t, nil, "docker", append([]string{"rm", "--force"}, strings.Fields(left)...)...)
	}
}

// wait polls a condition and fails the test when patience runs out.
func wait(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(100 * time.Millisecond)
	}
}
