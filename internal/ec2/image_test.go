package ec2

import (
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

func TestImages(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, tc := range map[string]struct {
		in   wire.DescribeImagesRequest
		want int
	}{
		"all":             {wire.DescribeImagesRequest{}, 1},
		"by id":           {wire.DescribeImagesRequest{ImageIds: []string{imageID}}, 1},
		"Larder's":        {wire.DescribeImagesRequest{Owners: []string{"larder"}}, 1},
		"the account's":   {wire.DescribeImagesRequest{Owners: []string{"self"}, ExecutableUsers: []string{"all"}}, 1},
		"Amazon's":        {wire.DescribeImagesRequest{Owners: []string{"amazon"}}, 0},
		"by name":         {wire.DescribeImagesRequest{Filters: filterBy("name", "larder-*")}, 1},
		"by another name": {wire.DescribeImagesRequest{Filters: filterBy("name", "al2023-*")}, 0},
	} {
		out, err := s.DescribeImages(in(t, home), &tc.in)
		if err != nil || len(out.Images) != tc.want {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	_, err := s.DescribeImages(in(t, home), &wire.DescribeImagesRequest{ImageIds: []string{"ami-0"}})
	refused(t, err, "InvalidAMIID.NotFound", "ami-0")
	_, err = s.DescribeImages(in(t, home), &wire.DescribeImagesRequest{Filters: filterBy("odd", "x")})
	refused(t, err, "InvalidParameterValue", "odd")
}

func TestInstanceTypes(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	out, err := s.DescribeInstanceTypes(ctx, &wire.DescribeInstanceTypesRequest{Filters: filterBy("instance-type", "t3.micro", "r6g.xlarge")})
	if err != nil || len(out.InstanceTypes) != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	if large := out.InstanceTypes[0]; *large.MemoryInfo.SizeInMiB != 32*1024 || *large.VCpuInfo.DefaultVCpus != 4 || *large.BurstablePerformanceSupported {
		t.Errorf("%+v", large)
	}
	_, err = s.DescribeInstanceTypes(ctx, &wire.DescribeInstanceTypesRequest{InstanceTypes: []string{"t9.huge"}})
	refused(t, err, "InvalidInstanceType", "[t9.huge]")
	for kind, want := range map[string]int{"region": 1, "availability-zone": 3, "availability-zone-id": 3, "outpost": 0} {
		out, err := s.DescribeInstanceTypeOfferings(ctx, &wire.DescribeInstanceTypeOfferingsRequest{
			LocationType: &kind, Filters: filterBy("instance-type", "t3.micro"),
		})
		if err != nil || len(out.InstanceTypeOfferings) != want {
			t.Errorf("by %s: %+v, %v", kind, out, err)
		}
	}
	seen := map[string]bool{}
	request := &wire.DescribeInstanceTypesRequest{MaxResults: core.Ptr(20)}
	for {
		page, err := s.DescribeInstanceTypes(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.InstanceTypes {
			if seen[*i.InstanceType] {
				t.Errorf("%s came twice", *i.InstanceType)
			}
			seen[*i.InstanceType] = true
		}
		if request.NextToken = page.NextToken; request.NextToken == nil {
			break
		}
	}
	if len(seen) != len(instanceTypes()) || len(seen) < 60 {
		t.Errorf("%d types", len(seen))
	}
}

func TestInstanceStatuses(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	running := *run(t, s, nil).Instances[0].InstanceId
	observe(t, s)
	pending := *run(t, s, func(r *wire.RunInstancesRequest) { r.InstanceType = core.Ptr("m5.large") }).Instances[0].InstanceId
	for name, tc := range map[string]struct {
		in   wire.DescribeInstanceStatusRequest
		want map[string]string
	}{
		"those that run":  {wire.DescribeInstanceStatusRequest{}, map[string]string{running: "ok"}},
		"all":             {wire.DescribeInstanceStatusRequest{IncludeAllInstances: core.Ptr(true)}, map[string]string{running: "ok", pending: "initializing"}},
		"one that is not": {wire.DescribeInstanceStatusRequest{InstanceIds: []string{pending}}, nil},
		"by health": {wire.DescribeInstanceStatusRequest{
			IncludeAllInstances: core.Ptr(true), Filters: filterBy("instance-status.status", "initializing"),
		}, map[string]string{pending: "initializing"}},
	} {
		out, err := s.DescribeInstanceStatus(ctx, &tc.in)
		if err != nil || len(out.InstanceStatuses) != len(tc.want) {
			t.Errorf("%s: %+v, %v", name, out, err)
			continue
		}
		for _, i := range out.InstanceStatuses {
			if *i.InstanceStatus.Status != tc.want[*i.InstanceId] {
				t.Errorf("%s: %s is %s", name, *i.InstanceId, *i.InstanceStatus.Status)
			}
		}
	}
	credits, err := s.DescribeInstanceCreditSpecifications(ctx, &wire.DescribeInstanceCreditSpecificationsRequest{})
	if err != nil || len(credits.InstanceCreditSpecifications) != 1 || *credits.InstanceCreditSpecifications[0].InstanceId != running {
		t.Errorf("credits %+v, %v", credits, err)
	}
	for filter, want := range map[string]int{
		"instance-state-name=pending": 1, "instance-state-code=16": 1, "instance-type=m5.*": 1, "private-ip-address=172.31.*": 2,
		"instance.group-name=default": 2, "network-interface.status=in-use": 2, "key-name=x": 0, "tag:Name=x": 0,
	} {
		name, value, _ := strings.Cut(filter, "=")
		out, err := s.DescribeInstances(ctx, &wire.DescribeInstancesRequest{Filters: filterBy(name, value)})
		if err != nil || len(out.Reservations) != want {
			t.Errorf("%s: %d, want %d, %v", filter, len(out.Reservations), want, err)
		}
	}
}
