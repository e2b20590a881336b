package ec2

import (
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// FuzzPermission: whatever a request says is refused, or becomes rules that are
// shown in a form which means the same rules again.
func FuzzPermission(f *testing.F) {
	f.Add("tcp", 6379, 6379, "10.0.0.5/16", "2001:db8::1/32", "sg-1", "office")
	f.Add("-1", 0, 0, "0.0.0.0/0", "::/0", "sg-1", "")
	f.Add("58", 8, -1, "1.2.3.4/32", "::ffff:1.2.3.4/128", "sg-1", "x")
	f.Add("050", 1, 2, "10.0.0.0/33", "fe80::1%eth0/64", "", "ü")
	f.Fuzz(func(t *testing.T, protocol string, from, to int, cidr, cidr6, group, description string) {
		s := &Service{account: account}
		first, err := s.demands([]*wire.IpPermission{{
			IpProtocol: &protocol, FromPort: &from, ToPort: &to,
			IpRanges:         []*wire.IpRange{{CidrIp: &cidr, Description: &description}},
			Ipv6Ranges:       []*wire.Ipv6Range{{CidrIpv6: &cidr6}},
			UserIdGroupPairs: []*wire.UserIdGroupPair{{GroupId: &group}},
		}}, flat{}, false)
		if err != nil {
			if _, ok := core.AsError(err); !ok {
				t.Fatalf("refused without a code: %v", err)
			}
			return
		}
		var rules []resource.SecurityGroupRule
		for _, d := range first {
			rules = append(rules, d.SecurityGroupRule)
		}
		again, err := s.demands(s.wirePermissions(rules, false), flat{}, false)
		if err != nil {
			t.Fatalf("%+v is shown in a form that is refused: %v", rules, err)
		}
		for i, d := range again {
			if !d.Same(rules[i]) || d.Description != rules[i].Description {
				t.Errorf("%+v became %+v", rules[i], d)
			}
		}
	})
}
