package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Where things are within the root of a peer.
const (
	servicePath = "/bin/svc"
	eventsPath  = "/b/events"
)

// buildRoot makes the directory that a peer runs in: its own files, the shared
// libraries that these need, and the service; nothing is shared with the host, so
// that the memory counted is what a container would pay. It returns the size of what
// the peer has brought.
func buildRoot(root string, p *peer, service string) (size int64, err error) {
	for _, dir := range []string{"bin", "sbin", "usr", "dev", "proc", "run", "tmp", "etc", "cfg", "b", "var"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return 0, err
		}
	}
	for _, name := range devices {
		if err := os.WriteFile(root+"/dev/"+name, nil, 0o666); err != nil {
			return 0, err
		}
	}
	put := func(to, from string) error {
		to = filepath.Join(root, to)
		if _, err := os.Lstat(to); err == nil {
			return nil
		}
		n, err := copyFile(to, from)
		size += n
		return err
	}
	for _, f := range p.files {
		if err := put(f.path, f.from); err != nil {
			return 0, err
		}
		libs, err := libraries(f.from)
		if err != nil {
			return 0, err
		}
		for _, lib := range libs {
			if err := put(lib, lib); err != nil {
				return 0, err
			}
		}
	}
	links := [][2]string{{"/usr/bin", "/bin"}, {"/dev/fd", "/proc/self/fd"}, {"/dev/stdout", "/proc/self/fd/1"}, {"/dev/stderr", "/proc/self/fd/2"}, {"/var/run", "/run"}}
	for _, l := range append(links, p.links...) {
		if err := os.Symlink(l[1], root+l[0]); err != nil {
			return 0, err
		}
	}
	for name, text := range map[string]string{"passwd": "root:x:0:0:root:/:/bin/sh\n", "group": "root:x:0:\n"} {
		if err := os.WriteFile(root+"/etc/"+name, []byte(text), 0o644); err != nil {
			return 0, err
		}
	}
	if err := putShell(root); err != nil {
		return 0, err
	}
	_, err = copyFile(root+servicePath, service)
	return size, err
}

// putShell gives the root the shell of this machine, for services that are scripts; no
// peer needs it itself, so it does not count.
func putShell(root string) error {
	libs, err := libraries("/bin/sh")
	if err != nil {
		return err
	}
	for _, path := range append(libs, "/bin/sh") {
		if _, err := copyFile(root+path, path); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return 0, err
	}
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, in)
	if e := out.Close(); err == nil {
		err = e
	}
	return n, err
}

// libraries lists the shared libraries of a program as ldd(1) finds them, with the
// dynamic linker; none for what is static or a script.
func libraries(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, nil
	}
	static := true
	for _, prog := range f.Progs {
		static = static && prog.Type != elf.PT_INTERP
	}
	f.Close()
	if static {
		return nil, nil
	}
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", path, err)
	}
	return parseLdd(path, out)
}

// parseLdd reads lines "NAME => PATH (ADDRESS)" and "PATH (ADDRESS)".
func parseLdd(path string, out []byte) ([]string, error) {
	var libs []string
	for line := range bytes.Lines(out) {
		words := strings.Fields(string(line))
		switch {
		case strings.Contains(string(line), "not found"):
			return nil, fmt.Errorf("%s needs %s, which is not there", path, words[0])
		case len(words) > 2 && words[1] == "=>":
			libs = append(libs, words[2])
		case len(words) > 0 && words[0][0] == '/':
			libs = append(libs, words[0])
		}
	}
	return libs, nil
}
