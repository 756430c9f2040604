package child

import (
	"os"
	"testing"

	"tend/reaper/self"
)

func TestMain(m *testing.M) {
	if IsStage2(os.Args) {
		os.Exit(Stage2(os.Args))
	}
	self.CloseOnExec()
	os.Exit(m.Run())
}
