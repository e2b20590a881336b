package resource

// SecurityGroup is a set of rules that say who may connect to the network
// interfaces in it. Key: REGION/GROUPID.
type SecurityGroup struct {
	Region, ID, VPCID string
	Name, Description string
	// Generation counts the changes of the rules.
	Generation int64
	// Rules are in the order in which they were made, both directions together.
	Rules []SecurityGroupRule
	Tags  map[string]string
}

// SecurityGroupRule admits one peer on one protocol and range of ports.
type SecurityGroupRule struct {
	ID     string
	Egress bool
	// Protocol is "tcp", "udp", "icmp", "icmpv6", "-1" for all, or a number.
	Protocol string
	// FromPort and ToPort are the first and the last port; of ICMP type and code,
	// where -1 means all. They are -1 for protocols without ports.
	FromPort, ToPort int
	// CIDR is an IPv4 or IPv6 range in canonical form; empty where GroupID names a
	// security group of the same VPC instead.
	CIDR, GroupID string
	Description   string
	Tags          map[string]string
}

// Same reports whether two rules admit the same: what they are called and who
// made them is no part of it.
func (r SecurityGroupRule) Same(o SecurityGroupRule) bool {
	return r.Egress == o.Egress && r.Protocol == o.Protocol && r.FromPort == o.FromPort && r.ToPort == o.ToPort &&
		r.CIDR == o.CIDR && r.GroupID == o.GroupID
}
