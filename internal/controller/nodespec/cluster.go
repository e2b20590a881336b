package nodespec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// The CacheNodeStatus values of the API.
const (
	StatusCreating  = "creating"
	StatusAvailable = "available"
	StatusRebooting = "rebooting"
	StatusDeleting  = "deleting"
)

// The ParameterApplyStatus values of the API.
const (
	ParametersInSync        = "in-sync"
	ParametersApplying      = "applying"
	ParametersPendingReboot = "pending-reboot"
)

// Member is a node of a cluster as one pass of its controller leaves it.
type Member struct {
	Slot resource.NodeSlot
	// Node is what the store holds: the report is about this spec. nil for a
	// node that does not exist yet.
	Node *resource.Node
	// Spec is what this pass makes of it; zero if there is no node yet after it.
	Spec resource.NodeSpec
	// Linked says that a replica follows the right primary and is in sync, and a
	// primary takes writes. The cluster's nodes of their own are always linked.
	Linked bool
	// Outdated says that the node runs as an older version than is wanted, which
	// only another process changes.
	Outdated bool
	// Successor is the node that is to take its place; nil for none.
	Successor *resource.Node
	// Replaced says that the node was just made to start over in another role: it
	// is recovered as one that was lost.
	Replaced bool
}

// Ready reports whether the node runs with all of the spec, in its role.
func (m Member) Ready() bool { return m.CaughtUp() && m.Linked }

// CaughtUp reports whether the node runs with all of the spec.
func (m Member) CaughtUp() bool {
	return m.Node != nil && !m.Outdated && CaughtUp(m.Node) && m.Spec.Generation == m.Node.Spec.Generation
}

// replacing reports whether a process that was well is being replaced in this pass.
func (m Member) replacing() bool {
	return m.Spec.Incarnation > m.Node.Spec.Incarnation && Alive(m.Node)
}

// Parameters are the parameters of a cluster.
type Parameters struct {
	// Group and Values are what is wanted; Start the start directives that
	// follow from them.
	Group  string
	Values map[string]string
	Start  map[string]string
	// Default gives the value of a parameter that was reset.
	Default func(name string) string
}

// Observation is what one pass of a controller knows of a cluster.
type Observation struct {
	Cluster *resource.CacheCluster
	Members []Member
	// Leaving are the ids of nodes whose slots were dropped.
	Leaving    []string
	Parameters Parameters
	// Failure says why the cluster cannot be made as wanted, whatever its nodes do.
	Failure string
	// Held: something that is wanted is held back in this pass.
	Held bool
	Now  time.Time
}

// Status is the status that follows, and the messages of the events that tell
// about the way there.
func (o Observation) Status() (resource.CacheClusterStatus, []string) {
	s := o.Cluster.Status
	s.NodeStatus = maps.Clone(s.NodeStatus)
	if s.NodeStatus == nil {
		s.NodeStatus = map[string]string{}
	}
	ready, events := o.nodes(&s)
	events = append(events, o.parameters(&s)...)
	s.Failure = o.failure()
	if s.Failure == "" && !ready {
		// Another attempt is no success yet.
		s.Failure = o.Cluster.Status.Failure
	}
	if s.Failure != "" && o.Cluster.Status.Failure == "" {
		events = append(events, o.failureEvent(s))
	}
	if ready && !o.Held && len(o.Leaving) == 0 && s.Failure == "" {
		s.ObservedGeneration = o.Cluster.Generation
		events = append(events, o.running(&s)...)
		if s.Available == nil {
			s.Available = core.Ptr(o.Now)
			events = append(events, "Cache cluster created")
		}
	}
	return s, events
}

// running updates what the status says that all nodes run with, now that they do.
func (o Observation) running(s *resource.CacheClusterStatus) (events []string) {
	spec := o.Cluster.Spec
	if s.NodeType != spec.NodeType && s.NodeType != "" {
		events = append(events, "Succeeded applying modification to cache node type to "+spec.NodeType+".")
	}
	if s.EngineVersion != "" && (s.Engine != spec.Engine || s.EngineVersion != spec.EngineVersion) {
		events = append(events, fmt.Sprintf("Upgraded the engine from %s %s to %s %s", s.Engine, s.EngineVersion, spec.Engine, spec.EngineVersion))
	}
	s.Engine, s.EngineVersion, s.NodeType = spec.Engine, spec.EngineVersion, spec.NodeType
	return events
}

// nodes updates what the status says of each node.
func (o Observation) nodes(s *resource.CacheClusterStatus) (ready bool, events []string) {
	ready = true
	var lost, found []string
	recovering := map[string]bool{}
	for _, id := range s.Recovering {
		recovering[id] = true
	}
	for _, m := range o.Members {
		id := m.Slot.ID
		before := s.NodeStatus[id]
		ready = ready && m.Ready()
		switch {
		case m.Replaced && !recovering[id]:
			s.NodeStatus[id] = StatusRebooting
			recovering[id] = true
			lost = append(lost, id)
			ready = false
		case m.Ready():
			s.NodeStatus[id] = StatusAvailable
			switch {
			case recovering[id]:
				found = append(found, id)
				delete(recovering, id)
			case before == StatusRebooting:
				events = append(events, "Cache node "+id+" restarted")
			case before != StatusAvailable:
				events = append(events, fmt.Sprintf("Added cache node %s in availability zone %s", id, m.Slot.Zone))
			}
		case before == "":
			s.NodeStatus[id] = StatusCreating
		case before == StatusCreating || m.Node == nil:
		case m.Spec.Reboots > m.Node.Spec.Reboots, m.replacing():
			s.NodeStatus[id] = StatusRebooting
			events = append(events, "Cache node "+id+" shutdown")
		case Exited(m.Node) && !recovering[id]:
			s.NodeStatus[id] = StatusRebooting
			recovering[id] = true
			lost = append(lost, id)
		}
	}
	for _, id := range o.Leaving {
		s.NodeStatus[id] = StatusDeleting
		delete(recovering, id)
	}
	events = append(events, o.mute(s)...)
	forget(s.NodeStatus, o)
	s.Recovering = slices.Sorted(maps.Keys(recovering))
	return ready, append(events, recoveryEvents(lost, found)...)
}

// mute tells of each spell in which a node does not answer, and of its end unless the
// node itself has ended.
func (o Observation) mute(s *resource.CacheClusterStatus) (events []string) {
	var now []string
	for _, m := range o.Members {
		id := m.Slot.ID
		told := slices.Contains(s.Mute, id)
		switch {
		case m.Node == nil:
		case m.Node.Status.Mute != "":
			now = append(now, id)
			if !told {
				events = append(events, "Cache node "+id+" does not respond: "+muteReason(m.Node.Status.Mute))
			}
		case told && Alive(m.Node):
			events = append(events, "Cache node "+id+" responds again")
		}
	}
	slices.Sort(now)
	s.Mute = now
	return events
}

func muteReason(mute string) string {
	if mute == resource.NodeBusy {
		return "it is busy"
	}
	return "its process shows no sign of life"
}

func recoveryEvents(lost, found []string) []string {
	var events []string
	if len(lost) > 0 {
		events = append(events, "Recovering cache nodes "+strings.Join(lost, ", "))
	}
	if len(found) > 0 {
		events = append(events, "Finished recovery for cache nodes "+strings.Join(found, ", "))
	}
	return events
}

// forget drops the nodes that are no more.
func forget(status map[string]string, o Observation) {
	for id := range status {
		member := slices.ContainsFunc(o.Members, func(m Member) bool { return m.Slot.ID == id })
		if !member && !slices.Contains(o.Leaving, id) {
			delete(status, id)
		}
	}
}

// parameters updates what the status says of the parameters. They count as
// applied once every node runs with the live ones; the others wait for a reboot.
func (o Observation) parameters(s *resource.CacheClusterStatus) (events []string) {
	p := o.Parameters
	if o.Failure != "" {
		return nil
	}
	caughtUp := true
	s.NodesToReboot = nil
	for _, m := range o.Members {
		caughtUp = caughtUp && m.CaughtUp()
		made := m.Spec.Generation > 0
		if made && len(DifferentKeys(m.Spec.StartSettings, p.Start)) > 0 {
			s.NodesToReboot = append(s.NodesToReboot, m.Slot.ID)
		}
	}
	changed := DifferentKeys(s.ParameterValues, p.Values)
	switch {
	case s.ParameterGroup == "":
		// The cluster is new: its nodes start with these values.
		s.ParameterGroup, s.ParameterValues = p.Group, p.Values
	case s.ParameterGroup == p.Group && len(changed) == 0:
	case !caughtUp:
		s.ParameterApplyStatus = ParametersApplying
		return nil
	case s.ParameterGroup != p.Group:
		events = append(events, "Updated to use a CacheParameterGroup "+p.Group)
		s.ParameterGroup, s.ParameterValues = p.Group, p.Values
	default:
		for _, name := range changed {
			value, ok := p.Values[name]
			if !ok {
				value = p.Default(name)
			}
			events = append(events, fmt.Sprintf("Updated parameter %s to %s", name, value))
		}
		s.ParameterValues = p.Values
	}
	s.ParameterApplyStatus = ParametersInSync
	if len(s.NodesToReboot) > 0 {
		s.ParameterApplyStatus = ParametersPendingReboot
	}
	return events
}

func (o Observation) failureEvent(s resource.CacheClusterStatus) string {
	if s.Available == nil {
		return "Failed to create the cache cluster: " + s.Failure
	}
	return "The cache cluster cannot run as wanted: " + s.Failure
}

func (o Observation) failure() string {
	if o.Failure != "" {
		return o.Failure
	}
	for _, m := range o.Members {
		for _, n := range []*resource.Node{m.Node, m.Successor} {
			if n != nil && Failed(n) {
				return fmt.Sprintf("cache node %s: %s", m.Slot.ID, n.Status.Message)
			}
		}
	}
	return ""
}

// DiffStatus names, in a fixed order, what differs between two statuses of a
// cluster. Two statuses without differences are equal.
func DiffStatus(a, b resource.CacheClusterStatus) []string {
	var d []string
	for _, id := range DifferentKeys(a.NodeStatus, b.NodeStatus) {
		state := b.NodeStatus[id]
		if state == "" {
			state = "removed"
		}
		d = append(d, "node "+id+" "+state)
	}
	add := func(differs bool, format string, args ...any) {
		if differs {
			d = append(d, fmt.Sprintf(format, args...))
		}
	}
	add(a.Engine != b.Engine || a.EngineVersion != b.EngineVersion, "runs %s %s", b.Engine, b.EngineVersion)
	add(a.NodeType != b.NodeType, "is of type %s", b.NodeType)
	add(!slices.Equal(a.Recovering, b.Recovering), "recovering %v", b.Recovering)
	add(!slices.Equal(a.Mute, b.Mute), "mute %v", b.Mute)
	add(a.ParameterGroup != b.ParameterGroup, "parameter group %s", b.ParameterGroup)
	for _, name := range DifferentKeys(a.ParameterValues, b.ParameterValues) {
		add(true, "parameter %s", name)
	}
	add(a.ParameterApplyStatus != b.ParameterApplyStatus, "parameters %s", b.ParameterApplyStatus)
	add(!slices.Equal(a.NodesToReboot, b.NodesToReboot), "nodes to reboot %v", b.NodesToReboot)
	add(a.Failure != b.Failure, "failure %q", b.Failure)
	add(a.ObservedGeneration != b.ObservedGeneration, "observed generation %d", b.ObservedGeneration)
	add((a.Available == nil) != (b.Available == nil), "available")
	return d
}
