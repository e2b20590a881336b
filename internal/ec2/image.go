package ec2

import (
	"context"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

const (
	// imageID is the one image, the same in every region and deployment. An instance
	// made from it has the programs of the host.
	imageID = "ami-01a4de00000000000"
	// imageOwner is the name of who made it.
	imageOwner       = "larder"
	imageName        = "larder-host"
	imageDescription = "The programs of the host that Larder runs on"
	imageCreated     = "2026-01-01T00:00:00.000Z"

	virtualization = "hvm"
	hypervisor     = "nitro"
	platform       = "Linux/UNIX"
	usageOperation = "RunInstances"
	rootDevice     = "/dev/xvda"
)

// checkImage refuses an image that there is not.
func checkImage(id *string) error {
	switch {
	case core.Val(id) == "":
		return errMissing("ImageId")
	case !strings.HasPrefix(*id, "ami-"):
		return errImageMalformed(*id)
	case *id != imageID:
		return errImageNotFound(*id)
	}
	return nil
}

// DescribeImages lists the one image.
func (s *Service) DescribeImages(_ context.Context, in *wire.DescribeImagesRequest) (*wire.DescribeImagesResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	for _, id := range in.ImageIds {
		if err := checkImage(&id); err != nil {
			return nil, err
		}
	}
	page, next, err := answer([]string{imageID}, question[string]{
		scope: "DescribeImages", idParam: "imageId", ids: in.ImageIds, id: func(id string) string { return id }, absent: errImageNotFound,
		filters: in.Filters, attributes: func(string) attributes { return s.imageAttributes() }, max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeImagesResult{Images: []*wire.Image{}, NextToken: next}
	owned := len(in.Owners) == 0 || slices.ContainsFunc(in.Owners, func(o string) bool { return o == "self" || o == imageOwner || o == s.account })
	if users := in.ExecutableUsers; owned && (len(users) == 0 || slices.Contains(users, "all") || slices.Contains(users, s.account)) {
		for range page {
			out.Images = append(out.Images, s.wireImage())
		}
	}
	return out, nil
}

func (s *Service) wireImage() *wire.Image {
	return &wire.Image{
		ImageId: core.Ptr(imageID), Name: core.Ptr(imageName), Description: core.Ptr(imageDescription), Architecture: core.Ptr(s.architecture),
		CreationDate: core.Ptr(imageCreated), ImageLocation: core.Ptr(imageOwner + "/" + imageName), ImageType: core.Ptr("machine"), Public: core.Ptr(true),
		OwnerId: core.Ptr(s.account), ImageOwnerAlias: core.Ptr(imageOwner), PlatformDetails: core.Ptr(platform), UsageOperation: core.Ptr(usageOperation),
		State: core.Ptr("available"), BlockDeviceMappings: []*wire.BlockDeviceMapping{}, EnaSupport: core.Ptr(true), Hypervisor: core.Ptr(hypervisor),
		RootDeviceName: core.Ptr(rootDevice), RootDeviceType: core.Ptr("ebs"), VirtualizationType: core.Ptr(virtualization),
	}
}

func (s *Service) imageAttributes() attributes {
	return attributes{
		"architecture": {s.architecture}, "creation-date": {imageCreated}, "description": {imageDescription}, "ena-support": boolText(true),
		"hypervisor": {hypervisor}, "image-id": {imageID}, "image-type": {"machine"}, "is-public": boolText(true),
		"manifest-location": {imageOwner + "/" + imageName}, "name": {imageName}, "owner-alias": {imageOwner}, "owner-id": {s.account},
		"platform": nil, "product-code": nil, "product-code.type": nil, "root-device-name": {rootDevice}, "root-device-type": {"ebs"},
		"state": {"available"}, "state-reason-code": nil, "state-reason-message": nil, "virtualization-type": {virtualization},
		"block-device-mapping.delete-on-termination": nil, "block-device-mapping.device-name": nil, "block-device-mapping.snapshot-id": nil,
		"block-device-mapping.volume-size": nil, "block-device-mapping.volume-type": nil, "block-device-mapping.encrypted": nil,
	}.tagged(nil)
}
