package elasticache

import (
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// modeRequest asks for a cluster mode.
func modeRequest(mode string) *wire.ModifyReplicationGroupMessage {
	return &wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), ClusterMode: &mode, ApplyImmediately: core.Ptr(true)}
}

// ready is a group that can change its cluster mode.
func ready(id string, nodes int) *wire.CreateReplicationGroupMessage {
	in := groupRequest(id, nodes)
	in.AutomaticFailoverEnabled = core.Ptr(true)
	return in
}

// modeWords are what a group says of its mode: now, to come, and which endpoints it has.
func modeWords(g *wire.ReplicationGroup) string {
	n := &wire.NodeGroup{}
	if len(g.NodeGroups) > 0 {
		n = g.NodeGroups[0]
	}
	return words(*g.ClusterMode, *g.ClusterEnabled, core.Val(g.PendingModifiedValues.ClusterMode), g.ConfigurationEndpoint != nil,
		n.PrimaryEndpoint != nil, n.ReaderEndpoint != nil, core.Val(n.Slots))
}

func TestClusterModeSteps(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(ready("rg", 2))
	f.settle()
	check := func(what, want string) {
		t.Helper()
		if got := modeWords(f.describeGroup("rg")); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	group := func(want string) {
		t.Helper()
		for _, id := range []string{"rg-001", "rg-002"} {
			if got := f.cluster(id).Spec.ParameterGroup; got != want {
				t.Errorf("%s has parameter group %s, want %s", id, got, want)
			}
		}
	}
	check("at first", "disabled false  false true true")
	g := f.modifyGroup(modeRequest("compatible"))
	if *g.Status != "modifying" {
		t.Errorf("the group is %s", *g.Status)
	}
	check("on the way", "disabled false compatible false true true")
	f.settle()
	check("compatible", "compatible true  true true true 0-16383")
	group("default.redis7.cluster.on")
	roles := f.describeGroup("rg").NodeGroups[0].NodeGroupMembers
	if *roles[0].CurrentRole != "primary" || *roles[1].CurrentRole != "replica" || roles[0].ReadEndpoint == nil {
		t.Errorf("members %s and %s", *roles[0].CurrentRole, *roles[1].CurrentRole)
	}
	for name, call := range map[string]func() error{
		"node type": func() error {
			_, err := f.ModifyReplicationGroup(f.ctx, &wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), CacheNodeType: core.Ptr("cache.t3.small")})
			return err
		},
		"replicas": func() error {
			_, err := f.IncreaseReplicaCount(f.ctx, &wire.IncreaseReplicaCountMessage{ReplicationGroupId: core.Ptr("rg"), NewReplicaCount: core.Ptr(2), ApplyImmediately: core.Ptr(true)})
			return err
		},
		"shards": func() error {
			_, err := f.ModifyReplicationGroupShardConfiguration(f.ctx, &wire.ModifyReplicationGroupShardConfigurationMessage{
				ReplicationGroupId: core.Ptr("rg"), NodeGroupCount: core.Ptr(2), ApplyImmediately: core.Ptr(true),
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if wantCode(call()) != "InvalidParameterCombination" {
				t.Error("is changed while the mode is compatible")
			}
		})
	}

	f.modifyGroup(modeRequest("disabled"))
	check("on the way back", "compatible true disabled true true true 0-16383")
	f.settle()
	group("default.redis7")

	f.modifyGroup(modeRequest("compatible"))
	f.settle()
	f.modifyGroup(modeRequest("enabled"))
	check("on the last step", "compatible true enabled true true true 0-16383")
	f.settle()
	check("enabled", "enabled true  true false false 0-16383")
	for _, mode := range []string{"compatible", "disabled"} {
		_, err := f.ModifyReplicationGroup(f.ctx, modeRequest(mode))
		wantError(t, err, "InvalidParameterCombination", "Cluster mode cannot be changed from enabled to "+mode+"...")
	}
}

func wantCode(err error) string {
	if e, ok := core.AsError(err); ok {
		return e.Code
	}
	return ""
}

func TestClusterModeRefusals(t *testing.T) {
	t.Parallel()
	const combination = "InvalidParameterCombination"
	type request = wire.ModifyReplicationGroupMessage
	tests := []struct {
		name   string
		group  func(in *wire.CreateReplicationGroupMessage)
		change func(in *request)
		text   string
	}{
		{"enabled at once", nil, func(in *request) { in.ClusterMode = core.Ptr("enabled") }, "Cluster mode cannot be changed from disabled to enabled..."},
		{"in the window", nil, func(in *request) { in.ApplyImmediately = nil }, "Changes of ClusterMode are made at once..."},
		{"with something else", nil, func(in *request) { in.ReplicationGroupDescription = core.Ptr("x") }, "Cluster mode updates are not supported while attempting to update additional properties."},
		{"without failover", func(in *wire.CreateReplicationGroupMessage) { in.AutomaticFailoverEnabled = nil }, nil, "Cluster mode can be compatible only with automatic failover and at least one replica."},
		{"old version", func(in *wire.CreateReplicationGroupMessage) { in.EngineVersion = core.Ptr("6.2") }, nil, "Cluster mode cannot be compatible with redis 6.2..."},
		{"own parameter group", func(in *wire.CreateReplicationGroupMessage) { in.CacheParameterGroupName = core.Ptr("mine") }, nil, "The parameter group mine is not for cluster mode compatible..."},
		{"parameter group that does not fit", nil, func(in *request) { in.CacheParameterGroupName = core.Ptr("mine") }, "The parameter group mine is not for cluster mode compatible..."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t)
			f.addGroups()
			in := ready("rg", 2)
			if tt.group != nil {
				tt.group(in)
			}
			f.createGroup(in)
			f.settle()
			before := f.dump()
			ask := modeRequest("compatible")
			if tt.change != nil {
				tt.change(ask)
			}
			_, err := f.ModifyReplicationGroup(f.ctx, ask)
			wantError(t, err, combination, tt.text)
			if f.dump() != before {
				t.Error("something was stored")
			}
		})
	}
}

// A group whose endpoints are published keeps them.
func TestClusterModeOfPublishedGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(ready("rg", 2))
	f.settle()
	f.update(func(tx *store.Tx) error {
		resource.Publications.Put(tx, testRegion+"/pub-1", &resource.Publication{
			Region: testRegion, ID: "pub-1", Endpoint: "reader " + testRegion + "/rg", OwnerUID: f.group("rg").UID,
		})
		return nil
	})
	f.modifyGroup(modeRequest("compatible"))
	f.settle()
	_, err := f.ModifyReplicationGroup(f.ctx, modeRequest("enabled"))
	wantError(t, err, "InvalidParameterCombination", "Replication group rg is published...")
}

func TestCreateCompatibleGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := ready("rg", 3)
	in.ClusterMode = core.Ptr("compatible")
	f.createGroup(in)
	f.settle()
	g := f.describeGroup("rg")
	if got := modeWords(g); got != "compatible true  true true true 0-16383" {
		t.Error(got)
	}
	if got := words(g.MemberClusters); got != "[rg-001 rg-002 rg-003]" {
		t.Errorf("members %s", got)
	}
	if got := f.cluster("rg-001").Spec.ParameterGroup; got != "default.redis7.cluster.on" {
		t.Errorf("parameter group %s", got)
	}
}
