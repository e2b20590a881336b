package elasticache

import (
	"net/http"
	"strings"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// This file is the table of the service's refusals: wire code, HTTP status and
// wording of each, in AWS's words where those are known.

// Parameters.

func errInvalidValue(format string, args ...any) *core.Error {
	return core.Errorf("InvalidParameterValue", format, args...)
}

func errInvalidCombination(format string, args ...any) *core.Error {
	return core.Errorf("InvalidParameterCombination", format, args...)
}

func errMissing(parameter string) *core.Error {
	return errInvalidValue("The parameter %s must be provided.", parameter)
}

func errIdentifier(parameter string) *core.Error {
	return errInvalidValue("The parameter %s is not a valid identifier. Identifiers must begin with a letter; "+
		"must contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two "+
		"consecutive hyphens.", parameter)
}

// errNotServed refuses a parameter that is known to AWS but has no effect here,
// rather than to store and ignore it.
func errNotServed(parameter string) *core.Error {
	return errInvalidCombination("The parameter %s is not served by this version of Larder.", parameter)
}

// errNotServedValue is errNotServed for a parameter of which only some values
// are served.
func errNotServedValue(parameter, value string) *core.Error {
	return errInvalidCombination("The value %s of the parameter %s is not served by this version of Larder.", value, parameter)
}

// Cache clusters.

func errClusterNotFound(id string) *core.Error {
	return core.Errorf("CacheClusterNotFound", "CacheCluster not found: %s", id).WithStatus(http.StatusNotFound)
}

func errClusterExists(id string) *core.Error {
	return core.Errorf("CacheClusterAlreadyExists", "Cache cluster %s already exists.", id)
}

func errClusterState(format string, args ...any) *core.Error {
	return core.Errorf("InvalidCacheClusterState", format, args...)
}

func errCapacity(format string, args ...any) *core.Error {
	return core.Errorf("InsufficientCacheClusterCapacity", format, args...)
}

// Replication groups.

func errReplicationGroupNotFound(id string) *core.Error {
	return core.Errorf("ReplicationGroupNotFoundFault", "ReplicationGroup %s not found.", id).WithStatus(http.StatusNotFound)
}

func errReplicationGroupExists(id string) *core.Error {
	return core.Errorf("ReplicationGroupAlreadyExists", "Replication group with specified name %s already exists.", id)
}

func errReplicationGroupState(format string, args ...any) *core.Error {
	return core.Errorf("InvalidReplicationGroupState", format, args...)
}

func errNoModifications() *core.Error {
	return errInvalidCombination("No modifications were requested.")
}

// What clusters and groups have in common.

func errInvalidAuthToken() *core.Error {
	return errInvalidValue("Invalid AuthToken provided.")
}

func errAuthTokenNotRotated() *core.Error {
	return errInvalidCombination("There is no AUTH token to SET: the AuthToken must be the one that was rotated in last.")
}

func errAuthTokenDelete() *core.Error {
	return errInvalidValue("Auth token update strategy delete is not supported currently")
}

func errAuthTokenNeedsTLS() *core.Error {
	return errInvalidValue("The AUTH token modification is only supported when encryption-in-transit is enabled.")
}

func errUnknownSecurityGroup(id, vpc string) *core.Error {
	return errInvalidValue("The security group %s in the parameter SecurityGroupIds does not exist in %s.", id, vpc)
}

func errUnknownZone(zone string, zones []string) *core.Error {
	return errInvalidValue("The availability zone %s is not valid: the subnet group has subnets in %s.", zone, strings.Join(zones, ", "))
}

func errNoFreeAddress(subnets []resource.Subnet) *core.Error {
	ids := make([]string, len(subnets))
	for i, s := range subnets {
		ids[i] = s.ID
	}
	return errCapacity("There are not enough free IP addresses in %s.", strings.Join(ids, ", "))
}

func errNoFreePort(a Advertise) *core.Error {
	return errCapacity("There is no free port between %d and %d, the ports that this deployment advertises.", a.PortFrom, a.PortTo)
}

// Parameter groups.

func errParameterGroupNotFound(name string) *core.Error {
	return core.Errorf("CacheParameterGroupNotFound", "CacheParameterGroup not found: %s", name).WithStatus(http.StatusNotFound)
}

func errParameterGroupExists(name string) *core.Error {
	return core.Errorf("CacheParameterGroupAlreadyExists", "Cache parameter group %s already exists.", name)
}

func errParameterGroupQuota() *core.Error {
	return core.Errorf("CacheParameterGroupQuotaExceeded",
		"Parameter group quota exceeded. You can have at most %d parameter groups in this region.", maxGroups)
}

func errParameterGroupState(format string, args ...any) *core.Error {
	return core.Errorf("InvalidCacheParameterGroupState", format, args...)
}

func errParameterGroupInUse(name string) *core.Error {
	return errParameterGroupState("One or more cache clusters are still members of this parameter group %s, "+
		"so the group cannot be deleted.", name)
}

func errParameterGroupFamily(want, got string) *core.Error {
	return errInvalidCombination("Expected a parameter group of family %s but found one of family %s", want, got)
}

func errParameterUnknown(name string) *core.Error {
	return errInvalidValue("Parameter %s doesn't exist", name)
}

// Subnet groups.

func errSubnetGroupNotFound(name string) *core.Error {
	return core.Errorf("CacheSubnetGroupNotFoundFault", "Cache subnet group %s not found.", name)
}

func errSubnetGroupGone(name string) *core.Error {
	return core.Errorf("CacheSubnetGroupNotFoundFault", "Cache Subnet Group %s does not exist.", name)
}

func errSubnetGroupExists(name string) *core.Error {
	return core.Errorf("CacheSubnetGroupAlreadyExists", "Cache subnet group %s already exists.", name)
}

func errSubnetGroupInUse(name string) *core.Error {
	return core.Errorf("CacheSubnetGroupInUse", "Cache subnet group %s is currently in use by a cache cluster.", name)
}

func errSubnetGroupQuota() *core.Error {
	return core.Errorf("CacheSubnetGroupQuotaExceeded",
		"Subnet group quota exceeded. You can have at most %d subnet groups in this region.", maxGroups)
}

func errSubnetQuota() *core.Error {
	return core.Errorf("CacheSubnetQuotaExceededFault",
		"Subnet quota exceeded. Each subnet group can have at most %d subnets.", maxSubnets)
}

func errSubnetInUse(id string) *core.Error {
	return core.Errorf("SubnetInUse", "The subnet ID %s is in use", id)
}

// Tags and ARNs.

func errTagNotFound(key string) *core.Error {
	return core.Errorf("TagNotFound", "Tag with key %s was not found.", key).WithStatus(http.StatusNotFound)
}

func errTagQuota() *core.Error {
	return core.Errorf("TagQuotaPerResourceExceeded", "A resource can have at most %d tags.", maxTags)
}

func errARN(arn string) *core.Error {
	return core.Errorf("InvalidARN", "ARN %s is invalid.", arn)
}

func errForeignARN() *core.Error {
	return errInvalidValue("Unauthorized call. Please check the region or customer id")
}
