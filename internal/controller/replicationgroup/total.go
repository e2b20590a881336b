package replicationgroup

import (
	"fmt"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
)

// total is a pass over all shards of a group.
type total struct {
	World
	Decision
	decided []decided
	parts   []*pass
	// ready and caughtUp: see pass.
	ready, caughtUp bool
	// abandoned: see roles.
	abandoned bool
	// failure is the first one of a member.
	failure string
}

// decided is a shard with the roles of its members.
type decided struct {
	World
	members []*member
	roles   roles
}

// decide gives the members of a shard their roles, if that can be done now.
func (t *total) decide(w World) {
	members := w.members()
	if len(members) == 0 {
		t.ready = false
		return
	}
	w.succeeding = t.succeeding
	r := w.changeMode(members, w.roll(members, w.succeedReplicas(members, w.decide(members))))
	t.abandoned = t.abandoned || r.abandoned
	for _, m := range members {
		t.succeeding = t.succeeding || m.succession.Begun()
	}
	switch {
	case len(r.inherits) > 0:
		for _, m := range r.inherits {
			t.Steps = append(t.Steps, step.TakePlace{Key: m.key()})
		}
	case len(r.ask) > 0:
		t.Ask = append(t.Ask, r.ask...)
	case r.undecided:
		t.Wait = nodespec.Sooner(t.Wait, step.AskAgain)
	default:
		t.decided = append(t.decided, decided{w, members, r})
		return
	}
	t.ready, t.caughtUp = false, false
}

// converge plans the nodes of a shard.
func (t *total) converge(d *decided) {
	p := d.World.converge(d.members, d.roles)
	t.parts = append(t.parts, p)
	t.Steps = append(t.Steps, p.Steps...)
	t.Wait = nodespec.Sooner(t.Wait, p.Wait)
	t.ready, t.caughtUp = t.ready && p.ready, t.caughtUp && p.caughtUp
	if t.failure == "" {
		t.failure = p.failure
	}
}

// leave removes the clusters that were taken out of the group.
func (t *total) leave() {
	for _, c := range t.Leaving {
		steps, left := c.Vacate(c.NodeIDs())
		t.Steps = append(t.Steps, steps...)
		if left == 0 {
			t.Steps = append(t.Steps, c.Remove()...)
		}
		t.ready = t.ready && left == 0
	}
}

// status says what the group is like.
func (t *total) status() {
	g := t.Group
	s := t.roles()
	var messages []string
	s.Failure = t.failure
	if t.ready {
		s.ObservedGeneration = g.Generation
		if s.Available == nil {
			s.Available = &t.Now
			messages = append(messages, "Replication group "+g.ID+" created")
		}
		if g.Spec.ModeChange != nil {
			t.Steps = append(t.Steps, t.finishMode()...)
		}
		if s.AutomaticFailover != g.Spec.AutomaticFailover {
			s.AutomaticFailover = g.Spec.AutomaticFailover
			messages = append(messages, fmt.Sprintf("Automatic failover has been turned %s for replication group %s", onOff(s.AutomaticFailover), g.ID))
		}
	}
	if changes := diffStatus(g.Status, s); len(changes) > 0 {
		t.Steps = append(t.Steps, step.ChangeGroupStatus{Key: key(g), Status: s, Changes: changes})
	}
	if t.caughtUp && g.Spec.Auth.Change != "" {
		t.Steps = append(t.Steps, step.FinishAuth{Key: key(g)})
		messages = append(messages, "Authentication token of replication group "+g.ID+" has been changed")
	}
	for _, m := range messages {
		t.Steps = append(t.Steps, groupEvent(g, m))
	}
}

// roles is the status with what was decided of each shard. A shard that was not
// decided about keeps what it has.
func (t *total) roles() resource.ReplicationGroupStatus {
	s := t.Group.Status
	if !t.Group.Spec.ClusterMode() {
		p := t.parts[0]
		s.Primary, s.FailoverFrom, s.HandoverSince, s.Shards = p.primary.id(), p.failoverFrom, p.holdSince, nil
		return s
	}
	s.Primary, s.FailoverFrom, s.HandoverSince, s.Shards = "", "", nil, nil
	for _, sh := range t.Group.Spec.Shards {
		status := t.Group.Status.Shard(sh.ID)
		for _, p := range t.parts {
			if p.shardID() == sh.ID {
				status.Primary, status.FailoverFrom, status.HandoverSince = p.primary.id(), p.failoverFrom, p.holdSince
			}
		}
		s.Shards = append(s.Shards, status)
	}
	if t.Group.Spec.Compatible {
		s.Primary = s.Shards[0].Primary // who is without cluster mode goes there
	}
	return s
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
	roles := func(shard string, a, b resource.ShardStatus) {
		add(a.Primary != b.Primary, shard+"primary %s", b.Primary)
		add(a.FailoverFrom != b.FailoverFrom, shard+"failover from %q", b.FailoverFrom)
		add(!equalTimes(a.HandoverSince, b.HandoverSince), shard+"handover %s", onOff(b.HandoverSince != nil))
	}
	whole := func(s resource.ReplicationGroupStatus) resource.ShardStatus {
		return resource.ShardStatus{Primary: s.Primary, FailoverFrom: s.FailoverFrom, HandoverSince: s.HandoverSince}
	}
	roles("", whole(a), whole(b))
	for _, sh := range b.Shards {
		roles("shard "+sh.ID+" ", a.Shard(sh.ID), sh)
	}
	for _, sh := range a.Shards {
		gone := !slices.ContainsFunc(b.Shards, func(o resource.ShardStatus) bool { return o.ID == sh.ID })
		add(gone && sh.Primary != "", "shard %s gone", sh.ID)
	}
	add(a.AutomaticFailover != b.AutomaticFailover, "automatic failover %s", onOff(b.AutomaticFailover))
	add(a.Failure != b.Failure, "failure %q", b.Failure)
	add(a.ObservedGeneration != b.ObservedGeneration, "observed generation %d", b.ObservedGeneration)
	add((a.Available == nil) != (b.Available == nil), "available")
	return d
}

func equalTimes(a, b *time.Time) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Equal(*b))
}
