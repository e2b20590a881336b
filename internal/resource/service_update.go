package resource

import (
	"strings"
	"time"
)

// ServiceUpdate is a newer program for nodes that run: it was installed on the host
// while they did. Key: REGION/NAME.
type ServiceUpdate struct {
	// Name is "ENGINE-VERSION" with dashes, e.g. "valkey-8-0-2".
	Region, Name string
	// Engine and Version are the program's.
	Engine, Version string
	// Released is when it was noticed.
	Released time.Time
}

// UpdateAction is a ServiceUpdate for one replication group, or one cluster of its
// own. Whether it is complete is seen from the nodes. Key: see UpdateActionKey.
type UpdateAction struct {
	Region, Update string
	// GroupID or ClusterID is empty.
	GroupID, ClusterID string
	// Available is when it was noticed, Applied when it was asked for, and Stopped when
	// it was last stopped, after Applied; nil if never.
	Available        time.Time
	Applied, Stopped *time.Time
}

// UpdateActionKey is the key of the action of an update for a group or a cluster.
func UpdateActionKey(region, update, groupID, clusterID string) string {
	if groupID != "" {
		return region + "/" + update + "/group/" + groupID
	}
	return region + "/" + update + "/cluster/" + clusterID
}

// UpdateActionOwner takes a key of UpdateActionKey apart: kind is "group" or "cluster".
func UpdateActionOwner(key string) (region, kind, id string) {
	parts := strings.SplitN(key, "/", 4)
	if len(parts) < 4 {
		return "", "", ""
	}
	return parts[0], parts[2], parts[3]
}

// Update asks for a program of a version at least for all nodes of a cluster of its
// own.
func (c *CacheCluster) Update(program string) {
	c.Spec.Program = program
	c.Generation++
	c.Spec.Change = ChangeModifying
}

// Update asks for a program of a version at least for all nodes of a group.
func (g *ReplicationGroup) Update(members []*CacheCluster, program string) {
	for _, c := range members {
		c.Update(program)
	}
	g.Generation++
	g.Spec.Change = ChangeModifying
}
