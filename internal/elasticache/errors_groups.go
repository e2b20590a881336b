package elasticache

import (
	"net/http"
	"strings"

	"github.com/larder-cache/larder/internal/core"
)

// This file is the part of the table of refusals that is about parameter groups,
// subnet groups and cache security groups; see errors.go.

// Parameter groups.

func errParameterGroupNotFound(name string) *core.Error {
	return core.Errorf("CacheParameterGroupNotFound", "CacheParameterGroup not found: %s", name).WithStatus(http.StatusNotFound)
}

// errParameterGroupAbsent is errParameterGroupNotFound where an ARN named it.
func errParameterGroupAbsent(name string) *core.Error {
	return core.Errorf("CacheParameterGroupNotFound", "%s is not present", name).WithStatus(http.StatusNotFound)
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

func errParameterFixed(name string) *core.Error {
	return errInvalidValue("The parameter %s cannot be modified.", name)
}

func errParameterValue(name, value, allowed string) *core.Error {
	if allowed == "" {
		return errInvalidValue("Invalid parameter value: %s for: %s", value, name)
	}
	return errInvalidValue("Invalid parameter value: %s for: %s allowed values are: %s", value, name, allowed)
}

// errParameterUnserved refuses a value that would have no effect here.
func errParameterUnserved(name, value, standard string) *core.Error {
	return errInvalidValue("The value %s of the parameter %s is not served by this version of Larder, only its default %q is.",
		value, name, standard)
}

// errParameterAttached refuses to change a value that clusters are built on.
func errParameterAttached(name, group string) *core.Error {
	return errParameterGroupState("The parameter %s cannot be modified while cache clusters use the parameter group %s.", name, group)
}

func errParameterConflict(conflict error) *core.Error {
	return errInvalidCombination("%s", conflict.Error())
}

func errFamilyUnknown(family string) *core.Error {
	return errInvalidValue("CacheParameterGroupFamily %s is not a valid parameter group family.", family)
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

func errSubnetUnknown(ids []string) *core.Error {
	return errInvalidValue("Some input subnets in :[%s] are invalid.", strings.Join(ids, ", "))
}

func errSubnetVPCs(a, b string) *core.Error {
	return core.Errorf("InvalidSubnet", "Subnets %s and %s are not in the same VPC.", a, b)
}

// errSubnetZones refuses to take a Multi-AZ group's second zone away.
func errSubnetZones(group, replicationGroup string) *core.Error {
	return errInvalidCombination("The cache subnet group %s must have subnets in at least two availability zones, "+
		"because replication group %s has Multi-AZ enabled.", group, replicationGroup)
}

func errSubnetInUse(id string) *core.Error {
	return core.Errorf("SubnetInUse", "The subnet ID %s is in use", id)
}

// EC2-Classic and cache security groups.

func errClassicNotPermitted() *core.Error {
	return errInvalidValue("Use of cache security groups is not permitted in this API version for your account.")
}

func errCacheGroupsInVPC() *core.Error {
	return errInvalidCombination("Use of cache security groups is not permitted along with cache subnet group and/or security group Ids.")
}

func errCacheGroupsOfVPCCluster() *core.Error {
	return errInvalidCombination("The parameter CacheSecurityGroupNames can be used only with clusters outside of a VPC.")
}

func errClassicSecurityGroups() *core.Error {
	return errInvalidCombination("The parameter SecurityGroupIds can be used only with clusters in a VPC.")
}

func errClassicEncryption() *core.Error {
	return errInvalidCombination("Encryption in transit is supported only for clusters in a VPC: a CacheSubnetGroupName must be given at creation.")
}

func errCacheGroupNotFound(name string) *core.Error {
	return core.Errorf("CacheSecurityGroupNotFound", "CacheSecurityGroup not found: %s", name).WithStatus(http.StatusNotFound)
}

func errCacheGroupExists(name string) *core.Error {
	return core.Errorf("CacheSecurityGroupAlreadyExists", "Cache security group %s already exists.", name)
}

func errCacheGroupQuota() *core.Error {
	return core.Errorf("QuotaExceeded.CacheSecurityGroup",
		"Cache security group quota exceeded. You can have at most %d cache security groups in this region.", maxCacheGroups)
}

func errCacheGroupDefault(name, done string) *core.Error {
	return errInvalidValue("The cache security group %s cannot be %s.", name, done)
}

func errCacheGroupInUse(name, cluster string) *core.Error {
	return core.Errorf("InvalidCacheSecurityGroupState",
		"Cache security group %s cannot be deleted: it is in use by cache cluster %s.", name, cluster)
}

func errEC2GroupUnknown(name, owner string) *core.Error {
	return errInvalidValue("The EC2 security group %s of the account %s does not exist in EC2-Classic.", name, owner)
}

func errIngressExists(ec2Group, name string) *core.Error {
	return core.Errorf("AuthorizationAlreadyExists",
		"The EC2 security group %s is already authorized for the cache security group %s.", ec2Group, name)
}

func errIngressNotFound(ec2Group, name string) *core.Error {
	return core.Errorf("AuthorizationNotFound",
		"The EC2 security group %s is not authorized for the cache security group %s.", ec2Group, name).WithStatus(http.StatusNotFound)
}
