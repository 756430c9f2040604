package docker

import (
	"strconv"

	"tend/jobs"
	"tend/jobs/child"
	"tend/jobs/engine"
	"tend/reaper"
)

// notification is a datagram for the readiness socket of a job.
type notification struct {
	job     engine.JobID
	message child.Message
}

// listenNotify opens the readiness socket of a run of a job with "expect notify" and
// returns its name. All its processes may use it.
func (s *Supervisor) listenNotify(r *run) (string, error) {
	if r.notify == nil {
		n, err := child.NewNotify()
		if err != nil {
			return "", err
		}
		r.notify = n
		go func() {
			for {
				m, err := n.Receive()
				if err != nil {
					return
				}
				s.notified <- notification{r.job, m}
			}
		}()
	}
	return r.notify.Name, nil
}

// handleNotify passes on what a process says of itself, if it is one of the job's.
func (s *Supervisor) handleNotify(n notification) {
	r := s.runs[n.job]
	if r == nil {
		return
	}
	if owner, ok := s.reaper.OwnerOf(n.message.PID); !ok || owner != reaper.Owner(n.job) {
		s.log.Warning().Job(r.class, r.instance).PID(n.message.PID).
			Msg("process " + strconv.Itoa(n.message.PID) + " is not of this job, its readiness message is ignored")
		return
	}
	if n.message.Status != "" {
		s.log.Info().Job(r.class, r.instance).Msg("status: " + n.message.Status)
	}
	s.step(engine.Notified{Job: n.job, Ready: n.message.Ready, Status: n.message.Status, MainPID: n.message.MainPID})
}

// expectsNotify tells whether the processes of a class get a readiness socket.
func expectsNotify(c *jobs.Class) bool { return c.Expect == jobs.ExpectNotify }
