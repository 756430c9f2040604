package docker

import (
	"reflect"
	"testing"

	"tend/jobs/environ"
)

func TestJobTable(t *testing.T) {
	container := []string{
		"PATH=/bin", "TERM=xterm", "A=b", "EMPTY=", "MULTI=one\ntwo", "PERCENT=%d%%", "NOTIFY_SOCKET=/run/n", "LISTEN_FDS=2",
		"LISTEN_PID=1", "UPSTART_JOB=outer", "UPSTART_SESSION=x", "TEND_LOG_FORMAT=json", "noequals", "=odd", "TENDER=kept",
	}
	tests := []struct {
		name    string
		env     []string
		inherit bool
		want    environ.Env
	}{
		{"inherited", container, true, environ.Env{"PATH=/bin", "TERM=xterm", "A=b", "EMPTY=", "MULTI=one\ntwo", "PERCENT=%d%%", "TENDER=kept"}},
		{"minimal", container, false, environ.Env{"TERM=xterm", "PATH=/bin"}},
		{"empty", nil, true, environ.Env{upstartPath}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := jobTable(tt.env, tt.inherit); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("jobTable = %q, want %q", got, tt.want)
			}
		})
	}
}
