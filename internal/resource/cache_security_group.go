package resource

import "slices"

// DefaultCacheSecurityGroup is the name of the cache security group that every
// region has without anybody having made it. It is stored once something of it
// has changed.
const DefaultCacheSecurityGroup = "default"

// CacheSecurityGroup says which EC2-Classic instances may connect to the clusters
// that name it. Key: REGION/NAME.
type CacheSecurityGroup struct {
	Region, Name, Description string
	// UID tells a group from one that has its name later; the default one has none.
	UID string
	// Generation counts the changes of Ingress.
	Generation int64
	// Ingress is in the order in which it was authorized.
	Ingress []CacheIngress
	Status  CacheSecurityGroupStatus
	Tags    map[string]string
}

// CacheSecurityGroupStatus is what has been seen of a group on the network.
type CacheSecurityGroupStatus struct {
	// ObservedGeneration is the latest generation whose ingress is enforced.
	ObservedGeneration int64
}

// CacheIngress lets in the instances of one EC2 security group of EC2-Classic.
type CacheIngress struct {
	// GroupName names the EC2 security group, which cannot be deleted meanwhile.
	GroupName string
	// Revoked lets nobody in any more; it is kept until that is enforced.
	Revoked bool
	// Generation is the group's in which this was authorized, or revoked.
	Generation int64
}

// Settled reports whether what an ingress says is enforced.
func (g *CacheSecurityGroup) Settled(i CacheIngress) bool {
	return i.Generation <= g.Status.ObservedGeneration
}

// Current is the ingress that there still is: all but what was revoked and is
// enforced no more.
func (g *CacheSecurityGroup) Current() []CacheIngress {
	return slices.DeleteFunc(slices.Clone(g.Ingress), func(i CacheIngress) bool { return i.Revoked && g.Settled(i) })
}

// Admits reports whether the group lets in the instances of an EC2 security group.
func (g *CacheSecurityGroup) Admits(groupName string) bool {
	return slices.ContainsFunc(g.Ingress, func(i CacheIngress) bool { return i.GroupName == groupName && !i.Revoked })
}
