package links

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	t.Parallel()
	l := &Links{cfg: Config{Deployment: "d1"}}
	for _, name := range []string{InterfaceName("i-0123456789abcdef0"), InterfaceName(""), HostInterface, l.hostLink("vpc-1")} {
		if len(name) == 0 || len(name) > 15 {
			t.Errorf("%q cannot be an interface", name)
		}
	}
	if InterfaceName("i-1") == InterfaceName("i-2") || !ours(InterfaceName("i-1")) {
		t.Error("the names of instances' interfaces do not tell them apart")
	}
	other := &Links{cfg: Config{Deployment: "d2"}}
	if l.hostLink("vpc-1") == l.hostLink("vpc-2") || strings.HasPrefix(other.hostLink("vpc-1"), l.hostLinks()) {
		t.Error("the names of the host's interfaces do not tell deployments and networks apart")
	}
	if got := l.Namespace("vpc-1"); got != "/run/netns/larder-d1-vpc-1" {
		t.Errorf("the namespace is at %s", got)
	}
	if got := l.InstanceNamespace("i-1"); got != "/run/netns/larder-d1-i-1" {
		t.Errorf("the instance's namespace is at %s", got)
	}
}

func TestDeploymentIsAName(t *testing.T) {
	t.Parallel()
	// With a dash in it one deployment's names could begin as another's.
	for _, bad := range []string{"", "a-b", "A", "a/b", "12345678901234567"} {
		if _, err := New(Config{Deployment: bad}); err == nil {
			t.Errorf("deployment %q is taken", bad)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	network := func(change func(*Network)) Plan {
		n := sample()
		change(&n)
		return Plan{Networks: []Network{n}}
	}
	cases := []struct {
		name string
		plan Plan
		// failed are ids, with a part of the reason each.
		failed map[string]string
	}{
		{"sample", network(func(n *Network) {}), nil},
		{"no name", network(func(n *Network) { n.ID = "a/b" }), map[string]string{"a/b": "name"}},
		{"no id", network(func(n *Network) { n.ID = "" }), map[string]string{"": "name"}},
		{"no range", network(func(n *Network) { n.CIDR = netip.Prefix{} }), map[string]string{"vpc-1": "no range"}},
		{"everything", network(func(n *Network) { n.CIDR = netip.MustParsePrefix("0.0.0.0/0") }), map[string]string{"vpc-1": "no range"}},
		{"no room", network(func(n *Network) { n.CIDR = netip.MustParsePrefix("172.31.0.0/31") }), map[string]string{"vpc-1": "no range"}},
		{"IPv6", network(func(n *Network) { n.CIDR = netip.MustParsePrefix("fd00::/16") }), map[string]string{"vpc-1": "no range"}},
		{"local outside", network(func(n *Network) { n.Local = append(n.Local, addr("10.0.0.1")) }), map[string]string{"vpc-1": "10.0.0.1 is not in"}},
		{"no local", network(func(n *Network) { n.Local = append(n.Local, netip.Addr{}) }), map[string]string{"vpc-1": "is not in"}},
		{"local twice", network(func(n *Network) { n.Local = append(n.Local, n.Local[0]) }), nil},
		{"host outside", network(func(n *Network) { n.Host = addr("10.0.0.1") }), map[string]string{"vpc-1": "10.0.0.1 is not in"}},
		{"host is local", network(func(n *Network) { n.Host = n.Local[0] }), map[string]string{"vpc-1": "taken"}},
		{"instance outside", network(func(n *Network) { n.Instances[1].Address = addr("10.0.0.1") }),
			map[string]string{"i-0123456789abcdef1": "not in"}},
		{"instance without address", network(func(n *Network) { n.Instances[1].Address = netip.Addr{} }),
			map[string]string{"i-0123456789abcdef1": "not in"}},
		{"instance is local", network(func(n *Network) { n.Instances[1].Address = n.Local[0] }),
			map[string]string{"i-0123456789abcdef1": "taken"}},
		{"instance is the host", network(func(n *Network) { n.Instances[1].Address = n.Host }),
			map[string]string{"i-0123456789abcdef1": "taken"}},
		{"instance twice", network(func(n *Network) { n.Instances[1].ID = n.Instances[0].ID }),
			map[string]string{"i-0123456789abcdef0": "unique"}},
		{"address twice", network(func(n *Network) { n.Instances[1].Address = n.Instances[0].Address }),
			map[string]string{"i-0123456789abcdef1": "taken"}},
		{"network twice", Plan{Networks: []Network{sample(), sample()}}, map[string]string{"vpc-1": "unique"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			networks, failed := c.plan.check()
			for id, err := range failed {
				if part, ok := c.failed[id]; !ok || !strings.Contains(err.Error(), part) {
					t.Errorf("%q fails: %v", id, err)
				}
			}
			if len(failed) != len(c.failed) {
				t.Errorf("%d fail instead of %d", len(failed), len(c.failed))
			}
			for _, n := range networks {
				if !slices.IsSortedFunc(n.Local, netip.Addr.Compare) || len(slices.Compact(n.Local)) != len(n.Local) {
					t.Errorf("addresses are not in order: %v", n.Local)
				}
			}
		})
	}
}

// The host stays where it is attached; else the order of the plan decides.
func TestHostGoesToOneOfOverlappingNetworks(t *testing.T) {
	t.Parallel()
	a, b, c := sample(), sample(), sample()
	b.ID, c.ID = "vpc-2", "vpc-3"
	b.CIDR = netip.MustParsePrefix("172.31.48.0/20")
	c.CIDR, c.Host = netip.MustParsePrefix("10.0.0.0/16"), addr("10.0.0.9")
	for _, tc := range []struct {
		attached map[string]bool
		loser    string
	}{{nil, "vpc-2"}, {map[string]bool{"vpc-1": true}, "vpc-2"}, {map[string]bool{"vpc-2": true}, "vpc-1"}} {
		networks, failed := []Network{a, b, c}, map[string]error{}
		detachOverlapping(networks, tc.attached, failed)
		for _, n := range networks {
			lost := n.ID == tc.loser
			if _, clash := failed[n.ID].(*ClashError); n.Host.IsValid() == lost && clash != lost {
				t.Errorf("attached to %v: %s has the host %v and fails with %v", tc.attached, n.ID, n.Host, failed[n.ID])
			}
		}
		if len(failed) != 1 || failed[tc.loser] == nil {
			t.Errorf("attached to %v: %v", tc.attached, failed)
		}
	}
}
