package ec2

import (
	"context"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

// instanceType is one size of machine. It is a name: an instance has the
// processors and the memory of the host, whatever its type says.
type instanceType struct {
	name         string
	vcpus, mib   int
	architecture string
	burstable    bool
	current      bool
}

// instanceFamily is a row of the catalogue: MiB for each processor, and the sizes
// with their numbers of processors.
type instanceFamily struct {
	name, architecture string
	burstable, current bool
	sizes              []instanceSize
}

type instanceSize struct {
	name       string
	vcpus, mib int
}

const (
	intel = "x86_64"
	arm   = "arm64"
	gib   = 1024
)

// small are the sizes of the families with credits, general, compute and memory
// those of the others.
var (
	small = []instanceSize{
		{"nano", 2, gib / 2}, {"micro", 2, gib}, {"small", 2, 2 * gib}, {"medium", 2, 4 * gib},
		{"large", 2, 8 * gib}, {"xlarge", 4, 16 * gib}, {"2xlarge", 8, 32 * gib},
	}
	oldSmall = []instanceSize{
		{"nano", 1, gib / 2}, {"micro", 1, gib}, {"small", 1, 2 * gib}, {"medium", 2, 4 * gib},
		{"large", 2, 8 * gib}, {"xlarge", 4, 16 * gib}, {"2xlarge", 8, 32 * gib},
	}
	general = sizesOf(4 * gib)
	compute = sizesOf(2 * gib)
	memory  = sizesOf(8 * gib)
)

// sizesOf are the sizes of a family with so much memory for each processor.
func sizesOf(mib int) []instanceSize {
	var out []instanceSize
	for _, s := range []instanceSize{{name: "large", vcpus: 2}, {name: "xlarge", vcpus: 4}, {name: "2xlarge", vcpus: 8}, {name: "4xlarge", vcpus: 16}} {
		out = append(out, instanceSize{s.name, s.vcpus, s.vcpus * mib})
	}
	return out
}

var instanceFamilies = []instanceFamily{
	{"t2", intel, true, true, oldSmall}, {"t3", intel, true, true, small}, {"t3a", intel, true, true, small}, {"t4g", arm, true, true, small},
	{"m1", intel, false, false, []instanceSize{{"small", 1, 1740}}}, {"m4", intel, false, false, general}, {"m5", intel, false, true, general}, {"m6i", intel, false, true, general},
	{"m6g", arm, false, true, general}, {"m7g", arm, false, true, general},
	{"c5", intel, false, true, compute}, {"c6i", intel, false, true, compute}, {"c6g", arm, false, true, compute},
	{"r5", intel, false, true, memory}, {"r6i", intel, false, true, memory}, {"r6g", arm, false, true, memory},
}

// instanceTypes is the whole catalogue, sorted by name.
func instanceTypes() []instanceType {
	var out []instanceType
	for _, f := range instanceFamilies {
		for _, s := range f.sizes {
			out = append(out, instanceType{
				name: f.name + "." + s.name, vcpus: s.vcpus, mib: s.mib, architecture: f.architecture, burstable: f.burstable, current: f.current,
			})
		}
	}
	slices.SortFunc(out, func(a, b instanceType) int { return strings.Compare(a.name, b.name) })
	return out
}

func findInstanceType(name string) (instanceType, bool) {
	for _, t := range instanceTypes() {
		if t.name == name {
			return t, true
		}
	}
	return instanceType{}, false
}

// DescribeInstanceTypes lists the catalogue.
func (s *Service) DescribeInstanceTypes(_ context.Context, in *wire.DescribeInstanceTypesRequest) (*wire.DescribeInstanceTypesResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	page, next, err := answer(instanceTypes(), question[instanceType]{
		scope: "DescribeInstanceTypes", idParam: "instanceType", ids: in.InstanceTypes, id: func(t instanceType) string { return t.name },
		absent: func(name string) error { return errInstanceTypes([]string{name}) }, filters: in.Filters, attributes: instanceType.attributes,
		max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeInstanceTypesResult{InstanceTypes: []*wire.InstanceTypeInfo{}, NextToken: next}
	for _, t := range page {
		out.InstanceTypes = append(out.InstanceTypes, t.wire())
	}
	return out, nil
}

func (t instanceType) wire() *wire.InstanceTypeInfo {
	threads := 2
	if t.architecture == arm || t.vcpus == 1 {
		threads = 1
	}
	return &wire.InstanceTypeInfo{
		InstanceType: core.Ptr(t.name), CurrentGeneration: core.Ptr(t.current), FreeTierEligible: core.Ptr(false),
		SupportedUsageClasses: []string{"on-demand"}, SupportedRootDeviceTypes: []string{"ebs"}, SupportedVirtualizationTypes: []string{virtualization},
		BareMetal: core.Ptr(false), Hypervisor: core.Ptr(hypervisor),
		ProcessorInfo: &wire.ProcessorInfo{SupportedArchitectures: []string{t.architecture}},
		VCpuInfo: &wire.VCpuInfo{
			DefaultVCpus: core.Ptr(t.vcpus), DefaultCores: core.Ptr(t.vcpus / threads), DefaultThreadsPerCore: core.Ptr(threads),
		},
		MemoryInfo: &wire.MemoryInfo{SizeInMiB: core.Ptr(t.mib)}, InstanceStorageSupported: core.Ptr(false),
		NetworkInfo: &wire.NetworkInfo{
			MaximumNetworkInterfaces: core.Ptr(1), MaximumNetworkCards: core.Ptr(1), DefaultNetworkCardIndex: core.Ptr(0),
			Ipv4AddressesPerInterface: core.Ptr(1), Ipv6AddressesPerInterface: core.Ptr(0), Ipv6Supported: core.Ptr(false), EfaSupported: core.Ptr(false),
		},
		HibernationSupported: core.Ptr(false), BurstablePerformanceSupported: core.Ptr(t.burstable), DedicatedHostsSupported: core.Ptr(false),
		AutoRecoverySupported: core.Ptr(false), NitroEnclavesSupport: core.Ptr("unsupported"), NitroTpmSupport: core.Ptr("unsupported"),
	}
}

func (t instanceType) attributes() attributes {
	return attributes{
		"instance-type": {t.name}, "current-generation": boolText(t.current), "bare-metal": boolText(false), "hypervisor": {hypervisor},
		"burstable-performance-supported": boolText(t.burstable), "free-tier-eligible": boolText(false), "hibernation-supported": boolText(false),
		"instance-storage-supported": boolText(false), "auto-recovery-supported": boolText(false), "dedicated-hosts-supported": boolText(false),
		"memory-info.size-in-mib": {decimal(t.mib)}, "vcpu-info.default-vcpus": {decimal(t.vcpus)},
		"processor-info.supported-architecture": {t.architecture}, "supported-root-device-type": {"ebs"},
		"supported-usage-class": {"on-demand"}, "supported-virtualization-type": {virtualization},
		"network-info.ipv6-supported": boolText(false), "network-info.maximum-network-interfaces": {"1"},
	}
}

// offering is a type that can be had in a place.
type offering struct{ instanceType, kind, location string }

// DescribeInstanceTypeOfferings lists where each type can be had: everywhere.
func (s *Service) DescribeInstanceTypeOfferings(ctx context.Context, in *wire.DescribeInstanceTypeOfferingsRequest) (*wire.DescribeInstanceTypeOfferingsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	kind := core.Val(in.LocationType)
	if kind == "" {
		kind = "region"
	}
	page, next, err := answer(offerings(region(ctx), kind), question[offering]{
		scope: "DescribeInstanceTypeOfferings", id: func(o offering) string { return o.instanceType + "/" + o.location }, filters: in.Filters,
		attributes: func(o offering) attributes {
			return attributes{"instance-type": {o.instanceType}, "location": {o.location}}
		}, max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeInstanceTypeOfferingsResult{InstanceTypeOfferings: []*wire.InstanceTypeOffering{}, NextToken: next}
	for _, o := range page {
		out.InstanceTypeOfferings = append(out.InstanceTypeOfferings, &wire.InstanceTypeOffering{
			InstanceType: core.Ptr(o.instanceType), LocationType: core.Ptr(o.kind), Location: core.Ptr(o.location),
		})
	}
	return out, nil
}

func offerings(region, kind string) []offering {
	var locations []string
	switch kind {
	case "region":
		locations = []string{region}
	case "availability-zone":
		for _, z := range zones(region) {
			locations = append(locations, z.name)
		}
	case "availability-zone-id":
		for _, z := range zones(region) {
			locations = append(locations, z.id)
		}
	}
	var out []offering
	for _, t := range instanceTypes() {
		for _, l := range locations {
			out = append(out, offering{t.name, kind, l})
		}
	}
	return out
}
