// Package conf parses job files and overrides into classes (Upstart reference,
// sections 1 and 2), and writes them back.
package conf

import "tend/jobs"

// Parser parses files one after another. Words that several files have in common
// are kept once. The zero value is ready to use.
type Parser struct {
	// Upstart refuses what Upstart 1.13 does not know.
	Upstart bool

	words map[string]string
}

// Parse returns the class that the job file src defines, or nil when there is an
// error among the findings. The class keeps no part of src.
func (p *Parser) Parse(name, path string, src []byte) (*jobs.Class, Errors) {
	return nil, nil
}

// Apply returns a copy of base with the override src on top, or nil when there is
// an error among the findings. base stays as it is.
func (p *Parser) Apply(base *jobs.Class, path string, src []byte) (*jobs.Class, Errors) {
	return nil, nil
}

// Empty checks a file that may have comments only, such as /etc/init.conf.
func (p *Parser) Empty(path string, src []byte) Errors { return nil }

// Parse returns the class that the job file src defines, complete, or nil and
// Errors. Warnings are dropped; see Parser.
func Parse(name, path string, src []byte) (*jobs.Class, error) {
	return result(new(Parser).Parse(name, path, src))
}

// Apply returns a copy of base with the override src on top, or nil and Errors.
func Apply(base *jobs.Class, path string, src []byte) (*jobs.Class, error) {
	return result(new(Parser).Apply(base, path, src))
}

func result(class *jobs.Class, found Errors) (*jobs.Class, error) {
	if fatal := found.Fatal(); len(fatal) > 0 {
		return nil, fatal
	}
	return class, nil
}
