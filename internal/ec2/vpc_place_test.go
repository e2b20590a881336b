package ec2

import (
	"net/netip"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/storetest"
)

// A default VPC moves to the configured range as long as nobody has an address in it,
// and VPCs have a window exactly where they are mapped to one.
func TestVPCsArePlaced(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	service := func(windows [2]int, cidr string) *Service {
		return New(Config{
			Store: st, Account: account, Windows: windows, DefaultCIDR: netip.MustParsePrefix(cidr), Clock: core.SystemClock{}, NewID: newID(),
		})
	}
	mapped, apart := [2]int{10, 20}, [2]int{}
	vpc := func(s *Service) (v *resource.VPC) {
		t.Helper()
		if err := s.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		st.Local(func(r store.Reader) {
			v, _ = s.PeekDefaultVPC(r, home)
			if v != nil && s.DefaultRange(r, home) != v.CIDR {
				t.Errorf("the range is said to be %s, and is %s", s.DefaultRange(r, home), v.CIDR)
			}
		})
		return v
	}
	s := service(mapped, "172.31.0.0/16")
	if _, err := s.DescribeVpcs(in(t, home), &wire.DescribeVpcsRequest{}); err != nil {
		t.Fatal(err)
	}
	first := vpc(s)
	if first.CIDR != "172.31.0.0/16" || first.Window == 0 || first.Subnets[1].CIDR != "172.31.16.0/20" {
		t.Errorf("at first: %+v", first)
	}
	own := func(owner string) {
		err := st.Update(t.Context(), func(tx *store.Tx) error {
			resource.Addresses.Put(tx, home+"/"+first.ID+"/172.31.0.9", &resource.Address{Owner: owner})
			resource.Attachments.Put(tx, home+"/"+first.ID, &resource.Attachment{
				Region: home, VPCID: first.ID, Address: "172.31.0.9", SecurityGroupIDs: []string{first.DefaultSecurityGroup},
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	own("host")
	moved := vpc(service(apart, "10.64.0.0/20"))
	if moved.CIDR != "10.64.0.0/20" || moved.Window != 0 || moved.ID != first.ID || moved.Subnets[1].CIDR != "10.64.1.0/24" || moved.Subnets[1].ID != first.Subnets[1].ID {
		t.Errorf("moved: %+v", moved)
	}
	st.Local(func(r store.Reader) {
		if len(resource.Addresses.Keys(r, ""))+len(resource.Attachments.Keys(r, "")) > 0 {
			t.Error("the host keeps an address of the former range")
		}
	})
	own("node us-east-1/c/0001")
	if kept := vpc(service(mapped, "172.31.0.0/16")); kept.CIDR != "10.64.0.0/20" || kept.Window != 10 {
		t.Errorf("with a node in it: %+v", kept)
	}
}
