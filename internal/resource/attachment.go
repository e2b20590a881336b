package resource

// Attachment makes the host an instance of a VPC: clients on it that bind no
// address of the VPC have this one. Key: REGION/VPCID.
type Attachment struct {
	Region, VPCID string
	// Address is the host's in the VPC; empty if Detached.
	Address          string
	SecurityGroupIDs []string
	// Detached keeps the host out of a VPC that it would be in without being
	// asked: the default one of its region.
	Detached bool
}

// Key is the attachment's key in the store.
func (a *Attachment) Key() string { return a.Region + "/" + a.VPCID }
