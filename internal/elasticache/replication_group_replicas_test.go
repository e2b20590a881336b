package elasticache

import (
	"slices"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// replicaRequest is either request about the number of replicas.
type replicaRequest struct {
	count       *int
	shards      []*wire.ConfigureShard
	remove      []string
	immediately bool
}

func (f *clusterFixture) increase(id string, in replicaRequest) (*wire.ReplicationGroup, error) {
	out, err := f.IncreaseReplicaCount(f.ctx, &wire.IncreaseReplicaCountMessage{
		ReplicationGroupId: &id, NewReplicaCount: in.count, ReplicaConfiguration: in.shards, ApplyImmediately: &in.immediately,
	})
	if err != nil {
		return nil, err
	}
	return out.ReplicationGroup, nil
}

func (f *clusterFixture) decrease(id string, in replicaRequest) (*wire.ReplicationGroup, error) {
	out, err := f.DecreaseReplicaCount(f.ctx, &wire.DecreaseReplicaCountMessage{
		ReplicationGroupId: &id, NewReplicaCount: in.count, ReplicaConfiguration: in.shards, ReplicasToRemove: in.remove,
		ApplyImmediately: &in.immediately,
	})
	if err != nil {
		return nil, err
	}
	return out.ReplicationGroup, nil
}

func count(n int) replicaRequest { return replicaRequest{count: &n, immediately: true} }

// shard asks for a number of replicas in these zones, each named by its last letter.
func shard(n int, zones string) replicaRequest {
	s := &wire.ConfigureShard{NodeGroupId: core.Ptr("0001"), NewReplicaCount: &n}
	for _, z := range zones {
		s.PreferredAvailabilityZones = append(s.PreferredAvailabilityZones, testRegion+string(z))
	}
	return replicaRequest{shards: []*wire.ConfigureShard{s}, immediately: true}
}

func remove(ids ...string) replicaRequest { return replicaRequest{remove: ids, immediately: true} }

// putNodes stores a node for each member: the first one the primary, the others
// in sync with it but for those that lag.
func (f *clusterFixture) putNodes(group string, lagging ...string) {
	f.t.Helper()
	g := f.group(group)
	f.update(func(tx *store.Tx) error {
		for i, id := range g.Spec.Members {
			n := &resource.Node{Region: testRegion, ClusterID: id, ID: onlyNode}
			n.Status.LinkUp = i > 0 && !slices.Contains(lagging, id)
			if i > 0 {
				n.Spec.ReplicaOf = key(testRegion, g.Spec.Members[0]) + "/" + onlyNode
			}
			resource.Nodes.Put(tx, n.Key(), n)
		}
		return nil
	})
}

// places are the members of a group with the last letter of their zone.
func (f *clusterFixture) places(group string) string {
	f.t.Helper()
	var out []string
	for _, id := range f.group(group).Spec.Members {
		zone := f.cluster(id).Spec.Nodes[0].Zone
		out = append(out, strings.TrimPrefix(id, group+"-")+zone[len(zone)-1:])
	}
	return strings.Join(out, " ")
}

// A group grows and shrinks step by step; each answer has the members already.
func TestReplicaCount(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := groupRequest("rg", 1)
	in.Tags = []*wire.Tag{{Key: core.Ptr("team"), Value: core.Ptr("a")}}
	f.createGroup(in)
	f.settle()
	steps := []struct {
		name string
		call func(string, replicaRequest) (*wire.ReplicationGroup, error)
		in   replicaRequest
		want string
	}{
		{"two more", f.increase, count(2), "001a 002b 003c"},
		{"to the limit", f.increase, count(5), "001a 002b 003c 004a 005b 006c"},
		{"named", f.decrease, remove("rg-004", "RG-002"), "001a 003c 005b 006c"},
		{"ids are used again", f.increase, count(4), "001a 003c 005b 006c 002a"},
		{"the fullest zones first, then the youngest", f.decrease, count(2), "001a 003c 005b"},
		{"into zones", f.increase, shard(4, "abcbb"), "001a 003c 005b 002b 004b"},
		{"out of zones", f.decrease, shard(3, "abbc"), "001a 003c 005b 002b"},
		{"all", f.decrease, count(0), "001a"},
	}
	for _, s := range steps {
		before := f.group("rg").Spec.Members
		g, err := s.call("rg", s.in)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if got := f.places("rg"); got != s.want || *g.Status != "modifying" || !slices.Equal(g.MemberClusters, f.group("rg").Spec.Members) {
			t.Fatalf("%s: members are %s (%v), the group is %s; want %s", s.name, got, g.MemberClusters, *g.Status, s.want)
		}
		for _, id := range g.MemberClusters {
			if c := f.cluster(id); !slices.Contains(before, id) && (*f.describeCluster(id).CacheClusterStatus != "creating" || c.Tags["team"] != "a") {
				t.Errorf("%s: new member %s is %+v", s.name, id, c)
			}
		}
		for _, id := range before {
			if !slices.Contains(g.MemberClusters, id) && *f.describeCluster(id).CacheClusterStatus != "deleting" {
				t.Errorf("%s: removed member %s is not being deleted", s.name, id)
			}
		}
		_, err = s.call("rg", s.in)
		wantError(t, err, "InvalidReplicationGroupState", "Replication group must be in available state to modify.")
		f.settle()
	}
}

// What holds the data is never removed, and of equals the one that lags goes.
func TestRemoveKeepsData(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		zones   string
		lagging string
		primary string
		want    string
	}{
		{"the youngest", "aaa", "", "rg-001", "001a 002a"},
		{"the one that lags", "aaa", "rg-002", "rg-001", "001a 003a"},
		{"the spread comes first", "aab", "rg-003", "rg-001", "001a 003b"},
		{"never the primary", "aaa", "", "rg-003", "001a 003a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newClusterFixture(t)
			in := groupRequest("rg", 3)
			for _, z := range tt.zones {
				in.PreferredCacheClusterAZs = append(in.PreferredCacheClusterAZs, testRegion+string(z))
			}
			f.createGroup(in)
			f.settle()
			f.putNodes("rg", tt.lagging)
			f.update(func(tx *store.Tx) error {
				g, _ := resource.ReplicationGroups.Get(tx, key(testRegion, "rg"))
				g.Status.Primary = tt.primary
				resource.ReplicationGroups.Put(tx, key(testRegion, "rg"), g)
				return nil
			})
			if _, err := f.decrease("rg", count(1)); err != nil {
				t.Fatal(err)
			}
			if got := f.places("rg"); got != tt.want {
				t.Errorf("left are %s, want %s", got, tt.want)
			}
		})
	}
}

func TestReplicaCountRefusals(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(groupRequest("rg", 3))
	auto := groupRequest("auto", 3)
	auto.AutomaticFailoverEnabled, auto.MultiAZEnabled = core.Ptr(true), core.Ptr(true)
	auto.PreferredCacheClusterAZs = []string{testRegion + "a", testRegion + "a", testRegion + "b"}
	f.createGroup(auto)
	f.settle()
	f.putNodes("rg")
	// rg-002 stands in for the primary, rg-001.
	f.update(func(tx *store.Tx) error {
		n, _ := resource.Nodes.Get(tx, key(testRegion, "rg-002")+"/"+onlyNode)
		n.Spec.ReplicaOf = ""
		resource.Nodes.Put(tx, n.Key(), n)
		return nil
	})
	late := count(1)
	late.immediately = false
	both := shard(3, "")
	both.count = core.Ptr(3)
	other := shard(3, "")
	other.shards[0].NodeGroupId = core.Ptr("0002")
	outposts := shard(3, "")
	outposts.shards[0].PreferredOutpostArns = []string{"arn"}
	named := count(1)
	named.remove = []string{"rg-003"}
	const value, combination = "InvalidParameterValue", "InvalidParameterCombination"
	for _, tt := range []struct {
		name string
		call func(string, replicaRequest) (*wire.ReplicationGroup, error)
		id   string
		in   replicaRequest
		code string
		text string
	}{
		{"unknown group", f.increase, "x", count(3), "ReplicationGroupNotFoundFault", "ReplicationGroup x not found."},
		{"later", f.increase, "rg", late, combination, "Changes of the number of replicas are made at once, not in the maintenance window: ApplyImmediately must be true (--apply-immediately)."},
		{"remove later", f.decrease, "rg", late, combination, "Changes of the number of replicas are made at once..."},
		{"nothing said", f.increase, "rg", replicaRequest{immediately: true}, combination, "Exactly one of the parameters NewReplicaCount or ReplicaConfiguration must be provided."},
		{"nothing to remove said", f.decrease, "rg", replicaRequest{immediately: true}, combination, "Exactly one of the parameters NewReplicaCount, ReplicaConfiguration or ReplicasToRemove must be provided."},
		{"said twice", f.increase, "rg", both, combination, "The parameters NewReplicaCount and ReplicaConfiguration cannot be used together."},
		{"count and names", f.decrease, "rg", named, combination, "Exactly one of the parameters..."},
		{"as many as there are", f.increase, "rg", count(2), "NoOperationFault", "The operation was not performed because no changes were required."},
		{"as few as there are", f.decrease, "rg", count(2), "NoOperationFault", "The operation was not performed because no changes were required."},
		{"fewer", f.increase, "rg", count(1), value, "The parameter NewReplicaCount must be greater than the current number of replicas, 2."},
		{"more", f.decrease, "rg", count(3), value, "The parameter NewReplicaCount must be less than the current number of replicas, 2."},
		{"too many", f.increase, "rg", count(6), value, "The parameter NewReplicaCount must be between 0 and 5."},
		{"below none", f.decrease, "rg", count(-1), value, "The parameter NewReplicaCount must be between 0 and 5."},
		{"another shard", f.increase, "rg", other, value, "The parameter NodeGroupId names 0002, which is no node group of replication group rg."},
		{"outposts", f.increase, "rg", outposts, combination, "The parameter ReplicaConfiguration.PreferredOutpostArns is not served by this version of Larder."},
		{"too few zones", f.increase, "rg", shard(3, "abc"), value, "The parameter PreferredAvailabilityZones must name 4 availability zones: one for each replica, and that of the primary."},
		{"zones that are not there", f.increase, "rg", shard(3, "abcx"), value, "..."},
		{"zones move", f.increase, "rg", shard(3, "aabb"), value, "The parameter PreferredAvailabilityZones must name the availability zones of the nodes that there are, also us-east-1c."},
		{"zones without nodes", f.decrease, "rg", shard(1, "aa"), value, "The parameter PreferredAvailabilityZones names us-east-1a more often than there are nodes."},
		{"not the primary's zone", f.decrease, "rg", shard(1, "bc"), value, "The parameter PreferredAvailabilityZones must name the availability zone of the primary."},
		{"no member", f.decrease, "rg", remove("auto-002"), value, "The parameter ReplicasToRemove names auto-002, which is not a member of replication group rg."},
		{"the primary", f.decrease, "rg", remove("rg-001"), value, "The parameter ReplicasToRemove names rg-001, which is the primary of replication group rg."},
		{"what stands in for it", f.decrease, "rg", remove("rg-002"), value, "The parameter ReplicasToRemove names rg-002, which is the primary of replication group rg."},
		{"twice", f.decrease, "rg", remove("rg-003", "rg-003"), value, "The parameter ReplicasToRemove names rg-003 twice."},
		{"the last with failover", f.decrease, "auto", count(0), value, "Must have at least 1 replica when cluster mode is disabled with auto failover enabled."},
		{"the last in another zone", f.decrease, "auto", remove("auto-003"), combination, "The parameter MultiAZEnabled can be true only if there is a replica in another availability zone than the primary."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := f.dump()
			_, err := tt.call(tt.id, tt.in)
			wantError(t, err, tt.code, tt.text)
			if f.dump() != before {
				t.Error("something was stored")
			}
		})
	}
	_, err := f.DeleteCacheCluster(f.ctx, &wire.DeleteCacheClusterMessage{CacheClusterId: core.Ptr("rg-002")})
	wantError(t, err, "InvalidCacheClusterState", "Cache cluster rg-002 is serving as primary for replication group rg...")
}
