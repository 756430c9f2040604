// Package conformance runs recorded scenarios of a real Upstart against tend. The
// scenarios are shell scripts: README.md beside this file says how they work.
package conformance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tend/test/need"
)

// needRoot skips unless what launch does is permitted here: namespaces, and an
// overlay mount in them.
func needRoot(t *testing.T) {
	t.Helper()
	need.Program(t, "unshare", "nsenter", "ip", "bash", "timeout")
	need.Namespaces(t, "--mount", "--pid", "--ipc", "--uts", "--net", "--propagation", "private")
	dir := t.TempDir()
	out, err := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec",
		`mount -t tmpfs tmpfs "$1"; mkdir "$1/u" "$1/w" "$1/r"; mount -t overlay overlay -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" "$1/r"`,
		"sh", dir).CombinedOutput()
	if err != nil {
		need.Skip(t, "%s", strings.TrimSpace(string(out)))
	}
}

// TestScenarios runs each scenario as a subtest of its name, some at a time.
func TestScenarios(t *testing.T) {
	needRoot(t)
	// The outputs of our own name no version, so that a new one changes none of them.
	tend := filepath.Join(t.TempDir(), "tend")
	if out, err := need.BuildVersion(tend, "./cmd/tend", "VERSION"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	drivers, err := filepath.Glob("scenarios/*/drive.sh")
	if err != nil || len(drivers) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, driver := range drivers {
		name := filepath.Base(filepath.Dir(driver))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("./verify", "-o", "own", "-j", "1", name)
			cmd.Env = append(os.Environ(), "TEND="+tend, "DIFFLINES=60")
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if err != nil || !strings.HasPrefix(string(out), "PASS "+name+"\n") {
				t.Errorf("%s", out)
			}
		})
	}
}

// TestOwnOutputsBelongToScenarios keeps the folder of intended differences free of
// leftovers: each differs from the recorded output of a scenario that exists, and
// is named in the table of README.md.
func TestOwnOutputsBelongToScenarios(t *testing.T) {
	table, err := os.ReadFile("own/README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("own/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		own, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		recorded, err := os.ReadFile(filepath.Join("scenarios", name, "expected.txt"))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if string(own) == string(recorded) {
			t.Errorf("%s does not differ from the recorded output", file)
		}
		if !strings.Contains(string(table), "| "+name+" |") {
			t.Errorf("own/README.md does not say why %s differs", name)
		}
	}
}
