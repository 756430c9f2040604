package engine_test

import (
	"fmt"
	"reflect"
	"testing"

	"tend/jobs/engine"
)

func TestLevels(t *testing.T) {
	type ids = []engine.JobID
	type edges = []engine.Edge
	tests := []struct {
		name    string
		ids     ids
		edges   edges
		levels  []ids
		dropped edges
	}{
		{name: "nothing"},
		{
			name:   "no edges: side by side, the youngest first",
			ids:    ids{1, 2, 3},
			levels: []ids{{3, 2, 1}},
		},
		{
			name:   "a chain goes level by level",
			ids:    ids{1, 2, 3},
			edges:  edges{{2, 1}, {3, 2}},
			levels: []ids{{3}, {2}, {1}},
		},
		{
			name:   "a diamond",
			ids:    ids{1, 2, 3, 4},
			edges:  edges{{2, 1}, {3, 1}, {4, 2}, {4, 3}},
			levels: []ids{{4}, {3, 2}, {1}},
		},
		{
			name:   "a job is as late as the last one that it waits for",
			ids:    ids{1, 2, 3, 4},
			edges:  edges{{4, 1}, {3, 2}, {2, 1}},
			levels: []ids{{4, 3}, {2}, {1}},
		},
		{
			name:   "a prerequisite is older and stops later",
			ids:    ids{1, 2},
			edges:  edges{{1, 2}},
			levels: []ids{{1}, {2}},
		},
		{
			name:    "a cycle loses its youngest edge",
			ids:     ids{1, 2, 3},
			edges:   edges{{2, 1}, {3, 2}, {1, 3}},
			levels:  []ids{{3}, {2}, {1}},
			dropped: edges{{1, 3}},
		},
		{
			name:    "a younger edge that hangs on a cycle stays",
			ids:     ids{1, 2, 3},
			edges:   edges{{2, 1}, {1, 2}, {3, 2}, {1, 3}},
			levels:  []ids{{3}, {2}, {1}},
			dropped: edges{{1, 3}, {1, 2}},
		},
		{
			name:    "two cycles",
			ids:     ids{1, 2, 3, 4},
			edges:   edges{{1, 2}, {2, 1}, {3, 4}, {4, 3}, {2, 3}},
			levels:  []ids{{1}, {2}, {3}, {4}},
			dropped: edges{{4, 3}, {2, 1}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			levels, dropped := engine.Levels(tt.ids, tt.edges)
			if fmt.Sprint(levels) != fmt.Sprint(tt.levels) {
				t.Errorf("levels = %v, want %v", levels, tt.levels)
			}
			if len(dropped)+len(tt.dropped) > 0 && !reflect.DeepEqual(dropped, tt.dropped) {
				t.Errorf("dropped = %v, want %v", dropped, tt.dropped)
			}
		})
	}
}
