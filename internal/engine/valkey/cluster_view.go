package valkey

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/core"
)

// knownNode is a node as one engine sees it.
type knownNode struct {
	id   string
	port int
	// primary is the id of the node that it follows; empty for a primary.
	primary string
	// Of its flags: it is the engine itself, a replica (whose primary may be forgotten),
	// the two do not know each other yet, it is suspected to be gone.
	myself, replica, handshake, failing bool
	connected                           bool
	// epoch is that of its configuration, of a replica its primary's: of two who say
	// that they have a slot, the higher one has it.
	epoch uint64
	slots core.Slots
	// leaving are slots on their way to another node, arriving those on their way
	// from one, by slot.
	leaving, arriving map[int]string
}

// clusterView is what an engine knows of its cluster.
type clusterView struct {
	self  *knownNode
	nodes map[string]*knownNode
}

// view asks an engine what it knows of its cluster.
func view(ctx context.Context, c *conn) (clusterView, error) {
	r, err := c.do(ctx, "CLUSTER", "NODES")
	if err != nil {
		return clusterView{}, fmt.Errorf("valkey: ask for the nodes: %w", err)
	}
	return parseNodes(r.text)
}

// parseNodes reads an answer of CLUSTER NODES: lines of
//
//	ID ADDRESS:PORT@BUS[,HOSTNAME] FLAGS PRIMARY PING PONG EPOCH LINK [SLOTS...]
func parseNodes(text string) (clusterView, error) {
	v := clusterView{nodes: map[string]*knownNode{}}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			return v, fmt.Errorf("valkey: no line about a node: %q", line)
		}
		flags := strings.Split(fields[2], ",")
		n := &knownNode{
			id: fields[0], connected: fields[7] == "connected",
			myself: slices.Contains(flags, "myself"), replica: slices.Contains(flags, "slave"), handshake: slices.Contains(flags, "handshake"),
			failing: slices.Contains(flags, "fail") || slices.Contains(flags, "fail?"),
		}
		if fields[3] != "-" {
			n.primary = fields[3]
		}
		var err error
		if n.epoch, err = strconv.ParseUint(fields[6], 10, 64); err != nil {
			return v, fmt.Errorf("valkey: no epoch: %q", line)
		}
		address, _, _ := strings.Cut(fields[1], "@")
		if colon := strings.LastIndexByte(address, ':'); colon >= 0 {
			n.port = int(number(address[colon+1:]))
		}
		for _, f := range fields[8:] {
			if err := n.addSlots(f); err != nil {
				return v, err
			}
		}
		v.nodes[n.id] = n
		if n.myself {
			v.self = n
		}
	}
	if v.self == nil {
		return v, fmt.Errorf("valkey: the engine does not know itself")
	}
	return v, nil
}

// addSlots reads "17", "0-99", or of slots on the move "[17->-ID]" and "[17-<-ID]".
func (n *knownNode) addSlots(field string) error {
	move, moving := strings.CutPrefix(field, "[")
	if !moving {
		s, err := core.ParseSlots(field)
		if err != nil {
			return fmt.Errorf("valkey: %w", err)
		}
		n.slots = n.slots.With(s)
		return nil
	}
	move = strings.TrimSuffix(move, "]")
	add := func(to *map[int]string, slot, id string) error {
		number, err := strconv.Atoi(slot)
		if err != nil {
			return fmt.Errorf("valkey: no slot on the move: %q", field)
		}
		if *to == nil {
			*to = map[int]string{}
		}
		(*to)[number] = id
		return nil
	}
	if slot, id, ok := strings.Cut(move, "->-"); ok {
		return add(&n.leaving, slot, id)
	}
	slot, id, _ := strings.Cut(move, "-<-")
	return add(&n.arriving, slot, id)
}

// doubtful reports whether a node may be something else than the engine has heard: its
// primary was forgotten, or somebody must have slots of which the engine does not know,
// and by what it knows this node serves none.
func (v clusterView) doubtful(k *knownNode) bool {
	primary := k
	if k.replica {
		primary = v.nodes[k.primary]
	}
	return primary == nil || len(primary.slots) == 0 && v.taken().Len() < core.SlotCount
}

// slotsOf are the slots of a node by what the engine knows; none of one that it does not
// know.
func (v clusterView) slotsOf(id string) core.Slots {
	if n := v.nodes[id]; n != nil {
		return n.slots
	}
	return nil
}

// contested reports whether another primary has the engine's own epoch. One of the two will
// take a higher one when they next hear of each other.
func (v clusterView) contested() bool {
	for _, n := range v.nodes {
		if !n.myself && !n.replica && n.connected && n.epoch == v.self.epoch {
			return true
		}
	}
	return false
}

// taken are the slots that somebody has.
func (v clusterView) taken() (all core.Slots) {
	for _, n := range v.nodes {
		all = all.With(n.slots)
	}
	return all
}
