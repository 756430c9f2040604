package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tend/test/need"
)

// TestDockerfilesAreShort: ten lines at most, or it is no example.
func TestDockerfilesAreShort(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(need.Root(), "docker/examples/*/Dockerfile"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > 10 {
			t.Errorf("%s has %d lines, want at most 10", file, n)
		}
	}
}

// TestImageHoldsOnlyTend: the image of the top has one program and links to it.
func TestImageHoldsOnlyTend(t *testing.T) {
	image := tendImage(t)
	c := &container{t: t, name: newName()}
	c.docker("create", "--name", c.name, image)
	t.Cleanup(func() { c.docker("rm", c.name) })
	listing := c.docker("export", c.name)
	names := tarNames(t, listing)
	for _, name := range names {
		// Docker itself adds the places of what it mounts.
		if dir, _, _ := strings.Cut(name, "/"); dir != "sbin" && dir != "dev" && dir != "proc" && dir != "sys" && dir != "etc" && dir != ".dockerenv" {
			t.Errorf("the image has %s", name)
		}
		if strings.HasPrefix(name, "etc/") && name != "etc/" {
			switch filepath.Base(name) {
			case "hosts", "hostname", "resolv.conf", "mtab":
			default:
				t.Errorf("the image has %s", name)
			}
		}
	}
	for _, want := range []string{"tend", "initctl", "start", "stop", "restart", "reload", "status", "emit", "telinit", "shutdown"} {
		found := false
		for _, name := range names {
			found = found || name == "sbin/"+want
		}
		if !found {
			t.Errorf("the image has no /sbin/%s", want)
		}
	}
}

// TestDemo: what a newcomer sees in the foreground is what the demonstration is
// there for, and it ends by itself.
func TestDemo(t *testing.T) {
	t.Parallel()
	c := run(t, exampleImage(t, "demo"), nil)
	if status := c.wait(); status != 0 {
		t.Errorf("status %d, want 0\n%s", status, c.log())
	}
	// Docker reads stdout and stderr side by side.
	stdout, stderr := c.logs()
	inOrder(t, stdout, "database | accepting connections", "migrate  | done", "web      | listening",
		"web      | listening", "tour     | docker stop", "web      | last request answered", "database | checkpoint written")
	inOrder(t, stderr, "respawning", "exit status 0")
}

// inOrder checks that texts come in this order.
func inOrder(t testing.TB, log string, texts ...string) {
	t.Helper()
	rest := log
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			t.Errorf("no %q in its place\n%s", text, log)
			return
		}
		rest = after
	}
}
