package compat

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// settings are attributes of something of terraform/life.tf.
type settings map[string]any

// lifeStep is one apply: what becomes different of which groups, and of the clusters.
type lifeStep struct {
	groups   map[string]settings
	clusters settings
	// waits are the attributes that the next plan goes on to show, one of a group
	// each, since they wait for its maintenance window.
	waits []string
}

// lifeSteps take four groups through all that the provider changes in place: one through
// sizes and settings, one through versions, one through TLS, one through cluster modes.
var lifeSteps = []lifeStep{
	{
		groups:   map[string]settings{"life-plain": {}, "life-versions": {}, "life-tls": {}, "life-modes": {"failover": true}},
		clusters: settings{"replicas": 1, "nodes": 1, "az_mode": "single-az", "lone_version": "7.0", "lone_type": "cache.t4g.micro"},
	},
	{
		groups: map[string]settings{
			"life-plain":    {"members": 3},
			"life-versions": {"engine_version": "7.1", "parameters": "own"},
			"life-tls":      {"tls": true, "tls_mode": "preferred"},
			"life-modes":    {"cluster_mode": "compatible"},
		},
		clusters: settings{"replicas": 2, "nodes": 3, "az_mode": "cross-az", "lone_type": "cache.t4g.small"},
	},
	{
		groups: map[string]settings{
			"life-plain":    {"failover": true, "multi_az": true},
			"life-versions": {"engine": "valkey", "engine_version": "7.2", "parameters": "default.valkey7"},
			"life-tls":      {"tls_mode": "required"},
			"life-modes":    {"cluster_mode": "enabled"},
		},
		clusters: settings{"replicas": 1, "nodes": 2, "lone_version": "7.1"},
	},
	{
		groups: map[string]settings{
			"life-plain": {"members": 2, "node_type": "cache.t4g.small", "description": "changed", "window": "mon:05:00-mon:06:00"},
			"life-tls":   {"token": "terraform-token-0001", "strategy": "SET"},
			"life-modes": {"shards": 2, "replicas": 1},
		},
	},
	{
		groups: map[string]settings{
			"life-plain":    {"node_type": "cache.t4g.micro", "now": false},
			"life-versions": {"engine_version": "8.0", "parameters": "default.valkey8", "now": false},
		},
		waits: []string{"node_type", "engine_version"},
	},
	{
		groups: map[string]settings{
			"life-plain":    {"now": true},
			"life-versions": {"now": true},
			"life-tls":      {"failover": true},
			"life-modes":    {"shards": 1, "replicas": 2},
		},
	},
	{
		groups: map[string]settings{
			"life-plain":    {"parameters": "own", "rules": true, "snapshot": "01:00-02:00", "minor_versions": false, "tag": "second"},
			"life-versions": {"members": 3},
			"life-tls":      {"cluster_mode": "compatible"},
		},
	},
	{
		groups: map[string]settings{"life-tls": {"cluster_mode": "disabled"}},
	},
}

// TestTerraformLife takes groups and clusters through their lives, and expects after each
// step an empty plan, data sources that agree with the resources, and of each group the
// key that was written at first: one that was replaced, or whose engines lost what
// they had, would not have it.
func TestTerraformLife(t *testing.T) {
	t.Parallel()
	tf := newTerraform(t, filepath.Join("terraform", "life.tf"))
	groups, clusters := map[string]settings{}, settings{}
	for i, step := range lifeSteps {
		for id, s := range step.groups {
			if groups[id] == nil {
				groups[id] = settings{}
			}
			maps.Copy(groups[id], s)
		}
		maps.Copy(clusters, step.clusters)
		tf.set("groups", groups)
		tf.set("clusters", clusters)
		tf.run("apply", "-auto-approve", "-input=false")
		when := fmt.Sprintf("after step %d", i)
		if got := tf.output("differences"); got != "[]" {
			t.Errorf("%s resources and data sources differ: %s", when, got)
		}
		memcached, err := deployment.Cluster(t.Context(), "life-memcached")
		must(t, err)
		nodes, cross := len(memcached.CacheNodes), aws.ToString(memcached.PreferredAvailabilityZone) == "Multiple"
		if nodes != clusters["nodes"] || cross != (clusters["az_mode"] == "cross-az") {
			t.Errorf("%s Memcached has %d nodes in zone %s", when, nodes, aws.ToString(memcached.PreferredAvailabilityZone))
		}
		tf.plansTo(when, step.waits...)
		for id, s := range groups {
			c := clientOf(t, id, s["token"])
			if i == 0 {
				must(t, c.Set(t.Context(), "first", id, 0).Err())
			}
			if got, err := c.Get(t.Context(), "first").Result(); got != id {
				t.Errorf("%s the key of %s is %q, %v", when, id, got, err)
			}
		}
	}
	tf.run("destroy", "-auto-approve", "-input=false")
	var left string
	awsCLI(t, &left, "elasticache", "describe-cache-clusters", "--query", "join(' ', CacheClusters[?starts_with(CacheClusterId, 'life-')].CacheClusterId)")
	if left != "" {
		t.Errorf("left: %s", left)
	}
}

// clientOf is a client of a group as it is now.
func clientOf(t *testing.T, id string, token any) redis.UniversalClient {
	t.Helper()
	g, err := deployment.Group(t.Context(), id)
	must(t, err)
	endpoint, o := g.ConfigurationEndpoint, &redis.UniversalOptions{IsClusterMode: g.ClusterMode == types.ClusterModeEnabled}
	if !o.IsClusterMode {
		endpoint = g.NodeGroups[0].PrimaryEndpoint
	}
	o.Addrs = []string{harness.Addr(endpoint)}
	o.Password, _ = token.(string)
	if aws.ToBool(g.TransitEncryptionEnabled) {
		o.TLSConfig, err = deployment.TLS()
		must(t, err)
	}
	c := redis.NewUniversalClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestTerraformImport takes over what the CLI made: nothing is left to change.
func TestTerraformImport(t *testing.T) {
	t.Parallel()
	need(t, "aws")
	tf := newTerraform(t, filepath.Join("terraform", "import.tf"))
	awsCLI(t, nil, "elasticache", "create-replication-group", "--replication-group-id", "imported", "--replication-group-description", "made by the CLI",
		"--engine", "valkey", "--engine-version", "8.0", "--cache-node-type", "cache.t4g.micro", "--port", "6380", "--num-cache-clusters", "2",
		"--automatic-failover-enabled", "--multi-az-enabled", "--transit-encryption-enabled", "--tags", "Key=Name,Value=imported")
	awsCLI(t, nil, "elasticache", "create-replication-group", "--replication-group-id", "imported-sharded", "--replication-group-description", "made by the CLI",
		"--engine", "redis", "--cache-node-type", "cache.t4g.micro", "--num-node-groups", "2", "--replicas-per-node-group", "0", "--automatic-failover-enabled")
	awsCLI(t, nil, "elasticache", "create-cache-cluster", "--cache-cluster-id", "imported-memcached", "--engine", "memcached",
		"--cache-node-type", "cache.t4g.micro", "--num-cache-nodes", "2", "--az-mode", "cross-az")
	for _, wait := range [][]string{
		{"replication-group-available", "--replication-group-id", "imported"},
		{"replication-group-available", "--replication-group-id", "imported-sharded"},
		{"cache-cluster-available", "--cache-cluster-id", "imported-memcached"},
	} {
		awsCLI(t, nil, append([]string{"elasticache", "wait"}, wait...)...)
	}
	const want = "3 imported, 0 added, 0 changed, 0 destroyed"
	if out := tf.run("apply", "-auto-approve", "-input=false", "-no-color"); !strings.Contains(out, want) {
		t.Errorf("not %s:\n%s", want, out)
	}
	tf.emptyPlan("after the imports")
	tf.run("destroy", "-auto-approve", "-input=false")
}
