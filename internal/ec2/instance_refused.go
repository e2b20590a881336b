package ec2

import (
	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

// refuseLaunch refuses what an instance here does not have: it is an address of a
// network from which programs of the host connect. It boots nothing and has no
// disk, no key, no role and no public address.
func refuseLaunch(in *wire.RunInstancesRequest) error {
	err := refuse(
		refusal{"BlockDeviceMappings", len(in.BlockDeviceMappings) > 0},
		refusal{"Ipv6AddressCount", core.Val(in.Ipv6AddressCount) > 0}, refusal{"Ipv6Addresses", len(in.Ipv6Addresses) > 0},
		refusal{"KernelId", in.KernelId != nil}, refusal{"RamdiskId", in.RamdiskId != nil}, refusal{"KeyName", core.Val(in.KeyName) != ""},
		refusal{"Monitoring", in.Monitoring != nil && core.Val(in.Monitoring.Enabled)},
		refusal{"UserData", core.Val(in.UserData) != ""}, refusal{"AdditionalInfo", in.AdditionalInfo != nil},
		refusal{"EbsOptimized", core.Val(in.EbsOptimized)}, refusal{"IamInstanceProfile", in.IamInstanceProfile != nil},
		refusal{"InstanceInitiatedShutdownBehavior", not(in.InstanceInitiatedShutdownBehavior, "stop")},
		refusal{"ElasticGpuSpecification", len(in.ElasticGpuSpecification) > 0},
		refusal{"ElasticInferenceAccelerators", len(in.ElasticInferenceAccelerators) > 0},
		refusal{"LaunchTemplate", in.LaunchTemplate != nil}, refusal{"InstanceMarketOptions", in.InstanceMarketOptions != nil},
		refusal{"CreditSpecification", in.CreditSpecification != nil && not(in.CreditSpecification.CpuCredits, cpuCredits)},
		refusal{"CpuOptions", in.CpuOptions != nil}, refusal{"CapacityReservationSpecification", refusedReservation(in.CapacityReservationSpecification)},
		refusal{"HibernationOptions", in.HibernationOptions != nil && core.Val(in.HibernationOptions.Configured)},
		refusal{"LicenseSpecifications", len(in.LicenseSpecifications) > 0}, refusal{"MetadataOptions", refusedMetadata(in.MetadataOptions)},
		refusal{"EnclaveOptions", in.EnclaveOptions != nil && core.Val(in.EnclaveOptions.Enabled)},
		refusal{"PrivateDnsNameOptions", in.PrivateDnsNameOptions != nil},
		refusal{"MaintenanceOptions", in.MaintenanceOptions != nil && not(in.MaintenanceOptions.AutoRecovery, "default")},
		refusal{"EnablePrimaryIpv6", core.Val(in.EnablePrimaryIpv6)},
	)
	if err != nil {
		return err
	}
	if err := refusePlacement(in.Placement); err != nil {
		return err
	}
	return refuseInterfaces(in.NetworkInterfaces)
}

func refusedReservation(c *wire.CapacityReservationSpecification) bool {
	return c != nil && (c.CapacityReservationTarget != nil || not(c.CapacityReservationPreference, "open"))
}

// refusedMetadata: there is no metadata service, so it can only be turned off.
func refusedMetadata(m *wire.InstanceMetadataOptionsRequest) bool {
	return m != nil && (core.Val(m.HttpEndpoint) != "disabled" || m.HttpTokens != nil || m.HttpPutResponseHopLimit != nil ||
		m.HttpProtocolIpv6 != nil || m.InstanceMetadataTags != nil)
}

func refusePlacement(p *wire.Placement) error {
	if p == nil {
		return nil
	}
	return refuse(
		refusal{"Placement.Affinity", p.Affinity != nil}, refusal{"Placement.GroupName", core.Val(p.GroupName) != ""},
		refusal{"Placement.PartitionNumber", p.PartitionNumber != nil}, refusal{"Placement.HostId", p.HostId != nil},
		refusal{"Placement.Tenancy", not(p.Tenancy, "default")}, refusal{"Placement.SpreadDomain", p.SpreadDomain != nil},
		refusal{"Placement.HostResourceGroupArn", p.HostResourceGroupArn != nil}, refusal{"Placement.GroupId", p.GroupId != nil},
	)
}

func refuseInterfaces(all []*wire.InstanceNetworkInterfaceSpecification) error {
	if len(all) == 0 {
		return nil
	}
	i := all[0]
	private := len(i.PrivateIpAddresses) == 0 ||
		len(i.PrivateIpAddresses) == 1 && i.PrivateIpAddress == nil && core.Val(i.PrivateIpAddresses[0].Primary)
	return refuse(
		refusal{"NetworkInterface.2", len(all) > 1}, refusal{"NetworkInterface.DeviceIndex", core.Val(i.DeviceIndex) != 0},
		refusal{"NetworkInterface.AssociatePublicIpAddress", core.Val(i.AssociatePublicIpAddress)},
		refusal{"NetworkInterface.DeleteOnTermination", i.DeleteOnTermination != nil && !*i.DeleteOnTermination},
		refusal{"NetworkInterface.Ipv6AddressCount", core.Val(i.Ipv6AddressCount) > 0}, refusal{"NetworkInterface.Ipv6Addresses", len(i.Ipv6Addresses) > 0},
		refusal{"NetworkInterface.NetworkInterfaceId", i.NetworkInterfaceId != nil},
		refusal{"NetworkInterface.PrivateIpAddresses", !private},
		refusal{"NetworkInterface.SecondaryPrivateIpAddressCount", core.Val(i.SecondaryPrivateIpAddressCount) > 0},
		refusal{"NetworkInterface.AssociateCarrierIpAddress", core.Val(i.AssociateCarrierIpAddress)},
		refusal{"NetworkInterface.InterfaceType", not(i.InterfaceType, "interface")},
		refusal{"NetworkInterface.NetworkCardIndex", core.Val(i.NetworkCardIndex) != 0},
		refusal{"NetworkInterface.Ipv4Prefixes", len(i.Ipv4Prefixes) > 0}, refusal{"NetworkInterface.Ipv4PrefixCount", core.Val(i.Ipv4PrefixCount) > 0},
		refusal{"NetworkInterface.Ipv6Prefixes", len(i.Ipv6Prefixes) > 0}, refusal{"NetworkInterface.Ipv6PrefixCount", core.Val(i.Ipv6PrefixCount) > 0},
		refusal{"NetworkInterface.PrimaryIpv6", core.Val(i.PrimaryIpv6)}, refusal{"NetworkInterface.EnaSrdSpecification", i.EnaSrdSpecification != nil},
		refusal{"NetworkInterface.ConnectionTrackingSpecification", i.ConnectionTrackingSpecification != nil},
	)
}
