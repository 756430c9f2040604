package docker

import (
	"strings"

	"tend/jobs/environ"
)

// upstartPath is the PATH of jobs when the container sets none, Upstart's own.
const upstartPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin"

// jobTable returns what every job's environment begins with: the container's
// environment, but for what is addressed to tend itself; or, when the jobs are not
// to inherit it, Upstart's minimal table of TERM and PATH.
func jobTable(env []string, inherit bool) environ.Env {
	table := clean(env)
	if !inherit {
		minimal := environ.Env{}
		for _, key := range []string{"TERM", "PATH"} {
			if value, ok := table.Lookup(key); ok {
				minimal = minimal.Set(key + "=" + value)
			}
		}
		table = minimal
	}
	if _, ok := table.Lookup("PATH"); !ok {
		table = table.Set(upstartPath)
	}
	return table
}

// clean drops from an environment what is meant for tend and no job of its own:
// the sockets and descriptors that a supervisor above us has given us, and our own
// options. Entries without a name cannot be passed on by a shell and are dropped
// too.
func clean(env []string) environ.Env {
	out := make(environ.Env, 0, len(env))
	for _, entry := range env {
		key, _, ok := environ.Split(entry)
		switch {
		case !ok, key == "", key == "NOTIFY_SOCKET":
		case strings.HasPrefix(key, "LISTEN_"), strings.HasPrefix(key, "UPSTART_"), strings.HasPrefix(key, "TEND_"):
		default:
			if _, twice := out.Lookup(key); twice {
				out = out.Set(entry)
				continue
			}
			out = append(out, entry) // in place, where Set would copy all of them
		}
	}
	return out
}
