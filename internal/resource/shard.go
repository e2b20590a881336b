package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// Shard is a part of a group in cluster mode: a primary and its replicas, which
// hold the keys of some slots. The API calls it a node group.
type Shard struct {
	// ID is "0001" and up, or what the user chose.
	ID string
	// Slots are those that the shard serves, or takes over when it is made.
	Slots core.Slots
	// Members are cache cluster ids in order of creation; Members[0] is the first
	// primary.
	Members []string
	// Handover asks for another primary, as in ReplicationGroupSpec.
	Handover *Handover
}

// Resharding is a change of which shard has which slots, under way: Shard.Slots moves
// towards Target.
type Resharding struct {
	// Target is what each shard shall have; a shard that is not in it shall go.
	Target []ShardSlots
	// Slots is how many there were to move at the beginning.
	Slots int
	// Began: slots are moving, so that there is no way back.
	Began bool
	// Emptied is when the last slot had moved away from shards that shall go.
	Emptied *time.Time
}

// ShardSlots are the slots of a shard.
type ShardSlots struct {
	ID    string
	Slots core.Slots
}

// Wanted are the slots that a shard shall have, and whether it shall stay.
func (r *Resharding) Wanted(shard string) (slots core.Slots, stays bool) {
	for _, t := range r.Target {
		if t.ID == shard {
			return t.Slots, true
		}
	}
	return nil, false
}

// Left counts the slots that still have to move.
func (r *Resharding) Left(shards []Shard) (n int) {
	for _, sh := range shards {
		wanted, _ := r.Wanted(sh.ID)
		n += sh.Slots.Without(wanted).Len()
	}
	return n
}

// ShardStatus is what the controller has seen and decided of a shard; its fields
// are those of ReplicationGroupStatus.
type ShardStatus struct {
	ID            string
	Primary       string
	FailoverFrom  string
	HandoverSince *time.Time
}

// Shard is the shard with an id; nil if there is none.
func (s *ReplicationGroupSpec) Shard(id string) *Shard {
	i := slices.IndexFunc(s.Shards, func(sh Shard) bool { return sh.ID == id })
	if i < 0 {
		return nil
	}
	return &s.Shards[i]
}

// ShardOf is the shard that a member belongs to; nil if there is none.
func (s *ReplicationGroupSpec) ShardOf(member string) *Shard {
	i := slices.IndexFunc(s.Shards, func(sh Shard) bool { return slices.Contains(sh.Members, member) })
	if i < 0 {
		return nil
	}
	return &s.Shards[i]
}

// Shard is the status of the shard with an id. Before there is one of any, it is that of
// the group, which was without cluster mode until now or is new.
func (s *ReplicationGroupStatus) Shard(id string) ShardStatus {
	for _, sh := range s.Shards {
		if sh.ID == id {
			return sh
		}
	}
	if len(s.Shards) == 0 {
		return ShardStatus{ID: id, Primary: s.Primary, FailoverFrom: s.FailoverFrom, HandoverSince: s.HandoverSince}
	}
	return ShardStatus{ID: id}
}

// EngineID is the name under which the engines of a group in cluster mode know the
// node of a member that has a turn, whichever process it is: 40 hexadecimal digits.
func EngineID(c *CacheCluster, nodeID string, turn int) string {
	name := c.UID + "/" + nodeID
	if turn > 0 {
		name += "/" + strconv.Itoa(turn)
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:20])
}
