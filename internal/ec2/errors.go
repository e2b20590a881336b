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

func errVPCNotFound(id string) error {
	return core.Errorf("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", id)
}

func errSubnetNotFound(id string) error {
	return core.Errorf("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
}

func errGroupIDMalformed(id string) error {
	return core.Errorf("InvalidGroupId.Malformed", `Invalid id: "%s" (expecting "sg-...")`, id)
}

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
