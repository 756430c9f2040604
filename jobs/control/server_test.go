package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/jobs"
	"tend/test/need"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// supervisor answers the calls of a server as a test wants it.
type supervisor struct {
	*Server
	mu     sync.Mutex
	gone   []*Call
	ending chan struct{}
	ended  chan struct{}
}

func supervise(t *testing.T, limits timeouts, answer func(*Call)) *supervisor {
	t.Helper()
	server, err := listenAny([]string{filepath.Join(t.TempDir(), "s.sock")}, limits)
	if err != nil {
		t.Fatal(err)
	}
	s := &supervisor{Server: server, ending: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		for {
			select {
			case call := <-server.Calls():
				if call.Cancels != nil {
					s.mu.Lock()
					s.gone = append(s.gone, call.Cancels)
					s.mu.Unlock()
					continue
				}
				answer(call)
			case <-s.ending:
				return
			}
		}
	}()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		close(s.ending)
		<-s.ended
	})
	return s
}

// hasGone tells whether the client of a call has been reported as gone.
func (s *supervisor) hasGone(command string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.gone {
		if c.Command == command {
			return true
		}
	}
	return false
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("gave up waiting: %s", what)
		}
		runtime.Gosched()
	}
}

func (s *supervisor) dial(t *testing.T) *Client {
	t.Helper()
	c, err := Dial(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (s *supervisor) raw(t *testing.T) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.Address, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// answersVersion makes sure that an ordinary client is served.
func (s *supervisor) answersVersion(t *testing.T) {
	t.Helper()
	c, err := Dial(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.Do(&Request{Command: CmdVersion})
	if err != nil || r.Text != "tend" {
		t.Fatalf("version = %+v, %v; want tend", r, err)
	}
}

// usual answers version, list with many jobs, and nothing to start.
func usual(call *Call) {
	switch call.Command {
	case CmdVersion:
		call.Reply(&Response{Text: "tend"})
	case CmdList:
		call.ReplyAll(func(yield func(*Response) bool) {
			for i := range 20000 {
				if !yield(&Response{Status: &Status{Job: fmt.Sprintf("job%05d", i), Goal: "stop", State: "waiting"}}) {
					return
				}
			}
		})
	case CmdStatus:
		call.Refuse("Unknown job: " + call.Job)
	}
}

func TestRequestsAndReplies(t *testing.T) {
	s := supervise(t, usualTimeouts, usual)
	c := s.dial(t)

	r, err := c.Do(&Request{Command: CmdVersion})
	if err != nil || r.Text != "tend" || r.V != Protocol {
		t.Errorf("version = %+v, %v; want tend, version %d", r, err, Protocol)
	}
	_, err = c.Do(&Request{Command: CmdStatus, Job: "web"})
	var refused *Refused
	if !errors.As(err, &refused) || refused.Text != "Unknown job: web" {
		t.Errorf("status = %v, want the refusal", err)
	}
	n := 0
	err = c.Each(&Request{Command: CmdList}, func(r *Response) error {
		if r.Status != nil {
			if want := fmt.Sprintf("job%05d", n); r.Status.Job != want {
				return fmt.Errorf("job %s, want %s", r.Status.Job, want)
			}
			n++
		}
		return nil
	})
	if err != nil || n != 20000 {
		t.Errorf("list: %d jobs, %v; want 20000", n, err)
	}
	// The connection is still good for another one.
	if r, err := c.Do(&Request{Command: CmdVersion}); err != nil || r.Text != "tend" {
		t.Errorf("second version = %+v, %v", r, err)
	}
}

func TestRequestsBehindOneAnother(t *testing.T) {
	s := supervise(t, usualTimeouts, usual)
	c := s.raw(t)
	if _, err := c.Write(bytes.Repeat([]byte(`{"v":1,"command":"version"}`+"\n"), 50)); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(c)
	for i := range 50 {
		var r Response
		if err := d.Decode(&r); err != nil || r.Text != "tend" {
			t.Fatalf("reply %d = %+v, %v", i, r, err)
		}
	}
}

// A client such as "nc -N" closes its sending side at once and still wants the
// answer.
func TestHalfClosedClientIsAnswered(t *testing.T) {
	calls := make(chan *Call, 1)
	s := supervise(t, usualTimeouts, func(c *Call) { calls <- c })
	c := s.raw(t)
	if _, err := io.WriteString(c, `{"v":1,"command":"emit","event":"e"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	call := <-calls
	// The half close has been seen when another connection has been through.
	other := s.dial(t)
	done := make(chan struct{})
	go func() { defer close(done); _, _ = other.Do(&Request{Command: CmdVersion}) }()
	(<-calls).Reply(&Response{})
	<-done
	call.Reply(&Response{Text: "late"})
	all, err := io.ReadAll(c)
	if err != nil || string(all) != `{"v":1,"text":"late"}`+"\n" {
		t.Errorf("got %q, %v", all, err)
	}
	if s.hasGone(CmdEmit) {
		t.Error("the client was reported as gone")
	}
}

func TestClientThatLeavesIsReported(t *testing.T) {
	calls := make(chan *Call, 1)
	s := supervise(t, usualTimeouts, func(c *Call) { calls <- c })
	c := s.raw(t)
	if _, err := io.WriteString(c, `{"v":1,"command":"start","job":"web"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	call := <-calls
	c.Close()
	until(t, "the call is cancelled", func() bool { return s.hasGone(CmdStart) })
	call.Reply(&Response{}) // does nothing
	until(t, "the connection is forgotten", func() bool {
		s.admins.mu.Lock()
		defer s.admins.mu.Unlock()
		return len(s.admins.conns) == 0
	})
}

func TestBadClientsLoseTheirConnection(t *testing.T) {
	s := supervise(t, usualTimeouts, usual)
	for _, tt := range []struct{ name, send, want string }{
		{"garbage", "\x00\xff\xfe garbage\n", "a request is one JSON object"},
		{"http", "GET / HTTP/1.1\r\n\r\n", "a request is one JSON object"},
		{"empty line", "\n", "a request is one JSON object"},
		{"array", "[]\n", "a request is one JSON object"},
		{"half an object", `{"v":1,"command":` + "\n", "malformed request"},
		{"wrong type", `{"v":1,"command":"start","job":7}` + "\n", "malformed request"},
		{"no version", `{"command":"version"}` + "\n", "protocol version 0 is not known, this is 1"},
		{"newer version", `{"v":2,"command":"version"}` + "\n", "protocol version 2 is not known, this is 1"},
		{"unknown command", `{"v":1,"command":"frobnicate"}` + "\n", `unknown command: "frobnicate"`},
		{"deep nesting", `{"v":1,"command":` + strings.Repeat("[", 50000) + "\n", "malformed request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.raw(t)
			if _, err := io.WriteString(c, tt.send); err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(c)
			var r Response
			if jsonErr := json.Unmarshal(all, &r); jsonErr != nil || !strings.Contains(r.Error, tt.want) {
				t.Errorf("got %q, %v; want an error with %q and the end", all, err, tt.want)
			}
		})
	}
	s.answersVersion(t)
}

func TestEndlessLineIsCutOff(t *testing.T) {
	s := supervise(t, usualTimeouts, usual)
	c := s.raw(t)
	block := bytes.Repeat([]byte("a"), 1<<20)
	sent := 0
	for sent < 1<<30 {
		n, err := c.Write(block)
		sent += n
		if err != nil {
			break
		}
	}
	// What the socket buffers hold comes on top of the limit.
	if sent > 4*maxLineAdmin {
		t.Errorf("%d bytes were taken, want about %d", sent, maxLineAdmin)
	}
	s.answersVersion(t)
}

func TestLongRequestIsTaken(t *testing.T) {
	got := make(chan int, 1)
	s := supervise(t, usualTimeouts, func(c *Call) {
		got <- len(c.Env[0])
		c.Reply(&Response{})
	})
	value := "X=" + strings.Repeat("v", maxLineAdmin-200)
	if _, err := s.dial(t).Do(&Request{Command: CmdEmit, Event: "e", Env: []string{value}}); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != len(value) {
		t.Errorf("%d bytes arrived, want %d", n, len(value))
	}
}

func TestSlowRequestIsGivenUp(t *testing.T) {
	limits := usualTimeouts
	limits.request = 50 * time.Millisecond
	s := supervise(t, limits, usual)
	c := s.raw(t)
	if _, err := io.WriteString(c, `{"v":1,`); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil || !bytes.Contains(all, []byte("timeout")) {
		t.Errorf("got %q, %v; want a word about the timeout and the end", all, err)
	}
}

func TestManyConnectionsHarmNobody(t *testing.T) {
	s := supervise(t, usualTimeouts, usual)
	for range 2200 {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.Address, Net: "unix"})
		if err != nil {
			need.Skip(t, "2200 connections: %v", err)
		}
		defer c.Close()
	}
	s.answersVersion(t)
	s.admins.mu.Lock()
	n := len(s.admins.conns)
	s.admins.mu.Unlock()
	if n > s.admins.max {
		t.Errorf("%d connections are held, want at most %d", n, s.admins.max)
	}
}

func TestFullPoolPrefersWorkToIdleness(t *testing.T) {
	calls := make(chan *Call, 8)
	s := supervise(t, usualTimeouts, func(c *Call) {
		if c.Command == CmdStart {
			calls <- c
			return
		}
		usual(c)
	})
	s.admins.mu.Lock()
	s.admins.max = 2
	s.admins.mu.Unlock()

	waiting := s.raw(t)
	if _, err := io.WriteString(waiting, `{"v":1,"command":"start","job":"web"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	call := <-calls
	idle := s.raw(t)
	s.answersVersion(t) // instead of idle
	if n, err := idle.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the idle connection: read %d, %v; want its end", n, err)
	}
	call.Reply(&Response{Text: "ok"})
	if line, err := readLine(waiting); err != nil || line != `{"v":1,"text":"ok"}` {
		t.Errorf("the waiting connection got %q, %v", line, err)
	}

	until(t, "both are idle", func() bool {
		s.admins.mu.Lock()
		defer s.admins.mu.Unlock()
		for c := range s.admins.conns {
			if c.busy {
				return false
			}
		}
		return true
	})

	// When all wait there is no room, and a newcomer is told so.
	for range 2 {
		c := s.raw(t)
		if _, err := io.WriteString(c, `{"v":1,"command":"start","job":"web"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		<-calls
	}
	c := s.dial(t)
	if _, err := c.Do(&Request{Command: CmdVersion}); err == nil || err.Error() != "too many connections" {
		t.Errorf("newcomer: %v, want too many connections", err)
	}
}

func readLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		if _, err := r.Read(b); err != nil {
			return string(line), err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
}

func TestClientThatNeverReads(t *testing.T) {
	limits := usualTimeouts
	limits.write = 100 * time.Millisecond
	s := supervise(t, limits, usual)
	for range 3 * maxLarge {
		c := s.raw(t)
		if _, err := io.WriteString(c, `{"v":1,"command":"list"}`+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	s.answersVersion(t)
	until(t, "all of them are dropped", func() bool {
		s.admins.mu.Lock()
		defer s.admins.mu.Unlock()
		return len(s.admins.conns) == 0
	})
	if n := len(s.admins.large); n != 0 {
		t.Errorf("%d places for large replies are still taken", n)
	}
	s.answersVersion(t)
}

func TestStreamCountsWhatIsLost(t *testing.T) {
	calls := make(chan *Call, 1)
	s := supervise(t, usualTimeouts, func(c *Call) { calls <- c })
	c := s.raw(t)
	if _, err := io.WriteString(c, `{"v":1,"command":"monitor"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	call := <-calls
	const sent = 20 * streamQueue
	for i := range sent {
		if !call.Send(&Response{Notice: &Notice{Text: strings.Repeat("x", 200), PID: i + 1}}) {
			t.Fatal("the client is said to have gone")
		}
	}
	got, lost, last := 0, 0, 0
	d := json.NewDecoder(c)
	read := func() Response {
		var r Response
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	// Each line tells how many are missing before it, so the numbers must add up.
	check := func(r Response) {
		got++
		lost += r.Lost
		if r.Notice.PID != last+r.Lost+1 {
			t.Fatalf("line %d after %d with %d lost", r.Notice.PID, last, r.Lost)
		}
		last = r.Notice.PID
	}
	for len(call.answer) >= streamQueue/2 {
		check(read())
	}
	call.Send(&Response{Notice: &Notice{PID: sent + 1}})
	for last != sent+1 {
		check(read())
	}
	if lost == 0 || got+lost != sent+1 {
		t.Errorf("%d lines and %d lost, want %d in all and some lost", got, lost, sent+1)
	}
	c.Close()
	until(t, "the end is noticed", func() bool { return !call.Send(&Response{}) })
	until(t, "the call is cancelled", func() bool { return s.hasGone(CmdMonitor) })
}

func TestFlushWaitsForAnswers(t *testing.T) {
	calls := make(chan *Call, 1)
	s := supervise(t, usualTimeouts, func(c *Call) { calls <- c })
	s.Flush(patience) // nothing to wait for
	for range 100 {
		c := s.raw(t)
		if _, err := io.WriteString(c, `{"v":1,"command":"shutdown"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		call := <-calls
		call.Reply(&Response{})
		call.Reply(&Response{Text: "twice"})
		s.Flush(patience)
		// What has been written is in the socket whatever becomes of the server.
		if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 64)
		if err := raw.Control(func(fd uintptr) {
			n, _, err := unix.Recvfrom(int(fd), got, unix.MSG_DONTWAIT)
			if err != nil || string(got[:n]) != `{"v":1}`+"\n" {
				t.Errorf("in the socket: %q, %v", got[:max(n, 0)], err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

func TestDelayedShutdownCanBeCancelled(t *testing.T) {
	calls := make(chan *Call, 1)
	s := supervise(t, usualTimeouts, func(c *Call) { calls <- c })
	if _, err := s.dial(t).Do(&Request{Command: CmdCancelShutdown}); err == nil || err.Error() != "no shutdown is pending" {
		t.Errorf("cancel with none: %v", err)
	}
	failed := make(chan error, 1)
	waiting := s.dial(t)
	go func() {
		_, err := waiting.Do(&Request{Command: CmdShutdown, Delay: 3600})
		failed <- err
	}()
	until(t, "the shutdown is held", func() bool {
		s.Server.mu.Lock()
		defer s.Server.mu.Unlock()
		return len(s.delayed) == 1
	})
	if _, err := s.dial(t).Do(&Request{Command: CmdCancelShutdown}); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil || err.Error() != "Shutdown cancelled" {
		t.Errorf("the waiting one: %v, want Shutdown cancelled", err)
	}
	select {
	case c := <-calls:
		t.Errorf("%s reached the supervisor", c.Command)
	default:
	}
	go func() { _, err := s.dial(t).Do(&Request{Command: CmdShutdown, Delay: 1}); failed <- err }()
	(<-calls).Reply(&Response{})
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	s := supervise(t, usualTimeouts, usual)
	var wg sync.WaitGroup
	errs := make(chan error, 500)
	for range 500 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := Dial(s.Address)
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			if _, err := c.Do(&Request{Command: CmdVersion}); err != nil {
				errs <- err
			}
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func TestStatusOnTheWire(t *testing.T) {
	for _, tt := range []jobs.Status{
		{Job: "a"},
		{Job: "a", Instance: "x y", Goal: jobs.Start, State: jobs.Running, Processes: []jobs.RunningProcess{{Process: jobs.Main, PID: 9}}},
		{Job: "a", Goal: jobs.Respawn, State: jobs.PostStart, Processes: []jobs.RunningProcess{{Process: jobs.PostStartProcess, PID: 1}}},
		{Job: "a", Goal: jobs.Stop, State: jobs.PreStop, Processes: []jobs.RunningProcess{{Process: jobs.Main, PID: 1}, {Process: jobs.PreStopProcess, PID: 2}}},
	} {
		if got, want := NewStatus(tt).String(), tt.String(); got != want {
			t.Errorf("NewStatus(%+v) = %q, want %q", tt, got, want)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, seed := range []string{
		`{"v":1,"command":"start","job":"web","env":["A=1","B="],"instance":"","no_wait":true}`,
		`{"v":1,"command":"emit","event":"e"}`, `{"v":1,"command":"log","job":"a","lines":3,"follow":true}`,
		`{"v":1,"command":"shutdown","exit_code":3,"delay":60}`, `{}`, `null`, `[]`, ` {"v":1e9}`, `{"v":1,"v":2}`, "{\"v\":1,\"command\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		req, err := DecodeRequest(line)
		if err != nil {
			return
		}
		out := appendLine(nil, req)
		again, err := DecodeRequest(bytes.TrimSuffix(out, []byte("\n")))
		if err != nil {
			t.Fatalf("DecodeRequest(%q) = %v", out, err)
		}
		if second := appendLine(nil, again); !bytes.Equal(out, second) {
			t.Errorf("%q becomes %q", out, second)
		}
	})
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperVariable); name != "" {
		helpers[name]()
		os.Exit(0)
	}
	os.Exit(m.Run())
}
