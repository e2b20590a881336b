package ec2

import (
	"context"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// DescribeVpcAttribute answers one attribute. DNS support is always on, the
// metrics of address usage always off.
func (s *Service) DescribeVpcAttribute(ctx context.Context, in *wire.DescribeVpcAttributeRequest) (*wire.DescribeVpcAttributeResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	out := &wire.DescribeVpcAttributeResult{VpcId: in.VpcId}
	err := s.view(ctx, func(r store.Reader) error {
		vpc, ok := getVPC(r, region(ctx), *in.VpcId)
		if !ok {
			return errVPCNotFound(*in.VpcId)
		}
		switch *in.Attribute {
		case "enableDnsSupport":
			out.EnableDnsSupport = attribute(true)
		case "enableDnsHostnames":
			out.EnableDnsHostnames = attribute(dnsHostnames(vpc))
		default:
			out.EnableNetworkAddressUsageMetrics = attribute(false)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func attribute(v bool) *wire.AttributeBooleanValue {
	return &wire.AttributeBooleanValue{Value: core.Ptr(v)}
}

func dnsHostnames(vpc *resource.VPC) bool {
	if vpc.DNSHostnames == nil {
		return vpc.IsDefault
	}
	return *vpc.DNSHostnames
}

// ModifyVpcAttribute sets one attribute. DNS hostnames are names of machines with
// public addresses, of which there are none, so either value is true to itself.
func (s *Service) ModifyVpcAttribute(ctx context.Context, in *wire.ModifyVpcAttributeRequest) error {
	given := 0
	for _, a := range []*wire.AttributeBooleanValue{in.EnableDnsHostnames, in.EnableDnsSupport, in.EnableNetworkAddressUsageMetrics} {
		if a != nil {
			given++
		}
	}
	if given > 1 {
		return core.Errorf("InvalidParameterCombination", "Fields for multiple attribute types specified")
	}
	if given == 0 {
		return core.Errorf("InvalidParameterCombination", "No attributes specified.")
	}
	err := refuse(
		refusal{"EnableDnsSupport", in.EnableDnsSupport != nil && !core.Val(in.EnableDnsSupport.Value)},
		refusal{"EnableNetworkAddressUsageMetrics", in.EnableNetworkAddressUsageMetrics != nil && core.Val(in.EnableNetworkAddressUsageMetrics.Value)},
	)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx *store.Tx) error {
		vpc, ok := getVPC(tx, region(ctx), *in.VpcId)
		if !ok {
			return errVPCNotFound(*in.VpcId)
		}
		if in.EnableDnsHostnames != nil {
			vpc.DNSHostnames = core.Ptr(core.Val(in.EnableDnsHostnames.Value))
		}
		resource.VPCs.Put(tx, vpcKey(vpc), vpc)
		return nil
	})
}
