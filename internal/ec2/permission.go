package ec2

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// demand is a rule as a request puts it: the group that it refers to may be named
// in two ways, and is looked up later.
type demand struct {
	resource.SecurityGroupRule
	// groupName is a group of the default VPC, named instead of GroupID.
	groupName string
}

// flat is the older way to say one permission.
type flat struct {
	protocol, cidr, groupName, groupOwner *string
	from, to                              *int
}

// permissions is the flat form in the newer one; nil if it says nothing.
func (f flat) permissions() []*wire.IpPermission {
	if f == (flat{}) {
		return nil
	}
	p := &wire.IpPermission{IpProtocol: f.protocol, FromPort: f.from, ToPort: f.to}
	if f.cidr != nil {
		p.IpRanges = []*wire.IpRange{{CidrIp: f.cidr}}
		if strings.Contains(*f.cidr, ":") {
			p.IpRanges, p.Ipv6Ranges = nil, []*wire.Ipv6Range{{CidrIpv6: f.cidr}}
		}
	}
	if f.groupName == nil {
		return []*wire.IpPermission{p}
	}
	p.UserIdGroupPairs = []*wire.UserIdGroupPair{{GroupName: f.groupName, UserId: f.groupOwner}}
	if f.protocol != nil {
		return []*wire.IpPermission{p}
	}
	// A group named alone means all of the three protocols.
	all := func(protocol string, from, to int) *wire.IpPermission {
		return &wire.IpPermission{IpProtocol: &protocol, FromPort: &from, ToPort: &to, UserIdGroupPairs: p.UserIdGroupPairs}
	}
	return []*wire.IpPermission{all("tcp", 0, maxPort), all("udp", 0, maxPort), all("icmp", -1, -1)}
}

const maxPort = 65535

// demands reads the permissions of a request: one rule for each peer.
func (s *Service) demands(permissions []*wire.IpPermission, f flat, egress bool) ([]demand, error) {
	older := f.permissions()
	if len(permissions) > 0 && older != nil {
		return nil, errCombination("ipPermissions", "ipProtocol")
	}
	var out []demand
	for _, p := range slices.Concat(permissions, older) {
		rules, err := s.demandsOf(p, egress)
		if err != nil {
			return nil, err
		}
		out = append(out, rules...)
	}
	if len(out) == 0 {
		return nil, errMissing("ipPermissions")
	}
	return out, nil
}

func (s *Service) demandsOf(p *wire.IpPermission, egress bool) ([]demand, error) {
	base := resource.SecurityGroupRule{Egress: egress}
	if err := setPorts(&base, p.IpProtocol, p.FromPort, p.ToPort); err != nil {
		return nil, err
	}
	var out []demand
	add := func(description *string, peer func(*demand) error) error {
		d := demand{SecurityGroupRule: base}
		d.Description = core.Val(description)
		if !groupText(d.Description) {
			return errRuleDescription()
		}
		out = append(out, d)
		return peer(&out[len(out)-1])
	}
	for _, r := range p.IpRanges {
		if err := add(r.Description, func(d *demand) error { return setCIDR(&d.SecurityGroupRule, core.Val(r.CidrIp), false) }); err != nil {
			return nil, err
		}
	}
	for _, r := range p.Ipv6Ranges {
		if err := add(r.Description, func(d *demand) error { return setCIDR(&d.SecurityGroupRule, core.Val(r.CidrIpv6), true) }); err != nil {
			return nil, err
		}
	}
	for _, g := range p.UserIdGroupPairs {
		if err := add(g.Description, func(d *demand) error { return s.setGroup(d, g) }); err != nil {
			return nil, err
		}
	}
	if len(p.PrefixListIds) > 0 {
		return nil, errPrefixList(core.Val(p.PrefixListIds[0].PrefixListId))
	}
	if len(out) == 0 {
		return nil, errMissing("cidrIp, cidrIpv6, prefixListId or groupId")
	}
	return out, nil
}

// setCIDR puts a range into canonical form: 10.0.0.5/16 is the same rule as
// 10.0.0.0/16.
func setCIDR(r *resource.SecurityGroupRule, text string, ipv6 bool) error {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4() == ipv6 || p.Addr().Is4In6() {
		return errRuleCIDR(text)
	}
	r.CIDR = p.Masked().String()
	return nil
}

func (s *Service) setGroup(d *demand, g *wire.UserIdGroupPair) error {
	if err := refuse(refusal{"VpcPeeringConnectionId", g.VpcPeeringConnectionId != nil}); err != nil {
		return err
	}
	d.GroupID, d.groupName = core.Val(g.GroupId), core.Val(g.GroupName)
	if owner := core.Val(g.UserId); owner != "" && strings.ReplaceAll(owner, "-", "") != s.account {
		return errGroupNotFound(d.GroupID + d.groupName)
	}
	if d.GroupID == "" && d.groupName == "" {
		return errMissing("groupId")
	}
	return nil
}

// protocolNames are the protocols that are stored and shown by name.
var protocolNames = map[int]string{1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}

// setPorts reads protocol and ports. Protocols without ports ignore them.
func setPorts(r *resource.SecurityGroupRule, protocol *string, from, to *int) error {
	if core.Val(protocol) == "" {
		return errMissing("ipProtocol")
	}
	r.Protocol = strings.ToLower(*protocol)
	if r.Protocol == "all" {
		r.Protocol = anyProtocol
	}
	if n, err := strconv.Atoi(r.Protocol); err == nil && n >= 0 && n <= 255 {
		r.Protocol = decimal(n)
		if name, ok := protocolNames[n]; ok {
			r.Protocol = name
		}
	} else if r.Protocol != anyProtocol && !namedProtocol(r.Protocol) {
		return errProtocol(*protocol)
	}
	r.FromPort, r.ToPort = -1, -1
	switch r.Protocol {
	case "tcp", "udp":
		return setPortRange(r, from, to)
	case "icmp", "icmpv6":
		return setICMP(r, from, to)
	}
	return nil
}

func namedProtocol(name string) bool {
	return name == "tcp" || name == "udp" || name == "icmp" || name == "icmpv6"
}

func setPortRange(r *resource.SecurityGroupRule, from, to *int) error {
	if from == nil || to == nil {
		return errInvalid("Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.")
	}
	if *from == -1 && *to == -1 {
		r.FromPort, r.ToPort = 0, maxPort
		return nil
	}
	for _, port := range []int{*from, *to} {
		if port < 0 || port > maxPort {
			return errInvalid("TCP/UDP port (%d) out of range", port)
		}
	}
	if *from > *to {
		return errInvalid("Invalid TCP/UDP port range (%d:%d)", *from, *to)
	}
	r.FromPort, r.ToPort = *from, *to
	return nil
}

func setICMP(r *resource.SecurityGroupRule, from, to *int) error {
	if from != nil {
		r.FromPort = *from
	}
	if to != nil {
		r.ToPort = *to
	}
	if r.FromPort < -1 || r.FromPort > 255 {
		return errInvalid("ICMP type (%d) out of range", r.FromPort)
	}
	if r.ToPort < -1 || r.ToPort > 255 {
		return errInvalid("ICMP code (%d) out of range", r.ToPort)
	}
	if r.FromPort == -1 && r.ToPort != -1 {
		return errInvalid("ICMP code (%d) given for all ICMP types", r.ToPort)
	}
	return nil
}

func decimal(n int) string { return strconv.Itoa(n) }

// ipv6 reports whether a rule's range is one of IPv6.
func ipv6(r resource.SecurityGroupRule) bool { return strings.Contains(r.CIDR, ":") }

// wirePorts are a rule's ports as permissions show them: rules for all protocols,
// and for protocols without ports, have none.
func wirePorts(r resource.SecurityGroupRule) (from, to *int) {
	if !namedProtocol(r.Protocol) {
		return nil, nil
	}
	return &r.FromPort, &r.ToPort
}

// wirePermissions shows the rules of one direction, with all peers of the same
// protocol and ports together.
func (s *Service) wirePermissions(rules []resource.SecurityGroupRule, egress bool) []*wire.IpPermission {
	type ports struct {
		protocol string
		from, to int
	}
	out := []*wire.IpPermission{}
	at := map[ports]*wire.IpPermission{}
	for _, r := range rules {
		if r.Egress != egress {
			continue
		}
		k := ports{r.Protocol, r.FromPort, r.ToPort}
		if at[k] == nil {
			// EC2 lists every kind of peer, also those without an entry.
			at[k] = &wire.IpPermission{
				IpProtocol: core.Ptr(r.Protocol), IpRanges: []*wire.IpRange{}, Ipv6Ranges: []*wire.Ipv6Range{},
				PrefixListIds: []*wire.PrefixListId{}, UserIdGroupPairs: []*wire.UserIdGroupPair{},
			}
			at[k].FromPort, at[k].ToPort = wirePorts(r)
			out = append(out, at[k])
		}
		s.addPeer(at[k], r)
	}
	return out
}

func (s *Service) addPeer(p *wire.IpPermission, r resource.SecurityGroupRule) {
	description := some(r.Description)
	switch {
	case r.GroupID != "":
		p.UserIdGroupPairs = append(p.UserIdGroupPairs, &wire.UserIdGroupPair{
			GroupId: core.Ptr(r.GroupID), UserId: core.Ptr(s.account), Description: description,
		})
	case ipv6(r):
		p.Ipv6Ranges = append(p.Ipv6Ranges, &wire.Ipv6Range{CidrIpv6: core.Ptr(r.CIDR), Description: description})
	default:
		p.IpRanges = append(p.IpRanges, &wire.IpRange{CidrIp: core.Ptr(r.CIDR), Description: description})
	}
}

// some is nil for an empty text: what is absent is not shown.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// ruleText is a rule in the words of EC2's errors.
func ruleText(r resource.SecurityGroupRule) string {
	all := func(n int) string {
		if n == -1 {
			return "ALL"
		}
		return decimal(n)
	}
	var what string
	switch r.Protocol {
	case anyProtocol:
		what = "ALL"
	case "tcp", "udp":
		what = strings.ToUpper(r.Protocol) + ", from port: " + decimal(r.FromPort) + ", to port: " + decimal(r.ToPort)
	case "icmp", "icmpv6":
		what = strings.ToUpper(r.Protocol) + ", type: " + all(r.FromPort) + ", code: " + all(r.ToPort)
	default:
		what = r.Protocol
	}
	return "peer: " + r.CIDR + r.GroupID + ", " + what + ", ALLOW"
}
