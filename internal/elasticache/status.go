package elasticache

import "github.com/larder-cache/larder/internal/resource"

// ClusterStatus is the status of a cache cluster as the API shows it.
func ClusterStatus(c *resource.CacheCluster) string { return clusterStatus(c) }

// GroupStatus is the status of a replication group as the API shows it.
func GroupStatus(g *resource.ReplicationGroup) string { return groupStatus(g) }
