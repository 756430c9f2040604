package docker

import (
	"os"
	"testing"

	"tend/test/need"
)

func TestMain(m *testing.M) {
	code := m.Run()
	need.Clean()
	os.Exit(code)
}
