package elasticache

import (
	"math/rand/v2"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func reshardRequest(count int) *wire.ModifyReplicationGroupShardConfigurationMessage {
	return &wire.ModifyReplicationGroupShardConfigurationMessage{
		ReplicationGroupId: core.Ptr("rg"), NodeGroupCount: &count, ApplyImmediately: core.Ptr(true),
	}
}

func TestReshardGrows(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(shardedRequest("rg", 2, 1))
	f.settle()
	in := reshardRequest(4)
	in.ReshardingConfiguration = []*wire.ReshardingConfiguration{
		{PreferredAvailabilityZones: []string{"us-east-1c", "us-east-1b"}}, {NodeGroupId: core.Ptr("0009")},
	}
	out, err := f.ModifyReplicationGroupShardConfiguration(f.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if p := out.ReplicationGroup.PendingModifiedValues.Resharding; *out.ReplicationGroup.Status != "modifying" || *p.SlotMigration.ProgressPercentage != 0 {
		t.Errorf("the answer is %s with progress %+v", *out.ReplicationGroup.Status, p)
	}
	g := f.group("rg")
	want := map[string]string{"0001": "0-4095", "0002": "8192-12287", "0003": "4096-8191", "0009": "12288-16383"}
	for _, target := range g.Spec.Resharding.Target {
		if got := target.Slots.String(); got != want[target.ID] {
			t.Errorf("shard %s shall have %s, want %s", target.ID, got, want[target.ID])
		}
	}
	if sh := g.Spec.Shard("0003"); len(sh.Slots) != 0 || f.cluster(sh.Members[0]).Spec.Nodes[0].Zone != "us-east-1c" {
		t.Errorf("the new shard is %+v", sh)
	}
	f.update(func(tx *store.Tx) error {
		g, _ := resource.ReplicationGroups.Get(tx, key(testRegion, "rg"))
		g.Spec.Shards[0].Slots, g.Spec.Shards[2].Slots = g.Spec.Resharding.Target[0].Slots, g.Spec.Resharding.Target[2].Slots
		resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
		return nil
	})
	if p := *f.describeGroup("rg").PendingModifiedValues.Resharding.SlotMigration.ProgressPercentage; p != 50 {
		t.Errorf("half of the slots have moved, which is %v %%", p)
	}
}

func TestReshardRefusals(t *testing.T) {
	t.Parallel()
	const value, combination = "InvalidParameterValue", "InvalidParameterCombination"
	type request = wire.ModifyReplicationGroupShardConfigurationMessage
	f := newClusterFixture(t)
	f.createGroup(shardedRequest("rg", 3, 1))
	f.createGroup(groupRequest("plain", 2))
	f.settle()
	tests := []struct {
		name       string
		change     func(in *request)
		code, text string
	}{
		{"later", func(in *request) { in.ApplyImmediately = core.Ptr(false) }, combination, "Changes of the node groups are made at once..."},
		{"no cluster mode", func(in *request) { in.ReplicationGroupId = core.Ptr("plain") }, value, "Operation is only applicable for cluster mode enabled replication groups."},
		{"no such group", func(in *request) { in.ReplicationGroupId = core.Ptr("none") }, "ReplicationGroupNotFoundFault", "..."},
		{"evenly spread already", func(*request) {}, "InvalidReplicationGroupState", "Slots in the replication group are uniformly distributed. Nothing to do."},
		{"no shard", func(in *request) { in.NodeGroupCount = core.Ptr(0) }, value, "The parameter NodeGroupCount must be at least 1."},
		{"too many shards", func(in *request) { in.NodeGroupCount = core.Ptr(91) }, "NodeGroupsPerReplicationGroupQuotaExceeded", "..."},
		{"too many nodes", func(in *request) { in.NodeGroupCount = core.Ptr(46) }, "NodeQuotaForClusterExceeded", "..."},
		{"which ones to remove", func(in *request) { in.NodeGroupCount = core.Ptr(2) }, combination, "Exactly one of the parameters NodeGroupsToRemove..."},
		{"both ways", func(in *request) {
			in.NodeGroupCount, in.NodeGroupsToRemove, in.NodeGroupsToRetain = core.Ptr(2), []string{"0001"}, []string{"0002", "0003"}
		}, combination, "Exactly one of the parameters NodeGroupsToRemove..."},
		{"an unknown shard", func(in *request) { in.NodeGroupCount, in.NodeGroupsToRemove = core.Ptr(2), []string{"0004"} }, value,
			"Node group 0004 is not part of replication group rg."},
		{"a shard twice", func(in *request) { in.NodeGroupCount, in.NodeGroupsToRemove = core.Ptr(1), []string{"0001", "0001"} }, value,
			"Node group 0001 is named twice."},
		{"another number", func(in *request) { in.NodeGroupCount, in.NodeGroupsToRetain = core.Ptr(2), []string{"0001"} }, combination,
			"The NodeGroupCount is 2, but 1 node groups would be left."},
		{"removal without fewer", func(in *request) { in.NodeGroupsToRemove = []string{"0001"} }, combination, "The parameters NodeGroupsToRemove and..."},
		{"zones without more", func(in *request) { in.ReshardingConfiguration = []*wire.ReshardingConfiguration{{}} }, combination, "The parameter ReshardingConfiguration needs..."},
		{"zones of some", func(in *request) {
			in.NodeGroupCount, in.ReshardingConfiguration = core.Ptr(5), []*wire.ReshardingConfiguration{{}}
		}, combination, "The parameter ReshardingConfiguration must have..."},
		{"zones of some nodes", func(in *request) {
			in.NodeGroupCount = core.Ptr(4)
			in.ReshardingConfiguration = []*wire.ReshardingConfiguration{{PreferredAvailabilityZones: []string{"us-east-1a"}}}
		}, value, "The parameter PreferredAvailabilityZones must name 2..."},
		{"a name that is taken", func(in *request) {
			in.NodeGroupCount, in.ReshardingConfiguration = core.Ptr(4), []*wire.ReshardingConfiguration{{NodeGroupId: core.Ptr("0001")}}
		}, value, "The parameter NodeGroupId 0001 is used for two node groups."},
	}
	before := f.dump()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := reshardRequest(3)
			tt.change(in)
			_, err := f.ModifyReplicationGroupShardConfiguration(f.ctx, in)
			wantError(t, err, tt.code, tt.text)
			if f.dump() != before {
				t.Error("something was stored")
			}
		})
	}
}

// TestBalance spreads slots over shards that have any share of them.
func TestBalance(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		n := 1 + rng.IntN(8)
		shards := make([]resource.Shard, n)
		for i := range shards {
			shards[i].ID = shardID(i + 1)
		}
		for first := 0; first < core.SlotCount; {
			last := min(core.SlotCount-1, first+rng.IntN(4000))
			sh := &shards[rng.IntN(n)]
			sh.Slots = sh.Slots.With(core.Slots{{First: first, Last: last}})
			first = last + 1
		}
		staying := shards[:1+rng.IntN(n)]
		r := &resource.Resharding{Target: balance(shards, staying)}
		var all core.Slots
		least := 0
		for _, sh := range staying {
			wanted, _ := r.Wanted(sh.ID)
			size := wanted.Len()
			if base := core.SlotCount / len(staying); size != base && size != base+1 {
				t.Errorf("seed %d: shard %s of %d shall have %d slots", seed, sh.ID, len(staying), size)
			}
			if len(all.Shared(wanted)) > 0 {
				t.Errorf("seed %d: slots %s have two shards", seed, all.Shared(wanted))
			}
			all = all.With(wanted)
			least += max(0, size-sh.Slots.Len())
		}
		if !all.Equal(core.AllSlots()) {
			t.Errorf("seed %d: the shards have %s", seed, all)
		}
		if moves := r.Left(shards); moves != least {
			t.Errorf("seed %d: %d slots move, %d would do", seed, moves, least)
		}
	}
}
