package engine

import (
	"slices"
	"sort"

	"tend/jobs/event"
)

// cause is why a job was started, as far as it matters for the order of stopping.
type cause struct {
	before bool // the job stops before who; else after
	who    instanceName
}

// startCauses reads the events that have started a job: one that needs "started
// B", or an event that a process of B has emitted, stops before B; one that was
// started by "starting B" is B's prerequisite and stops after it. Stopping and
// stopped say nothing.
func startCauses(events []*emission) []cause {
	var causes []cause
	for _, e := range events {
		switch {
		case e.job == nil:
		case !e.jobEvent || e.ev.Name == "started":
			causes = append(causes, cause{true, e.job.named()})
		case e.ev.Name == "starting":
			causes = append(causes, cause{false, e.job.named()})
		}
	}
	return causes
}

// Edge says that a job stops before another one.
type Edge struct{ Before, After JobID }

// stopEdges returns the edges between the jobs that exist, oldest first.
func (m *Machine) stopEdges() []Edge {
	var edges []Edge
	seen := map[Edge]bool{}
	add := func(e Edge) {
		if !seen[e] && e.Before != e.After {
			seen[e] = true
			edges = append(edges, e)
		}
	}
	for _, j := range m.inOrder() {
		for _, c := range j.run.causes {
			if other, ok := m.Lookup(c.who.job, c.who.instance); ok {
				if c.before {
					add(Edge{j.id, other})
				} else {
					add(Edge{other, j.id})
				}
			}
		}
		if j.stop == nil {
			continue
		}
		for _, t := range j.stop.terms {
			if t.op.Name != "stopping" {
				continue
			}
			for _, other := range m.namedBy(t.op, j) {
				add(Edge{j.id, other})
			}
		}
	}
	return edges
}

// namedBy returns the instances whose stopping event would match a term of j.
func (m *Machine) namedBy(t *event.Operator, j *job) []JobID {
	var ids []JobID
	match := func(c *class) {
		for _, other := range c.instances {
			ev := event.Event{Name: t.Name, Env: other.eventEnv(true)}
			if other != j && t.Matches(ev, j.env()) {
				ids = append(ids, other.id)
			}
		}
	}
	if name, ok := literalJob(t); ok {
		if c := m.classes[name]; c != nil {
			match(c)
		}
		return ids
	}
	for _, c := range m.byName {
		match(c)
	}
	return ids
}

// literalJob returns the name of the job that a term about a job event is about, if
// it is one name and no pattern.
func literalJob(t *event.Operator) (string, bool) {
	for _, a := range t.Args {
		if a.Negate || a.Key != "" && a.Key != "JOB" {
			continue
		}
		if isLiteral(a.Pattern) {
			return a.Pattern, true
		}
		break
	}
	return "", false
}

type byAge []*job

func (l byAge) Len() int           { return len(l) }
func (l byAge) Less(i, j int) bool { return l[i].id < l[j].id }
func (l byAge) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// inOrder returns all instances by their numbers, and so by age.
func (m *Machine) inOrder() []*job {
	all := make([]*job, 0, len(m.jobs))
	for _, c := range m.byName {
		all = append(all, c.instances...)
	}
	sort.Sort(byAge(all))
	return all
}

// StopOrder returns the levels in which a shutdown would stop the jobs: those of
// one level side by side, each level after the one before it; within a level the
// youngest first.
func (m *Machine) StopOrder() [][]JobID {
	levels, _ := Levels(m.ids(), m.stopEdges())
	return levels
}

func (m *Machine) ids() []JobID {
	all := m.inOrder()
	ids := make([]JobID, len(all))
	for i, j := range all {
		ids[i] = j.id
	}
	return ids
}

// Levels puts ids, oldest first, into levels so that every edge leads to a later
// level, each as early as it can be. On a cycle the youngest edge of it, the last
// in edges, is dropped, until there is none; these are returned too.
func Levels(ids []JobID, edges []Edge) (levels [][]JobID, dropped []Edge) {
	edges = slices.Clone(edges)
	for {
		levels, looped := layer(ids, edges)
		if len(looped) == 0 {
			for _, l := range levels {
				slices.Reverse(l)
			}
			return levels, dropped
		}
		for i := len(edges) - 1; i >= 0; i-- {
			if closesCycle(edges, i, looped) {
				dropped = append(dropped, edges[i])
				edges = slices.Delete(edges, i, i+1)
				break
			}
		}
	}
}

// neighbours returns which jobs stop after each, and for how many each waits.
//
//go:noinline
func neighbours(edges []Edge) (after map[JobID][]JobID, waits map[JobID]int) {
	after = make(map[JobID][]JobID, len(edges))
	waits = make(map[JobID]int, len(edges))
	for _, e := range edges {
		after[e.Before] = append(after[e.Before], e.After)
		waits[e.After]++
	}
	return after, waits
}

// layer sorts topologically. It returns in looped what no level could be found for.
func layer(ids []JobID, edges []Edge) (levels [][]JobID, looped map[JobID]bool) {
	after, waits := neighbours(edges)
	var level []JobID
	for _, id := range ids {
		if waits[id] == 0 {
			level = append(level, id)
		}
	}
	placed := 0
	for len(level) > 0 {
		levels = append(levels, level)
		placed += len(level)
		var next []JobID
		for _, id := range level {
			for _, a := range after[id] {
				if waits[a]--; waits[a] == 0 {
					next = append(next, a)
				}
			}
		}
		sort.Sort(ByID(next))
		level = next
	}
	if placed < len(ids) {
		looped = make(map[JobID]bool)
		for _, id := range ids {
			if waits[id] > 0 {
				looped[id] = true
			}
		}
	}
	return levels, looped
}

// closesCycle tells whether edge i lies on a cycle.
func closesCycle(edges []Edge, i int, looped map[JobID]bool) bool {
	from, to := edges[i].After, edges[i].Before
	if !looped[from] || !looped[to] {
		return false
	}
	after, _ := neighbours(edges)
	seen := map[JobID]bool{from: true}
	for walk := []JobID{from}; len(walk) > 0; {
		id := walk[len(walk)-1]
		walk = walk[:len(walk)-1]
		if id == to {
			return true
		}
		for _, a := range after[id] {
			if !seen[a] {
				seen[a] = true
				walk = append(walk, a)
			}
		}
	}
	return false
}
