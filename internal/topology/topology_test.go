package topology

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/storetest"
)

func update(t *testing.T, st *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := st.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// vpc is a VPC of us-east-1 with one subnet.
func vpc(id, cidr string, window int) *resource.VPC {
	return &resource.VPC{
		Region: "us-east-1", ID: id, CIDR: cidr, Window: window, DefaultSecurityGroup: "sg-" + id,
		Subnets: []resource.Subnet{{ID: "subnet-" + id, CIDR: cidr}},
	}
}

// twoVPCs stores a default VPC and another one with the same range.
func twoVPCs(t *testing.T) *store.Store {
	st := storetest.New(t)
	update(t, st, func(tx *store.Tx) error {
		home, other := vpc("home", "172.31.0.0/16", 10), vpc("other", "172.31.0.0/16", 12)
		home.IsDefault = true
		resource.VPCs.Put(tx, "us-east-1/home", home)
		resource.VPCs.Put(tx, "us-east-1/other", other)
		return nil
	})
	return st
}

func attachments(st *store.Store) (keys []string) {
	st.Local(func(r store.Reader) {
		for _, a := range resource.Attachments.List(r, "") {
			if a.Detached {
				keys = append(keys, "not "+a.Key())
			} else {
				keys = append(keys, a.Key())
			}
		}
	})
	return keys
}

func TestHostIsInItsDefaultVPC(t *testing.T) {
	t.Parallel()
	st := twoVPCs(t)
	byDefault := func() {
		update(t, st, func(tx *store.Tx) error { return AttachByDefault(tx, "us-east-1") })
	}
	expect := func(what string, want ...string) {
		t.Helper()
		if got := attachments(st); !slices.Equal(got, want) {
			t.Errorf("%s: attached to %q, want %q", what, got, want)
		}
	}
	update(t, st, func(tx *store.Tx) error { return AttachByDefault(tx, "eu-west-1") })
	expect("in another region")
	byDefault()
	expect("by default", "us-east-1/home")
	var before string
	st.Local(func(r store.Reader) {
		a, _ := resource.Attachments.Get(r, "us-east-1/home")
		before = a.Address
		if !slices.Equal(a.SecurityGroupIDs, []string{"sg-home"}) {
			t.Errorf("in groups %v", a.SecurityGroupIDs)
		}
		owner, ok := resource.Addresses.Get(r, "us-east-1/home/"+a.Address)
		if !ok || owner.Owner != "host" {
			t.Errorf("address %s is not taken: %+v", a.Address, owner)
		}
		if w := Windows(r)["home"]; w.Host.String() != a.Address || Windows(r)["other"].Host.IsValid() {
			t.Errorf("the windows say %+v", Windows(r))
		}
	})
	update(t, st, func(tx *store.Tx) error {
		v, _ := resource.VPCs.Get(tx, "us-east-1/home")
		a, err := Attach(tx, v, []string{"sg-x"})
		if a.Address != before {
			t.Errorf("the address moved from %s to %s", before, a.Address)
		}
		return err
	})
	byDefault()
	st.Local(func(r store.Reader) {
		if a, _ := resource.Attachments.Get(r, "us-east-1/home"); !slices.Equal(a.SecurityGroupIDs, []string{"sg-x"}) {
			t.Errorf("in groups %v", a.SecurityGroupIDs)
		}
	})
	update(t, st, func(tx *store.Tx) error {
		a, _ := resource.Attachments.Get(tx, "us-east-1/home")
		Detach(tx, a, true)
		v, _ := resource.VPCs.Get(tx, "us-east-1/other")
		_, err := Attach(tx, v, nil)
		return err
	})
	byDefault()
	expect("out of the default VPC on purpose", "not us-east-1/home", "us-east-1/other")
	update(t, st, func(tx *store.Tx) error { resource.VPCs.Delete(tx, "us-east-1/other"); return nil })
	byDefault()
	expect("when a VPC is gone", "not us-east-1/home")
	st.Local(func(r store.Reader) {
		if left := resource.Addresses.List(r, ""); len(left) > 0 {
			t.Errorf("addresses are still taken: %d", len(left))
		}
	})
}

func TestAddressesRunOut(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	v := vpc("small", "10.0.0.0/28", 10)
	update(t, st, func(tx *store.Tx) error {
		seen := map[netip.Addr]bool{}
		for range 11 {
			a, err := TakeAddress(tx, v, v.Subnets[0], "x")
			if err != nil || seen[a] || !netip.MustParsePrefix("10.0.0.0/28").Contains(a) || a.As4()[3] < 4 || a.As4()[3] > 14 {
				t.Errorf("took %v, %v", a, err)
			}
			seen[a] = true
		}
		if a, err := TakeAddress(tx, v, v.Subnets[0], "x"); err != nil || a.IsValid() {
			t.Errorf("took %v of a full subnet, %v", a, err)
		}
		if _, err := Attach(tx, v, nil); err == nil {
			t.Error("the host is attached without an address")
		}
		return nil
	})
}

// TestWorld asks the policy that the stored networks make.
func TestWorld(t *testing.T) {
	t.Parallel()
	st := twoVPCs(t)
	update(t, st, func(tx *store.Tx) error {
		put := func(id, vpc, address string, groups ...string) {
			c := &resource.CacheCluster{Region: "us-east-1", ID: id, Spec: resource.CacheClusterSpec{SecurityGroupIDs: groups}}
			c.Spec.Nodes = []resource.NodeSlot{{ID: "0001", SubnetID: "subnet-" + vpc}}
			c.Spec.Nodes[0].Endpoint.VPC = core.Endpoint{Address: address, Port: 6379}
			resource.CacheClusters.Put(tx, "us-east-1/"+id, c)
		}
		put("mine", "home", "172.31.0.9", "sg-home")
		put("theirs", "other", "172.31.0.9", "sg-other")
		put("closed", "home", "172.31.0.10", "sg-unknown")
		put("ranges", "home", "172.31.0.11", "sg-ranges")
		group := func(id, vpc string, rules ...resource.SecurityGroupRule) {
			resource.SecurityGroups.Put(tx, "us-east-1/"+id, &resource.SecurityGroup{Region: "us-east-1", ID: id, VPCID: vpc, Rules: rules})
		}
		out := resource.SecurityGroupRule{ID: "out", Egress: true, Protocol: "-1", FromPort: -1, ToPort: -1, CIDR: "0.0.0.0/0"}
		group("sg-home", "home", out, resource.SecurityGroupRule{ID: "in", Protocol: "-1", FromPort: -1, ToPort: -1, GroupID: "sg-home"})
		group("sg-other", "other", out, resource.SecurityGroupRule{ID: "in", Protocol: "-1", FromPort: -1, ToPort: -1, GroupID: "sg-other"})
		group("sg-ranges", "home",
			resource.SecurityGroupRule{ID: "low", Protocol: "tcp", FromPort: 1, ToPort: 6378, CIDR: "0.0.0.0/0"},
			resource.SecurityGroupRule{ID: "udp", Protocol: "17", FromPort: 1, ToPort: 65535, CIDR: "0.0.0.0/0"},
			resource.SecurityGroupRule{ID: "some", Protocol: "tcp", FromPort: 6379, ToPort: 6379, CIDR: "172.31.64.0/24"},
			resource.SecurityGroupRule{ID: "odd", Protocol: "tcp6", FromPort: 6379, ToPort: 6379, CIDR: "0.0.0.0/0"},
			resource.SecurityGroupRule{ID: "odder", Protocol: "tcp", FromPort: 6379, ToPort: 6379, CIDR: "everywhere"})
		return AttachByDefault(tx, "us-east-1")
	})
	st.Local(func(r store.Reader) {
		world, nodes := World(r)
		policy, windows := network.Compile(world), Windows(r)
		if len(nodes) != 4 {
			t.Errorf("%d nodes have an interface, want 4", len(nodes))
		}
		for name, tc := range map[string]struct {
			node, vpc, peer string
			want            bool
		}{
			"host, default group":            {"us-east-1/mine/0001", "home", "127.0.0.1", true},
			"host, a group without rules":    {"us-east-1/closed/0001", "home", "127.0.0.1", false},
			"host, a VPC that it is not in":  {"us-east-1/theirs/0001", "other", "127.0.0.1", false},
			"a node of the default group":    {"us-east-1/mine/0001", "home", "127.10.0.9", true},
			"an address that nobody has":     {"us-east-1/mine/0001", "home", "127.10.0.77", false},
			"in the range of a rule":         {"us-east-1/ranges/0001", "home", "127.10.64.7", true},
			"in no rule's range":             {"us-east-1/ranges/0001", "home", "127.0.0.1", false},
			"an address of the other window": {"us-east-1/mine/0001", "home", "127.12.0.9", false},
		} {
			i := nodes[tc.node]
			if i.VPC != tc.vpc {
				t.Errorf("%s: the node is in %q", name, i.VPC)
				continue
			}
			guard := policy.Guard(windows, []network.Target{{Node: tc.node, VPC: i.VPC, Address: i.Addresses[0], Port: 6379}})
			if got := guard.Admits(tc.node, guard.Source(tc.vpc, netip.MustParseAddr(tc.peer))); got != tc.want {
				t.Errorf("%s: %v", name, got)
			}
		}
	})
}
