package ec2

import (
	"context"
	"strconv"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/store"
)

// DescribeAccountAttributes says into which platforms the account can launch, and
// names the region's default VPC, or "none" if there is none.
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
	// The limits are those of a new account of AWS, but for that of instances.
	all := []accountAttribute{
		{"supported-platforms", s.platforms()},
		{"default-vpc", []string{vpcID}},
		{"max-instances", []string{strconv.Itoa(maxInstances)}},
		{"vpc-max-security-groups-per-interface", []string{"5"}},
		{"max-elastic-ips", []string{"5"}},
		{"vpc-max-elastic-ips", []string{"5"}},
	}
	if unknown := absent(in.AttributeNames, all, func(a accountAttribute) string { return a.name }); len(unknown) > 0 {
		return nil, errInvalid("Value (%s) for parameter attribute is invalid. Unknown attribute.", unknown[0])
	}
	out := &wire.DescribeAccountAttributesResult{AccountAttributes: []*wire.AccountAttribute{}}
	for _, a := range all {
		if named(in.AttributeNames, a.name) {
			out.AccountAttributes = append(out.AccountAttributes, a.wire())
		}
	}
	return out, nil
}

// accountAttribute is one attribute with its values.
type accountAttribute struct {
	name   string
	values []string
}

func (a accountAttribute) wire() *wire.AccountAttribute {
	out := &wire.AccountAttribute{AttributeName: core.Ptr(a.name)}
	for _, v := range a.values {
		out.AttributeValues = append(out.AttributeValues, &wire.AccountAttributeValue{AttributeValue: core.Ptr(v)})
	}
	return out
}

// platforms are those that the account can launch into.
func (s *Service) platforms() []string {
	if s.classic {
		return []string{"EC2", "VPC"}
	}
	return []string{"VPC"}
}
