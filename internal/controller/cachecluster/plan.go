package cachecluster

import (
	"time"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
)

// World is what one pass knows.
type World struct {
	Cluster *step.Cluster
	// Certified: the certificate that the cluster needs is there.
	Certified bool
	// Offsets and Memory are the replication offsets of nodes, and what they use in
	// bytes, by key, of those that answered; nil: nobody was asked.
	Offsets, Memory map[string]int64
	Now             time.Time
}

// Plan is what leads from the world to the cluster that is wanted, one step
// nearer. wait, if not 0, is when to look again though nothing changes; ask are nodes
// whose offsets or memory have to be known to go on.
func Plan(w World) (plan []step.Step, wait time.Duration, ask []string) {
	if w.Cluster.Record.Spec.Deleting {
		return remove(w.Cluster), 0, nil
	}
	plan, wait, ask = converge(w)
	if w.Memory == nil {
		ask = append(ask, w.Cluster.Shrinking()...)
	}
	return plan, wait, ask
}

func remove(c *step.Cluster) []step.Step {
	plan, left := c.Vacate(c.NodeIDs())
	if left > 0 {
		return plan
	}
	plan = append(plan, c.Remove()...)
	return append(plan, step.RemoveCertificate{Key: c.Record.Region + "/" + c.Record.UID})
}

func converge(w World) (plan []step.Step, wait time.Duration, ask []string) {
	c := w.Cluster
	refusal, unknown := step.Shrink([]*step.Cluster{c}, w.Memory)
	if unknown {
		wait = step.AskAgain
	}
	// Nodes behind a configuration endpoint have nobody to fill from, and lose what
	// they have with another version. A lone node hands it on.
	keeps := c.Record.Spec.ConfigurationEndpoint.IsZero()
	o := nodespec.Observation{
		Cluster: c.Record, Leaving: c.Leaving(), Parameters: c.Parameters, Failure: c.Problem, Now: w.Now,
	}
	vacate, _ := c.Vacate(o.Leaving)
	for _, slot := range c.Record.Spec.Nodes {
		m := nodespec.Member{Slot: slot, Node: c.Nodes[slot.ID], Successor: c.Successors[slot.ID], Linked: true}
		switch {
		case m.Node == nil && (c.Problem != "" || !w.Certified):
		case m.Node == nil:
			m.Spec = nodespec.First(c.Want(slot, open(c.Record), c.Record.Spec.TLS, w.Certified))
			plan = append(plan, c.Create(slot, m.Spec))
		case m.Node.Spec.Deleted:
			m.Spec = m.Node.Spec
		default:
			want := c.Want(slot, m.Node.Spec.Auth, c.Record.Spec.TLS, w.Certified)
			var s step.Succession
			if keeps {
				s = c.Succession(slot, w.Offsets, w.Now)
				if s.Due {
					s.Begin()
				}
			}
			steps, pause := c.Succeed(slot, s, &want, 0, w.Now)
			wait, ask = nodespec.Sooner(nodespec.Sooner(wait, pause), s.Again), append(ask, s.Ask...)
			restart, pause := nodespec.Restart(m.Node, want, w.Now)
			restart = (restart || !keeps && nodespec.Outdated(m.Node, want)) && !s.Survives
			m.Outdated = !restart && nodespec.Outdated(m.Node, want)
			wait = nodespec.Sooner(wait, pause)
			m.Spec = nodespec.Next(m.Node, want, restart)
			m.Linked = m.Node.Status.Role != "slave"
			plan = append(plan, step.Change(m.Node, m.Spec)...)
			plan = append(plan, steps...)
		}
		o.Members = append(o.Members, m)
	}
	plan = append(plan, vacate...)
	plan = append(plan, c.Observe(o)...)
	return append(plan, refusal...), wait, ask
}

// open lets everybody in: a cluster of its own has no tokens.
func open(c *resource.CacheCluster) resource.NodeAuth {
	return resource.NodeAuth{NoPassword: true, SecretsFrom: c.UID}
}
