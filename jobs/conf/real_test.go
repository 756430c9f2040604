package conf

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestRealFiles checks the files of github.com/CameronNemo/upstart-jobs against
// what a real Upstart 1.13.2 said about them, when TEND_UPSTART_JOBS names a
// checkout; else the samples, which are like them.
func TestRealFiles(t *testing.T) {
	dir, accepted := os.Getenv("TEND_UPSTART_JOBS"), 647
	refused := map[string]int{ // the line of the first error
		"broken/restorecond.conf": 7, "broken/tarantool-instance.conf": 19, "broken/dbeacon-instance.conf": 6,
		"monitoring/elasticsearch.conf": 14, "monitoring/grafana.conf": 9, "syslog/nxlog.conf": 8,
		"dev/nldev/mdev/etc/mdev.conf": 5, "mail/postfix-instance.conf": 1, "speech-dispatcher.conf": 1, "sysinit/motd.conf": 5,
	}
	if dir == "" {
		dir, accepted, refused = "testdata/sample", 3, map[string]int{}
	}
	good, bad := 0, map[string]int{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".conf") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		class, found := new(Parser).Parse("x", name, src)
		if class == nil {
			bad[name] = found[0].Line
			return nil
		}
		good++
		again, err := Parse("x", name, Format(class))
		if err != nil || !reflect.DeepEqual(forgetLines(class), forgetLines(again)) {
			return fmt.Errorf("%s is another when it is read again: %v", name, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if good != accepted || !reflect.DeepEqual(bad, refused) {
		t.Errorf("%d accepted, refused %v; want %d, %v", good, bad, accepted, refused)
	}
}
