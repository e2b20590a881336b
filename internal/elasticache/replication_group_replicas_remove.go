package elasticache

import (
	"cmp"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// decrease removes as many replicas as are too many.
func (e *shardEdit) decrease(want replicaTarget) error {
	fewer := len(e.members) - (want.count + 1)
	if fewer < 0 {
		return errInvalidValue("The parameter NewReplicaCount must be less than the current number of replicas, %d.", len(e.members)-1)
	}
	foreign, leave := zonesBeyond(want.zones, e.members)
	if len(foreign) > 0 {
		return errInvalidValue("The parameter PreferredAvailabilityZones names %s more often than there are nodes.", foreign[0])
	}
	var leaving []*resource.CacheCluster
	for i := range fewer {
		zone := ""
		if len(want.zones) > 0 {
			zone = leave[i]
		}
		c := e.dispensable(zone, leaving)
		if c == nil {
			return errInvalidValue("The parameter PreferredAvailabilityZones must name the availability zone of the primary.")
		}
		leaving = append(leaving, c)
	}
	return e.remove(leaving)
}

// dispensable is the replica, if a zone is given one there, that the group misses
// least: from the zone with the most nodes, one that is not in sync before one
// that is, the youngest. nil if there is none.
func (e *shardEdit) dispensable(zone string, leaving []*resource.CacheCluster) *resource.CacheCluster {
	in := map[string]int{}
	var candidates []*resource.CacheCluster
	for _, m := range e.members {
		if slices.Contains(leaving, m) {
			continue
		}
		at := m.Spec.Nodes[0].Zone
		in[at]++
		if (zone == "" || zone == at) && !servesGroup(e.tx, e.g, m) {
			candidates = append(candidates, m)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	slices.Reverse(candidates)
	return slices.MinFunc(candidates, func(a, b *resource.CacheCluster) int {
		return cmp.Or(
			-cmp.Compare(in[a.Spec.Nodes[0].Zone], in[b.Spec.Nodes[0].Zone]),
			cmp.Compare(inSync(e.tx, a), inSync(e.tx, b)),
		)
	})
}

// removeNamed removes the replicas with these ids.
func (e *replicaEdit) removeNamed(ids []string) error {
	shards := e.shards()
	leaving := map[string][]*resource.CacheCluster{}
	for _, id := range ids {
		i := slices.IndexFunc(e.members, func(c *resource.CacheCluster) bool { return strings.EqualFold(c.ID, id) })
		switch {
		case i < 0:
			return errInvalidValue("The parameter ReplicasToRemove names %s, which is not a member of replication group %s.", id, e.g.ID)
		case servesGroup(e.tx, e.g, e.members[i]):
			return errInvalidValue("The parameter ReplicasToRemove names %s, which is the primary of replication group %s.", id, e.g.ID)
		}
		for _, s := range shards {
			if c := e.members[i]; slices.Contains(s.members, c) {
				if slices.Contains(leaving[s.shard.ID], c) {
					return errInvalidValue("The parameter ReplicasToRemove names %s twice.", id)
				}
				leaving[s.shard.ID] = append(leaving[s.shard.ID], c)
			}
		}
	}
	for _, s := range shards {
		if c := leaving[s.shard.ID]; len(c) > 0 {
			if err := s.remove(c); err != nil {
				return err
			}
		}
	}
	e.regroup(shards)
	return nil
}

// remove takes replicas out of the shard and marks them to be deleted.
func (e *shardEdit) remove(leaving []*resource.CacheCluster) error {
	zones := map[string]bool{}
	var left []string
	for _, m := range e.members {
		if !slices.Contains(leaving, m) {
			zones[m.Spec.Nodes[0].Zone] = true
			left = append(left, m.ID)
		}
	}
	switch {
	case e.g.Spec.AutomaticFailover && len(left) < 2 && !e.g.Spec.ClusterMode():
		return errFailoverReplicaCount()
	case e.g.Spec.MultiAZ && len(zones) < 2:
		return errMultiAZZones()
	}
	for _, c := range leaving {
		if !clusterDeletable(c) {
			return errClusterNotDeletable(c.ID)
		}
		deleteCluster(e.tx, c)
	}
	e.shard.Members = left
	return nil
}

// servesGroup reports whether a member holds the data that all others follow: it
// is the primary, or stands in for it while that one comes back.
func servesGroup(r store.Reader, g *resource.ReplicationGroup, c *resource.CacheCluster) bool {
	n, ok := resource.Nodes.Get(r, key(c.Region, c.ID)+"/"+onlyNode)
	return c.ID == primaryFor(g, c.ID) || ok && n.Spec.ReplicaOf == ""
}

// inSync is 1 for a replica that has all that its primary has, else 0.
func inSync(r store.Reader, c *resource.CacheCluster) int {
	if n, ok := resource.Nodes.Get(r, key(c.Region, c.ID)+"/"+onlyNode); ok && n.Status.LinkUp {
		return 1
	}
	return 0
}
