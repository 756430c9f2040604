package confdir

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// benchText is a job file of common size and content.
const benchText = `# job %[1]d - one of many
#
description "service number %[1]d"
author "Somebody <somebody@example.org>"

start on (filesystem and net-device-up IFACE!=lo)
stop on runlevel [!2345]

env CONF=/etc/service/%[1]d.conf
respawn
respawn limit 10 5
limit nofile 65536 65536
kill timeout 20

pre-start script
    [ -r "$CONF" ] || { stop; exit 0; }
    mkdir -p /run/service/%[1]d
end script

exec /usr/sbin/service --config $CONF --number %[1]d
`

const benchFiles = 10_000

func benchDir(b *testing.B) string {
	dir := b.TempDir()
	for i := range benchFiles {
		path := fmt.Sprintf("%s/job%05d.conf", dir, i)
		if err := os.WriteFile(path, fmt.Appendf(nil, benchText, i), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLoad loads ten thousand job files, and reads them as cat does for
// comparison. kept-B/file is the memory that stays in use for each.
func BenchmarkLoad(b *testing.B) {
	dir := benchDir(b)
	var cat, load time.Duration
	b.Run("cat", func(b *testing.B) {
		begin := cpu()
		for range b.N {
			catAll(b, dir)
		}
		cat = (cpu() - begin) / time.Duration(b.N)
		report(b, cat)
	})
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var tree *Tree
		begin := cpu()
		for range b.N {
			tree = New(Sources{Dirs: []string{dir}})
			if changes, problems := tree.Load(); len(changes) != benchFiles || len(problems) > 0 {
				b.Fatal(len(changes), problems)
			}
		}
		load = (cpu() - begin) / time.Duration(b.N)
		report(b, load)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/benchFiles, "kept-B/file")
		b.ReportMetric(float64(load)/float64(cat), "times-cat")
		runtime.KeepAlive(tree)
	})
	b.Run("reload", func(b *testing.B) {
		tree := New(Sources{Dirs: []string{dir}})
		tree.Load()
		begin := cpu()
		for range b.N {
			if changes, problems := tree.Load(); len(changes)+len(problems) > 0 {
				b.Fatal(len(changes), problems)
			}
		}
		report(b, (cpu()-begin)/time.Duration(b.N))
	})
}

func report(b *testing.B, each time.Duration) {
	b.ReportMetric(benchFiles/each.Seconds(), "files/cpu-s")
	b.ReportMetric(float64(each.Microseconds())/benchFiles, "cpu-µs/file")
}

// catAll does what "cat DIR/*" does for each file.
func catAll(b *testing.B, dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	null, err := unix.Open("/dev/null", unix.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(null)
	buf := make([]byte, 128<<10)
	var st unix.Stat_t
	for _, e := range entries {
		fd, err := unix.Open(dir+"/"+e.Name(), unix.O_RDONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		unix.Fstat(fd, &st)
		unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL)
		for {
			n, _ := unix.Read(fd, buf)
			if n <= 0 {
				break
			}
			unix.Write(null, buf[:n])
		}
		unix.Close(fd)
	}
}
