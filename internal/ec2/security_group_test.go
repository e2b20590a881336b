package ec2

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func createVPC(t *testing.T, s *Service, cidr string) string {
	t.Helper()
	out, err := s.CreateVpc(in(t, home), &wire.CreateVpcRequest{CidrBlock: &cidr})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Vpc.VpcId
}

const home = "us-east-1"

func createGroup(t *testing.T, s *Service, vpc, name string) string {
	t.Helper()
	out, err := s.CreateSecurityGroup(in(t, home), &wire.CreateSecurityGroupRequest{GroupName: &name, Description: core.Ptr("test"), VpcId: &vpc})
	if err != nil {
		t.Fatal(err)
	}
	return *out.GroupId
}

// tcp is a permission for one port or range of peers: CIDRs or group ids.
func tcp(from, to int, peers ...string) *wire.IpPermission {
	return permission("tcp", &from, &to, peers...)
}

func permission(protocol string, from, to *int, peers ...string) *wire.IpPermission {
	p := &wire.IpPermission{IpProtocol: &protocol, FromPort: from, ToPort: to}
	for _, peer := range peers {
		switch {
		case strings.HasPrefix(peer, "sg-"):
			p.UserIdGroupPairs = append(p.UserIdGroupPairs, &wire.UserIdGroupPair{GroupId: core.Ptr(peer)})
		case strings.HasPrefix(peer, "pl-"):
			p.PrefixListIds = append(p.PrefixListIds, &wire.PrefixListId{PrefixListId: core.Ptr(peer)})
		case strings.Contains(peer, ":"):
			p.Ipv6Ranges = append(p.Ipv6Ranges, &wire.Ipv6Range{CidrIpv6: core.Ptr(peer)})
		default:
			p.IpRanges = append(p.IpRanges, &wire.IpRange{CidrIp: core.Ptr(peer)})
		}
	}
	return p
}

func authorize(t *testing.T, s *Service, group string, permissions ...*wire.IpPermission) ([]*wire.SecurityGroupRule, error) {
	t.Helper()
	out, err := s.AuthorizeSecurityGroupIngress(in(t, home), &wire.AuthorizeSecurityGroupIngressRequest{GroupId: &group, IpPermissions: permissions})
	if err != nil {
		return nil, err
	}
	return out.SecurityGroupRules, nil
}

// shown are the rules of a group, as DescribeSecurityGroups shows them: one line
// for each permission.
func shown(t *testing.T, s *Service, group string) string {
	t.Helper()
	out, err := s.DescribeSecurityGroups(in(t, home), &wire.DescribeSecurityGroupsRequest{GroupIds: []string{group}})
	if err != nil {
		t.Fatal(err)
	}
	return shownPermissions("in", out.SecurityGroups[0].IpPermissions) + shownPermissions("out", out.SecurityGroups[0].IpPermissionsEgress)
}

func shownPermissions(direction string, permissions []*wire.IpPermission) string {
	var b strings.Builder
	for _, p := range permissions {
		b.WriteString(direction + " " + *p.IpProtocol)
		if p.FromPort != nil {
			fmt.Fprintf(&b, " %d-%d", *p.FromPort, *p.ToPort)
		}
		for _, r := range p.IpRanges {
			b.WriteString(" " + *r.CidrIp + about(r.Description))
		}
		for _, r := range p.Ipv6Ranges {
			b.WriteString(" " + *r.CidrIpv6 + about(r.Description))
		}
		for _, g := range p.UserIdGroupPairs {
			b.WriteString(" " + *g.GroupId + about(g.Description))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func about(description *string) string {
	if description == nil {
		return ""
	}
	return "(" + *description + ")"
}

const everythingOut = "out -1 0.0.0.0/0\n"

func TestAuthorizeAndRevoke(t *testing.T) {
	t.Parallel()
	s := newService(t)
	vpc := createVPC(t, s, "10.0.0.0/16")
	group, app := createGroup(t, s, vpc, "cache"), createGroup(t, s, vpc, "app")
	if got := shown(t, s, group); got != everythingOut {
		t.Errorf("a new group has %q", got)
	}
	described := tcp(6379, 6379, "100.68.0.18/18", "2001:db8::1/32", app)
	described.IpRanges[0].Description = core.Ptr("office")
	rules, err := authorize(t, s, group, described, permission("-1", core.Ptr(0), core.Ptr(0), group), permission("17", core.Ptr(53), core.Ptr(53), "10.0.0.0/8"),
		permission("50", nil, nil, "10.0.0.0/8"), permission("icmp", core.Ptr(8), core.Ptr(-1), "0.0.0.0/0"))
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) != 7 {
		t.Errorf("%d rules were made, one for each peer would be 7", len(rules))
	}
	if r := rules[0]; *r.CidrIpv4 != "100.68.0.0/18" || *r.Description != "office" || *r.IsEgress || *r.GroupId != group || !strings.HasPrefix(*r.SecurityGroupRuleId, "sgr-") {
		t.Errorf("first rule %+v", r)
	}
	if r := rules[3]; *r.FromPort != -1 || *r.ToPort != -1 || *r.ReferencedGroupInfo.GroupId != group || r.CidrIpv4 != nil {
		t.Errorf("rule for everything %+v", r)
	}
	want := "in tcp 6379-6379 100.68.0.0/18(office) 2001:db8::/32 " + app + "\nin -1 " + group + "\nin udp 53-53 10.0.0.0/8\nin 50 10.0.0.0/8\nin icmp 8--1 0.0.0.0/0\n" + everythingOut
	if got := shown(t, s, group); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	out, err := s.RevokeSecurityGroupIngress(in(t, home), &wire.RevokeSecurityGroupIngressRequest{
		GroupId: &group, IpPermissions: []*wire.IpPermission{tcp(6379, 6379, "100.68.0.0/18", app), permission("-1", nil, nil, group)},
	})
	if err != nil || len(out.RevokedSecurityGroupRules) != 3 || len(out.UnknownIpPermissions) != 0 {
		t.Fatalf("revoked %+v, %v", out, err)
	}
	byID := []string{*rules[1].SecurityGroupRuleId, *rules[4].SecurityGroupRuleId}
	if _, err := s.RevokeSecurityGroupIngress(in(t, home), &wire.RevokeSecurityGroupIngressRequest{GroupId: &group, SecurityGroupRuleIds: byID}); err != nil {
		t.Fatal(err)
	}
	if got, want := shown(t, s, group), "in 50 10.0.0.0/8\nin icmp 8--1 0.0.0.0/0\n"+everythingOut; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// The older spelling of one rule, with names of groups of the default VPC.
func TestFlatSpelling(t *testing.T) {
	t.Parallel()
	s := newService(t)
	vpc, group := defaultVPC(t, s)
	app := createGroup(t, s, vpc, "app")
	ctx := in(t, home)
	for _, r := range []*wire.AuthorizeSecurityGroupIngressRequest{
		{GroupName: core.Ptr("default"), IpProtocol: core.Ptr("tcp"), FromPort: core.Ptr(6379), ToPort: core.Ptr(6379), CidrIp: core.Ptr("10.1.2.3/32")},
		{GroupId: &group, SourceSecurityGroupName: core.Ptr("app"), SourceSecurityGroupOwnerId: core.Ptr("1234-5678-9012")},
	} {
		if _, err := s.AuthorizeSecurityGroupIngress(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	want := "in -1 " + group + "\nin tcp 6379-6379 10.1.2.3/32\nin tcp 0-65535 " + app + "\nin udp 0-65535 " + app + "\nin icmp -1--1 " + app + "\n" + everythingOut
	if got := shown(t, s, group); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	_, err := s.RevokeSecurityGroupIngress(ctx, &wire.RevokeSecurityGroupIngressRequest{GroupId: &group, SourceSecurityGroupName: core.Ptr("app")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.RevokeSecurityGroupEgress(ctx, &wire.RevokeSecurityGroupEgressRequest{GroupId: &group, IpProtocol: core.Ptr("-1"), CidrIp: core.Ptr("0.0.0.0/0")}); err != nil {
		t.Fatal(err)
	}
	if got, want := shown(t, s, group), "in -1 "+group+"\nin tcp 6379-6379 10.1.2.3/32\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func defaultVPC(t *testing.T, s *Service) (vpc, group string) {
	t.Helper()
	out, err := s.DescribeSecurityGroups(in(t, home), &wire.DescribeSecurityGroupsRequest{GroupNames: []string{"default"}})
	if err != nil {
		t.Fatal(err)
	}
	return *out.SecurityGroups[0].VpcId, *out.SecurityGroups[0].GroupId
}

// What is not there is an error in a VPC of the user's own, and only reported in
// the default one; in both nothing else goes that should not.
func TestRevokeWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newService(t)
	own := createGroup(t, s, createVPC(t, s, "10.0.0.0/16"), "cache")
	_, standard := defaultVPC(t, s)
	for _, group := range []string{own, standard} {
		if _, err := authorize(t, s, group, tcp(1, 1, "10.0.0.0/8")); err != nil {
			t.Fatal(err)
		}
	}
	both := []*wire.IpPermission{tcp(1, 1, "10.0.0.0/8"), tcp(2, 2, "10.0.0.0/8")}
	_, err := s.RevokeSecurityGroupIngress(in(t, home), &wire.RevokeSecurityGroupIngressRequest{GroupId: &own, IpPermissions: both})
	refused(t, err, "InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
	if got := shown(t, s, own); got != "in tcp 1-1 10.0.0.0/8\n"+everythingOut {
		t.Errorf("a refused revocation left %q", got)
	}
	out, err := s.RevokeSecurityGroupIngress(in(t, home), &wire.RevokeSecurityGroupIngressRequest{GroupId: &standard, IpPermissions: both})
	if err != nil {
		t.Fatal(err)
	}
	if got := shownPermissions("in", out.UnknownIpPermissions); got != "in tcp 2-2 10.0.0.0/8\n" || len(out.RevokedSecurityGroupRules) != 1 {
		t.Errorf("unknown %q, revoked %v", got, out.RevokedSecurityGroupRules)
	}
}

func TestRuleRefusals(t *testing.T) {
	t.Parallel()
	s := newService(t)
	vpc := createVPC(t, s, "10.0.0.0/16")
	group := createGroup(t, s, vpc, "cache")
	foreign := createGroup(t, s, createVPC(t, s, "10.0.0.0/16"), "foreign")
	if _, err := authorize(t, s, group, tcp(6379, 6379, "0.0.0.0/0", group), permission("icmp", nil, nil, "0.0.0.0/0")); err != nil {
		t.Fatal(err)
	}
	before := shown(t, s, group)
	for _, c := range []struct {
		name        string
		permissions []*wire.IpPermission
		code, says  string
	}{
		{"again", []*wire.IpPermission{tcp(6379, 6379, "0.0.0.0/0")}, "InvalidPermission.Duplicate", `the specified rule "peer: 0.0.0.0/0, TCP, from port: 6379, to port: 6379, ALLOW" already exists`},
		{"again, spelled otherwise", []*wire.IpPermission{permission("6", core.Ptr(6379), core.Ptr(6379), "1.2.3.4/0")}, "InvalidPermission.Duplicate", "peer: 0.0.0.0/0, TCP"},
		{"group again", []*wire.IpPermission{tcp(6379, 6379, group)}, "InvalidPermission.Duplicate", `"peer: ` + group + `, TCP, from port: 6379, to port: 6379, ALLOW"`},
		{"ICMP again", []*wire.IpPermission{permission("1", core.Ptr(-1), core.Ptr(-1), "0.0.0.0/0")}, "InvalidPermission.Duplicate", `"peer: 0.0.0.0/0, ICMP, type: ALL, code: ALL, ALLOW"`},
		{"one of two again", []*wire.IpPermission{tcp(1, 1, "10.0.0.0/8"), tcp(6379, 6379, "0.0.0.0/0")}, "InvalidPermission.Duplicate", "already exists"},
		{"twice in one request", []*wire.IpPermission{tcp(1, 1, "10.0.0.0/8", "10.1.0.0/8")}, "InvalidParameterValue", "must not appear multiple times"},
		{"no rule", nil, "MissingParameter", "ipPermissions"},
		{"no protocol", []*wire.IpPermission{{IpRanges: []*wire.IpRange{{CidrIp: core.Ptr("10.0.0.0/8")}}}}, "MissingParameter", "ipProtocol"},
		{"no peer", []*wire.IpPermission{tcp(1, 1)}, "MissingParameter", "cidrIp"},
		{"unknown protocol", []*wire.IpPermission{permission("sctp!", nil, nil, "10.0.0.0/8")}, "InvalidParameterValue", "'sctp!'"},
		{"protocol out of range", []*wire.IpPermission{permission("256", nil, nil, "10.0.0.0/8")}, "InvalidParameterValue", "'256'"},
		{"no ports", []*wire.IpPermission{permission("tcp", nil, nil, "10.0.0.0/8")}, "InvalidParameterValue", "Must specify both from and to ports"},
		{"port out of range", []*wire.IpPermission{tcp(1, 65536, "10.0.0.0/8")}, "InvalidParameterValue", "TCP/UDP port (65536) out of range"},
		{"ports the wrong way", []*wire.IpPermission{tcp(2, 1, "10.0.0.0/8")}, "InvalidParameterValue", "Invalid TCP/UDP port range (2:1)"},
		{"ICMP type out of range", []*wire.IpPermission{permission("icmp", core.Ptr(256), nil, "10.0.0.0/8")}, "InvalidParameterValue", "ICMP type (256)"},
		{"ICMP code out of range", []*wire.IpPermission{permission("icmp", core.Ptr(1), core.Ptr(256), "10.0.0.0/8")}, "InvalidParameterValue", "ICMP code (256)"},
		{"code without type", []*wire.IpPermission{permission("icmp", nil, core.Ptr(1), "10.0.0.0/8")}, "InvalidParameterValue", "ICMP code (1)"},
		{"no CIDR", []*wire.IpPermission{tcp(1, 1, "10.0.0.1")}, "InvalidParameterValue", "CIDR block 10.0.0.1 is malformed"},
		{"IPv4 for IPv6", []*wire.IpPermission{{IpProtocol: core.Ptr("-1"), Ipv6Ranges: []*wire.Ipv6Range{{CidrIpv6: core.Ptr("10.0.0.0/8")}}}}, "InvalidParameterValue", "CIDR block 10.0.0.0/8 is malformed"},
		{"unknown group", []*wire.IpPermission{tcp(1, 1, "sg-0")}, "InvalidGroup.NotFound", "The security group 'sg-0' does not exist"},
		{"group of another network", []*wire.IpPermission{tcp(1, 1, foreign)}, "InvalidGroup.NotFound", "belong to different networks"},
		{"prefix list", []*wire.IpPermission{tcp(1, 1, "pl-1")}, "InvalidPrefixListID.NotFound", "'pl-1'"},
		{"description", []*wire.IpPermission{{IpProtocol: core.Ptr("-1"), IpRanges: []*wire.IpRange{{CidrIp: core.Ptr("10.0.0.0/8"), Description: core.Ptr("ü")}}}}, "InvalidParameterValue", "Invalid rule description"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := authorize(t, s, group, c.permissions...)
			refused(t, err, c.code, c.says)
			if after := shown(t, s, group); after != before {
				t.Errorf("a refused request left\n%s", after)
			}
		})
	}
}

func TestRuleQuota(t *testing.T) {
	t.Parallel()
	s := newService(t)
	group := createGroup(t, s, createVPC(t, s, "10.0.0.0/16"), "cache")
	var peers []string
	for i := range 59 {
		peers = append(peers, fmt.Sprintf("10.0.%d.0/24", i), fmt.Sprintf("2001:db8:%x::/48", i))
	}
	// A reference to a group counts for both families, which are full then.
	if _, err := authorize(t, s, group, tcp(1, 1, append(peers, group)...)); err != nil {
		t.Fatal(err)
	}
	for _, peer := range []string{"10.1.0.0/16", "2001:db9::/32"} {
		_, err := authorize(t, s, group, tcp(1, 1, peer))
		refused(t, err, "RulesPerSecurityGroupLimitExceeded", "maximum number of rules")
	}
}

// Two requests for the same rule at the same time: one of them makes it.
func TestConcurrentAuthorize(t *testing.T) {
	t.Parallel()
	s := newService(t)
	group := createGroup(t, s, createVPC(t, s, "10.0.0.0/16"), "cache")
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = authorize(t, s, group, tcp(1, 1, "10.0.0.0/8")) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else {
			refused(t, err, "InvalidPermission.Duplicate", "already exists")
		}
	}
	if got := shown(t, s, group); made != 1 || got != "in tcp 1-1 10.0.0.0/8\n"+everythingOut {
		t.Errorf("%d requests made\n%s", made, got)
	}
}

func TestModifyRules(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	group := createGroup(t, s, createVPC(t, s, "10.0.0.0/16"), "cache")
	rules, err := authorize(t, s, group, tcp(1, 1, "10.0.0.0/8"), tcp(2, 2, "10.0.0.0/8"))
	if err != nil {
		t.Fatal(err)
	}
	id := rules[0].SecurityGroupRuleId
	modify := func(r wire.SecurityGroupRuleRequest) error {
		_, err := s.ModifySecurityGroupRules(ctx, &wire.ModifySecurityGroupRulesRequest{
			GroupId: &group, SecurityGroupRules: []*wire.SecurityGroupRuleUpdate{{SecurityGroupRuleId: id, SecurityGroupRule: &r}},
		})
		return err
	}
	err = modify(wire.SecurityGroupRuleRequest{IpProtocol: core.Ptr("tcp"), FromPort: core.Ptr(3), ToPort: core.Ptr(4), ReferencedGroupId: &group, Description: core.Ptr("peers")})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := shown(t, s, group), "in tcp 3-4 "+group+"(peers)\nin tcp 2-2 10.0.0.0/8\n"+everythingOut; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	refused(t, modify(wire.SecurityGroupRuleRequest{IpProtocol: core.Ptr("tcp"), FromPort: core.Ptr(2), ToPort: core.Ptr(2), CidrIpv4: core.Ptr("10.9.9.9/8")}),
		"InvalidPermission.Duplicate", "10.0.0.0/8")
	refused(t, modify(wire.SecurityGroupRuleRequest{IpProtocol: core.Ptr("-1"), CidrIpv4: core.Ptr("10.0.0.0/8"), CidrIpv6: core.Ptr("::/0")}),
		"InvalidParameterValue", "Only one of")
	id = core.Ptr("sgr-0")
	refused(t, modify(wire.SecurityGroupRuleRequest{IpProtocol: core.Ptr("-1"), CidrIpv4: core.Ptr("10.0.0.0/8")}), "InvalidSecurityGroupRuleId.NotFound", "'sgr-0'")
	_, err = s.UpdateSecurityGroupRuleDescriptionsIngress(ctx, &wire.UpdateSecurityGroupRuleDescriptionsIngressRequest{
		GroupId: &group, SecurityGroupRuleDescriptions: []*wire.SecurityGroupRuleDescription{{SecurityGroupRuleId: rules[0].SecurityGroupRuleId}},
	})
	if err != nil {
		t.Fatal(err)
	}
	named := tcp(2, 2, "10.0.0.0/8")
	named.IpRanges[0].Description = core.Ptr("all of us")
	if _, err := s.UpdateSecurityGroupRuleDescriptionsIngress(ctx, &wire.UpdateSecurityGroupRuleDescriptionsIngressRequest{GroupId: &group, IpPermissions: []*wire.IpPermission{named}}); err != nil {
		t.Fatal(err)
	}
	if got, want := shown(t, s, group), "in tcp 3-4 "+group+"\nin tcp 2-2 10.0.0.0/8(all of us)\n"+everythingOut; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	_, err = s.UpdateSecurityGroupRuleDescriptionsEgress(ctx, &wire.UpdateSecurityGroupRuleDescriptionsEgressRequest{GroupId: &group, IpPermissions: []*wire.IpPermission{named}})
	refused(t, err, "InvalidPermission.NotFound", "does not exist in this security group")
}

func TestDescribeRules(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	vpc := createVPC(t, s, "10.0.0.0/16")
	group, other := createGroup(t, s, vpc, "cache"), createGroup(t, s, vpc, "other")
	made, err := s.AuthorizeSecurityGroupIngress(ctx, &wire.AuthorizeSecurityGroupIngressRequest{
		GroupId: &group, IpPermissions: []*wire.IpPermission{tcp(1, 1, other)},
		TagSpecifications: []*wire.TagSpecification{{ResourceType: core.Ptr("security-group-rule"), Tags: []*wire.Tag{{Key: core.Ptr("Name"), Value: core.Ptr("redis")}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := *made.SecurityGroupRules[0].SecurityGroupRuleId
	for name, c := range map[string]struct {
		req  wire.DescribeSecurityGroupRulesRequest
		want int
	}{
		"of a group":     {wire.DescribeSecurityGroupRulesRequest{Filters: filterBy("group-id", group)}, 2},
		"by id":          {wire.DescribeSecurityGroupRulesRequest{SecurityGroupRuleIds: []string{id}}, 1},
		"by filtered id": {wire.DescribeSecurityGroupRulesRequest{Filters: filterBy("security-group-rule-id", id)}, 1},
		"by tag":         {wire.DescribeSecurityGroupRulesRequest{Filters: filterBy("tag:Name", "red*")}, 1},
		"all":            {wire.DescribeSecurityGroupRulesRequest{}, 7}, // two each of two default groups, and three
	} {
		out, err := s.DescribeSecurityGroupRules(ctx, &c.req)
		if err != nil || len(out.SecurityGroupRules) != c.want {
			t.Errorf("%s: got %d, %v; want %d", name, len(out.SecurityGroupRules), err, c.want)
		}
	}
	out, err := s.DescribeSecurityGroupRules(ctx, &wire.DescribeSecurityGroupRulesRequest{SecurityGroupRuleIds: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	r := out.SecurityGroupRules[0]
	if *r.ReferencedGroupInfo.GroupId != other || *r.ReferencedGroupInfo.UserId != account || *r.Tags[0].Value != "redis" ||
		*r.SecurityGroupRuleArn != "arn:aws:ec2:us-east-1:"+account+":security-group-rule/"+id {
		t.Errorf("shown as %+v", r)
	}
	_, err = s.DescribeSecurityGroupRules(ctx, &wire.DescribeSecurityGroupRulesRequest{SecurityGroupRuleIds: []string{"sgr-0"}})
	refused(t, err, "InvalidSecurityGroupRuleId.NotFound", "The security group rule ID 'sgr-0' does not exist")
	_, err = s.DescribeSecurityGroupRules(ctx, &wire.DescribeSecurityGroupRulesRequest{Filters: filterBy("vpc-id", vpc)})
	refused(t, err, "InvalidParameterValue", "The filter 'vpc-id' is invalid")
}

func TestCreateGroupRefusals(t *testing.T) {
	t.Parallel()
	s := newService(t)
	vpc := createVPC(t, s, "10.0.0.0/16")
	createGroup(t, s, vpc, "cache")
	for _, c := range []struct{ name, group, text, vpc, code, says string }{
		{"taken", "cache", "x", vpc, "InvalidGroup.Duplicate", "The security group 'cache' already exists for VPC '" + vpc + "'"},
		{"taken in other letters", "Cache", "x", vpc, "InvalidGroup.Duplicate", "'Cache' already exists"},
		{"default", "Default", "x", vpc, "InvalidGroup.Reserved", "Default"},
		{"like an id", "sg-1", "x", vpc, "InvalidParameterValue", "sg-*"},
		{"letters", "caché", "x", vpc, "InvalidParameterValue", "Invalid security group name"},
		{"long", strings.Repeat("a", 256), "x", vpc, "InvalidParameterValue", "Invalid security group name"},
		{"letters of the description", "new", "dépôt", vpc, "InvalidParameterValue", "Invalid security group description"},
		{"no such VPC", "new", "x", "vpc-0", "InvalidVpcID.NotFound", "'vpc-0'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.CreateSecurityGroup(in(t, home), &wire.CreateSecurityGroupRequest{GroupName: &c.group, Description: &c.text, VpcId: &c.vpc})
			refused(t, err, c.code, c.says)
		})
	}
	// The same name in another VPC, here the default one, is another group's.
	if _, err := s.CreateSecurityGroup(in(t, home), &wire.CreateSecurityGroupRequest{GroupName: core.Ptr("cache"), Description: core.Ptr("x")}); err != nil {
		t.Error(err)
	}
}

func TestDeleteGroup(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	vpc := createVPC(t, s, "10.0.0.0/16")
	hosts := createGroup(t, s, vpc, "hosts")
	used, referred, referring := createGroup(t, s, vpc, "used"), createGroup(t, s, vpc, "referred"), createGroup(t, s, vpc, "referring")
	if _, err := authorize(t, s, referring, tcp(1, 1, referred, referring)); err != nil {
		t.Fatal(err)
	}
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		resource.Attachments.Put(tx, key(home, vpc), &resource.Attachment{Region: home, VPCID: vpc, SecurityGroupIDs: []string{hosts}})
		resource.CacheClusters.Put(tx, home+"/c", &resource.CacheCluster{Region: home, ID: "c", Spec: resource.CacheClusterSpec{SecurityGroupIDs: []string{used}}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	remove := func(id string) error {
		_, err := s.DeleteSecurityGroup(ctx, &wire.DeleteSecurityGroupRequest{GroupId: &id})
		return err
	}
	_, standard := defaultVPC(t, s)
	refused(t, remove(used), "DependencyViolation", "resource "+used+" has a dependent object")
	refused(t, remove(hosts), "DependencyViolation", "resource "+hosts+" has a dependent object")
	refused(t, remove(referred), "DependencyViolation", "resource "+referred+" has a dependent object")
	refused(t, remove(standard), "CannotDelete", `the specified group: "`+standard+`" name: "default" cannot be deleted by a user`)
	refused(t, remove("sg-0"), "InvalidGroup.NotFound", "'sg-0'")
	refused(t, remove("cache"), "InvalidGroupId.Malformed", `Invalid id: "cache"`)
	// A group that only refers to itself goes, and with it what it refers to.
	for _, id := range []string{referring, referred} {
		if err := remove(id); err != nil {
			t.Error(err)
		}
	}
	refused(t, remove(referred), "InvalidGroup.NotFound", referred)
}

// Deployments made when default groups were no records get them at start.
func TestPrepare(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	_, group := defaultVPC(t, s)
	before := shown(t, s, group)
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		resource.SecurityGroups.Delete(tx, key(home, group))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := s.Prepare(ctx); err != nil {
			t.Fatal(err)
		}
		if after := shown(t, s, group); after != before {
			t.Errorf("got\n%swant\n%s", after, before)
		}
	}
	if _, err := authorize(t, s, group, tcp(1, 1, "10.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	changed := shown(t, s, group)
	if err := s.Prepare(ctx); err != nil || shown(t, s, group) != changed || !slices.Contains(strings.Split(changed, "\n"), "in tcp 1-1 10.0.0.0/8") {
		t.Errorf("preparing again changed the group to\n%s (%v)", shown(t, s, group), err)
	}
}
