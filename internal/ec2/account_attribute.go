package ec2

import (
	"context"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/store"
)

// DescribeAccountAttributes says that the account is VPC only, and names the
// region's default VPC, or "none" if that is deleted.
func (s *Service) DescribeAccountAttributes(ctx context.Context, in *wire.DescribeAccountAttributesRequest) (*wire.DescribeAccountAttributesResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	var vpcID string
	err := s.view(ctx, func(r store.Reader) error {
		vpcID = "none"
		if vpc, ok := s.PeekDefaultVPC(r, region(ctx)); ok {
			vpcID = vpc.ID
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The limits are those of a new account of AWS.
	all := []struct{ name, value string }{
		{"supported-platforms", "VPC"},
		{"default-vpc", vpcID},
		{"max-instances", "20"},
		{"vpc-max-security-groups-per-interface", "5"},
		{"max-elastic-ips", "5"},
		{"vpc-max-elastic-ips", "5"},
	}
	out := &wire.DescribeAccountAttributesResult{AccountAttributes: []*wire.AccountAttribute{}}
	for _, a := range all {
		if named(in.AttributeNames, a.name) {
			out.AccountAttributes = append(out.AccountAttributes, &wire.AccountAttribute{
				AttributeName:   core.Ptr(a.name),
				AttributeValues: []*wire.AccountAttributeValue{{AttributeValue: core.Ptr(a.value)}},
			})
		}
	}
	return out, nil
}
