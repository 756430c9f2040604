package docker

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// TestDoctor: each fact has a line, the facts begin in one column, and nothing that tend
// needs is missing where its tests run.
func TestDoctor(t *testing.T) {
	var out bytes.Buffer
	if got := Doctor(&out); got != 0 {
		t.Errorf("Doctor = %d, want 0", got)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	column := len("capabilities") + len(regexp.MustCompile(`capabilities( +)`).FindStringSubmatch(out.String())[1])
	for _, subject := range []string{
		"process", "user", "capabilities", "no_new_privs", "seccomp", "open files", "processes", "memory", "/proc", "other processes",
		"pidfd", "inotify", "ptrace", "cgroups", "network", "own executable", "control socket", "/bin/sh", "/dev/null",
		"standard input", "standard output", "standard error", "terminal",
	} {
		found := 0
		for _, line := range lines {
			if len(line) > column && strings.TrimRight(line[:column], " ") == subject && line[column] != ' ' {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d lines about %q, want 1:\n%s", found, subject, &out)
		}
	}
}

func TestFindCapabilities(t *testing.T) {
	for _, tt := range []struct{ name, effective, want string }{
		{"all", "000001ffffffffff", ""},
		{"Docker's default", "00000000a80425fb", "missing: sys_resource (raising limits, lowering the oom score), sys_nice (negative nice values)"},
		{"without setuid", "000001ffffffff7f", "missing: setuid (setuid)"},
		{"unknown", "", ""},
	} {
		if _, got := findCapabilities(tt.effective); got != tt.want {
			t.Errorf("%s: findCapabilities(%q) costs %q, want %q", tt.name, tt.effective, got, tt.want)
		}
	}
}
