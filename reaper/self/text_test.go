package self

import (
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"tend/test/need"
)

// What is given back is mapped from the program's own file, and our own code is part of it.
func TestTextIsOurs(t *testing.T) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		need.Skip(t, "%v", err)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	code, found := reflect.ValueOf(ReleaseText).Pointer(), false
	parts := text()
	for _, part := range parts {
		begin := uintptr(unsafe.Pointer(&part[0]))
		end := begin + uintptr(len(part))
		found = found || begin <= code && code < end
		inside := false
		for line := range strings.Lines(string(maps)) {
			fields := strings.Fields(line)
			from, to, _ := strings.Cut(fields[0], "-")
			first, _ := strconv.ParseUint(from, 16, 64)
			last, _ := strconv.ParseUint(to, 16, 64)
			if uintptr(first) <= begin && end <= uintptr(last) {
				inside = len(fields) == 6 && fields[5] == own && fields[1][1] == '-'
			}
		}
		if !inside {
			t.Errorf("%#x to %#x is not a read-only part of %s:\n%s", begin, end, own, maps)
		}
	}
	if !found {
		t.Errorf("the code at %#x is not in any of %d parts", code, len(parts))
	}
	ReleaseText()
	runtime.GC()
	if again := text(); len(again) != len(parts) {
		t.Errorf("%d parts, then %d", len(parts), len(again))
	}
}
