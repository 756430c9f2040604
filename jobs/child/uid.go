package child

import "tend/jobs"

// UID returns the user that the processes of a class run as, so that what they are
// given can be made theirs. In a class with a chroot only that root knows its users;
// a name is then taken to be our own user, and what it cannot open by path it still
// has as descriptors.
func UID(c *jobs.Class) (int, *Error) {
	if c.Chroot != "" {
		if n, ok := parseID(c.SetUID); ok {
			return n, nil
		}
		id, err := lookUp("", "")
		return id.uid, err
	}
	id, err := lookUp(c.SetUID, "")
	return id.uid, err
}
