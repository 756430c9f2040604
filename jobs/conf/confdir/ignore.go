package confdir

import "strings"

// Names of directories that are not looked into, because a program that keeps
// versions, a package manager or an editor has made them.
var (
	ignoredNames = []string{
		"RCS", "CVS", "CVS.adm", "SCCS", "BitKeeper", "{arch}", "_darcs",
	}
	ignoredSuffixes = []string{
		"~", ".bak", ".BAK", ".swp", ".swo", ".swn", ",v",
	}
	ignoredParts = []string{".dpkg-", ".rpmsave", ".rpmorig", ".rpmnew"}
)

// ignored tells whether a directory of this name, other than a source itself, is
// left out. It is for directories only: job files may have any name.
func ignored(name string) bool {
	if strings.HasPrefix(name, ".") || len(name) > 1 && name[0] == '#' && name[len(name)-1] == '#' {
		return true
	}
	for _, s := range ignoredNames {
		if name == s {
			return true
		}
	}
	for _, s := range ignoredSuffixes {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	for _, s := range ignoredParts {
		if strings.Contains(name, s) {
			return true
		}
	}
	// rpm unpacks into NAME;XXXXXXXX with hexadecimal digits.
	i := len(name) - 9
	return i >= 0 && name[i] == ';' && strings.Trim(name[i+1:], "0123456789abcdefABCDEF") == ""
}
