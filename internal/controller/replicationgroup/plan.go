package replicationgroup

import (
	"fmt"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
)

type cluster = step.Cluster

// World is what one pass knows.
type World struct {
	Group *resource.ReplicationGroup
	// Members are the clusters of Spec.Members, in that order.
	Members []*step.Cluster
	// Leaving are clusters that were taken out of the group to be deleted.
	Leaving []*step.Cluster
	// Offsets are the replication offsets by node key of those that answered
	// when they were asked; nil: nobody was asked.
	Offsets map[string]int64
	// Memory is what those use, in bytes; nil: nobody was asked.
	Memory map[string]int64
	// Asked are the keys of those that were, Answers all that they said.
	Asked   []string
	Answers step.Answers
	// shard is the one that this is the world of; nil for a group without cluster
	// mode.
	shard *resource.Shard
	// nodes tells the nodes that there are in a group in cluster mode, epochs the one
	// for a new node of each member.
	nodes  string
	epochs map[string]int
	// succeeding: a node of another shard has a successor, and one at a time is enough.
	succeeding bool
	// Certified: the certificate that the group needs is there.
	Certified bool
	Now       time.Time
}

// Decision is what a pass does.
type Decision struct {
	Steps []step.Step
	// Wait, if not 0, is when to look again though nothing changes.
	Wait time.Duration
	// Ask are nodes whose offsets have to be known before anything is done.
	Ask []string
}

// Plan is what leads from the world to the group that is wanted, one step
// nearer. The shards are planned each for itself: one that is in trouble does not
// keep the others waiting.
func Plan(w World) Decision {
	if w.Group.Spec.Deleting && w.mayRemove() {
		return Decision{Steps: w.remove()}
	}
	t := &total{World: w, ready: w.Group.Spec.Resharding == nil, caughtUp: true}
	t.succeeding = slices.ContainsFunc(w.Members, func(c *cluster) bool { return len(c.Successors) > 0 })
	for _, s := range w.shards() {
		t.decide(s)
	}
	if t.abandoned {
		return Decision{Steps: w.abandonMode()}
	}
	if ask := w.shrinking(); w.Memory == nil && len(ask) > 0 {
		return Decision{Ask: append(t.Ask, ask...)}
	}
	refusal, wait := step.Shrink(w.Members, w.Memory)
	t.ready = t.ready && !wait && len(refusal) == 0
	for i := range t.decided {
		t.converge(&t.decided[i])
	}
	if len(t.parts) == 0 {
		return t.Decision
	}
	t.leave()
	t.status()
	t.Steps = append(t.Steps, refusal...)
	if wait {
		t.Wait = nodespec.Sooner(t.Wait, step.AskAgain)
	}
	return t.Decision
}

// shrinking are the nodes whose data has to fit into less memory.
func (w World) shrinking() (keys []string) {
	for _, c := range w.Members {
		keys = append(keys, c.Shrinking()...)
	}
	return keys
}

// members pairs the clusters with their nodes.
func (w World) members() []*member {
	var members []*member
	for _, c := range w.Members {
		if len(c.Record.Spec.Nodes) == 0 {
			continue
		}
		slot := c.Record.Spec.Nodes[0]
		n := c.Nodes[slot.ID]
		members = append(members, &member{cluster: c, slot: slot, node: n, otherMode: w.otherMode(n)})
	}
	if len(members) == 1 {
		m := members[0]
		m.succession = m.Succession(m.slot, w.Offsets, w.Now)
	}
	return members
}

// pass collects what one pass does for a shard.
type pass struct {
	World
	roles
	Decision
	// ready: every member runs in its role with all that is wanted.
	ready bool
	// caughtUp: every node has its users and settings.
	caughtUp bool
	// held: the source starts empty, but not yet. No other starts before it: it
	// would be taken for a survivor.
	held bool
	// failure is the first one of a member.
	failure string
	// failoverFrom is the member that the primary still has to take over from.
	failoverFrom string
	// replaced is the old primary of a failover that was a test, in the pass that
	// ends it.
	replaced string
}

func (p *pass) add(steps ...step.Step) { p.Steps = append(p.Steps, steps...) }

func (p *pass) event(message string) { p.add(groupEvent(p.Group, message)) }

func groupEvent(g *resource.ReplicationGroup, message string) step.Step {
	return step.RecordEvent{
		Region: g.Region, SourceType: resource.SourceReplicationGroup, SourceID: g.ID, Message: message,
	}
}

// converge makes, changes and restarts nodes. The source comes first, so that there
// is something to replicate from.
func (w World) converge(members []*member, r roles) *pass {
	p := &pass{World: w, roles: r, ready: w.Group.Spec.Handover == nil, caughtUp: true}
	p.Wait = r.again
	p.takeOver()
	p.member(r.source)
	for _, m := range members {
		if m != r.source {
			p.member(m)
		}
	}
	return p
}

// member plans one member.
func (p *pass) member(m *member) {
	o := nodespec.Member{Slot: m.slot, Node: m.node, Successor: m.Successors[m.slot.ID]}
	auth := nodespec.Auth(p.Group.Spec.Auth, p.Group.UID)
	want := m.Want(m.slot, auth, p.Group.Spec.TLS, p.Certified)
	if m != p.source {
		want.ReplicaOf = p.source.key()
	}
	want.Cluster = p.place(m)
	want.HoldWrites = m == p.source && p.hold
	want.Watched = m == p.source && m == p.primary && p.Group.Spec.AutomaticFailover
	switch {
	case m.node == nil && (m.Problem != "" || !p.Certified):
	case m.node == nil:
		o.Spec = nodespec.First(want)
		p.add(m.Create(m.slot, o.Spec))
	case m.node.Spec.Deleted:
		o.Spec = m.node.Spec
	default:
		steps, again := m.Succeed(m.slot, m.succession, &want, p.nextEpoch(m), p.Now)
		restart, wait := nodespec.Restart(m.node, want, p.Now)
		restart = (restart || m == p.renew || p.cannotFollow(m)) && !m.succession.Survives
		wait = nodespec.Sooner(wait, again)
		o.Outdated = m.outdated() && !restart
		if !restart && m.otherMode {
			want.Cluster = m.node.Spec.Cluster
		}
		p.Wait = nodespec.Sooner(p.Wait, wait)
		if m == p.source {
			p.held = p.orphaned && !restart && wait > 0
		} else if p.held {
			restart = false
		}
		if m == p.source && p.orphaned && (restart || m != p.lost) {
			p.event(fmt.Sprintf("No node of %s is left with its data: node %s starts empty", p.name(), m.id()))
		}
		o.Spec = nodespec.Next(m.node, want, restart)
		o.Linked = p.linked(m)
		p.add(step.Change(m.node, o.Spec)...)
		p.add(steps...)
	}
	p.ready = p.ready && o.Ready()
	p.caughtUp = p.caughtUp && o.CaughtUp()
	o.Replaced = p.replaced == m.id()
	observed := nodespec.Observation{
		Cluster: m.Record, Members: []nodespec.Member{o}, Parameters: m.Parameters, Failure: m.Problem, Now: p.Now,
	}
	p.add(m.Observe(observed)...)
	if p.failure == "" {
		if status, _ := observed.Status(); status.Failure != "" {
			p.failure = m.id() + ": " + status.Failure
		}
	}
}

// linked reports whether the engine of a member says that it has its role. As
// long as another stands in for the primary, nobody does.
func (p *pass) linked(m *member) bool {
	s := m.node.Status
	// Without its certificate a node keeps the mode it has, which is not what is
	// wanted.
	if p.source != p.primary || !p.Certified {
		return false
	}
	if m == p.source {
		return s.Role == rolePrimary && (s.LinkUp || p.shard == nil)
	}
	return s.Role == roleReplica && s.LinkUp
}

// takeOver tells of a failover once the node of the new primary says itself that
// it has the role.
func (p *pass) takeOver() {
	p.failoverFrom = p.Group.Status.FailoverFrom
	if before := p.Group.Status.Primary; before != "" && before != p.primary.id() {
		p.failoverFrom = before
	}
	h := p.Group.Spec.Handover
	if h != nil && p.failoverFrom == "" && (p.gaveUp || h.From != p.primary.id()) {
		p.add(step.FinishHandover{Key: key(p.Group), Shard: p.shardID()})
		p.event(fmt.Sprintf("Failover from primary node %s did not take place: no replica was ready to take over", h.From))
	}
	n := p.primary.node
	if p.failoverFrom == "" || n == nil || p.source != p.primary ||
		!nodespec.CaughtUp(n) || n.Spec.ReplicaOf != "" || n.Status.Role != rolePrimary {
		return
	}
	message := fmt.Sprintf("Failover from primary node %s to replica node %s completed", p.failoverFrom, p.primary.id())
	p.add(p.primary.Event(message))
	p.event(message)
	if h != nil && h.From == p.failoverFrom {
		p.add(step.FinishHandover{Key: key(p.Group), Shard: p.shardID()})
		if h.Test {
			p.replaced = p.failoverFrom
		}
	}
	p.failoverFrom = ""
}
