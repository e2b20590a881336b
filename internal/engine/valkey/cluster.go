package valkey

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// membership is what a session remembers of its node's place in a cluster.
type membership struct {
	want *runtime.Cluster
	// settled: the engine has its place.
	settled bool
	// known counts the nodes that it knew then, those included with whom it has not
	// spoken yet: another number is news.
	known int
	// strangers are the peers that it does not know, or not for what they are.
	strangers []string
	// empty: it follows nobody and has no slots. stranded: nor can it follow anybody,
	// since it has keys.
	empty, stranded bool
	// timeout is how long it waits for other nodes, in milliseconds, as last set.
	timeout int
}

// join brings the engine one step nearer to its place in its cluster: the nodes that it
// knows, its role, its slots. What others have to do first is waited for, by
// trying again.
func (s *session) join(ctx context.Context, c *runtime.Cluster) error {
	s.place.want, s.place.settled, s.place.stranded = c, false, false
	v, err := view(ctx, s.conn)
	if err != nil {
		return err
	}
	if v.self.id != c.Self.ID {
		return fmt.Errorf("valkey: the engine is node %s of its cluster, not %s", v.self.id, c.Self.ID)
	}
	if err := s.attempt(ctx, farewells(v, c)); err != nil {
		return err
	}
	steps := takeRole(v, c)
	if err := s.attempt(ctx, steps); err != nil {
		return err
	}
	if len(steps) > 0 {
		if v, err = view(ctx, s.conn); err != nil {
			return err
		}
	}
	s.place.judge(v)
	return nil
}

// judge notes what a view says of the engine's place.
func (p *membership) judge(v clusterView) {
	p.known = len(v.nodes)
	p.empty = v.self.primary == "" && len(v.self.slots) == 0
	p.strangers = strangers(v, p.want)
	p.settled = len(p.strangers) == 0 && len(former(v, p.want)) == 0 && len(takeRole(v, p.want)) == 0 && inPlace(v, p.want)
}

// attempt makes changes that the engine may refuse as long as the others are not
// ready for them.
func (s *session) attempt(ctx context.Context, cmds [][]string) error {
	if len(cmds) == 0 {
		return nil
	}
	replies, err := s.conn.pipeline(ctx, cmds...)
	if err != nil {
		return fmt.Errorf("valkey: change the cluster: %w", err)
	}
	for _, r := range replies {
		err := busy(r.failure())
		var refused refusal
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		s.place.stranded = s.place.stranded || strings.Contains(refused.text, "the node must be empty")
	}
	return nil
}

// strangers are the peers that the engine does not know, or not for what they are. It
// hears of a change within seconds, unless it forgets who had the slots before, and what
// was sent on two connections may arrive the wrong way round; who introduces itself
// says what it is.
func strangers(v clusterView, c *runtime.Cluster) (ids []string) {
	gone := former(v, c)
	for _, p := range c.Peers {
		if k := v.nodes[p.ID]; k == nil || k.handshake || v.doubtful(k) || slices.Contains(gone, k.primary) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// former are nodes that the engine knows and that are no more. One that is to come
// back must not be forgotten: engines take nobody in again for a minute of whom they hear
// that, and tell each other.
func former(v clusterView, c *runtime.Cluster) (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(v.nodes)) {
		peer := slices.ContainsFunc(c.Peers, func(p runtime.ClusterNode) bool { return p.ID == id })
		if k := v.nodes[id]; !k.myself && !k.handshake && !peer && !slices.Contains(c.Absent, id) && v.self.primary != id {
			ids = append(ids, id)
		}
	}
	return ids
}

// farewells are the commands that make the engine forget nodes that are no more. One
// whose slots another shall have by now waits until the engine has heard of the heir: they
// would be nobody's until then, and clients are sent to the same address anyway.
func farewells(v clusterView, c *runtime.Cluster) (cmds [][]string) {
	followed, unheard := map[string]bool{}, false
	for _, p := range c.Peers {
		switch k := v.nodes[p.ID]; {
		case k == nil, k.handshake, !k.connected && k.primary == "" && len(k.slots) == 0:
			unheard = true
		default:
			followed[k.primary] = true
		}
	}
	for _, id := range former(v, c) {
		inherited := unheard && len(v.nodes[id].slots.Without(c.Slots)) > 0
		if !followed[id] && !inherited {
			cmds = append(cmds, []string{"CLUSTER", "FORGET", id})
		}
	}
	return cmds
}

// Meet implements engine.Session.
func (s *session) Meet(ctx context.Context, n runtime.ClusterNode) error {
	_, err := s.conn.do(ctx, "CLUSTER", "MEET", n.Address, strconv.Itoa(n.Replication), strconv.Itoa(n.Bus))
	if err != nil {
		return busy(fmt.Errorf("valkey: meet a node: %w", err))
	}
	return nil
}

// Misjudges implements engine.Session.
func (s *session) Misjudges(ctx context.Context, primary string) (bool, error) {
	_, err := s.conn.do(ctx, "CLUSTER", "REPLICAS", primary)
	var r refusal
	switch {
	case err == nil:
		return false, nil
	case errors.As(err, &r) && r.code() == "ERR":
		// Else it says that this is no primary.
		return !strings.Contains(r.text, "Unknown node"), nil
	}
	return false, busy(fmt.Errorf("valkey: ask for the replicas of a node: %w", err))
}

// takeRole are the commands that give the engine its role and slots, as far as it is
// for the engine itself to take them: one that has slots becomes a replica
// when its heir takes them over.
func takeRole(v clusterView, c *runtime.Cluster) (cmds [][]string) {
	self := v.self
	switch {
	case c.Primary != "" && self.primary != c.Primary && len(self.slots) == 0:
		return [][]string{{"CLUSTER", "REPLICATE", c.Primary}}
	case c.Primary != "":
		return nil
	case self.primary != "":
		return [][]string{{"CLUSTER", "FAILOVER", "TAKEOVER"}}
	}
	// Slots that a lost member of the same shard had are this one's to take.
	var seized core.Slots
	for _, p := range c.Peers {
		if k := v.nodes[p.ID]; k != nil && p.SameShard {
			seized = seized.With(k.slots.Shared(c.Slots))
		}
	}
	if len(seized) > 0 {
		cmds = append(cmds, append([]string{"CLUSTER", "DELSLOTSRANGE"}, ranges(seized)...))
	}
	if free := c.Slots.Without(v.taken()).With(seized); len(free) > 0 {
		cmds = append(cmds, append([]string{"CLUSTER", "ADDSLOTSRANGE"}, ranges(free)...))
	}
	if len(seized) > 0 {
		cmds = append(cmds, []string{"CLUSTER", "BUMPEPOCH"})
	}
	return cmds
}

func ranges(s core.Slots) (words []string) {
	for _, r := range s {
		words = append(words, strconv.Itoa(r.First), strconv.Itoa(r.Last))
	}
	return words
}

// inPlace reports whether nothing is left that others have to do: the engine has its
// role, and knows of every node that answers where clients find it. It knows
// the port for peers first, and would send clients there.
func inPlace(v clusterView, c *runtime.Cluster) bool {
	if v.self.primary != c.Primary {
		return false
	}
	for _, p := range c.Peers {
		if k := v.nodes[p.ID]; k.connected && !k.failing && k.port != p.Port {
			return false
		}
	}
	return true
}

// observeCluster completes a state by what the engine says of its cluster, and has
// it be as patient with others as it should.
func (s *session) observeCluster(ctx context.Context, state *engine.State, info string) error {
	ok, known, assigned := false, 0, 0
	for line := range strings.SplitSeq(info, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "cluster_state":
			ok = value == "ok"
		case "cluster_known_nodes":
			known = int(number(value))
		case "cluster_slots_assigned":
			assigned = int(number(value))
		}
	}
	p := &s.place
	if p.settled && (!ok || assigned < core.SlotCount) {
		// It may have lost what it had, to somebody who did not know better, or have
		// lost sight of who has the rest.
		v, err := view(ctx, s.conn)
		if err != nil {
			return err
		}
		p.judge(v)
	}
	state.Strangers, state.Stranded = p.strangers, p.stranded && p.empty
	state.Unsettled = !p.settled || known != p.known
	switch {
	case state.Role != "master":
	case p.want.Primary != "" && p.empty:
		// It waits for the primary that it is to follow, and holds nothing.
		state.Role = "slave"
	default:
		state.LinkUp = ok
	}
	return s.bePatient(ctx, ok)
}

// bePatient gives an engine that serves the longer timeout of nodes, and one that does
// not the shorter: it takes twice that time to forgive a node that it held for lost, and
// does not serve until then.
func (s *session) bePatient(ctx context.Context, serves bool) error {
	timeout := nodeTimeout(s.place.want, serves)
	if s.place.timeout == timeout || serves && !s.place.settled {
		return nil
	}
	if _, err := s.conn.do(ctx, "CONFIG", "SET", "cluster-node-timeout", strconv.Itoa(timeout)); err != nil {
		return fmt.Errorf("valkey: set the timeout of nodes: %w", err)
	}
	s.place.timeout = timeout
	return nil
}
