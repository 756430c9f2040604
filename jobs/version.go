package jobs

// Version is the version of tend. The linker may set it (-X tend/jobs.Version=…).
var Version = "0.1.0"

// VersionText is what "tend version" and "initctl version" print.
func VersionText() string { return "tend " + Version + " (upstart 1.13 compatible)" }
