package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// status is what /proc/PID/stat tells of a process.
type status struct {
	pid, parent int
	zombie      bool
}

// readStatus returns false when the process has gone.
func readStatus(pid int) (status, bool) {
	data, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return status{}, false
	}
	return parseStatus(pid, data)
}

// parseStatus reads state and parent, which follow the name in parentheses; the name
// itself may hold anything.
func parseStatus(pid int, data []byte) (status, bool) {
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 2 {
		return status{}, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return status{pid, parent, fields[0][0] == 'Z' || fields[0][0] == 'X'}, err == nil
}

func procPath(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}

// family lists the process pid and everything below it.
func family(pid int) []status {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := make(map[int][]status)
	var out []status
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		s, ok := readStatus(n)
		switch {
		case !ok:
		case n == pid:
			out = append(out, s)
		default:
			children[s.parent] = append(children[s.parent], s)
		}
	}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i].pid]...)
	}
	return out
}

// isService tells whether the process is one of the services, not of the peer.
func isService(pid int) bool {
	exe, err := os.Readlink(procPath(pid, "exe"))
	return err == nil && strings.HasSuffix(strings.TrimSuffix(exe, " (deleted)"), servicePath)
}

// supervisors lists the live processes of the peer itself.
func supervisors(pid int) []int {
	var out []int
	for _, s := range family(pid) {
		if !s.zombie && !isService(s.pid) {
			out = append(out, s.pid)
		}
	}
	return out
}

// pss returns the proportional set size in kB.
func pss(pid int) int {
	return field(pid, "smaps_rollup", "Pss:")
}

// field returns the number behind a name in a file of lines, 0 when it is not there.
func field(pid int, file, name string) int {
	data, _ := os.ReadFile(procPath(pid, file))
	return fieldOf(string(data), name)
}

func fieldOf(data, name string) int {
	for line := range strings.Lines(data) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			n, _ := strconv.Atoi(words[1])
			return n
		}
	}
	return 0
}

// cpu returns the CPU time of all threads in ns.
func cpu(pid int) int64 {
	var sum int64
	for _, dir := range threads(pid) {
		data, _ := os.ReadFile(dir + "/schedstat")
		if words := strings.Fields(string(data)); len(words) > 0 {
			n, _ := strconv.ParseInt(words[0], 10, 64)
			sum += n
		}
	}
	return sum
}

// switches returns the context switches of all threads.
func switches(pid int) int {
	sum := 0
	for _, dir := range threads(pid) {
		data, _ := os.ReadFile(dir + "/status")
		sum += fieldOf(string(data), "voluntary_ctxt_switches:") + fieldOf(string(data), "nonvoluntary_ctxt_switches:")
	}
	return sum
}

func threads(pid int) []string {
	dirs, _ := filepath.Glob(procPath(pid, "task/*"))
	return dirs
}

func readNumber(path string) (int, bool) {
	data, _ := os.ReadFile(path)
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	return n, err == nil
}
