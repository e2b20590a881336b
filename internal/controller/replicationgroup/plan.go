package replicationgroup

import (
	"fmt"
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
	// Certified: the certificate that the group needs is there.
	Certified bool
	Now       time.Time
	// heldBack: a part of what is wanted is held back in this pass.
	heldBack bool
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
// nearer.
func Plan(w World) Decision {
	if w.Group.Spec.Deleting && w.mayRemove() {
		return Decision{Steps: w.remove()}
	}
	members := w.members()
	if len(members) == 0 {
		return Decision{}
	}
	r := w.decide(members)
	if w.Memory == nil {
		r.ask = append(r.ask, w.shrinking()...)
	}
	if len(r.ask) > 0 {
		return Decision{Ask: r.ask}
	}
	if r.undecided {
		return Decision{Wait: step.AskAgain}
	}
	refusal, wait := step.Shrink(w.Members, w.Memory)
	w.heldBack = wait || len(refusal) > 0
	d := w.converge(members, r)
	d.Steps = append(d.Steps, refusal...)
	if wait {
		d.Wait = nodespec.Sooner(d.Wait, step.AskAgain)
	}
	return d
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
		members = append(members, &member{cluster: c, slot: slot, node: c.Nodes[slot.ID]})
	}
	return members
}

// pass collects what one pass does.
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

func (p *pass) event(message string) {
	p.add(step.RecordEvent{
		Region: p.Group.Region, SourceType: resource.SourceReplicationGroup,
		SourceID: p.Group.ID, Message: message,
	})
}

// converge makes, changes and restarts nodes, and says in the statuses how far
// that is. The source comes first, so that there is something to replicate from.
func (w World) converge(members []*member, r roles) Decision {
	p := &pass{World: w, roles: r, ready: w.Group.Spec.Handover == nil && !w.heldBack, caughtUp: true}
	p.Wait = r.again
	p.takeOver()
	p.member(r.source)
	for _, m := range members {
		if m != r.source {
			p.member(m)
		}
	}
	p.leave()
	p.status()
	return p.Decision
}

// member plans one member.
func (p *pass) member(m *member) {
	o := nodespec.Member{Slot: m.slot, Node: m.node}
	auth := nodespec.Auth(p.Group.Spec.Auth, p.Group.UID)
	want := m.Want(m.slot, auth, p.Group.Spec.TLS, p.Certified)
	if m != p.source {
		want.ReplicaOf = p.source.key()
	}
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
		restart, wait := nodespec.Restart(m.node, want, p.Now)
		p.Wait = nodespec.Sooner(p.Wait, wait)
		if m == p.source {
			p.held = p.orphaned && !restart && wait > 0
		} else if p.held {
			restart = false
		}
		if m == p.source && p.orphaned && (restart || m != p.lost) {
			p.event(fmt.Sprintf("No node of replication group %s is left with its data: node %s starts empty", p.Group.ID, m.id()))
		}
		o.Spec = nodespec.Next(m.node, want, restart)
		o.Linked = p.linked(m)
		p.add(step.Change(m.node, o.Spec)...)
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
		return s.Role == rolePrimary
	}
	return s.Role == roleReplica && s.LinkUp
}

// leave removes the clusters that were taken out of the group.
func (p *pass) leave() {
	for _, c := range p.Leaving {
		steps, left := c.Vacate(c.NodeIDs())
		p.add(steps...)
		if left == 0 {
			p.add(c.Remove()...)
		}
		p.ready = p.ready && left == 0
	}
}

// status says what the group is like.
func (p *pass) status() {
	g := p.Group
	s := g.Status
	var messages []string
	s.Failure = p.failure
	s.Primary = p.primary.id()
	s.FailoverFrom, s.HandoverSince = p.failoverFrom, p.holdSince
	if p.ready {
		s.ObservedGeneration = g.Generation
		if s.Available == nil {
			s.Available = &p.Now
			messages = append(messages, "Replication group "+g.ID+" created")
		}
		if s.AutomaticFailover != g.Spec.AutomaticFailover {
			s.AutomaticFailover = g.Spec.AutomaticFailover
			messages = append(messages, fmt.Sprintf("Automatic failover has been turned %s for replication group %s", onOff(s.AutomaticFailover), g.ID))
		}
	}
	if changes := diffStatus(g.Status, s); len(changes) > 0 {
		p.add(step.ChangeGroupStatus{Key: key(g), Status: s, Changes: changes})
	}
	if p.caughtUp && g.Spec.Auth.Change != "" {
		p.add(step.FinishAuth{Key: key(g)})
		messages = append(messages, "Authentication token of replication group "+g.ID+" has been changed")
	}
	for _, m := range messages {
		p.event(m)
	}
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
		p.add(step.FinishHandover{Key: key(p.Group)})
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
		p.add(step.FinishHandover{Key: key(p.Group)})
		if h.Test {
			p.replaced = p.failoverFrom
		}
	}
	p.failoverFrom = ""
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func key(g *resource.ReplicationGroup) string { return g.Region + "/" + g.ID }

// diffStatus names what differs between two statuses of a group. Two statuses
// without differences are equal.
func diffStatus(a, b resource.ReplicationGroupStatus) []string {
	var d []string
	add := func(differs bool, format string, args ...any) {
		if differs {
			d = append(d, fmt.Sprintf(format, args...))
		}
	}
	add(a.Primary != b.Primary, "primary %s", b.Primary)
	add(a.FailoverFrom != b.FailoverFrom, "failover from %q", b.FailoverFrom)
	add((a.HandoverSince == nil) != (b.HandoverSince == nil) || a.HandoverSince != nil && !a.HandoverSince.Equal(*b.HandoverSince),
		"handover %s", onOff(b.HandoverSince != nil))
	add(a.AutomaticFailover != b.AutomaticFailover, "automatic failover %s", onOff(b.AutomaticFailover))
	add(a.Failure != b.Failure, "failure %q", b.Failure)
	add(a.ObservedGeneration != b.ObservedGeneration, "observed generation %d", b.ObservedGeneration)
	add((a.Available == nil) != (b.Available == nil), "available")
	return d
}
