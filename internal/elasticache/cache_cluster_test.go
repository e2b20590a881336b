package elasticache

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func TestCreateRedisCluster(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := redisRequest("My-Cache")
	in.EngineVersion, in.Port = core.Ptr("6.x"), core.Ptr(7777)
	in.PreferredMaintenanceWindow, in.SnapshotWindow = core.Ptr("Sun:23:00-mon:01:30"), core.Ptr("05:00-06:00")
	in.SecurityGroupIds = []string{""} // an empty list on the wire
	in.Tags = []*wire.Tag{{Key: core.Ptr("team"), Value: core.Ptr("x")}}
	c := f.createCluster(in)
	check := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	check("id", *c.CacheClusterId, "my-cache")
	check("ARN", *c.ARN, "arn:aws:elasticache:us-east-1:000000000000:cluster:my-cache")
	check("status", *c.CacheClusterStatus, "creating")
	check("version", *c.EngineVersion, "6.2.6")
	check("nodes", *c.NumCacheNodes, 1)
	check("maintenance", *c.PreferredMaintenanceWindow, "sun:23:00-mon:01:30")
	check("snapshot window", *c.SnapshotWindow, "05:00-06:00")
	check("retention", *c.SnapshotRetentionLimit, 0)
	check("parameter group", *c.CacheParameterGroup.CacheParameterGroupName, "default.redis6.x")
	check("apply status", *c.CacheParameterGroup.ParameterApplyStatus, "in-sync")
	check("subnet group", *c.CacheSubnetGroupName, "default")
	check("security group", *c.SecurityGroups[0].SecurityGroupId+" "+*c.SecurityGroups[0].Status, "sg-default active")
	check("minor upgrades", *c.AutoMinorVersionUpgrade, true)
	check("TLS, token, at rest", words(*c.TransitEncryptionEnabled, *c.AuthTokenEnabled, *c.AtRestEncryptionEnabled), "false false false")
	check("zone", *c.PreferredAvailabilityZone, "us-east-1a")
	check("network", *c.NetworkType+" "+*c.IpDiscovery, "ipv4 ipv4")
	if c.CacheNodes != nil || c.CacheClusterCreateTime != nil || c.ConfigurationEndpoint != nil || c.ReplicationGroupId != nil {
		t.Error("a cluster that is being created shows nodes, a time, a configuration endpoint or a group")
	}
	check("tags", f.cluster("my-cache").Tags, map[string]string{"team": "x"})

	if d := f.describeCluster("MY-cache"); d.CacheNodes != nil {
		t.Error("nodes are shown while creating")
	}
	f.settle()
	c = f.describeCluster("MY-cache")
	check("status", *c.CacheClusterStatus, "available")
	n := c.CacheNodes[0]
	check("node", words(*n.CacheNodeId, *n.CacheNodeStatus, *n.CustomerAvailabilityZone, *n.ParameterGroupStatus), "0001 available us-east-1a in-sync")
	check("port", *n.Endpoint.Port, 7777)
	if n.CacheNodeCreateTime == nil || c.CacheClusterCreateTime == nil || n.SourceCacheNodeId != nil {
		t.Error("times are missing, or there is a source")
	}
	if out, err := f.DescribeCacheClusters(f.ctx, &wire.DescribeCacheClustersMessage{}); err != nil || out.CacheClusters[0].CacheNodes != nil {
		t.Errorf("nodes are shown without ShowCacheNodeInfo (error %v)", err)
	}
}

func TestCreateMemcachedPlacement(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(in *wire.CreateCacheClusterMessage)
		zones  string
		shown  string
	}{
		{"default is one zone", func(*wire.CreateCacheClusterMessage) {}, "aaa", "us-east-1a"},
		{"single-az", func(in *wire.CreateCacheClusterMessage) { in.AZMode = core.Ptr("single-az") }, "aaa", "us-east-1a"},
		{"cross-az", func(in *wire.CreateCacheClusterMessage) { in.AZMode = core.Ptr("cross-az") }, "abc", "Multiple"},
		{"one zone asked for", func(in *wire.CreateCacheClusterMessage) { in.PreferredAvailabilityZone = core.Ptr("us-east-1c") }, "ccc", "us-east-1c"},
		{"a zone for each", func(in *wire.CreateCacheClusterMessage) {
			in.AZMode = core.Ptr("cross-az")
			in.PreferredAvailabilityZones = []string{"us-east-1b", "us-east-1b", "us-east-1c"}
		}, "bbc", "Multiple"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t)
			in := memcachedRequest("m", 3)
			tt.change(in)
			c := f.createCluster(in)
			if *c.PreferredAvailabilityZone != tt.shown {
				t.Errorf("zone %s, want %s", *c.PreferredAvailabilityZone, tt.shown)
			}
			if c.ConfigurationEndpoint != nil || c.SnapshotWindow != nil || c.SnapshotRetentionLimit != nil {
				t.Error("an endpoint or snapshots are shown")
			}
			f.settle()
			c = f.describeCluster("m")
			got := ""
			for _, n := range c.CacheNodes {
				got += strings.TrimPrefix(*n.CustomerAvailabilityZone, "us-east-1")
			}
			if got != tt.zones {
				t.Errorf("zones %s, want %s", got, tt.zones)
			}
			if *c.ConfigurationEndpoint.Port != 11211 || !slices.ContainsFunc(f.cluster("m").Spec.ConfigurationEndpoint.Names, func(n string) bool { return strings.Contains(n, ".cfg.") }) {
				t.Errorf("configuration endpoint %+v", f.cluster("m").Spec.ConfigurationEndpoint)
			}
		})
	}
}

func TestCreateMemcachedTLS(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := memcachedRequest("m", 1)
	in.TransitEncryptionEnabled, in.EngineVersion = core.Ptr(true), core.Ptr("1.6.12")
	if c := f.createCluster(in); !*c.TransitEncryptionEnabled {
		t.Error("TLS is not shown")
	}
	if f.cluster("m").Spec.TLS != resource.TLSRequired {
		t.Error("TLS is not wanted")
	}
}

func TestCreateClusterRefusals(t *testing.T) {
	t.Parallel()
	const value, combination = "InvalidParameterValue", "InvalidParameterCombination"
	type request = wire.CreateCacheClusterMessage
	redis, memcached := redisRequest, func(id string) *request { return memcachedRequest(id, 2) }
	identifier := "The parameter CacheClusterIdentifier is not a valid identifier...."
	tests := []struct {
		name       string
		base       func(id string) *request
		change     func(in *request)
		code, text string
	}{
		{"no id", redis, func(in *request) { in.CacheClusterId = nil }, value, "The parameter CacheClusterIdentifier must be provided."},
		{"empty id", redis, func(in *request) { in.CacheClusterId = core.Ptr("") }, value, "The parameter CacheClusterIdentifier must be provided."},
		{"id of 51", redis, func(in *request) { in.CacheClusterId = core.Ptr(strings.Repeat("a", 51)) }, value, identifier},
		{"id with two hyphens", redis, func(in *request) { in.CacheClusterId = core.Ptr("a--b") }, value, identifier},
		{"id that exists", redis, func(in *request) { in.CacheClusterId = core.Ptr("EXISTS") }, "CacheClusterAlreadyExists", "Cache cluster exists already exists."},
		{"no engine", redis, func(in *request) { in.Engine = nil }, value, "The parameter Engine must be provided."},
		{"unknown engine", redis, func(in *request) { in.Engine = core.Ptr("mysql") }, value, "The parameter Engine has the unknown value mysql."},
		{"valkey", redis, func(in *request) { in.Engine = core.Ptr("valkey") }, value, "This API doesn't support Valkey engine. Please use CreateReplicationGroup API for Valkey cluster creation."},
		{"unknown version", redis, func(in *request) { in.EngineVersion = core.Ptr("7.4") }, combination, "Cannot find version 7.4 for redis"},
		{"patch version", redis, func(in *request) { in.EngineVersion = core.Ptr("6.2.6") }, value, "Specific version selection is not allowed for '6.2.6', please use '6.2'"},
		{"no node type", redis, func(in *request) { in.CacheNodeType = nil }, value, "The parameter CacheNodeType must be provided."},
		{"unknown node type", redis, func(in *request) { in.CacheNodeType = core.Ptr("cache.x9.huge") }, value, "The parameter CacheNodeType has the unknown value cache.x9.huge."},
		{"node type without redis", redis, func(in *request) { in.CacheNodeType = core.Ptr("cache.m8g.large") }, combination, "The cache node type cache.m8g.large does not support redis 7.1."},
		{"data tiering", redis, func(in *request) { in.CacheNodeType = core.Ptr("cache.r6gd.xlarge") }, combination, "The value cache.r6gd.xlarge of the parameter CacheNodeType is not served by this version of Larder."},
		{"no number of nodes", redis, func(in *request) { in.NumCacheNodes = nil }, value, "The parameter NumCacheNodes must be provided."},
		{"two redis nodes", redis, func(in *request) { in.NumCacheNodes = core.Ptr(2) }, value, "Cannot create a Redis cluster with a NumCacheNodes parameter greater than 1."},
		{"no node", memcached, func(in *request) { in.NumCacheNodes = core.Ptr(0) }, value, "The parameter NumCacheNodes must be at least 1."},
		{"41 nodes", memcached, func(in *request) { in.NumCacheNodes = core.Ptr(41) }, "NodeQuotaForClusterExceeded", "Cluster node quota exceeded. Each cluster can have at most 40 nodes in this region."},
		{"port 0", redis, func(in *request) { in.Port = core.Ptr(0) }, value, "The parameter Port must be between 1 and 65535."},
		{"no such parameter group", redis, func(in *request) { in.CacheParameterGroupName = core.Ptr("nope") }, "CacheParameterGroupNotFound", "CacheParameterGroup not found: nope"},
		{"other family", redis, func(in *request) { in.CacheParameterGroupName = core.Ptr("default.redis6.x") }, combination, "Expected a parameter group of family redis7 but found one of family redis6.x"},
		{"cluster mode", redis, func(in *request) { in.CacheParameterGroupName = core.Ptr("sharded") }, combination, "The parameter group sharded has cluster mode on, which only a replication group can have."},
		{"no such subnet group", redis, func(in *request) { in.CacheSubnetGroupName = core.Ptr("nope") }, "CacheSubnetGroupNotFoundFault", "Cache subnet group nope not found."},
		{"no such security group", redis, func(in *request) { in.SecurityGroupIds = []string{"sg-1"} }, value, "The security group sg-1 in the parameter SecurityGroupIds does not exist."},
		{"no such zone", redis, func(in *request) { in.PreferredAvailabilityZone = core.Ptr("us-east-1z") }, value, "The availability zone us-east-1z is not valid: the subnet group has subnets in us-east-1a, us-east-1b, us-east-1c."},
		{"too few zones", memcached, func(in *request) { in.PreferredAvailabilityZones = []string{"us-east-1a"} }, combination, "Must specify the same number of preferred availability zones as requested number of nodes."},
		{"zone and zones", memcached, func(in *request) {
			in.PreferredAvailabilityZone, in.PreferredAvailabilityZones = core.Ptr("us-east-1a"), []string{"us-east-1a", "us-east-1b"}
		}, combination, "The parameters PreferredAvailabilityZone and PreferredAvailabilityZones cannot be used together."},
		{"cross-az for redis", redis, func(in *request) { in.AZMode = core.Ptr("cross-az") }, combination, "The parameter AZMode can be cross-az only..."},
		{"cross-az for one node", memcached, func(in *request) { in.AZMode, in.NumCacheNodes = core.Ptr("cross-az"), core.Ptr(1) }, combination, "The parameter AZMode can be cross-az only..."},
		{"cross-az in one zone", memcached, func(in *request) {
			in.AZMode, in.PreferredAvailabilityZone = core.Ptr("cross-az"), core.Ptr("us-east-1a")
		}, combination, "The parameter AZMode is cross-az but..."},
		{"single-az in two zones", memcached, func(in *request) {
			in.AZMode, in.PreferredAvailabilityZones = core.Ptr("single-az"), []string{"us-east-1a", "us-east-1b"}
		}, combination, "The parameter AZMode is single-az but..."},
		{"cross-az in a subnet group of one zone", memcached, func(in *request) {
			in.AZMode, in.CacheSubnetGroupName = core.Ptr("cross-az"), core.Ptr("one-zone")
		}, combination, "The parameter AZMode is cross-az but..."},
		{"maintenance window", redis, func(in *request) { in.PreferredMaintenanceWindow = core.Ptr("xyz") }, value, "The parameter PreferredMaintenanceWindow must have..."},
		{"snapshot window", redis, func(in *request) { in.SnapshotWindow = core.Ptr("05:00-05:30") }, value, "Snapshot window must be at least 60 minutes."},
		{"windows overlap", redis, func(in *request) {
			in.PreferredMaintenanceWindow, in.SnapshotWindow = core.Ptr("mon:05:00-mon:06:30"), core.Ptr("06:00-07:00")
		}, combination, "The snapshot window and maintenance window must not overlap."},
		{"snapshot window of memcached", memcached, func(in *request) { in.SnapshotWindow = core.Ptr("05:00-06:00") }, combination, "The parameter SnapshotWindow is not supported for engine memcached."},
		{"reserved tag", redis, func(in *request) { in.Tags = []*wire.Tag{{Key: core.Ptr("aws:x")}} }, value, "The tag key aws:x is not valid: the prefix aws: is reserved."},
		{"TLS for redis", redis, func(in *request) { in.TransitEncryptionEnabled = core.Ptr(true) }, combination, "Encryption feature is not supported for engine REDIS."},
		{"token for redis", redis, func(in *request) { in.AuthToken = core.Ptr(core.NewSecret(tokenA)) }, combination, "Encryption feature is not supported for engine REDIS."},
		{"token for memcached", memcached, func(in *request) { in.AuthToken = core.Ptr(core.NewSecret(tokenA)) }, combination, "The parameter AuthToken is not supported for engine memcached."},
		{"TLS for old memcached", memcached, func(in *request) { in.TransitEncryptionEnabled, in.EngineVersion = core.Ptr(true), core.Ptr("1.6.6") }, combination,
			"Encryption features are not supported for engine version 1.6.6. Please use engine version 1.6.12"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t)
			f.addGroups()
			f.createCluster(redisRequest("exists"))
			before := f.dump()
			in := tt.base("c")
			tt.change(in)
			_, err := f.CreateCacheCluster(f.ctx, in)
			wantError(t, err, tt.code, tt.text)
			if f.dump() != before {
				t.Error("something was stored")
			}
		})
	}
}

// addGroups stores a parameter group with cluster mode, one without, and a
// subnet group of one zone.
func (f *clusterFixture) addGroups() {
	f.t.Helper()
	f.update(func(tx *store.Tx) error {
		for name, g := range map[string]*resource.ParameterGroup{
			"sharded":   {Family: "redis7", Values: map[string]string{"cluster-enabled": "yes"}},
			"mine":      {Family: "redis7"},
			"memcached": {Family: "memcached1.6"},
		} {
			g.Region, g.Name = testRegion, name
			resource.ParameterGroups.Put(tx, key(testRegion, name), g)
		}
		resource.SubnetGroups.Put(tx, key(testRegion, "one-zone"), &resource.SubnetGroup{
			Region: testRegion, Name: "one-zone", VPCID: "vpc-1", SubnetIDs: []string{"subnet-b"},
		})
		return nil
	})
}

func TestDescribeCacheClusters(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	for i := range 21 {
		f.createCluster(redisRequest(fmt.Sprintf("c%02d", 20-i)))
	}
	f.createGroup(groupRequest("rg", 2))
	list := func(in *wire.DescribeCacheClustersMessage) ([]string, *string) {
		t.Helper()
		out, err := f.DescribeCacheClusters(f.ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range out.CacheClusters {
			ids = append(ids, *c.CacheClusterId)
		}
		return ids, out.Marker
	}
	ids, marker := list(&wire.DescribeCacheClustersMessage{MaxRecords: core.Ptr(20)})
	if len(ids) != 20 || ids[0] != "c00" || ids[19] != "c19" || marker == nil {
		t.Fatalf("first page %v, marker %v", ids, marker)
	}
	ids, marker = list(&wire.DescribeCacheClustersMessage{MaxRecords: core.Ptr(20), Marker: marker})
	if !slices.Equal(ids, []string{"c20", "rg-001", "rg-002"}) || marker != nil {
		t.Errorf("second page %v, marker %v", ids, marker)
	}
	ids, _ = list(&wire.DescribeCacheClustersMessage{ShowCacheClustersNotInReplicationGroups: core.Ptr(true)})
	if len(ids) != 21 || slices.Contains(ids, "rg-001") {
		t.Errorf("clusters of their own: %v", ids)
	}
	_, err := f.DescribeCacheClusters(f.ctx, &wire.DescribeCacheClustersMessage{CacheClusterId: core.Ptr("nope")})
	wantError(t, err, "CacheClusterNotFound", "CacheCluster not found: nope")
	_, err = f.DescribeCacheClusters(f.ctx, &wire.DescribeCacheClustersMessage{MaxRecords: core.Ptr(19)})
	wantError(t, err, "InvalidParameterValue", "The parameter MaxRecords must be between 20 and 100.")
	_, err = f.DescribeCacheClusters(f.ctx, &wire.DescribeCacheClustersMessage{Marker: core.Ptr("x")})
	wantError(t, err, "InvalidParameterValue", "The parameter Marker is not valid.")
}

func TestRegionsAreApart(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createCluster(redisRequest("c"))
	other := core.WithRequest(t.Context(), core.Request{Region: "eu-west-1"})
	out, err := f.DescribeCacheClusters(other, &wire.DescribeCacheClustersMessage{})
	if err != nil || len(out.CacheClusters) != 0 {
		t.Errorf("%d clusters in the other region, error %v", len(out.CacheClusters), err)
	}
	if _, err := f.CreateCacheCluster(other, redisRequest("c")); err != nil {
		t.Errorf("the same id in another region: %v", err)
	}
}
