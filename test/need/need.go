// Package need helps the tests that depend on something outside the Go
// toolchain: namespaces, root, Docker, a program. They try, and where the machine
// refuses they are skipped with its own words.
package need

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// strict is the environment variable that turns each such skip into a failure: a
// machine that has been prepared for all tests may not skip any.
const strict = "TEND_TEST_NO_SKIP"

// Skip skips the test with a reason, or fails it where TEND_TEST_NO_SKIP=1.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if All() {
		t.Fatalf("may not be skipped here ("+strict+"=1): "+format, args...)
	}
	t.Skipf(format, args...)
}

// All tells whether all tests were asked for, whatever they need and take.
func All() bool { return os.Getenv(strict) == "1" }

// Full skips the test unless all tests were asked for: it takes minutes.
func Full(t testing.TB) {
	t.Helper()
	if !All() {
		t.Skip("takes minutes; " + strict + "=1 asks for it")
	}
}

// Program skips the test unless all named programs are in PATH.
func Program(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			Skip(t, "%v", err)
		}
	}
}

// Namespaces skips the test unless this process may make the namespaces that the
// options of unshare(1) name.
func Namespaces(t testing.TB, options ...string) {
	t.Helper()
	Program(t, "unshare")
	out, err := exec.Command("unshare", append(options, "--fork", "true")...).CombinedOutput()
	if err != nil {
		Skip(t, "unshare: %s (%v)", bytes.TrimSpace(out), err)
	}
}

// Docker skips the test unless a Docker daemon answers.
func Docker(t testing.TB) {
	t.Helper()
	Program(t, "docker")
	out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	if err != nil {
		Skip(t, "docker: %s", bytes.TrimSpace(out))
	}
}

// Image skips the test unless the Docker daemon has an image of that name.
func Image(t testing.TB, name string) {
	t.Helper()
	Docker(t)
	out, err := exec.Command("docker", "image", "inspect", "--format", "{{.Id}}", name).CombinedOutput()
	if err != nil {
		Skip(t, "docker: %s (.ci/run makes it)", lastLine(out))
	}
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// Root is the top of the module.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

var tend struct {
	once sync.Once
	path string
	out  []byte
	err  error
}

// Tend builds the program once per test binary, as it is shipped, and returns its
// path. The caller's TestMain removes it with Clean.
func Tend(t testing.TB) string {
	t.Helper()
	tend.once.Do(func() {
		dir, err := os.MkdirTemp("", "tend-test-")
		if err != nil {
			tend.err = err
			return
		}
		// Containers and other users run it from there.
		if tend.err = os.Chmod(dir, 0o755); tend.err != nil {
			return
		}
		tend.path = filepath.Join(dir, "tend")
		tend.out, tend.err = Build(tend.path, "./cmd/tend")
	})
	if tend.err != nil {
		t.Fatalf("cannot build tend: %v\n%s", tend.err, tend.out)
	}
	return tend.path
}

// Clean removes what Tend has built.
func Clean() {
	if tend.path != "" {
		os.RemoveAll(filepath.Dir(tend.path))
	}
}

// Build compiles a package of this module to a static program, with the flags of
// the shipped one and the given environment on top, such as GOARCH=arm64.
func Build(path, pkg string, env ...string) ([]byte, error) {
	return build(path, pkg, "-s -w", env)
}

// BuildVersion is Build with another version than the shipped one.
func BuildVersion(path, pkg, version string) ([]byte, error) {
	return build(path, pkg, "-s -w -X tend/jobs.Version="+version, nil)
}

func build(path, pkg, ldflags string, env []string) ([]byte, error) {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", ldflags, "-o", path, pkg)
	cmd.Dir = Root()
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux"), env...)
	return cmd.CombinedOutput()
}
