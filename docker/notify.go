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
			defer func() {
				if cause := recover(); cause != nil {
					s.log.Error().Job(r.class, r.instance).Msg("bug in tend: " + panicText(cause) + "; readiness is not noticed any more")
				}
			}()
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
	in := engine.Notified{Job: n.job, Ready: n.message.Ready, Status: n.message.Status}
	if pid := n.message.MainPID; pid != 0 && s.procs[pid].job != n.job {
		if s.mayFollow(n.job, pid) {
			in.MainPID = pid
		} else {
			r.nextMain = pid
		}
	}
	s.step(in)
}

// mayFollow tells whether a process can be the main one of a job: it is the job's, and
// our child, so that we hear of its end.
func (s *Supervisor) mayFollow(job engine.JobID, pid int) bool {
	owner, ok := s.reaper.OwnerOf(pid)
	return ok && owner == reaper.Owner(job) && s.reaper.Track(owner, pid) == nil
}

// succeed makes the process that main has named as the new main process that one, now
// that main has ended and has left it to us.
func (s *Supervisor) succeed(job engine.JobID, r *run) {
	pid := r.nextMain
	r.nextMain = 0
	if pid != 0 && s.mayFollow(job, pid) {
		s.step(engine.Notified{Job: job, MainPID: pid})
	}
}

// expectsNotify tells whether the processes of a class get a readiness socket.
func expectsNotify(c *jobs.Class) bool { return c.Expect == jobs.ExpectNotify }
