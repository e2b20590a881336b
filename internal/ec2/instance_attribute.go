package ec2

import (
	"context"
	"strconv"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// DescribeInstanceAttribute answers one attribute. One that an instance does not
// have is empty.
func (s *Service) DescribeInstanceAttribute(ctx context.Context, in *wire.DescribeInstanceAttributeRequest) (*wire.InstanceAttribute, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	out := &wire.InstanceAttribute{InstanceId: in.InstanceId}
	err := s.view(ctx, func(r store.Reader) error {
		i, err := findInstance(r, region(ctx), *in.InstanceId)
		if err != nil {
			return err
		}
		if !i.Exists() {
			return errInstanceNotFound(i.ID)
		}
		showAttribute(out, *in.Attribute, s.instance(r, i))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func showAttribute(out *wire.InstanceAttribute, name string, i instance) {
	switch name {
	case "instanceType":
		out.InstanceType = text(i.Spec.Type)
	case "kernel":
		out.KernelId = &wire.AttributeValue{}
	case "ramdisk":
		out.RamdiskId = &wire.AttributeValue{}
	case "userData":
		out.UserData = &wire.AttributeValue{}
	case "disableApiTermination":
		out.DisableApiTermination = attribute(i.Spec.KeepExisting)
	case "disableApiStop":
		out.DisableApiStop = attribute(i.Spec.KeepRunning)
	case "instanceInitiatedShutdownBehavior":
		out.InstanceInitiatedShutdownBehavior = text("stop")
	case "rootDeviceName":
		out.RootDeviceName = text(rootDevice)
	case "blockDeviceMapping":
		out.BlockDeviceMappings = []*wire.InstanceBlockDeviceMapping{}
	case "productCodes":
		out.ProductCodes = []*wire.ProductCode{}
	case "sourceDestCheck":
		out.SourceDestCheck = attribute(true)
	case "groupSet":
		out.Groups = i.groups
	case "ebsOptimized":
		out.EbsOptimized = attribute(false)
	case "enaSupport":
		out.EnaSupport = attribute(true)
	case "enclaveOptions":
		out.EnclaveOptions = &wire.EnclaveOptions{Enabled: core.Ptr(false)}
	case "sriovNetSupport":
		out.SriovNetSupport = &wire.AttributeValue{}
	}
}

func text(value string) *wire.AttributeValue { return &wire.AttributeValue{Value: core.Ptr(value)} }

// ModifyInstanceAttribute changes one attribute of an instance.
func (s *Service) ModifyInstanceAttribute(ctx context.Context, in *wire.ModifyInstanceAttributeRequest) error {
	asked := *in
	if err := older(&asked); err != nil {
		return err
	}
	if given := countAttributes(&asked); given != 1 {
		if given == 0 {
			return core.Errorf("InvalidParameterCombination", "No attributes specified.")
		}
		return core.Errorf("InvalidParameterCombination", "Fields for multiple attribute types specified")
	}
	if err := refuseAttributes(&asked); err != nil {
		return err
	}
	return s.update(ctx, func(tx *store.Tx) error {
		i, err := findInstance(tx, region(ctx), *asked.InstanceId)
		if err != nil {
			return err
		}
		if !i.Exists() {
			return errInstanceNotFound(i.ID)
		}
		if err := s.modify(tx, i, &asked); err != nil {
			return err
		}
		resource.Instances.Put(tx, i.Key(), i)
		return dryRun(in.DryRun)
	})
}

// older puts the form that names an attribute and its value into the one that has
// a member for each.
func older(in *wire.ModifyInstanceAttributeRequest) error {
	if in.Attribute == nil {
		return refuse(refusal{"Value", in.Value != nil})
	}
	if in.Value == nil {
		return nil // it only repeats which member is given
	}
	flag, err := strconv.ParseBool(*in.Value)
	name := *in.Attribute
	if err != nil && (name == "disableApiTermination" || name == "disableApiStop" || name == "sourceDestCheck" || name == "ebsOptimized" || name == "enaSupport") {
		return errInvalid("Value (%s) for parameter value is invalid. Expected true or false.", *in.Value)
	}
	switch name {
	case "disableApiTermination":
		in.DisableApiTermination = attribute(flag)
	case "disableApiStop":
		in.DisableApiStop = attribute(flag)
	case "sourceDestCheck":
		in.SourceDestCheck = attribute(flag)
	case "ebsOptimized":
		in.EbsOptimized = attribute(flag)
	case "enaSupport":
		in.EnaSupport = attribute(flag)
	case "instanceType":
		in.InstanceType = text(*in.Value)
	case "instanceInitiatedShutdownBehavior":
		in.InstanceInitiatedShutdownBehavior = text(*in.Value)
	default:
		return errNotServed(name)
	}
	return nil
}

func countAttributes(in *wire.ModifyInstanceAttributeRequest) int {
	n := 0
	for _, given := range []bool{
		in.SourceDestCheck != nil, len(in.BlockDeviceMappings) > 0, in.DisableApiTermination != nil, in.EbsOptimized != nil, in.EnaSupport != nil,
		len(in.Groups) > 0, in.InstanceInitiatedShutdownBehavior != nil, in.InstanceType != nil, in.Kernel != nil, in.Ramdisk != nil,
		in.SriovNetSupport != nil, in.UserData != nil, in.DisableApiStop != nil,
	} {
		if given {
			n++
		}
	}
	return n
}

func refuseAttributes(in *wire.ModifyInstanceAttributeRequest) error {
	is := func(v *wire.AttributeBooleanValue, served bool) bool { return v == nil || core.Val(v.Value) == served }
	shutdown := in.InstanceInitiatedShutdownBehavior
	return refuse(
		refusal{"SourceDestCheck", !is(in.SourceDestCheck, true)}, refusal{"BlockDeviceMappings", len(in.BlockDeviceMappings) > 0},
		refusal{"EbsOptimized", !is(in.EbsOptimized, false)}, refusal{"EnaSupport", !is(in.EnaSupport, true)},
		refusal{"InstanceInitiatedShutdownBehavior", shutdown != nil && not(shutdown.Value, "stop")},
		refusal{"Kernel", in.Kernel != nil}, refusal{"Ramdisk", in.Ramdisk != nil}, refusal{"SriovNetSupport", in.SriovNetSupport != nil},
		refusal{"UserData", in.UserData != nil},
	)
}

func (s *Service) modify(tx *store.Tx, i *resource.Instance, in *wire.ModifyInstanceAttributeRequest) error {
	switch {
	case in.DisableApiTermination != nil:
		i.Spec.KeepExisting = core.Val(in.DisableApiTermination.Value)
	case in.DisableApiStop != nil:
		i.Spec.KeepRunning = core.Val(in.DisableApiStop.Value)
	case in.InstanceType != nil:
		if _, ok := findInstanceType(core.Val(in.InstanceType.Value)); !ok {
			return errInstanceType(core.Val(in.InstanceType.Value))
		}
		if InstanceState(i) != stateStopped {
			return core.Errorf("IncorrectInstanceState", "The instance '%s' is not in the 'stopped' state.", i.ID)
		}
		i.Spec.Type = core.Val(in.InstanceType.Value)
	case len(in.Groups) > 0:
		return s.regroup(tx, i, in.Groups)
	}
	return nil
}

// regroup puts the interface of an instance into other groups.
func (s *Service) regroup(tx *store.Tx, i *resource.Instance, ids []string) error {
	if inClassic(i) {
		return errClassicRegroup()
	}
	vpc, ok := resource.VPCs.Get(tx, key(i.Region, i.Spec.VPCID))
	if !ok {
		return errVPCNotFound(i.Spec.VPCID)
	}
	groups, err := s.interfaceGroups(tx, vpc, i.Spec.SubnetID, ids)
	if err != nil {
		return err
	}
	i.Spec.SecurityGroupIDs = groups
	return nil
}
