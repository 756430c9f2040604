package reaper

import "testing"

// What a program has written over its environment does not count as one, or a
// daemon with a title could not be found by other signs.
func TestTitled(t *testing.T) {
	for _, tt := range []struct {
		name, environ string
		want          bool
	}{
		{"an environment", "PATH=/bin\x00HOME=/\x00", false},
		{"an empty value", "A=\x00B=\x00", false},
		{"the end of nginx's title", "ocess /usr/sbin/nginx\x00\x00\x00\x00", true},
		{"a title with an equals sign", "nginx -g a=b\x00\x00\x00", true},
		{"a short title", "\x00\x00HOME=/\x00", true},
		{"nothing", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := titled([]byte(tt.environ)); got != tt.want {
				t.Errorf("titled(%q) = %v, want %v", tt.environ, got, tt.want)
			}
		})
	}
}
