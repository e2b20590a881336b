package elasticache

import (
	"net/http"
	"strings"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// This file and errors_groups.go are the table of the service's refusals: wire code,
// HTTP status and wording of each, in AWS's words where those are known.

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

func errClusterNotDeletable(id string) *core.Error {
	return errClusterState("Cache cluster %s is not in a valid state to be deleted", id)
}

func errOnlyMember() *core.Error {
	return errClusterState("Cannot delete the cache cluster since it is the only member of a replication group. " +
		"Delete the replication group instead.")
}

func errServingPrimary(id, group string) *core.Error {
	return errClusterState("Cache cluster %s is serving as primary for replication group %s and cannot be deleted. "+
		"To delete the entire replication group, use DeleteReplicationGroup.", id, group)
}

func errLastReplica(group string) *core.Error {
	return errClusterState("Cannot delete the cache cluster because it is the only read replica for replication group %s "+
		"which has autofailover enabled or pending. You can disable autofailover and then delete this cache cluster. "+
		"Alternatively, to delete the entire replication group, use DeleteReplicationGroup.", group)
}

func errMultiAZReplica(id, group string) *core.Error {
	return errClusterState("Cache cluster %s cannot be deleted because replication group %s has Multi-AZ enabled. "+
		"You can disable Multi-AZ and then delete this cache cluster.", id, group)
}

func errUnknownEngine(engine string) *core.Error {
	return errInvalidValue("The parameter Engine has the unknown value %s.", engine)
}

func errValkeyCluster() *core.Error {
	return errInvalidValue("This API doesn't support Valkey engine. Please use CreateReplicationGroup API for Valkey cluster creation.")
}

func errUnknownNodeType(name string) *core.Error {
	return errInvalidValue("The parameter CacheNodeType has the unknown value %s.", name)
}

func errNodeTypeEngine(name string, v catalog.Version) *core.Error {
	return errInvalidCombination("The cache node type %s does not support %s %s.", name, v.Engine, v.Name)
}

func errRedisNodeCount() *core.Error {
	return errInvalidValue("Cannot create a Redis cluster with a NumCacheNodes parameter greater than 1.")
}

func errNodeQuota(limit int) *core.Error {
	return core.Errorf("NodeQuotaForClusterExceeded",
		"Cluster node quota exceeded. Each cluster can have at most %d nodes in this region.", limit)
}

func errZoneCount() *core.Error {
	return errInvalidCombination("Must specify the same number of preferred availability zones as requested number of nodes.")
}

func errClusterEncryption(engine string) *core.Error {
	return errInvalidCombination("Encryption feature is not supported for engine %s.", strings.ToUpper(engine))
}

func errMemcachedEncryption(version string) *core.Error {
	return errInvalidCombination("Encryption features are not supported for engine version %s. Please use engine version %s",
		version, memcachedTLSVersion)
}

func errReplicaParameters() *core.Error {
	return errInvalidCombination("Cannot specify additional cache cluster parameters when creating a replica cluster.")
}

func errMemcachedNodeType() *core.Error {
	return errInvalidCombination("The cache node type of a Memcached cluster cannot be changed. " +
		"Create a cluster of the cache node type that is wanted.")
}

func errServiceUpdateNotFound(name string) *core.Error {
	return core.Errorf("ServiceUpdateNotFoundFault", "Service update %s not found.", name).WithStatus(http.StatusNotFound)
}

func errNoUpdateAction(update, id string) *core.Error {
	return errInvalidValue("There is no action of service update %s for %s.", update, id)
}

func errUpdateState(update, status string) *core.Error {
	return errInvalidValue("The action of service update %s is %s.", update, status)
}

func errEngineChange(from, to string) *core.Error {
	return errInvalidCombination("The engine cannot be changed from %s to %s.", from, to)
}

func errDowngrade(engine, from, to string) *core.Error {
	return errInvalidCombination("The engine version of %s cannot be downgraded from %s to %s.", engine, from, to)
}

func errUpgradeParameterGroup(name, family string) *core.Error {
	return errInvalidCombination("The parameter group %s cannot be used with the new engine version. "+
		"The parameter CacheParameterGroupName must name a parameter group of family %s.", name, family)
}

func errPendingConflict(waiting, asked string) *core.Error {
	return errInvalidCombination("A change of %s waits for the maintenance window, so that %s cannot be changed immediately. "+
		"Change both in one request, or take the pending change back by asking for the present value.", waiting, asked)
}

func errMemberSettings(id, group string) *core.Error {
	return errInvalidCombination("Cache cluster %s is a member of replication group %s. "+
		"Engine, EngineVersion, CacheNodeType, CacheParameterGroupName, SecurityGroupIds and CacheSecurityGroupNames are changed with ModifyReplicationGroup.", id, group)
}

func errApplyImmediately(parameter string) *core.Error {
	return errInvalidCombination("Changes of %s are made at once, not in the maintenance window: "+
		"ApplyImmediately must be true (--apply-immediately).", parameter)
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

func errMultiAZNeedsFailover() *core.Error {
	return errInvalidCombination("The parameter MultiAZEnabled can be true only if AutomaticFailoverEnabled is.")
}

func errMultiAZZones() *core.Error {
	return errInvalidCombination("The parameter MultiAZEnabled can be true only if there is a replica in another availability zone than the primary.")
}

func errFailoverNodes() *core.Error {
	return errInvalidCombination("When using automatic failover, there must be at least 2 cache clusters in the replication group.")
}

func errFailoverReplica() *core.Error {
	return errInvalidCombination("Replication group must have at least one read replica to enable autofailover.")
}

func errReplicaCountMissing(parameters string) *core.Error {
	return errInvalidCombination("Exactly one of the parameters %s must be provided.", parameters)
}

func errFailoverReplicaCount() *core.Error {
	return errInvalidValue("Must have at least 1 replica when cluster mode is disabled with auto failover enabled.")
}

func errNoOperation() *core.Error {
	return core.Errorf("NoOperationFault", "The operation was not performed because no changes were required.")
}

func errNodeGroupNotFound(id, group string) *core.Error {
	return core.Errorf("NodeGroupNotFoundFault", "Node group %s not found in replication group %s.", id, group).WithStatus(http.StatusNotFound)
}

func errTestFailoverNotAvailable(group string) *core.Error {
	return core.Errorf("TestFailoverNotAvailableFault",
		"The TestFailover action is not available: replication group %s does not have automatic failover enabled.", group)
}

func errTestFailoverRate() *core.Error {
	return core.Errorf("APICallRateForCustomerExceeded",
		"The customer has exceeded the allowed rate of API calls: TestFailover can be called for %d node groups in 24 hours.", maxTestFailovers)
}

func errPreferredZoneCount() *core.Error {
	return errInvalidValue("When specifying preferred availability zones, the number of cache clusters must be specified " +
		"and must match the number of preferred availability zones.")
}

func errNoModifications() *core.Error {
	return errInvalidCombination("No modifications were requested.")
}

func errClusterModeGroup(name string) *core.Error {
	return errInvalidCombination("The parameter group %s has cluster mode on, which only a replication group can have.", name)
}

func errClusterEnabledFixed() *core.Error {
	return errInvalidCombination("The parameter cluster-enabled has a different value in the requested parameter group than the current " +
		"parameter group. This parameter value cannot be changed for a cache cluster")
}

func errClusterModeMismatch(mode, group string) *core.Error {
	return errInvalidCombination("The parameter ClusterMode is %s, but the parameter cluster-enabled of parameter group %s says otherwise.", mode, group)
}

func errShardsNeedClusterMode(group string) *core.Error {
	return errInvalidCombination("More than one node group, or slots, need cluster mode: the parameter cluster-enabled is not yes in parameter group %s.", group)
}

func errClusterModeFailover() *core.Error {
	return errInvalidCombination("Redis with cluster mode enabled cannot be created with auto failover turned off.")
}

func errClusterModeFailoverOff() *core.Error {
	return errInvalidCombination("Turning off automatic failover for replication group with cluster mode enabled is not supported.")
}

func errClusterModeOnly() *core.Error {
	return errInvalidValue("Operation is only applicable for cluster mode enabled replication groups.")
}

func errClusterModeMember(id, group string) *core.Error {
	return errInvalidCombination("Replication group %s has cluster mode enabled: cache cluster %s cannot join or leave it by itself. "+
		"Use IncreaseReplicaCount or DecreaseReplicaCount.", group, id)
}

func errClusterModeReboot(id, group string) *core.Error {
	return errClusterState("Replication group %s has cluster mode enabled: cache cluster %s cannot be rebooted.", group, id)
}

func errModeAlone() *core.Error {
	return errInvalidCombination("Cluster mode updates are not supported while attempting to update additional properties.")
}

func errModePending() *core.Error {
	return errInvalidCombination("Cluster mode updates are not supported while other changes wait for the maintenance window.")
}

func errModeStep(from, to string) *core.Error {
	return errInvalidCombination("Cluster mode cannot be changed from %s to %s: it changes from disabled to compatible and back, "+
		"and from compatible to enabled.", from, to)
}

func errModeVersion(engine, version string) *core.Error {
	return errInvalidCombination("Cluster mode cannot be compatible with %s %s: it needs redis %s or valkey %s, or later.",
		engine, version, modeVersions["redis"], modeVersions["valkey"])
}

func errModeFailover() *core.Error {
	return errInvalidCombination("Cluster mode can be compatible only with automatic failover and at least one replica.")
}

func errModeShards() *core.Error {
	return errInvalidCombination("Cluster mode can be compatible only with one node group, %s.", onlyShard)
}

func errModeParameters(group, mode string) *core.Error {
	return errInvalidCombination("The parameter group %s is not for cluster mode %s: name one whose parameter cluster-enabled fits with CacheParameterGroupName.", group, mode)
}

func errModePublished(group string) *core.Error {
	return errInvalidCombination("Replication group %s is published, and its endpoints for that go with cluster mode enabled: unpublish it first.", group)
}

func errModeCompatible(what string) *core.Error {
	return errInvalidCombination("%s cannot be changed while the cluster mode is compatible: change it to enabled or disabled first.", what)
}

func errOneShardZones() *core.Error {
	return errInvalidCombination("PreferredCacheClusterAZs can only be specified for one node group.")
}

func errShardQuota(quota int) *core.Error {
	return core.Errorf("NodeGroupsPerReplicationGroupQuotaExceeded",
		"The request cannot be processed because it would exceed the maximum allowed number of node groups in a replication group, %d.", quota)
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

func errAuthTokenWithoutTLS() *core.Error {
	return errInvalidCombination("The parameter AuthToken needs TransitEncryptionEnabled to be true.")
}

func errPreferredWithToken() *core.Error {
	return errInvalidCombination("Transit encryption preferred is not supported with redis access control.")
}

func errStrategyWithoutToken() *core.Error {
	return errInvalidCombination("The parameter AuthTokenUpdateStrategy needs the parameter AuthToken.")
}

func errRotationVersion(version string) *core.Error {
	return errInvalidCombination("AUTH token modification is not supported for redis %s: it needs version %s or later.", version, rotationVersion)
}

func errTLSModeOnly() *core.Error {
	return errInvalidCombination("To modify transit encryption mode, set encryption-in-transit as enabled.")
}

func errTLSDirect() *core.Error {
	return errInvalidCombination("Direct transition from transit-encryption-disabled to transit-encryption-enabled is not allowed. " +
		"Update the cluster to transit-encryption-mode preferred prior to enabling transit encryption.")
}

func errTLSRequiredToOff() *core.Error {
	return errInvalidCombination("Direct transition from transit-encryption-mode required to transit-encryption-disabled is not allowed. " +
		"Update the cluster to transit-encryption-mode preferred prior to disabling transit encryption.")
}

func errTLSWithAccessControl() *core.Error {
	return errInvalidCombination("Modification of transit encryption is not supported for access control enabled clusters.")
}

func errTLSModeVersion(engine, version string) *core.Error {
	return errInvalidCombination("The transit encryption of %s %s cannot be changed, nor have the mode preferred: "+
		"that needs redis %s or later, or valkey.", engine, version, tlsModesVersion)
}

func errUnknownSecurityGroup(id string) *core.Error {
	return errInvalidValue("The security group %s in the parameter SecurityGroupIds does not exist.", id)
}

func errSecurityGroupVPC(subnetGroup, vpc, other string) *core.Error {
	return errInvalidCombination("Subnet group [%s] belongs to a different VPC [%s] than [%s]", subnetGroup, vpc, other)
}

func errTooManySecurityGroups() *core.Error {
	return errInvalidValue("The parameter SecurityGroupIds may name at most %d security groups.", maxSecurityGroups)
}

func errUnknownZone(zone string, zones []string) *core.Error {
	return errInvalidValue("The availability zone %s is not valid: the subnet group has subnets in %s.", zone, strings.Join(zones, ", "))
}

func errVPCGone(group, vpc string) *core.Error {
	return core.Errorf("InvalidVPCNetworkStateFault", "The cache subnet group %s has no subnet any more in %s.", group, vpc)
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

// Tags and ARNs.

func errTagNotFound(key string) *core.Error {
	return core.Errorf("TagNotFound", "Tag with key %s was not found.", key).WithStatus(http.StatusNotFound)
}

func errTagGroupState() *core.Error {
	return errReplicationGroupState("Cluster not in available state to perform tagging operations.")
}

// errNotTaggable refuses tags for what exists without being made.
func errNotTaggable(name string) *core.Error {
	return errInvalidValue("The default group %s cannot be tagged.", name)
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
