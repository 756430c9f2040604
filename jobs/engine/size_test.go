package engine

import (
	"testing"
	"unsafe"

	"tend/jobs"
)

// TestSizes holds what there is thousands of within the sizes that the allocator has.
func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, most uintptr
	}{
		{"jobs.Class", unsafe.Sizeof(jobs.Class{}), 512},
		{"jobs.Command", unsafe.Sizeof(jobs.Command{}), 48},
		{"class", unsafe.Sizeof(class{}), 128},
		{"condition with its term", unsafe.Sizeof(condition{}) + unsafe.Sizeof(term{}), 96},
		{"job", unsafe.Sizeof(job{}), 256},
		{"run", unsafe.Sizeof(run{}), 96},
		{"emission", unsafe.Sizeof(emission{}), 128},
		{"Notice", unsafe.Sizeof(Notice{}), 128},
	} {
		if tt.got > tt.most {
			t.Errorf("%s has %d bytes, want at most %d", tt.name, tt.got, tt.most)
		}
	}
}
