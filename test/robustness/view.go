package robustness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/internal/core"
)

// view is what Larder says of a group at one time.
type view struct {
	types.ReplicationGroup
	members []member
	// slots are those of each shard, by its id; empty without cluster mode.
	slots map[string]core.Slots
}

// member is one node of the group.
type member struct {
	id, shard string
	// role is "primary" or "replica".
	role string
	addr string
	pid  int
}

// look asks for the view of the group that the API has described. In cluster mode only
// `larder status` tells the roles.
func (g *group) look(ctx context.Context, described types.ReplicationGroup) (view, error) {
	v := view{ReplicationGroup: described, slots: map[string]core.Slots{}}
	nodes, err := g.d.Nodes(ctx)
	if err != nil {
		return v, err
	}
	for _, shard := range described.NodeGroups {
		if s := aws.ToString(shard.Slots); s != "" {
			if v.slots[*shard.NodeGroupId], err = core.ParseSlots(s); err != nil {
				return v, err
			}
		}
		for _, m := range shard.NodeGroupMembers {
			n := nodes[*m.CacheClusterId+"/0001"]
			v.members = append(v.members, member{
				id: *m.CacheClusterId, shard: *shard.NodeGroupId, role: cmp.Or(aws.ToString(m.CurrentRole), n.Role), addr: n.Address, pid: n.PID,
			})
		}
	}
	if len(v.members) != len(v.MemberClusters) {
		return v, fmt.Errorf("group %s shows %d nodes for %d members", g.id, len(v.members), len(v.MemberClusters))
	}
	return v, nil
}

// pick draws a member with a role; the zero one if there is none.
func (v view) pick(role string, r *rand.Rand) member {
	some := slices.DeleteFunc(slices.Clone(v.members), func(m member) bool { return m.role != role })
	if len(some) == 0 {
		return member{}
	}
	return some[r.IntN(len(some))]
}

// shards are the ids of the shards.
func (v view) shards() (ids []string) {
	for _, s := range v.NodeGroups {
		ids = append(ids, *s.NodeGroupId)
	}
	return ids
}

// smallest is the shard with much fewer slots than an equal share, or else another one.
func (v view) smallest(other string) string {
	for id, s := range v.slots {
		if s.Len() < core.SlotCount/len(v.slots)/2 {
			return id
		}
	}
	return other
}

// moved are the slots that have another shard in another view.
func (v view) moved(to view) (s core.Slots) {
	for id, slots := range v.slots {
		s = s.With(slots.Without(to.slots[id]))
	}
	return s
}

// consistent compares the view with what the engines say of themselves: one primary
// in each shard, the rest replicas in sync, and all of one mind about the slots.
func (g *group) consistent(ctx context.Context, v view) error {
	var all error
	primaries, replicas := map[string]string{}, map[string]int{}
	for _, m := range v.members {
		if m.role == "primary" {
			primaries[m.shard] = m.addr
		} else {
			replicas[m.shard]++
		}
	}
	if len(primaries) != len(v.NodeGroups) || len(v.members) != len(v.NodeGroups)+sum(replicas) {
		all = fmt.Errorf("%d shards have primaries %v and replicas %v", len(v.NodeGroups), primaries, replicas)
	}
	for _, m := range v.members {
		if err := g.engine(ctx, v, m, primaries, replicas[m.shard]); err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", m.id, err))
		}
	}
	return all
}

func sum(of map[string]int) (n int) {
	for _, c := range of {
		n += c
	}
	return n
}

// engine holds what is said of a member against its engine.
func (g *group) engine(ctx context.Context, v view, m member, primaries map[string]string, replicas int) error {
	c := g.dialMember(m.addr)
	defer func() { _ = c.Close() }()
	info, err := c.InfoMap(ctx, "replication").Result()
	if err != nil {
		return err
	}
	said := info["Replication"]
	switch {
	case m.role == "primary" && said["role"] == "master":
		if said["connected_slaves"] != strconv.Itoa(replicas) {
			return fmt.Errorf("it has %s replicas, not %d", said["connected_slaves"], replicas)
		}
	case m.role == "replica" && said["role"] == "slave":
		if said["master_link_status"] != "up" || said["master_sync_in_progress"] != "0" {
			return errors.New("it is not in sync")
		}
	default:
		return fmt.Errorf("it is called %s and is a %s", m.role, said["role"])
	}
	if !g.sharded {
		return nil
	}
	return slotsAgree(ctx, c, v, primaries)
}

// slotsAgree asks a member which primary has which slots.
func slotsAgree(ctx context.Context, c *redis.Client, v view, primaries map[string]string) error {
	//lint:ignore SA1019 CLUSTER SHARDS tells the ports of peers where there is TLS
	told, err := c.ClusterSlots(ctx).Result()
	if err != nil {
		return err
	}
	at := map[string]core.Slots{}
	for _, t := range told {
		if len(t.Nodes) > 0 {
			at[t.Nodes[0].Addr] = at[t.Nodes[0].Addr].With(core.Slots{{First: t.Start, Last: t.End}})
		}
	}
	for id, want := range v.slots {
		if got := at[primaries[id]]; !got.Equal(want) {
			return fmt.Errorf("of shard %s it tells %s, not %s", id, got, want)
		}
	}
	return nil
}

// slotOf is the slot of a key without a hash tag: its CRC16.
func slotOf(key string) int {
	crc := uint16(0)
	for _, b := range []byte(key) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % core.SlotCount
}
