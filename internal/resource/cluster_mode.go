package resource

import "github.com/larder-cache/larder/internal/core"

// The cluster modes of a group, as the API names them.
const (
	ModeDisabled   = "disabled"
	ModeCompatible = "compatible"
	ModeEnabled    = "enabled"
)

// OnlyShard is the id of the one shard of a group that was made without cluster mode.
const OnlyShard = "0001"

// ModeChange is a move to another cluster mode, until every node has it.
type ModeChange struct {
	// Before is the mode before it, and ParameterGroup the members' at that time, to
	// which a change that cannot be made goes back.
	Before, ParameterGroup string
}

// ClusterMode reports whether the group is in cluster mode.
func (s *ReplicationGroupSpec) ClusterMode() bool { return len(s.Shards) > 0 }

// Mode is the cluster mode that is wanted.
func (s *ReplicationGroupSpec) Mode() string {
	switch {
	case s.Compatible:
		return ModeCompatible
	case s.ClusterMode():
		return ModeEnabled
	}
	return ModeDisabled
}

// SetMode makes a mode the one that is wanted, of a group of one shard.
func (s *ReplicationGroupSpec) SetMode(mode string) {
	s.Compatible = mode == ModeCompatible
	switch {
	case mode == ModeDisabled:
		s.Shards = nil
	case !s.ClusterMode():
		s.Shards = s.AllShards()
	}
}

// AllShards are the shards; a group without cluster mode is one.
func (s *ReplicationGroupSpec) AllShards() []Shard {
	if s.ClusterMode() {
		return s.Shards
	}
	return []Shard{{ID: OnlyShard, Slots: core.SplitSlots(1)[0], Members: s.Members}}
}
