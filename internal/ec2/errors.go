package ec2

import (
	"net/http"
	"strings"

	"github.com/larder-cache/larder/internal/core"
)

// The errors of this service, with EC2's codes and wording.

func errDryRun() error {
	return core.Errorf("DryRunOperation", "Request would have succeeded, but DryRun flag is set.").
		WithStatus(http.StatusPreconditionFailed)
}

// errAbsent says of an id that there is nothing of it, or that it is none of its
// kind. The codes are given in full, since EC2 spells those of one kind in two ways.
func errAbsent(kind, id, prefix, notFound, malformed string) error {
	if !strings.HasPrefix(id, prefix) {
		return errMalformed(malformed, id, prefix)
	}
	return core.Errorf(notFound, "The %s ID '%s' does not exist", kind, id)
}

func errMalformed(code, id, prefix string) error {
	return core.Errorf(code, `Invalid id: "%s" (expecting "%s...")`, id, prefix)
}

func errVPCNotFound(id string) error {
	return errAbsent("vpc", id, "vpc-", "InvalidVpcID.NotFound", "InvalidVpcID.Malformed")
}

func errSubnetNotFound(id string) error {
	return errAbsent("subnet", id, "subnet-", "InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed")
}

func errGroupIDMalformed(id string) error { return errMalformed("InvalidGroupId.Malformed", id, "sg-") }

func errGroupNotFound(id string) error {
	return core.Errorf("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
}

func errGroupNameNotFound(name, vpc string) error {
	return core.Errorf("InvalidGroup.NotFound", "The security group '%s' does not exist in default VPC '%s'", name, vpc)
}

func errZones(what string, names []string) error {
	return core.Errorf("InvalidParameterValue", "Invalid %s: [%s]", what, strings.Join(names, ", "))
}

func errRegions(names []string) error {
	return core.Errorf("InvalidParameterValue", "Invalid region names: [%s]", strings.Join(names, ", "))
}

func errFilterName(name string) error {
	return core.Errorf("InvalidParameterValue", "The filter '%s' is invalid", name)
}

func errFilterValues(name string) error {
	return core.Errorf("InvalidParameterValue", "The filter '%s' must have between 1 and %d values", name, maxFilterValues)
}

func errFilterUnnamed() error {
	return core.Errorf("MissingParameter", "The request must contain the parameter Filter.Name")
}

func errCombination(a, b string) error {
	return core.Errorf("InvalidParameterCombination", "The parameter %s cannot be used with the parameter %s", a, b)
}

func errNextToken() error {
	return core.Errorf("InvalidNextToken", "The specified NextToken is not valid.")
}

func errVPCLimit() error {
	return core.Errorf("VpcLimitExceeded", "The maximum number of VPCs has been reached.")
}

func errMissing(parameter string) error {
	return core.Errorf("MissingParameter", "The request must contain the parameter %s", parameter)
}

func errInvalid(format string, args ...any) error {
	return core.Errorf("InvalidParameterValue", format, args...)
}

// errNotServed refuses what would have no effect.
func errNotServed(parameter string) error {
	return core.Errorf("UnsupportedOperation", "The parameter %s is not served with this value.", parameter)
}

func errDependency(kind, id string) error {
	return core.Errorf("DependencyViolation", "The %s '%s' has dependencies and cannot be deleted.", kind, id)
}

// VPCs and subnets.

func errVPCRange(cidr string) error {
	return core.Errorf("InvalidVpc.Range", "The CIDR '%s' is invalid.", cidr)
}

func errCIDR(cidr string) error {
	return errInvalid("Value (%s) for parameter cidrBlock is invalid. This is not a valid CIDR block.", cidr)
}

func errDefaultVPCExists(region string) error {
	return core.Errorf("DefaultVpcAlreadyExists", "A Default VPC already exists for this account in this region (%s).", region)
}

func errNoDefaultVPC() error {
	return core.Errorf("VPCIdNotSpecified", "No default VPC for this user.")
}

func errSubnetRange(cidr string) error {
	return core.Errorf("InvalidSubnet.Range", "The CIDR '%s' is invalid.", cidr)
}

func errSubnetConflict(cidr string) error {
	return core.Errorf("InvalidSubnet.Conflict", "The CIDR '%s' conflicts with another subnet", cidr)
}

func errSubnetZone(parameter, zone string, zones []string) error {
	return errInvalid("Value (%s) for parameter %s is invalid. Subnets can currently only be created in the following availability zones: %s.",
		zone, parameter, strings.Join(zones, ", "))
}

func errSubnetLimit() error {
	return core.Errorf("SubnetLimitExceeded", "The maximum number of subnets for this VPC has been reached.")
}

// Tags.

func errTagResourceType(t string) error {
	return errInvalid("'%s' is not a valid taggable resource type for this operation.", t)
}

func errTagReserved() error {
	return errInvalid("Tag keys starting with 'aws:' are reserved for internal use")
}

func errTagLength(what string, limit int) error {
	return errInvalid("Tag %s exceeds the maximum length of %d characters", what, limit)
}

func errTagLimit() error {
	return core.Errorf("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
}

func errTagID(id string) error { return core.Errorf("InvalidID", "The ID '%s' is not valid", id) }

// Security groups.

const nameCharacters = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"

func errGroupText(what, plural string) error {
	return errInvalid("Invalid security group %s. Valid %s are strings less than 256 characters from the following set:  %s",
		what, plural, nameCharacters)
}

func errRuleDescription() error {
	return errInvalid("Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  %s", nameCharacters)
}

func errGroupReserved(name string) error {
	return core.Errorf("InvalidGroup.Reserved", "Cannot use reserved security group name: %s", name)
}

func errGroupPrefix() error {
	return errInvalid("Group names may not be in the format sg-*")
}

func errGroupDuplicate(name, vpc string) error {
	return core.Errorf("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", name, vpc)
}

func errGroupLimit() error {
	return core.Errorf("SecurityGroupLimitExceeded", "The maximum number of security groups has been reached.")
}

func errGroupInUse(id string) error {
	return core.Errorf("DependencyViolation", "resource %s has a dependent object", id)
}

func errGroupDefault(id, name string) error {
	return core.Errorf("CannotDelete", `the specified group: "%s" name: "%s" cannot be deleted by a user`, id, name)
}

func errGroupNetworks() error {
	return core.Errorf("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
}

func errRuleLimit() error {
	return core.Errorf("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
}

func errRuleExists(rule string) error {
	return core.Errorf("InvalidPermission.Duplicate", `the specified rule "%s" already exists`, rule)
}

func errRuleTwice() error {
	return errInvalid("The same permission must not appear multiple times")
}

func errRuleNotFound() error {
	return core.Errorf("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
}

func errRuleIDNotFound(id string) error {
	return core.Errorf("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '%s' does not exist", id)
}

func errRuleIDMalformed(id string) error {
	return errMalformed("InvalidSecurityGroupRuleId.Malformed", id, "sgr-")
}

func errRuleCIDR(cidr string) error { return errInvalid("CIDR block %s is malformed", cidr) }

func errProtocol(protocol string) error {
	return errInvalid("Invalid value '%s' for IP protocol. Unknown protocol.", protocol)
}

func errPrefixList(id string) error {
	return core.Errorf("InvalidPrefixListID.NotFound", "The prefix list ID '%s' does not exist", id)
}

func errInterfaceNotFound(id string) error {
	return errAbsent("networkInterface", id, "eni-", "InvalidNetworkInterfaceID.NotFound", "InvalidNetworkInterfaceId.Malformed")
}

func errACLNotFound(id string) error {
	return errAbsent("networkAcl", id, "acl-", "InvalidNetworkAclID.NotFound", "InvalidNetworkAclId.Malformed")
}

func errRouteTableNotFound(id string) error {
	return errAbsent("routeTable", id, "rtb-", "InvalidRouteTableID.NotFound", "InvalidRouteTableId.Malformed")
}

// EC2-Classic.

func errDefaultVPCClassic() error {
	return core.Errorf("OperationNotPermitted", "A default VPC cannot be created by an account that supports EC2-Classic.")
}

func errGroupDuplicateClassic(name string) error {
	return core.Errorf("InvalidGroup.Duplicate", "The security group '%s' already exists", name)
}

func errGroupInUseClassic(name string) error {
	return core.Errorf("InvalidGroup.InUse", "There are active instances, or rules of other groups, using security group '%s'", name)
}

func errGroupUsedByCaches(name string, cacheGroups []string) error {
	return core.Errorf("InvalidGroup.InUse", "The security group '%s' is authorized by the cache security groups %s", name, strings.Join(cacheGroups, ", "))
}

func errOnlyInVPC(parameter string) error {
	return core.Errorf("InvalidParameterCombination", "The parameter %s can only be used with instances in a VPC: a subnet must be given.", parameter)
}

func errClassicRegroup() error {
	return core.Errorf("InvalidParameterCombination", "The security groups of an instance can only be changed in a VPC.")
}

func errGroupNotVPC() error {
	return errInvalid("Only Amazon VPC security groups may be used with this operation.")
}

func errClassicProtocol(protocol string) error {
	return core.Errorf("InvalidPermission.Malformed", "Unsupported IP protocol \"%s\"  - supported: [tcp, udp, icmp]", protocol)
}

func errRuleExistsClassic(rule string) error {
	return core.Errorf("InvalidPermission.Duplicate", "The permission '%s' has already been authorized on the specified group", rule)
}

// Instances.

func errImageMalformed(id string) error {
	return errMalformed("InvalidAMIID.Malformed", id, "ami-")
}

func errImageNotFound(id string) error {
	return core.Errorf("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
}

func errInstanceType(name string) error {
	return errInvalid("Invalid value '%s' for InstanceType.", name)
}

func errInstanceTypes(names []string) error {
	return core.Errorf("InvalidInstanceType", "The following supplied instance types do not exist: [%s]", strings.Join(names, ", "))
}

func errInstanceLimit(n int) error {
	return core.Errorf("InstanceLimitExceeded",
		"You have requested more instances (%d) than your current instance limit of %d allows for the specified instance type.", n, maxInstances)
}

func errWithInterface(what string) error {
	return core.Errorf("InvalidParameterCombination", "Network interfaces and an instance-level %s may not be specified on the same request", what)
}

func errIdempotence() error {
	return core.Errorf("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
}

func errNoDefaultSubnet(vpc string) error {
	return core.Errorf("MissingInput", "No subnets found for the default VPC '%s'. Please specify a subnet.", vpc)
}

func errAddresses(subnet string) error {
	return core.Errorf("InsufficientFreeAddressesInSubnet",
		"There are not enough free addresses in subnet '%s' to satisfy the requested number of instances.", subnet)
}

func errGroupOfAnotherNetwork(group, subnet string) error {
	return core.Errorf("InvalidParameter", "Security group %s and subnet %s belong to different networks.", group, subnet)
}

func errInterfaceGroupLimit() error {
	return core.Errorf("SecurityGroupsPerInterfaceLimitExceeded", "The maximum number of security groups per interface has been reached.")
}

func errInstanceMalformed(id string) error {
	return core.Errorf("InvalidInstanceID.Malformed", `Invalid id: "%s"`, id)
}

func errInstanceNotFound(id string) error {
	return core.Errorf("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
}

func errInstanceState(id, done string) error {
	return core.Errorf("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be %s.", id, done)
}

func errInstanceProtected(id, attribute, done string) error {
	return core.Errorf("OperationNotPermitted",
		"The instance '%s' may not be %s. Modify its '%s' instance attribute and try again.", id, done, attribute)
}

func errRequesterManaged() error {
	return core.Errorf("AuthFailure", "You do not have permission to access the specified resource.").WithStatus(http.StatusForbidden)
}
