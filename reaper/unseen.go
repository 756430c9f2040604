package reaper

import "golang.org/x/sys/unix"

// Unseen tells whether there is a child of ours that cannot be listed, for want of
// /proc, and belongs to nobody. As long as there are children that belong to somebody
// the kernel does not tell the ones from the others, and the answer is no.
func (r *Reaper) Unseen() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proc.err == nil || len(r.children) > 0 {
		return false
	}
	_, _, err := waitid(unix.WEXITED | unix.WNOHANG | unix.WNOWAIT)
	return err != unix.ECHILD
}
