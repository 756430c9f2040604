package docker

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/jobs/environ"
)

// put writes a file of a test.
func put(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindProgram(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a/plain", "x", 0o644)
	put(t, dir+"/a/both", "x", 0o644)
	put(t, dir+"/b/both", "x", 0o755)
	put(t, dir+"/b/only", "x", 0o755)
	if err := os.Mkdir(dir+"/a/only", 0o755); err != nil {
		t.Fatal(err)
	}
	path := environ.Env{"PATH=" + dir + "/none:" + dir + "/a:" + dir + "/b"}
	for _, tt := range []struct {
		name, program string
		env           environ.Env
		want          string
		status        int
		text          string
	}{
		{"a path is taken as it is", "./no/such", path, "./no/such", 0, ""},
		{"directories are passed over", "only", path, dir + "/b/only", 0, ""},
		{"files that are not executable are passed over", "both", path, dir + "/b/both", 0, ""},
		{"only one that is not executable", "plain", path, "", 126, "it has no execute permission (chmod +x " + dir + "/a/plain)"},
		{"nowhere", "absent", path, "", 127, "absent: not found in PATH (" + dir + "/none:"},
		{"without PATH", "absent-program", nil, "", 127, "not found in PATH (/usr/local/sbin:"},
		{"empty PATH is the current directory", "absent", environ.Env{"PATH="}, "", 127, "not found"},
		{"empty name", "", path, "", 127, "its name is empty"},
		{"a whole command line as one word", "nginx -g x", path, "", 127, "one word with spaces"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := findProgram(tt.program, tt.env)
			if got != tt.want {
				t.Errorf("findProgram(%q) = %q, want %q", tt.program, got, tt.want)
			}
			if tt.status == 0 {
				if err != nil {
					t.Errorf("findProgram(%q): %v", tt.program, err)
				}
			} else if err == nil || err.status != tt.status || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("findProgram(%q): %+v, want status %d and %q", tt.program, err, tt.status, tt.text)
			}
		})
	}
}

// elf returns the head of a 64-bit little-endian ELF file for a machine, with a dynamic
// loader if one is named.
func elf(machine uint16, loader string) string {
	head := make([]byte, 64+56)
	copy(head, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(head[16:], 2) // ET_EXEC
	le.PutUint16(head[18:], machine)
	le.PutUint32(head[20:], 1)
	le.PutUint64(head[32:], 64) // program headers
	le.PutUint16(head[52:], 64)
	le.PutUint16(head[54:], 56)
	if loader != "" {
		le.PutUint16(head[56:], 1)
		ph := head[64:]
		le.PutUint32(ph, 3) // PT_INTERP
		le.PutUint64(ph[8:], uint64(len(head)))
		le.PutUint64(ph[32:], uint64(len(loader)+1))
		loader += "\x00"
	}
	return string(head) + loader
}

// nativeMachine reads the ELF machine number of this test.
func nativeMachine(t *testing.T) uint16 {
	t.Helper()
	order, _ := elfLayout(readHead("/proc/self/exe"))
	if order == nil {
		t.Fatal("cannot read /proc/self/exe")
	}
	return order.Uint16(readHead("/proc/self/exe")[18:])
}

// TestExplainExec lets the kernel refuse real files, so that the reasons found are those
// of its error numbers.
func TestExplainExec(t *testing.T) {
	dir := t.TempDir()
	other := uint16(62)
	if nativeMachine(t) == other {
		other = 183
	}
	for _, tt := range []struct {
		name   string
		file   string
		status int
		text   string
	}{
		{"absent", dir + "/absent", 127, "no such file or directory"},
		{"below a file", put(t, dir+"/file", "x", 0o755) + "/x", 127, "not a directory"},
		{"interpreter absent", put(t, dir+"/interp", "#!/no/such/bash -e\n", 0o755), 127, "its interpreter /no/such/bash does not exist"},
		{"carriage return", put(t, dir+"/crlf", "#!/bin/sh\r\necho\r\n", 0o755), 127, "its first line ends in a carriage return"},
		{"loader absent", put(t, dir+"/dynamic", elf(nativeMachine(t), "/lib/no-such-loader.so.1"), 0o755), 127, "its dynamic loader /lib/no-such-loader.so.1 does not exist"},
		{"directory", dir, 126, "it is a directory"},
		{"no execute permission", put(t, dir+"/plain", "#!/bin/sh\n", 0o644), 126, "no execute permission (chmod +x"},
		{"no interpreter line", put(t, dir+"/bare", "echo hello\n", 0o755), 126, "a script without an interpreter line (put #!/bin/sh"},
		{"byte order mark", put(t, dir+"/bom", "\xef\xbb\xbf#!/bin/sh\n", 0o755), 126, "a byte order mark"},
		{"empty", put(t, dir+"/empty", "", 0o755), 126, "it is empty"},
		{"other machine", put(t, dir+"/foreign", elf(other, ""), 0o755), 126, "this machine is"},
		{"binary rubbish", put(t, dir+"/rubbish", "\x00\x01\x02", 0o755), 126, "exec format error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := syscall.ForkExec(tt.file, []string{tt.file}, &syscall.ProcAttr{})
			if err == nil {
				t.Fatalf("the kernel executes %s", tt.file)
			}
			got := explainExec(tt.file, err)
			if got.status != tt.status || !strings.Contains(got.Error(), tt.text) || !strings.Contains(got.Error(), tt.file) {
				t.Errorf("explainExec(%v) = %d, %q, want %d, a text with %q and the file", err, got.status, got, tt.status, tt.text)
			}
		})
	}
}

func TestExplainExecWithoutFile(t *testing.T) {
	for _, tt := range []struct {
		errno  error
		status int
		text   string
	}{
		{unix.EAGAIN, 1, "limit of processes"},
		{unix.ENOMEM, 1, "cannot allocate memory"},
		{unix.E2BIG, 126, "argument list too long"},
		{unix.ETXTBSY, 126, "open for writing"},
		{errors.New("something else"), 1, "something else"},
	} {
		got := explainExec("/bin/sh", tt.errno)
		if got.status != tt.status || !strings.Contains(got.Error(), tt.text) {
			t.Errorf("explainExec(%v) = %d, %q, want %d, %q", tt.errno, got.status, got, tt.status, tt.text)
		}
	}
}

// FuzzElfInterpreter: whatever a file holds, finding out why it cannot be executed does
// not end the container.
func FuzzElfInterpreter(f *testing.F) {
	f.Add([]byte(elf(62, "/lib64/ld-linux-x86-64.so.2")))
	f.Add([]byte(elf(183, "")))
	f.Add([]byte("#!/bin/sh -e\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		elfInterpreter(head)
		elfMachine(head)
		if interp, _ := scriptInterpreter(head); strings.ContainsAny(interp, "\n\t ") {
			t.Errorf("scriptInterpreter(%q) = %q", head, interp)
		}
	})
}
