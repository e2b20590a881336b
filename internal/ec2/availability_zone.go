package ec2

import (
	"context"
	"slices"
	"strconv"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

// zoneLetters are the zones of every region.
const zoneLetters = "abc"

type zone struct{ name, id string }

func zones(region string) []zone {
	out := make([]zone, len(zoneLetters))
	for i, letter := range zoneLetters {
		out[i] = zone{name: region + string(letter), id: zoneIDPrefix(region) + "-az" + strconv.Itoa(i+1)}
	}
	return out
}

// DescribeAvailabilityZones lists the zones of the region.
func (s *Service) DescribeAvailabilityZones(ctx context.Context, in *wire.DescribeAvailabilityZonesRequest) (*wire.DescribeAvailabilityZonesResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	if len(in.ZoneNames) > 0 && len(in.ZoneIds) > 0 {
		return nil, errCombination("zoneName", "zoneId")
	}
	name := func(z *wire.AvailabilityZone) string { return *z.ZoneName }
	id := func(z *wire.AvailabilityZone) string { return *z.ZoneId }
	all := wireZones(region(ctx))
	if unknown := absent(in.ZoneNames, all, name); len(unknown) > 0 {
		return nil, errZones("availability zone", unknown)
	}
	if unknown := absent(in.ZoneIds, all, id); len(unknown) > 0 {
		return nil, errZones("availability zone-id", unknown)
	}
	found, err := filtered(all, in.Filters, zoneAttributes)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(z *wire.AvailabilityZone) bool {
		return !named(in.ZoneNames, name(z)) || !named(in.ZoneIds, id(z))
	})
	return &wire.DescribeAvailabilityZonesResult{AvailabilityZones: found}, nil
}

// absent are the wanted names that no item has.
func absent[T any](wanted []string, items []T, name func(T) string) []string {
	var out []string
	for _, w := range wanted {
		if !slices.ContainsFunc(items, func(item T) bool { return name(item) == w }) {
			out = append(out, w)
		}
	}
	return out
}

func wireZones(region string) []*wire.AvailabilityZone {
	var out []*wire.AvailabilityZone
	for _, z := range zones(region) {
		out = append(out, &wire.AvailabilityZone{
			State: core.Ptr("available"), OptInStatus: core.Ptr(notRequired), Messages: []*wire.AvailabilityZoneMessage{},
			RegionName: core.Ptr(region), ZoneName: core.Ptr(z.name), ZoneId: core.Ptr(z.id),
			GroupName: core.Ptr(region + "-zg-1"), NetworkBorderGroup: core.Ptr(region), ZoneType: core.Ptr("availability-zone"),
		})
	}
	return out
}

func zoneAttributes(z *wire.AvailabilityZone) attributes {
	return attributes{
		"group-name": {*z.GroupName}, "message": nil, "opt-in-status": {*z.OptInStatus},
		"parent-zone-id": nil, "parent-zone-name": nil,
		"region-name": {*z.RegionName}, "state": {*z.State},
		"zone-id": {*z.ZoneId}, "zone-name": {*z.ZoneName}, "zone-type": {*z.ZoneType},
	}
}
