package control

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// The test binary plays the processes of other users and namespaces.
const helperVariable = "TEND_TEST_HELPER"

var helpers = map[string]func(){
	"ask":    helperAsk,
	"squat":  helperSquat,
	"server": helperServer,
}

// helperAsk makes the request whose command is its argument and prints the outcome.
func helperAsk() {
	c, err := Dial(os.Getenv(Environment))
	if err != nil {
		fmt.Println("dial:", err)
		return
	}
	req := &Request{Command: os.Args[1], Job: "web", Event: "e"}
	if _, err := c.Do(req); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ok")
}

// helperSquat listens on the path that it is given until its input ends.
func helperSquat() {
	fd, err := bind(os.Args[1])
	fmt.Println("listening", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err == nil {
		unix.Close(fd)
	}
}

// helperServer answers every call with what Permit says, until its input ends.
func helperServer() {
	server, err := Listen([]string{os.Args[1]})
	fmt.Println("listening", err)
	if err != nil {
		return
	}
	go func() {
		for call := range server.Calls() {
			answerPermit(call, false)
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func answerPermit(call *Call, owner bool) {
	if call.Cancels != nil {
		return
	}
	if err := call.Permit(func() bool { return owner }); err != nil {
		call.Refuse(err.Error())
		return
	}
	call.Reply(&Response{})
}

// helper starts the test binary as a helper.
func helper(name string, attr *syscall.SysProcAttr, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(append(os.Environ(), helperVariable+"="+name), env...)
	cmd.SysProcAttr = attr
	return cmd
}

func asNobody() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// start starts a helper that says "listening" and ends with its input.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		need.Skip(t, "cannot start a helper as another user or in another namespace: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("helper: %v", err)
		}
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "listening <nil>\n" {
		t.Fatalf("helper says %q, %v", line, err)
	}
}

// openDir returns a directory that other users can pass.
func openDir(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPermit(t *testing.T) {
	const own = 1000
	peers := []struct {
		name  string
		peer  Peer
		owner bool
		may   string // a admin, o owner's commands, p public ones
	}{
		{"root", Peer{PID: 5}, false, "aop"},
		{"own uid", Peer{PID: 5, UID: own}, false, "aop"},
		{"root of another PID namespace", Peer{PID: 0}, false, "p"},
		{"own uid in another PID namespace", Peer{PID: 0, UID: own}, false, "p"},
		{"another uid", Peer{PID: 5, UID: 33}, false, "p"},
		{"a process of the job", Peer{PID: 5, UID: 33}, true, "op"},
		{"a process of the job, said from another PID namespace", Peer{PID: 0, UID: 33}, true, "p"},
	}
	kinds := map[string]string{
		CmdStart: "o", CmdStop: "o", CmdRestart: "o", CmdReload: "o",
		CmdStatus: "p", CmdList: "p", CmdHealth: "p", CmdVersion: "p", CmdRunlevel: "p",
	}
	for _, p := range peers {
		for _, cmd := range commands {
			name := cmd.name
			kind := kinds[name]
			if kind == "" {
				kind = "a"
			}
			call := &Call{Request: Request{Command: name, Job: "web"}, Peer: p.peer, server: &Server{own: own}}
			err := call.Permit(func() bool { return p.owner })
			if want := strings.Contains(p.may, kind); (err == nil) != want {
				t.Errorf("%s, %s: %v, want permitted %v", p.name, name, err, want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "You do not have permission to ") {
				t.Errorf("%s, %s: the refusal says %q", p.name, name, err)
			}
		}
		orphans := &Call{Request: Request{Command: CmdStatus, Orphans: true}, Peer: p.peer, server: &Server{own: own}}
		if err, want := orphans.Permit(func() bool { return true }), strings.Contains(p.may, "a"); (err == nil) != want {
			t.Errorf("%s, status of orphans: %v, want permitted %v", p.name, err, want)
		}
	}
}

func TestAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Skip(t, "becoming another user needs root")
	}
	server, err := Listen([]string{filepath.Join(openDir(t, 0o755), "s.sock")})
	if err != nil {
		t.Fatal(err)
	}
	owner := false
	ending := make(chan struct{})
	ended := make(chan struct{})
	uids := make(chan uint32, 16)
	go func() {
		defer close(ended)
		for {
			select {
			case call := <-server.Calls():
				if call.Cancels == nil {
					uids <- call.Peer.UID
				}
				answerPermit(call, owner)
			case <-ending:
				return
			}
		}
	}()
	ask := func(command string) string {
		out, err := helper("ask", asNobody(), []string{Environment + "=" + server.Address}, command).CombinedOutput()
		if err != nil {
			need.Skip(t, "cannot run a helper as another user: %v", err)
		}
		return strings.TrimSpace(string(out))
	}
	for _, tt := range []struct{ command, want string }{
		{CmdVersion, "ok"},
		{CmdList, "ok"},
		{CmdStatus, "ok"},
		{CmdStop, "You do not have permission to modify job: web"},
		{CmdEmit, "You do not have permission to emit an event"},
		{CmdReloadConfiguration, "You do not have permission to reload configuration"},
		{CmdShowConfig, "You do not have permission to query job configuration"},
		{CmdListEnv, "You do not have permission to query job environment"},
		{CmdMonitor, "You do not have permission to monitor events"},
		{CmdLog, "You do not have permission to read job output"},
		{CmdShutdown, "You do not have permission to request shutdown"},
	} {
		if got := ask(tt.command); got != tt.want {
			t.Errorf("%s as nobody: %q, want %q", tt.command, got, tt.want)
		}
		if uid := <-uids; uid != 65534 {
			t.Errorf("%s came from uid %d, want 65534", tt.command, uid)
		}
	}
	// A cancellation is decided without the supervisor.
	if got, want := ask(CmdCancelShutdown), "You do not have permission to request shutdown"; got != want {
		t.Errorf("%s as nobody: %q, want %q", CmdCancelShutdown, got, want)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	close(ending)
	<-ended
}

// Root outside of the PID namespace of the server has no pid in it.
func TestAnotherPIDNamespaceIsRefused(t *testing.T) {
	path := filepath.Join(openDir(t, 0o755), "s.sock")
	cmd := helper("server", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}, nil, path)
	start(t, cmd)
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do(&Request{Command: CmdStatus, Job: "web"}); err != nil {
		t.Errorf("status: %v, want it permitted", err)
	}
	var refused *Refused
	_, err = c.Do(&Request{Command: CmdStop, Job: "web"})
	if !errors.As(err, &refused) || refused.Text != "You do not have permission to modify job: web" {
		t.Errorf("stop: %v, want the refusal", err)
	}
}

func TestSquattedSocketIsNotTrusted(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Skip(t, "becoming another user needs root")
	}
	path := filepath.Join(openDir(t, 0o777|os.ModeSticky), "s.sock")
	start(t, helper("squat", asNobody(), nil, path))
	if c, err := Dial(path); err == nil || !strings.Contains(err.Error(), "belongs to uid 65534") {
		t.Errorf("Dial = %v, %v; want it to be refused", c, err)
	}
	// A server goes to the next address, where its clients look next.
	next := "@tend-test-" + strconv.Itoa(os.Getpid())
	server, err := Listen([]string{path, next})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if server.Address != next {
		t.Errorf("it listens on %s, want %s", server.Address, next)
	}
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	listenAt := func(t *testing.T, addresses ...string) *Server {
		t.Helper()
		s, err := Listen(addresses)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	withPid := func(base string) string { return base + "-" + strconv.Itoa(os.Getpid()) }

	t.Run("stale socket is replaced", func(t *testing.T) {
		path := filepath.Join(dir, "stale.sock")
		fd, err := bind(path)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		if s := listenAt(t, path); s.Address != path {
			t.Errorf("listens on %s, want %s", s.Address, path)
		}
	})
	t.Run("live socket is left alone", func(t *testing.T) {
		path := filepath.Join(dir, "live.sock")
		first := listenAt(t, path)
		second := listenAt(t, path)
		if want := withPid(filepath.Join(dir, "live")) + ".sock"; first.Address != path || second.Address != want {
			t.Errorf("listen on %s and %s, want %s and %s", first.Address, second.Address, path, want)
		}
	})
	t.Run("abstract", func(t *testing.T) {
		name := withPid("@tend-test-abstract")
		first := listenAt(t, name)
		second := listenAt(t, name)
		if first.Address != name || second.Address != withPid(name) {
			t.Errorf("listen on %s and %s, want %s and %s", first.Address, second.Address, name, withPid(name))
		}
		if c, err := Dial(name); err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
	})
	t.Run("what is no socket stays", func(t *testing.T) {
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		next := filepath.Join(dir, "next.sock")
		s := listenAt(t, filepath.Join(dir, "missing", "s.sock"), path, next)
		if data, err := os.ReadFile(path); s.Address != next || string(data) != "precious" {
			t.Errorf("listens on %s, file %q, %v", s.Address, data, err)
		}
	})
	t.Run("everyone may connect", func(t *testing.T) {
		s := listenAt(t, filepath.Join(dir, "mode.sock"))
		info, err := os.Stat(s.Address)
		if err != nil || info.Mode().Perm() != 0o666 {
			t.Errorf("mode %v, %v; want 0666", info.Mode(), err)
		}
	})
	t.Run("nowhere", func(t *testing.T) {
		long := "/" + strings.Repeat("x", 200)
		_, err := Listen([]string{long, filepath.Join(dir, "missing", "s.sock")})
		if err == nil || !strings.Contains(err.Error(), long) || !strings.Contains(err.Error(), "missing/s.sock: no such file") {
			t.Errorf("Listen = %v, want both addresses and reasons", err)
		}
	})
}

func TestExplicit(t *testing.T) {
	addresses := Addresses(os.Geteuid())
	if got := Explicit(addresses[0]); got != "" {
		t.Errorf("Explicit(%s) = %q, want nothing", addresses[0], got)
	}
	for _, a := range append(addresses[1:], "/run/tend-1.sock") {
		if got := Explicit(a); got != a {
			t.Errorf("Explicit(%s) = %q, want it", a, got)
		}
	}
}
