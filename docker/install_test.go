package docker

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "usr", "sbin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/reboot", "the distribution's", 0o755)
	if err := os.Symlink("nowhere", dir+"/halt"); err != nil {
		t.Fatal(err)
	}

	var out, errs bytes.Buffer
	if got := Install(dir, &out, &errs); got != 0 {
		t.Fatalf("Install = %d, %s", got, &errs)
	}
	for _, name := range append([]string{"init-checkconf"}, ClientNames...) {
		want := "tend"
		switch name {
		case "reboot":
			want = ""
		case "halt":
			want = "nowhere"
		}
		if got, _ := os.Readlink(filepath.Join(dir, name)); got != want {
			t.Errorf("%s links to %q, want %q", name, got, want)
		}
	}
	if data, _ := os.ReadFile(dir + "/reboot"); string(data) != "the distribution's" {
		t.Errorf("reboot has been overwritten")
	}
	for _, line := range []string{
		"made " + dir + "/tend\n", "made " + dir + "/initctl -> tend\n",
		"left " + dir + "/reboot as it is: it is another program\n", "left " + dir + "/halt as it is: it is another program\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("output lacks %q:\n%s", line, &out)
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(dir + "/tend")
	if err != nil || !bytes.Equal(self, copied) {
		t.Errorf("tend is no copy of this program: %v", err)
	}
	if st, err := os.Stat(dir + "/tend"); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("tend has mode %v, %v", st.Mode(), err)
	}
	if left, _ := filepath.Glob(dir + "/.tend-*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}

	out.Reset()
	if got := Install(dir, &out, &errs); got != 0 || strings.Contains(out.String(), "made") {
		t.Errorf("second Install = %d, %s", got, &out)
	}
}

func TestInstallImpossible(t *testing.T) {
	file := put(t, t.TempDir()+"/file", "", 0o644)
	var out, errs bytes.Buffer
	if got := Install(file+"/sbin", &out, &errs); got != 1 {
		t.Errorf("Install = %d, want 1", got)
	}
	if want := "tend: cannot make " + file + "/sbin: not a directory\n"; errs.String() != want {
		t.Errorf("stderr = %q, want %q", &errs, want)
	}
}
