package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed service/service.c
var serviceSource []byte

// compileService compiles the service with the C compiler of this machine, statically
// if it can: a dynamic service would hide the peers behind its own start.
func compileService(dir string) (string, error) {
	source, path := filepath.Join(dir, "service.c"), filepath.Join(dir, "svc")
	if err := os.WriteFile(source, serviceSource, 0o644); err != nil {
		return "", err
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	out, err := exec.Command(cc, "-O2", "-static", "-s", "-o", path, source).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot compile the service: %w\n%s", err, out)
	}
	return path, nil
}
