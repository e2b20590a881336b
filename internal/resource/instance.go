package resource

import (
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/store"
)

// What an instance shall be, or has been seen to be. The zero value is neither:
// a new instance has been seen to be nothing yet.
const (
	PowerRunning    = "running"
	PowerStopped    = "stopped"
	PowerTerminated = "terminated"
)

// Instance is a machine in a VPC from which clients connect. Key: REGION/ID. Its
// Spec is written by operations, its Status by the host controller from the
// runtime's reports. A terminated one is kept for an hour, so that whoever
// terminated it can see that.
type Instance struct {
	Region, ID string
	Spec       InstanceSpec
	Status     InstanceStatus
	Tags       map[string]string
}

// Key is the instance's key in the store.
func (i *Instance) Key() string { return i.Region + "/" + i.ID }

// InstanceSpec is what is wanted of an instance.
type InstanceSpec struct {
	// Power is one of the constants above.
	Power string
	// Boots counts the starts: the launch, each start and each reboot.
	Boots int
	// ReservationID is shared by the instances of one launch, of which this is
	// number LaunchIndex, from 0.
	ReservationID string
	LaunchIndex   int
	// ClientToken makes the launch happen once; RequestDigest tells whether the
	// same was asked for.
	ClientToken, RequestDigest string
	ImageID, Type              string
	// VPCID names the network, SubnetID and Zone the place in it, Address is the
	// private address, which rules see and which stays until the end.
	VPCID, SubnetID, Zone, Address string
	Interface                      InstanceInterface
	SecurityGroupIDs               []string
	// Created is when it was launched, Launched when it was last started.
	Created, Launched time.Time
	// Changed is when Power was changed by the user; nil before that.
	Changed *time.Time
	// KeepRunning and KeepExisting protect from being stopped and terminated.
	KeepRunning, KeepExisting bool
}

// InstanceInterface is the one network interface of an instance.
type InstanceInterface struct {
	ID, AttachmentID string
	Description      string
	Tags             map[string]string
}

// InstanceStatus is what has been seen of an instance.
type InstanceStatus struct {
	// Power is what it is since Boots, one of the constants above.
	Power string
	Boots int
	// Message says why it is not yet what it shall be.
	Message string
}

// Reached reports whether an instance is what it shall be.
func (i *Instance) Reached() bool {
	return i.Status.Power == i.Spec.Power && (i.Spec.Power != PowerRunning || i.Status.Boots == i.Spec.Boots)
}

// Exists reports whether an instance still has its address and its place in
// security groups: until it is seen to be terminated.
func (i *Instance) Exists() bool { return i.Status.Power != PowerTerminated }

// Groups are the security groups whose rules let an instance send and be reached:
// one that does not run does neither.
func (i *Instance) Groups() []string {
	if i.Spec.Power != PowerRunning {
		return nil
	}
	return i.Spec.SecurityGroupIDs
}

// Observe takes what has been seen of an instance into its status. With its end
// the address is free again. It reports whether anything is new.
func (i *Instance) Observe(tx *store.Tx, seen InstanceStatus) bool {
	if seen == i.Status {
		return false
	}
	if i.Exists() && seen.Power == PowerTerminated {
		Addresses.Delete(tx, i.Region+"/"+i.Spec.VPCID+"/"+i.Spec.Address)
	}
	i.Status = seen
	Instances.Put(tx, i.Key(), i)
	return true
}

// Turn gives an instance another power at a time.
func (i *Instance) Turn(power string, now time.Time) {
	i.Spec.Power, i.Spec.Changed = power, core.Ptr(now)
	if power == PowerRunning {
		i.Spec.Launched = now
		i.Spec.Boots++
	}
}
