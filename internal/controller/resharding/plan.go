package resharding

import (
	"fmt"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/parameter"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// World is what one pass knows of a group whose slots are to move.
type World struct {
	Group *resource.ReplicationGroup
	// Primaries are the nodes that serve the shards, by shard; a shard is not in it
	// while it has none, or its nodes are not all there yet.
	Primaries map[string]*resource.Node
	// Memory is what the primaries use, in bytes by node key; nil: nobody was asked.
	Memory map[string]int64
	Now    time.Time
}

// Action is what a pass does: nothing if all is zero, until something changes.
type Action struct {
	// Ask are the nodes whose memory has to be known first.
	Ask []string
	// Moves are to be made, side by side.
	Moves []Move
	// Refuse says why the resharding cannot be made; nothing has moved.
	Refuse string
	// Emptied: all slots are where they belong, for the first time.
	Emptied bool
	// Finish: and shards without any may go.
	Finish bool
	// Wait, if not 0, is when to look again though nothing changes.
	Wait time.Duration
}

// Move is a part of the slots of one shard that belong to another.
type Move struct {
	From, To string
	Slots    core.Slots
}

func (m Move) String() string { return fmt.Sprintf("%s from %s to %s", m.Slots, m.From, m.To) }

func (a Action) String() string {
	switch {
	case len(a.Ask) > 0:
		return fmt.Sprintf("ask %v", a.Ask)
	case len(a.Moves) > 0:
		return fmt.Sprintf("move %v", a.Moves)
	case a.Refuse != "":
		return "refuse: " + a.Refuse
	case a.Emptied:
		return "emptied"
	case a.Finish:
		return "finish"
	}
	return "wait"
}

// batch is how many slots move in one go. They move side by side, which takes less
// time; what they share is lost at most once when Larder is killed.
const batch = 512

// sideBySide is in how many moves at once a shard may take part; its engine has
// connections to spare for as many.
const sideBySide = 2

// observe reads the world of a group.
func observe(r store.Reader, g *resource.ReplicationGroup) World {
	w := World{Group: g, Primaries: map[string]*resource.Node{}}
	for _, sh := range g.Spec.Shards {
		status := g.Status.Shard(sh.ID)
		made := true
		for _, id := range sh.Members {
			c, ok := resource.CacheClusters.Get(r, g.Region+"/"+id)
			made = made && ok && c.Status.Available != nil
			if !ok || id != status.Primary || status.FailoverFrom != "" || len(c.Spec.Nodes) == 0 {
				continue
			}
			n, ok := resource.Nodes.Get(r, g.Region+"/"+id+"/"+c.Spec.Nodes[0].ID)
			if ok && nodespec.CaughtUp(n) && n.Spec.ReplicaOf == "" && n.Status.Role == "master" && n.Status.LinkUp {
				w.Primaries[sh.ID] = n
			}
		}
		if !made {
			delete(w.Primaries, sh.ID)
		}
	}
	return w
}

// Plan is the next action.
func Plan(w World) Action {
	r := w.Group.Spec.Resharding
	if r == nil {
		return Action{}
	}
	if len(w.Primaries) < len(w.Group.Spec.Shards) {
		return Action{}
	}
	if !r.Began && w.shrinks() {
		if w.Memory == nil {
			return Action{Ask: w.nodes()}
		}
		if why := w.tooSmall(); why != "" {
			return Action{Refuse: why}
		}
	}
	if moves := w.moves(); len(moves) > 0 {
		return Action{Moves: moves}
	}
	switch {
	case !w.shrinks():
		return Action{Finish: true}
	case r.Emptied == nil, w.Now.Before(*r.Emptied): // the clock may have been set back since
		return Action{Emptied: true}
	}
	if left := linger - w.Now.Sub(*r.Emptied); left > 0 {
		return Action{Wait: left}
	}
	return Action{Finish: true}
}

// moves are the next ones that can be made side by side.
func (w World) moves() (moves []Move) {
	busy := map[string]int{}
	for _, from := range w.Group.Spec.Shards {
		wanted, _ := w.Group.Spec.Resharding.Wanted(from.ID)
		surplus := from.Slots.Without(wanted)
		for _, to := range w.Group.Spec.Shards {
			wanted, _ := w.Group.Spec.Resharding.Wanted(to.ID)
			slots := surplus.Shared(wanted.Without(to.Slots)).First(batch)
			if len(slots) == 0 || busy[from.ID] == sideBySide || busy[to.ID] == sideBySide {
				continue
			}
			busy[from.ID]++
			busy[to.ID]++
			moves = append(moves, Move{From: from.ID, To: to.ID, Slots: slots})
		}
	}
	return moves
}

// linger is how long shards without slots stay, to tell clients who come to them
// where their keys are now. Those that come to none look at the shards anew every
// ten seconds or so.
const linger = 12 * time.Second

// shrinks reports whether shards are to go.
func (w World) shrinks() bool {
	return len(w.Group.Spec.Resharding.Target) < len(w.Group.Spec.Shards)
}

// nodes are the keys of all primaries, in the order of their shards.
func (w World) nodes() (keys []string) {
	for _, sh := range w.Group.Spec.Shards {
		keys = append(keys, w.Primaries[sh.ID].Key())
	}
	return keys
}

// tooSmall says why the shards that stay cannot hold what those that go have.
func (w World) tooSmall() string {
	var moving, room int64
	for _, sh := range w.Group.Spec.Shards {
		n := w.Primaries[sh.ID]
		used, answered := w.Memory[n.Key()]
		if !answered {
			return fmt.Sprintf("node %s does not tell how much memory it uses", n.Key())
		}
		if _, stays := w.Group.Spec.Resharding.Wanted(sh.ID); !stays {
			moving += used
			continue
		}
		limit, limited := parameter.MemoryLimit(n.Spec.Settings)
		if !limited {
			return ""
		}
		room += max(0, limit-used)
	}
	if moving <= room {
		return ""
	}
	return fmt.Sprintf("the node groups to be removed use %d bytes of memory, and the others have room for %d", moving, room)
}

// moved are the shards after slots went from one to another. Of those some may
// have been there already.
func moved(shards []resource.Shard, m Move, slots core.Slots) []resource.Shard {
	out := slices.Clone(shards)
	for i := range out {
		switch out[i].ID {
		case m.From:
			out[i].Slots = out[i].Slots.Without(slots)
		case m.To:
			out[i].Slots = out[i].Slots.With(slots)
		}
	}
	return out
}
