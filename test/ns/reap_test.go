package ns

import (
	"fmt"
	"strings"
	"testing"
)

// TestOrphansAreReaped: whoever leaves them behind, a lone command, a job, or a
// program that entered from outside, no zombie stays.
func TestOrphansAreReaped(t *testing.T) {
	const n = 200
	t.Run("of a command", func(t *testing.T) {
		ct := start(t, config{args: []string{"--", "/bin/sh", "-c",
			strings.Join(helper("orphans", fmt.Sprint(n)), " ") + "; echo done; exec sleep 1000"}})
		ct.outHas("done\n")
		ct.eventually("nothing but the command", func() bool { return len(ct.children()) == 1 && ct.zombies() == 0 })
	})
	t.Run("of a job", func(t *testing.T) {
		ct := start(t, config{args: []string{"--idle", "stay"}, jobs: map[string]string{
			"leave.conf": "start on startup\ntask\nexec " + strings.Join(helper("orphans", fmt.Sprint(n)), " ") + "\n",
			"web.conf":   service,
		}})
		ct.outHas("orphans left")
		ct.eventually("nothing but the service", func() bool { return len(ct.children()) == 1 && ct.zombies() == 0 })
	})
	t.Run("of a program that entered", func(t *testing.T) {
		ct := start(t, config{jobs: map[string]string{"web.conf": service}})
		ct.errHas("web: started")
		for range 20 {
			ct.inside("/bin/sh", "-c", "(sleep 0.1 & exit 0); exit 0")
		}
		ct.eventually("nothing but the service", func() bool { return len(ct.children()) == 1 && ct.zombies() == 0 })
	})
}
