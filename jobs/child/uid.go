package child

import (
	"golang.org/x/sys/unix"

	"tend/jobs"
)

// UID returns the user that the processes of a class run as, so that what they are
// given can be made theirs. In a class with a chroot only that root knows its users;
// a name is then taken to be our own user, and what it cannot open by path it still
// has as descriptors.
func UID(c *jobs.Class) (int, *Error) {
	if c.SetUID == "" {
		return unix.Geteuid(), nil
	}
	if c.Chroot == "" {
		id, err := lookUp(c.SetUID, "")
		return id.uid, err
	}
	if n, ok := parseID(c.SetUID); ok {
		return n, nil
	}
	return unix.Geteuid(), nil
}
