package size

import (
	"os"
	"testing"

	"tend/test/need"
)

// limit is what the stripped program may weigh, in bytes.
const limit = 3_000_000

func TestSize(t *testing.T) {
	info, err := os.Stat(need.Tend(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes of %d", info.Size(), limit)
	if info.Size() > limit {
		t.Errorf("the program has %d bytes, want at most %d", info.Size(), limit)
	}
}
