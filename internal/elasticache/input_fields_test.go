package elasticache

import (
	"reflect"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

// Every field of an input either has an effect or is refused when it asks for
// one, by its name and without storing anything: a field that a newer model
// brings fails here until somebody decides.
func TestEveryInputFieldIsServedOrRefused(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createCluster(redisRequest("c"))
	f.createGroup(groupRequest("rg", 2))
	f.settle()
	tests := []struct {
		name   string
		base   func() any
		call   func(in any) error
		served string
	}{
		{
			name: "CreateCacheCluster",
			base: func() any { return memcachedRequest("x", 2) },
			call: func(in any) error {
				_, err := f.CreateCacheCluster(f.ctx, in.(*wire.CreateCacheClusterMessage))
				return err
			},
			served: "CacheClusterId ReplicationGroupId AZMode PreferredAvailabilityZone PreferredAvailabilityZones NumCacheNodes CacheNodeType " +
				"Engine EngineVersion CacheParameterGroupName CacheSubnetGroupName SecurityGroupIds Tags PreferredMaintenanceWindow Port " +
				"AutoMinorVersionUpgrade SnapshotWindow TransitEncryptionEnabled CacheSecurityGroupNames",
		},
		{
			name: "ModifyCacheCluster",
			base: func() any {
				return &wire.ModifyCacheClusterMessage{CacheClusterId: core.Ptr("c"), ApplyImmediately: core.Ptr(true)}
			},
			call: func(in any) error {
				_, err := f.ModifyCacheCluster(f.ctx, in.(*wire.ModifyCacheClusterMessage))
				return err
			},
			served: "CacheClusterId NumCacheNodes CacheNodeIdsToRemove AZMode NewAvailabilityZones SecurityGroupIds PreferredMaintenanceWindow " +
				"CacheParameterGroupName ApplyImmediately EngineVersion AutoMinorVersionUpgrade SnapshotWindow CacheSecurityGroupNames CacheNodeType Engine",
		},
		{
			name: "RebootCacheCluster",
			base: func() any { return &wire.RebootCacheClusterMessage{} },
			call: func(in any) error {
				_, err := f.RebootCacheCluster(f.ctx, in.(*wire.RebootCacheClusterMessage))
				return err
			},
			served: "CacheClusterId CacheNodeIdsToReboot",
		},
		{
			name: "DeleteCacheCluster",
			base: func() any { return &wire.DeleteCacheClusterMessage{CacheClusterId: core.Ptr("c")} },
			call: func(in any) error {
				_, err := f.DeleteCacheCluster(f.ctx, in.(*wire.DeleteCacheClusterMessage))
				return err
			},
			served: "CacheClusterId",
		},
		{
			name:   "DescribeCacheClusters",
			base:   func() any { return &wire.DescribeCacheClustersMessage{} },
			served: "CacheClusterId MaxRecords Marker ShowCacheNodeInfo ShowCacheClustersNotInReplicationGroups",
		},
		{
			name: "CreateReplicationGroup",
			base: func() any { return groupRequest("x", 2) },
			call: func(in any) error {
				_, err := f.CreateReplicationGroup(f.ctx, in.(*wire.CreateReplicationGroupMessage))
				return err
			},
			served: "ReplicationGroupId ReplicationGroupDescription AutomaticFailoverEnabled MultiAZEnabled PrimaryClusterId NumCacheClusters PreferredCacheClusterAZs " +
				"NumNodeGroups ReplicasPerNodeGroup CacheNodeType Engine EngineVersion CacheParameterGroupName CacheSubnetGroupName SecurityGroupIds Tags " +
				"PreferredMaintenanceWindow Port AutoMinorVersionUpgrade SnapshotWindow AuthToken TransitEncryptionEnabled TransitEncryptionMode CacheSecurityGroupNames",
		},
		{
			name: "ModifyReplicationGroup",
			base: func() any { return &wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg")} },
			call: func(in any) error {
				_, err := f.ModifyReplicationGroup(f.ctx, in.(*wire.ModifyReplicationGroupMessage))
				return err
			},
			served: "ReplicationGroupId ReplicationGroupDescription PrimaryClusterId AutomaticFailoverEnabled MultiAZEnabled SecurityGroupIds PreferredMaintenanceWindow " +
				"CacheParameterGroupName ApplyImmediately EngineVersion AutoMinorVersionUpgrade SnapshotWindow AuthToken AuthTokenUpdateStrategy " +
				"TransitEncryptionEnabled TransitEncryptionMode CacheSecurityGroupNames CacheNodeType Engine",
		},
		{
			name: "DeleteReplicationGroup",
			base: func() any { return &wire.DeleteReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg")} },
			call: func(in any) error {
				_, err := f.DeleteReplicationGroup(f.ctx, in.(*wire.DeleteReplicationGroupMessage))
				return err
			},
			served: "ReplicationGroupId RetainPrimaryCluster",
		},
		{
			name:   "IncreaseReplicaCount",
			base:   func() any { return &wire.IncreaseReplicaCountMessage{} },
			served: "ReplicationGroupId NewReplicaCount ReplicaConfiguration ApplyImmediately",
		},
		{
			name:   "DecreaseReplicaCount",
			base:   func() any { return &wire.DecreaseReplicaCountMessage{} },
			served: "ReplicationGroupId NewReplicaCount ReplicaConfiguration ReplicasToRemove ApplyImmediately",
		},
		{
			name:   "DescribeServiceUpdates",
			base:   func() any { return &wire.DescribeServiceUpdatesMessage{} },
			served: "ServiceUpdateName ServiceUpdateStatus MaxRecords Marker",
		},
		{
			name: "DescribeUpdateActions",
			base: func() any { return &wire.DescribeUpdateActionsMessage{} },
			served: "ServiceUpdateName ReplicationGroupIds CacheClusterIds Engine ServiceUpdateStatus ServiceUpdateTimeRange " +
				"UpdateActionStatus ShowNodeLevelUpdateStatus MaxRecords Marker",
		},
		{
			name:   "BatchApplyUpdateAction",
			base:   func() any { return &wire.BatchApplyUpdateActionMessage{} },
			served: "ReplicationGroupIds CacheClusterIds ServiceUpdateName",
		},
		{
			name:   "BatchStopUpdateAction",
			base:   func() any { return &wire.BatchStopUpdateActionMessage{} },
			served: "ReplicationGroupIds CacheClusterIds ServiceUpdateName",
		},
		{
			name:   "TestFailover",
			base:   func() any { return &wire.TestFailoverMessage{} },
			served: "ReplicationGroupId NodeGroupId",
		},
		{
			name:   "DescribeReplicationGroups",
			base:   func() any { return &wire.DescribeReplicationGroupsMessage{} },
			served: "ReplicationGroupId MaxRecords Marker",
		},
	}
	before := f.dump()
	for _, tt := range tests {
		served := map[string]bool{}
		for name := range strings.FieldsSeq(tt.served) {
			served[name] = true
		}
		shape := reflect.TypeOf(tt.base()).Elem()
		for i := range shape.NumField() {
			name := shape.Field(i).Name
			if served[name] {
				delete(served, name)
				continue
			}
			t.Run(tt.name+" "+name, func(t *testing.T) {
				if tt.call == nil {
					t.Fatal("neither served nor refused")
				}
				in := tt.base()
				fill(reflect.ValueOf(in).Elem().Field(i))
				err := tt.call(in)
				if e, ok := core.AsError(err); !ok || !strings.Contains(e.Message, name) {
					t.Errorf("error %v: does not name %s", err, name)
				}
				if f.dump() != before {
					t.Error("something was stored")
				}
			})
		}
		for name := range served {
			t.Errorf("%s has no field %s", tt.name, name)
		}
	}
}

// fill sets a field to something that cannot be its default.
func fill(v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case **string:
		*p = core.Ptr("x")
	case **int:
		*p = core.Ptr(2)
	case **bool:
		*p = core.Ptr(true)
	case *[]string:
		*p = []string{"x"}
	case **core.Secret:
		*p = core.Ptr(core.NewSecret(tokenA))
	default:
		if v.Kind() == reflect.Slice {
			// More than one: a group can have one configured shard.
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
	}
}
