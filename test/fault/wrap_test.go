package fault

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/test/need"
)

// wrapAround makes the kernel give the same few pids to new processes again and again.
const wrapAround = `exec perl -e 'while (1) { open F, ">", "/proc/sys/kernel/ns_last_pid" or die "ns_last_pid: $!"; print F 300; close F or die "ns_last_pid: $!"; select undef, undef, undef, 0.001 }'`

// bystander starts processes in sessions of their own all the time and notes whatever
// happens to one of them but its own exit.
const bystander = `exec perl -MPOSIX -e '
	open NOTE, ">>", "@T@/touched"; open PIDS, ">>", "@T@/bystanders"; NOTE->autoflush; PIDS->autoflush;
	for my $s (qw(TERM HUP INT CONT)) { $SIG{$s} = sub { print NOTE "main: $s\n" } }
	my %lives;
	while (1) {
		while (keys %lives < 4) {
			my $pid = fork;
			if (!$pid) { $SIG{TERM} = "DEFAULT"; setsid; select undef, undef, undef, 0.02; _exit(7) }
			$lives{$pid} = 1; print PIDS "$pid\n";
		}
		my $pid = wait;
		delete $lives{$pid};
		print NOTE "$pid: $?\n" if $? != 7 << 8;
	}'`

// Processes of a job are never touched for another job that has had their pids, or
// sessions and groups of their numbers, before.
func TestPidsWrapAround(t *testing.T) {
	need.Program(t, "perl", "setsid")
	const churn = `kill timeout 1
script
setsid sleep 1000 & echo $! >>@T@/churn
setsid sh -c 'echo $$ >>@T@/churn; sleep 1000 & echo $! >>@T@/churn; sleep 1000' &
sh -c 'setsid sleep 1000 & echo $! >>@T@/churn' &
echo up >>@T@/up
exec sleep 1000
end script
`
	ct := start(t, config{jobs: map[string]string{
		"bystander": "start on startup\n" + bystander + "\n",
		"wrap":      "start on startup\n" + wrapAround + "\n",
		"one":       churn, "two": churn,
		"short": "respawn\nrespawn limit unlimited\nscript\nsetsid sh -c 'echo $$ >>@T@/churn; sleep 1000' &\nsleep 0.05\nexit 1\nend script\n",
	}})
	ct.running("bystander")
	ct.running("wrap")
	main := ct.main("bystander")
	ct.ctl("start", "short")
	for range rounds(400) {
		for _, job := range []string{"one", "two"} {
			ct.ctl("start", job)
		}
		for _, job := range []string{"one", "two"} {
			ct.ctl("stop", job)
		}
	}
	ct.ctl("stop", "short")
	for deadline := time.Now().Add(patience); len(children(ct.pid)) > 2; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, pid := range children(ct.pid) {
				stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				t.Logf("%.60s %q", stat, line)
			}
			t.Fatalf("more than the bystander is left\n%s", &ct.out)
		}
	}
	touched, err := os.ReadFile(ct.path("touched"))
	must(t, err)
	if len(touched) > 0 {
		t.Errorf("the bystander's processes were touched:\n%s\n%s", touched, &ct.out)
	}
	if got := ct.main("bystander"); got != main {
		t.Errorf("the bystander has process %d, want %d\n%s", got, main, &ct.out)
	}
	if n := shared(ct.lines("churn"), ct.lines("bystanders")); n < 10 {
		t.Errorf("only %d pids were both jobs', so nothing was tested", n)
	} else {
		t.Logf("%d pids were both jobs'", n)
	}
	if err := unix.Kill(ct.pid, 0); err != nil {
		t.Error(err)
	}
	ct.unhurt()
}

// lines returns the lines of a file that jobs write.
func (ct *container) lines(name string) []string {
	ct.t.Helper()
	text, err := os.ReadFile(ct.path(name))
	must(ct.t, err)
	return strings.Fields(string(text))
}

// shared counts the words that both lists have.
func shared(a, b []string) int {
	has := map[string]bool{}
	for _, word := range a {
		has[word] = true
	}
	n := 0
	for _, word := range b {
		if has[word] {
			has[word] = false
			n++
		}
	}
	return n
}
