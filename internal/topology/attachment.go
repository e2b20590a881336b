package topology

import (
	"fmt"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Attach makes the host an instance of a VPC, in the given security groups, or puts
// one that is in other groups. It keeps the address that it has.
func Attach(tx *store.Tx, vpc *resource.VPC, groups []string) (*resource.Attachment, error) {
	a, ok := resource.Attachments.Get(tx, vpc.Region+"/"+vpc.ID)
	if !ok {
		a = &resource.Attachment{Region: vpc.Region, VPCID: vpc.ID}
	}
	for _, subnet := range vpc.Subnets {
		if a.Address != "" {
			break
		}
		ip, err := TakeAddress(tx, vpc, subnet, "host")
		if err != nil {
			return nil, err
		}
		if ip.IsValid() {
			a.Address = ip.String()
		}
	}
	if a.Address == "" {
		return nil, errNoAddress(vpc.ID)
	}
	a.SecurityGroupIDs, a.Detached = groups, false
	resource.Attachments.Put(tx, a.Key(), a)
	return a, nil
}

func errNoAddress(vpcID string) error {
	return fmt.Errorf("no subnet of %s has a free address", vpcID)
}

// Detach takes the host out of a VPC. Out of a default one it stays until it is
// attached again.
func Detach(tx *store.Tx, a *resource.Attachment, byDefault bool) {
	if a.Address != "" {
		resource.Addresses.Delete(tx, addressKey(a.Region, a.VPCID, a.Address))
	}
	if !byDefault {
		resource.Attachments.Delete(tx, a.Key())
		return
	}
	resource.Attachments.Put(tx, a.Key(), &resource.Attachment{Region: a.Region, VPCID: a.VPCID, Detached: true})
}

// AttachByDefault keeps the host an instance of the default VPC of its region, in
// that VPC's default group, and takes it out of VPCs that are gone.
func AttachByDefault(tx *store.Tx, region string) error {
	for _, a := range resource.Attachments.List(tx, "") {
		if _, ok := resource.VPCs.Get(tx, a.Key()); !ok {
			Detach(tx, a, false)
		}
	}
	for _, v := range resource.VPCs.List(tx, region+"/") {
		if _, known := resource.Attachments.Get(tx, v.Region+"/"+v.ID); known || !v.IsDefault {
			continue
		}
		if _, err := Attach(tx, v, []string{v.DefaultSecurityGroup}); err != nil {
			return err
		}
	}
	return nil
}
