package self

import (
	"os"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of the auxiliary vector (getauxval(3)) and of program headers (elf(5)).
const (
	auxHeaders     = 3
	auxHeaderSize  = 4
	auxHeaderCount = 5

	segmentLoad     = 1
	segmentHeaders  = 6
	segmentWritable = 2
)

// wide is 1 where addresses have 64 bits, else 0. Program headers have their flags in
// different places.
const wide = ^uintptr(0) >> 63

// segment is a program header.
type segment struct {
	kind                                    uint32
	flags64                                 [wide]uint32
	offset, address, physical, file, memory uintptr
	flags32                                 [1 - wide]uint32
	align                                   uintptr
}

func (s *segment) writable() bool {
	flags := append(s.flags64[:], s.flags32[:]...)
	return flags[0]&segmentWritable != 0
}

// BootBegins makes the collector run less often than it usually does: reading the job
// files and starting the jobs leaves much behind, and each collection while heap and
// processes grow costs time and tables of its own, which it keeps.
func BootBegins() { debug.SetGCPercent(bootPercent) }

// BootEnds gives back what reading the files and starting everything took.
func BootEnds() {
	debug.SetGCPercent(gcPercent)
	debug.FreeOSMemory()
	ReleaseText()
}

// ReleaseText gives back the pages of the program's own code and constants. What runs
// again comes back from the page cache, which is most of it after the start: what has read
// and started everything is not needed again, and nor are the many pages that the kernel
// maps around each.
func ReleaseText() {
	for _, part := range text() {
		_ = unix.Madvise(part, unix.MADV_DONTNEED)
	}
}

// text returns the whole pages of the segments of this program that are never written, as
// the kernel has mapped them.
func text() (parts [][]byte) {
	vector, _ := unix.Auxv()
	var at *segment
	var count, size uintptr
	for _, entry := range vector {
		switch entry[0] {
		case auxHeaders:
			// The kernel has mapped them, and they stay.
			at = *(**segment)(unsafe.Pointer(&entry[1]))
		case auxHeaderSize:
			size = entry[1]
		case auxHeaderCount:
			count = entry[1]
		}
	}
	if at == nil || size != unsafe.Sizeof(*at) {
		return nil
	}
	headers := unsafe.Slice(at, count)
	moved, known := uintptr(0), false
	for i := range headers {
		if headers[i].kind == segmentHeaders {
			moved, known = uintptr(unsafe.Pointer(at))-headers[i].address, true
		}
	}
	page := uintptr(os.Getpagesize())
	for i := range headers {
		s := &headers[i]
		begin := (moved + s.address + page - 1) &^ (page - 1)
		end := (moved + s.address + s.file) &^ (page - 1)
		if known && s.kind == segmentLoad && !s.writable() && begin < end {
			parts = append(parts, unsafe.Slice(*(**byte)(unsafe.Pointer(&begin)), end-begin))
		}
	}
	return parts
}
