package ec2

import (
	"context"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

// The regions of the partition "aws". An account of AWS has the later ones only
// after opting in; here it always has.
var (
	firstRegions = []string{
		"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
		"ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
		"us-east-1", "us-east-2", "us-west-1", "us-west-2",
	}
	laterRegions = []string{
		"af-south-1", "ap-east-1", "ap-east-2", "ap-south-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
		"ap-southeast-6", "ap-southeast-7", "ca-west-1", "eu-central-2", "eu-south-1", "eu-south-2", "il-central-1",
		"me-central-1", "me-south-1", "mx-central-1",
	}
)

const (
	notRequired = "opt-in-not-required"
	optedIn     = "opted-in"
)

// DescribeRegions lists the regions of AWS, all of which can be used.
func (s *Service) DescribeRegions(_ context.Context, in *wire.DescribeRegionsRequest) (*wire.DescribeRegionsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	all := wireRegions()
	var unknown []string
	for _, name := range in.RegionNames {
		if !slices.ContainsFunc(all, func(r *wire.Region) bool { return *r.RegionName == name }) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, errRegions(unknown)
	}
	found, err := filtered(all, in.Filters, func(r *wire.Region) attributes {
		return attributes{"endpoint": {*r.Endpoint}, "region-name": {*r.RegionName}, "opt-in-status": {*r.OptInStatus}}
	})
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(r *wire.Region) bool { return !named(in.RegionNames, *r.RegionName) })
	return &wire.DescribeRegionsResult{Regions: found}, nil
}

func wireRegions() []*wire.Region {
	names := slices.Concat(firstRegions, laterRegions)
	slices.Sort(names)
	out := make([]*wire.Region, len(names))
	for i, name := range names {
		opt := notRequired
		if slices.Contains(laterRegions, name) {
			opt = optedIn
		}
		out[i] = &wire.Region{
			Endpoint: core.Ptr("ec2." + name + ".amazonaws.com"), RegionName: core.Ptr(name), OptInStatus: core.Ptr(opt),
		}
	}
	return out
}

// named reports whether a list of wanted names lets a name through; an empty
// list lets all through.
func named(wanted []string, name string) bool {
	return len(wanted) == 0 || slices.Contains(wanted, name)
}

// directions are the abbreviations that zone ids are made of.
var directions = map[string]string{
	"north": "n", "south": "s", "east": "e", "west": "w", "central": "c", "gov": "g",
	"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw",
}

// zoneIDPrefix is "use1" for us-east-1, "usgw1" for us-gov-west-1.
func zoneIDPrefix(region string) string {
	parts := strings.Split(region, "-")
	var b strings.Builder
	for i, p := range parts {
		if d, ok := directions[p]; ok && i > 0 {
			p = d
		}
		b.WriteString(p)
	}
	return b.String()
}
