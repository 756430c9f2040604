// Package tty gives tests a pseudo-terminal to hold a conversation on.
package tty

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a conversation waits for an answer.
const patience = 60 * time.Second

// Terminal is the user's side of a pseudo-terminal: a keyboard, and a screen that
// remembers everything.
type Terminal struct {
	// Other is the program's side, to be closed once a program has it.
	Other *os.File

	t          testing.TB
	controller *os.File
	mu         sync.Mutex
	screen     strings.Builder
	seen       int // of the screen, by Expect
}

// Open makes a pseudo-terminal and reads what is written to it until the test ends.
func Open(t testing.TB) *Terminal {
	t.Helper()
	controller, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { controller.Close() })
	if err := unix.IoctlSetPointerInt(int(controller.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(controller.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &Terminal{Other: other, t: t, controller: controller}
	go term.read()
	return term
}

func (term *Terminal) read() {
	buf := make([]byte, 4096)
	for {
		n, err := term.controller.Read(buf)
		term.mu.Lock()
		term.screen.Write(buf[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Screen returns all that was ever written to the terminal.
func (term *Terminal) Screen() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.String()
}

// Type presses keys.
func (term *Terminal) Type(keys string) {
	term.t.Helper()
	if _, err := term.controller.WriteString(keys); err != nil {
		term.t.Fatalf("cannot type %q: %v; the terminal shows %q", keys, err, term.Screen())
	}
}

// Expect waits until a text is shown behind what earlier calls have found.
func (term *Terminal) Expect(text string) {
	term.t.Helper()
	term.expect(text, func() {})
}

// TypeUntil types keys again and again until a text is shown: a key that comes
// before its program has the terminal goes to another.
func (term *Terminal) TypeUntil(keys, text string) {
	term.t.Helper()
	var next time.Time
	term.expect(text, func() {
		if time.Now().After(next) {
			term.Type(keys)
			next = time.Now().Add(500 * time.Millisecond)
		}
	})
}

func (term *Terminal) expect(text string, meanwhile func()) {
	term.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		screen := term.Screen()
		if i := strings.Index(screen[term.seen:], text); i >= 0 {
			term.seen += i + len(text)
			return
		}
		if time.Now().After(deadline) {
			term.t.Fatalf("waited in vain for %q; the terminal shows %q", text, screen)
		}
		meanwhile()
		<-time.After(10 * time.Millisecond)
	}
}
