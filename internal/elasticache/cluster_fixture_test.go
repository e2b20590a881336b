package elasticache

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/storetest"
)

const (
	testRegion = "us-east-1"
	tokenA     = "token-A-0123456789"
	tokenB     = "token-B-0123456789"
	tokenC     = "token-C-0123456789"
)

// clusterFixture is a service over an empty store, with a default VPC of three
// zones, and a stand-in for the controllers.
type clusterFixture struct {
	*Service
	t   testing.TB
	ctx context.Context
}

func newClusterFixture(t testing.TB, change ...func(*Config)) *clusterFixture {
	t.Helper()
	var ids atomic.Int64
	cfg := Config{
		Store: storetest.New(t), Seal: seal.NewTest(), Clock: core.SystemClock{}, Account: "000000000000",
		Catalog: catalog.New([]catalog.Binary{
			{Engine: catalog.Redis, Version: "7.0.15"}, {Engine: catalog.Valkey, Version: "8.0.1"}, {Engine: catalog.Memcached, Version: "1.6.22"},
		}, false),
		Networks: testNetworks{}, GroupNodes: 90, NewID: func() string { return fmt.Sprintf("uid-%d", ids.Add(1)) },
		Domain: "cache.larder.internal", Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&cfg)
	}
	f := &clusterFixture{New(cfg), t, core.WithRequest(t.Context(), core.Request{Region: testRegion, Account: cfg.Account})}
	f.update(func(tx *store.Tx) error {
		_, err := testNetworks{}.DefaultVPC(tx, testRegion)
		return err
	})
	return f
}

// testNetworks has one VPC a region: a /24 and two /28 subnets in three zones.
type testNetworks struct{}

func (testNetworks) DefaultVPC(tx *store.Tx, region string) (*resource.VPC, error) {
	if vpc, ok := resource.VPCs.Get(tx, key(region, "vpc-1")); ok {
		return vpc, nil
	}
	vpc := &resource.VPC{
		Region: region, ID: "vpc-1", CIDR: "172.31.0.0/16", IsDefault: true, Window: 10, DefaultSecurityGroup: "sg-default",
		Subnets: []resource.Subnet{
			{ID: "subnet-a", CIDR: "172.31.0.0/24", Zone: region + "a"},
			{ID: "subnet-b", CIDR: "172.31.16.0/28", Zone: region + "b"},
			{ID: "subnet-c", CIDR: "172.31.32.0/28", Zone: region + "c"},
		},
	}
	resource.VPCs.Put(tx, key(region, vpc.ID), vpc)
	resource.SecurityGroups.Put(tx, key(region, "sg-default"), &resource.SecurityGroup{Region: region, ID: "sg-default", VPCID: vpc.ID, Name: "default"})
	return vpc, nil
}

func (testNetworks) PeekDefaultVPC(r store.Reader, region string) (*resource.VPC, bool) {
	return resource.VPCs.Get(r, key(region, "vpc-1"))
}

func (testNetworks) ClassicNetwork(tx *store.Tx, region string) (*resource.VPC, error) {
	if v, ok := resource.ClassicNetwork(tx, region); ok {
		return v, nil
	}
	v := &resource.VPC{
		Region: region, ID: resource.ClassicID("1"), CIDR: "10.20.0.0/16", Window: 20, DefaultSecurityGroup: "sg-classic",
		Subnets: []resource.Subnet{{ID: "pool-a", CIDR: "10.20.0.0/20", Zone: region + "a"}, {ID: "pool-b", CIDR: "10.20.16.0/20", Zone: region + "b"}},
	}
	resource.VPCs.Put(tx, key(region, v.ID), v)
	resource.SecurityGroups.Put(tx, key(region, "sg-classic"), &resource.SecurityGroup{Region: region, ID: "sg-classic", VPCID: v.ID, Name: "default"})
	return v, nil
}

func (f *clusterFixture) update(fn func(tx *store.Tx) error) {
	f.t.Helper()
	if err := f.Service.store.Update(f.ctx, fn); err != nil {
		f.t.Fatal(err)
	}
}

// dump is the whole content of the store, for tests that nothing was stored.
func (f *clusterFixture) dump() string {
	var b strings.Builder
	err := f.Service.store.View(f.ctx, func(r store.Reader) error {
		for _, k := range resource.CacheClusters.Keys(r, "") {
			c, _ := resource.CacheClusters.Get(r, k)
			fmt.Fprintf(&b, "%s %+v\n", k, *c)
		}
		for _, k := range resource.ReplicationGroups.Keys(r, "") {
			g, _ := resource.ReplicationGroups.Get(r, k)
			fmt.Fprintf(&b, "%s %+v\n", k, *g)
		}
		for _, k := range resource.CacheSecurityGroups.Keys(r, "") {
			g, _ := resource.CacheSecurityGroups.Get(r, k)
			fmt.Fprintf(&b, "%s %+v\n", k, *g)
		}
		for _, k := range resource.Addresses.Keys(r, "") {
			a, _ := resource.Addresses.Get(r, k)
			fmt.Fprintf(&b, "%s %s\n", k, a.Owner)
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return b.String()
}

// settle does what the controllers do once the world is as it is wanted: what is
// deleted goes, the rest is available.
func (f *clusterFixture) settle() {
	f.t.Helper()
	now := time.Now().UTC()
	f.update(func(tx *store.Tx) error {
		for _, c := range resource.CacheClusters.List(tx, "") {
			if c.Spec.Deleting {
				resource.CacheClusters.Delete(tx, key(c.Region, c.ID))
				continue
			}
			if c.Status.Available == nil {
				c.Status.Available = &now
			}
			c.Status.ObservedGeneration = c.Generation
			c.Status.Engine, c.Status.EngineVersion, c.Status.NodeType = c.Spec.Engine, c.Spec.EngineVersion, c.Spec.NodeType
			c.Status.NodeStatus = map[string]string{}
			for _, n := range c.Spec.Nodes {
				c.Status.NodeStatus[n.ID] = statusAvailable
			}
			resource.CacheClusters.Put(tx, key(c.Region, c.ID), c)
		}
		for _, g := range resource.ReplicationGroups.List(tx, "") {
			if g.Spec.Deleting {
				resource.ReplicationGroups.Delete(tx, key(g.Region, g.ID))
				continue
			}
			if g.Status.Available == nil {
				g.Status.Available = &now
				if g.Spec.Mode() != resource.ModeEnabled {
					g.Status.Primary = g.Spec.Members[0]
				}
			}
			g.Status.ObservedGeneration = g.Generation
			g.Spec.Auth.Change, g.Spec.ModeChange = "", nil
			switch g.Spec.Mode() {
			case resource.ModeDisabled:
				g.Spec.ConfigurationEndpoint = resource.Endpoint{}
			case resource.ModeEnabled:
				g.Spec.PrimaryEndpoint, g.Spec.ReaderEndpoint = resource.Endpoint{}, resource.Endpoint{}
			}
			resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
		}
		return nil
	})
}

func (f *clusterFixture) cluster(id string) *resource.CacheCluster {
	f.t.Helper()
	var out *resource.CacheCluster
	f.update(func(tx *store.Tx) error {
		var ok bool
		if out, ok = resource.CacheClusters.Get(tx, key(testRegion, id)); !ok {
			f.t.Fatalf("no cluster %s is stored", id)
		}
		return nil
	})
	return out
}

func (f *clusterFixture) group(id string) *resource.ReplicationGroup {
	f.t.Helper()
	var out *resource.ReplicationGroup
	f.update(func(tx *store.Tx) error {
		var ok bool
		if out, ok = resource.ReplicationGroups.Get(tx, key(testRegion, id)); !ok {
			f.t.Fatalf("no group %s is stored", id)
		}
		return nil
	})
	return out
}

func (f *clusterFixture) describeCluster(id string) *wire.CacheCluster {
	f.t.Helper()
	out, err := f.DescribeCacheClusters(f.ctx, &wire.DescribeCacheClustersMessage{CacheClusterId: &id, ShowCacheNodeInfo: core.Ptr(true)})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.CacheClusters[0]
}

func (f *clusterFixture) describeGroup(id string) *wire.ReplicationGroup {
	f.t.Helper()
	out, err := f.DescribeReplicationGroups(f.ctx, &wire.DescribeReplicationGroupsMessage{ReplicationGroupId: &id})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.ReplicationGroups[0]
}

// memcached and redis are requests that succeed.
func memcachedRequest(id string, nodes int) *wire.CreateCacheClusterMessage {
	return &wire.CreateCacheClusterMessage{
		CacheClusterId: &id, Engine: core.Ptr("memcached"), CacheNodeType: core.Ptr("cache.t3.micro"), NumCacheNodes: &nodes,
	}
}

func redisRequest(id string) *wire.CreateCacheClusterMessage {
	return &wire.CreateCacheClusterMessage{
		CacheClusterId: &id, Engine: core.Ptr("redis"), CacheNodeType: core.Ptr("cache.t3.micro"), NumCacheNodes: core.Ptr(1),
	}
}

func groupRequest(id string, nodes int) *wire.CreateReplicationGroupMessage {
	return &wire.CreateReplicationGroupMessage{
		ReplicationGroupId: &id, ReplicationGroupDescription: core.Ptr("a group"), CacheNodeType: core.Ptr("cache.t3.micro"),
		Engine: core.Ptr("redis"), EngineVersion: core.Ptr("7.0"), NumCacheClusters: &nodes,
	}
}

func secureGroupRequest(id string, nodes int, token string) *wire.CreateReplicationGroupMessage {
	in := groupRequest(id, nodes)
	in.TransitEncryptionEnabled = core.Ptr(true)
	if token != "" {
		in.AuthToken = core.Ptr(core.NewSecret(token))
	}
	return in
}

func (f *clusterFixture) createCluster(in *wire.CreateCacheClusterMessage) *wire.CacheCluster {
	f.t.Helper()
	out, err := f.CreateCacheCluster(f.ctx, in)
	if err != nil {
		f.t.Fatal(err)
	}
	return out.CacheCluster
}

func (f *clusterFixture) createGroup(in *wire.CreateReplicationGroupMessage) *wire.ReplicationGroup {
	f.t.Helper()
	out, err := f.CreateReplicationGroup(f.ctx, in)
	if err != nil {
		f.t.Fatal(err)
	}
	return out.ReplicationGroup
}

func (f *clusterFixture) modifyGroup(in *wire.ModifyReplicationGroupMessage) *wire.ReplicationGroup {
	f.t.Helper()
	out, err := f.ModifyReplicationGroup(f.ctx, in)
	if err != nil {
		f.t.Fatal(err)
	}
	return out.ReplicationGroup
}

// words joins values by spaces.
func words(v ...any) string { return strings.TrimSpace(fmt.Sprintln(v...)) }

// wantError checks code and text of a refusal; a text that ends in "..." is a
// beginning.
func wantError(t testing.TB, err error, code, text string) {
	t.Helper()
	e, ok := core.AsError(err)
	if !ok {
		t.Fatalf("error %v, want %s: %s", err, code, text)
	}
	begin, open := strings.CutSuffix(text, "...")
	if e.Code != code || e.Message != text && !(open && strings.HasPrefix(e.Message, begin)) {
		t.Fatalf("refused with %s: %s\nwant %s: %s", e.Code, e.Message, code, text)
	}
}
