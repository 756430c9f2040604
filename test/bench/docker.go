package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// dockerFigure measures a container with one service under a Docker engine.
func dockerFigure() *figure {
	return &figure{
		name: "docker", title: "a container with one service",
		note:    "run: from docker run to the exec of the service; stop: how long docker stop takes; without a network",
		columns: []column{{"run", "docker run ms", median}, {"stop", "docker stop ms", median}},
		takes:   everyone,
		measure: func(b *bench, p *peer, s *samples) error { return b.measureContainer(p, s) },
	}
}

// docker calls the engine's client.
func docker(args ...string) error {
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("docker %s: %s", args[0], bytes.TrimSpace(out))
	}
	return nil
}

// image imports the root of a peer, once.
func (b *bench) image(p *peer) (string, error) {
	name := filepath.Base(b.dir) + "/" + p.name
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Contains(b.images, name) {
		return name, nil
	}
	tar := filepath.Join(b.dir, "image.tar")
	defer os.Remove(tar)
	if out, err := exec.Command("tar", "-C", filepath.Join(b.dir, "root", p.name), "-cf", tar, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("tar: %s", bytes.TrimSpace(out))
	}
	if err := docker("import", tar, name); err != nil {
		return "", err
	}
	b.images = append(b.images, name)
	return name, nil
}

func (b *bench) measureContainer(p *peer, s *samples) (err error) {
	image, err := b.image(p)
	if err != nil {
		return err
	}
	l := b.newLife(p, newServices(1, "pause"))
	defer l.clean()
	argv, err := l.prepare(plain)
	if err != nil {
		return err
	}
	go l.read()
	name := filepath.Base(b.dir)
	args := []string{"run", "-d", "--name", name, "--network", "none", "--stop-signal", unix.SignalName(p.stopSignal()),
		"-v", filepath.Join(l.dir, "cfg") + ":/cfg", "-v", filepath.Join(l.dir, "b") + ":/b"}
	for _, kv := range stageEnv(p.env) {
		args = append(args, "-e", kv)
	}
	args = append(append(args, "--entrypoint", argv[0], image), argv[1:]...)
	defer func() { err = errors.Join(err, docker("rm", "-f", name)) }()
	l.began = now()
	if err := docker(args...); err != nil {
		return err
	}
	run, err := l.boot()
	if err != nil {
		return err
	}
	s.add("run", milliseconds(run))
	l.until(300*time.Millisecond, func() bool { return false })
	began := now()
	if err := docker("stop", name); err != nil {
		return err
	}
	s.add("stop", float64(now()-began)/1e6)
	return nil
}
