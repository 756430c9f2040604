// Package size holds the program to what it promises about itself: small, static,
// built for seven architectures, few dependencies, imports that point one way.
package size

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tend/test/need"
)

// architectures are the ones that a release is built for.
var architectures = []string{"amd64", "arm64", "arm", "386", "riscv64", "ppc64le", "s390x"}

func TestMain(m *testing.M) {
	code := m.Run()
	need.Clean()
	os.Exit(code)
}

// A static program has neither an interpreter nor a dynamic section.
func TestStatic(t *testing.T) {
	checkStatic(t, need.Tend(t))
}

func checkStatic(t *testing.T, path string) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, prog := range file.Progs {
		if prog.Type == elf.PT_INTERP || prog.Type == elf.PT_DYNAMIC {
			t.Errorf("%s has a segment %v, want a static program", path, prog.Type)
		}
	}
}

func TestArchitectures(t *testing.T) {
	need.Full(t)
	for _, arch := range architectures {
		t.Run(arch, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tend")
			if out, err := need.Build(path, "./cmd/tend", "GOARCH="+arch); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			checkStatic(t, path)
		})
	}
}

// listed is the part of go list's answer that the tests look at.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Module     *struct{ Path string }
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports,Module"}, args...)...)
	cmd.Dir = need.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// TestForbiddenImports names the packages of our own that import what costs more
// than it is worth. What our dependencies import is counted by TestSize.
func TestForbiddenImports(t *testing.T) {
	forbidden := []string{
		"net/http", "text/template", "html/template", "regexp", "os/exec", "os/user",
		"net", "flag", "log", "log/slog", "reflect", "plugin", "C",
		"fmt", "encoding/json", "path/filepath",
	}
	for _, p := range goList(t, "-deps", "./cmd/tend") {
		if p.ImportPath != "tend" && !strings.HasPrefix(p.ImportPath, "tend/") {
			continue
		}
		for _, name := range p.Imports {
			if slices.Contains(forbidden, name) {
				t.Errorf("%s imports %s", p.ImportPath, name)
			}
		}
	}
}

// TestDependencies holds the program to its only dependency.
func TestDependencies(t *testing.T) {
	allowed := map[string]bool{
		"tend":             true,
		"golang.org/x/sys": true,
	}
	for _, p := range goList(t, "-deps", "./cmd/tend") {
		if !p.Standard && p.Module != nil && !allowed[p.Module.Path] {
			t.Errorf("%s is linked in, of module %s", p.ImportPath, p.Module.Path)
		}
	}
}

// The packages that everybody above may use: what a job is, and what stands in for
// larger packages of the standard library.
var (
	words  = []string{"tend/jobs", "tend/jobs/event", "tend/jobs/environ"}
	ground = []string{"tend/jobs/fault", "tend/jobs/jsonl", "tend/jobs/alarm", "tend/jobs/file", "tend/jobs/lock", "tend/jobs/number"}
	base   = join(ground, words...)
)

// layers says which of our packages a package may import; what it may import, it
// need not. The reaper knows nothing of jobs, and the packages that compute do not
// write lines.
var layers = map[string][]string{
	"tend/cmd/tend": join(base, "tend/docker", "tend/jobs/conf/check", "tend/jobs/control/initctl", "tend/jobs/child", "tend/reaper", "tend/reaper/self"),
	"tend/docker": join(base, "tend/jobs/engine", "tend/jobs/conf", "tend/jobs/conf/confdir", "tend/jobs/child", "tend/jobs/console",
		"tend/jobs/control", "tend/reaper", "tend/reaper/self"),
	"tend/jobs/conf/check":      join(base, "tend/jobs/conf", "tend/jobs/conf/confdir"),
	"tend/jobs/conf/confdir":    join(base, "tend/jobs/conf"),
	"tend/jobs/control/initctl": join(base, "tend/jobs/control"),
	"tend/jobs/control":         base,
	"tend/jobs/console":         base,
	"tend/jobs/child":           join(base, "tend/reaper/self"),
	"tend/jobs/engine":          words,
	"tend/jobs/conf":            join(words, "tend/jobs/fault"),
	"tend/jobs":                 {"tend/jobs/event", "tend/jobs/environ"},
	"tend/jobs/event":           {"tend/jobs/environ", "tend/jobs/fault"},
	"tend/jobs/environ":         {},
	"tend/jobs/jsonl":           {"tend/jobs/number"},
	"tend/jobs/number":          {},
	"tend/jobs/fault":           {},
	"tend/jobs/alarm":           {},
	"tend/jobs/file":            {},
	"tend/jobs/lock":            {},
	"tend/reaper":               {"tend/reaper/self", "tend/jobs/lock"},
	"tend/reaper/self":          {},
}

// join is append to a list that others go on using.
func join(list []string, more ...string) []string { return slices.Concat(list, more) }

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range goList(t, "./...") {
		if strings.HasPrefix(p.ImportPath, "tend/test/") || strings.HasPrefix(p.ImportPath, "tend/docker/examples/") {
			continue
		}
		may, known := layers[p.ImportPath]
		if !known {
			t.Errorf("%s has no place among the layers", p.ImportPath)
			continue
		}
		for _, name := range p.Imports {
			if strings.HasPrefix(name, "tend/") && !slices.Contains(may, name) {
				t.Errorf("%s imports %s, which lies beside or above it", p.ImportPath, name)
			}
		}
	}
}

// TestPurePackages keeps the decisions apart from the effects: these packages open
// nothing, start nothing, read no clock and write no log.
func TestPurePackages(t *testing.T) {
	// syscall is there for the names of signals and time for durations; neither
	// package calls what they offer, which the second test below looks at.
	impure := []string{"os", "io/fs", "net", "sync", "context", "log", "golang.org/x/sys/unix", "github.com/rs/zerolog", "math/rand", "math/rand/v2", "os/signal", "os/exec", "runtime"}
	for _, p := range goList(t, "./jobs", "./jobs/event", "./jobs/environ", "./jobs/conf", "./jobs/engine") {
		for _, name := range p.Imports {
			if slices.Contains(impure, name) {
				t.Errorf("%s imports %s", p.ImportPath, name)
			}
		}
	}
}

// TestPureCalls looks for the clock and the goroutines that an import does not
// give away.
func TestPureCalls(t *testing.T) {
	for _, dir := range []string{"jobs", "jobs/event", "jobs/environ", "jobs/conf", "jobs/engine"} {
		names, err := filepath.Glob(filepath.Join(need.Root(), dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"time.Now(", "time.Since(", "time.After(", "time.Sleep(", "\tgo func", "syscall.Kill(", "syscall.Open("} {
				if bytes.Contains(source, []byte(text)) {
					t.Errorf("%s has %q", name, strings.TrimSpace(text))
				}
			}
		}
	}
}
