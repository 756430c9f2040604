package child

import (
	"fmt"
	"os"
	"testing"

	"tend/reaper/self"
)

func TestMain(m *testing.M) {
	if IsStage2(os.Args) {
		os.Exit(Stage2(os.Args))
	}
	if os.Args[0] == showName {
		show()
		return
	}
	self.CloseOnExec()
	os.Exit(m.Run())
}

// showName is what the test binary is called as the program of a job in a root of its
// own, where there is no other.
const showName = "child-test-show"

// show prints what a process can see of its own set-up.
func show() {
	groups, _ := os.Getgroups()
	dir, _ := os.Getwd()
	fmt.Println("uid", os.Getuid(), "gid", os.Getgid(), "groups", groups,
		"home", os.Getenv("HOME"), "shell", os.Getenv("SHELL"), "directory", dir)
}
