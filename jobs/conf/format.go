package conf

import "tend/jobs"

// Format writes a job file that defines the class.
func Format(class *jobs.Class) []byte { return nil }
