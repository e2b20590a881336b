package ec2

import (
	"context"
	"slices"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// ModifyNetworkInterfaceAttribute changes the groups or the description of an
// instance's interface. The interfaces of cache nodes are ElastiCache's, which
// changes them with their clusters, and the host's is moved by larder attach.
func (s *Service) ModifyNetworkInterfaceAttribute(ctx context.Context, in *wire.ModifyNetworkInterfaceAttributeRequest) error {
	err := refuse(
		refusal{"Attachment", in.Attachment != nil}, refusal{"EnaSrdSpecification", in.EnaSrdSpecification != nil},
		refusal{"SourceDestCheck", in.SourceDestCheck != nil && !core.Val(in.SourceDestCheck.Value)},
		refusal{"EnablePrimaryIpv6", core.Val(in.EnablePrimaryIpv6)},
		refusal{"ConnectionTrackingSpecification", in.ConnectionTrackingSpecification != nil},
		refusal{"AssociatePublicIpAddress", core.Val(in.AssociatePublicIpAddress)},
	)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx *store.Tx) error {
		i, err := s.instanceOfInterface(tx, region(ctx), *in.NetworkInterfaceId)
		if err != nil {
			return err
		}
		if len(in.Groups) > 0 {
			if err := s.regroup(tx, i, in.Groups); err != nil {
				return err
			}
		}
		if in.Description != nil {
			i.Spec.Interface.Description = core.Val(in.Description.Value)
		}
		resource.Instances.Put(tx, i.Key(), i)
		return dryRun(in.DryRun)
	})
}

// instanceOfInterface is the instance that has an interface.
func (s *Service) instanceOfInterface(r store.Reader, region, id string) (*resource.Instance, error) {
	for _, i := range resource.Instances.List(r, key(region, "")) {
		if i.Spec.Interface.ID == id && i.Exists() && !inClassic(i) {
			return i, nil
		}
	}
	if slices.ContainsFunc(s.interfaces(r, region), func(n networkInterface) bool { return n.ID == id }) {
		return nil, errRequesterManaged()
	}
	return nil, errInterfaceNotFound(id)
}
