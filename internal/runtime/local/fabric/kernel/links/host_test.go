package links

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestClash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		commands []string
		// other is what the network clashes with, "" for nothing; dev is where.
		other, dev string
	}{
		{"free", nil, "", ""},
		{"default route", []string{"ip route add default dev br0"}, "", ""},
		{"default route in halves", []string{"ip route add 0.0.0.0/1 dev br0", "ip route add 128.0.0.0/1 dev br0"}, "", ""},
		{"neighbour", []string{"ip route add 172.30.0.0/16 dev br0", "ip address add 172.32.0.1/16 dev br0"}, "", ""},
		{"same", []string{"ip route add 172.31.0.0/16 dev br0"}, "172.31.0.0/16", "br0"},
		{"part", []string{"ip route add 172.31.5.0/24 dev br0"}, "172.31.5.0/24", "br0"},
		{"whole", []string{"ip route add 172.16.0.0/12 dev br0"}, "172.16.0.0/12", "br0"},
		{"another table", []string{"ip route add 172.31.5.0/24 dev br0 table 77"}, "172.31.5.0/24", "br0"},
		{"nowhere", []string{"ip route add blackhole 172.31.0.0/16"}, "172.31.0.0/16", ""},
		{"address", []string{"ip address add 172.31.5.6/20 dev br0"}, "172.31.0.0/20", "br0"},
		{"address of an interface that is down", []string{"ip link set br0 down", "ip address add 172.31.5.6/32 dev br0"}, "172.31.5.6/32", "br0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.in(r.host, "ip", "link", "add", "br0", "type", "bridge")
			r.in(r.host, "ip", "link", "set", "br0", "up")
			for _, command := range c.commands {
				r.in(r.host, strings.Fields(command)...)
			}
			l := r.open()
			n := sample()
			check := func(err error) {
				t.Helper()
				var clash *ClashError
				if c.other == "" {
					if err != nil {
						t.Errorf("clash: %v", err)
					}
					return
				}
				want := ClashError{CIDR: n.CIDR, Other: netip.MustParsePrefix(c.other), Dev: c.dev}
				if !errors.As(err, &clash) || *clash != want {
					t.Errorf("clash: %v instead of %v", err, &want)
				}
			}
			check(l.Clash(n.CIDR))
			before := r.view(r.host)
			failed, err := l.Apply(context.Background(), Plan{Networks: []Network{n}})
			if err != nil {
				t.Fatal(err)
			}
			check(failed[n.ID])
			if attached := r.view(r.host) != before; attached != (c.other == "") {
				t.Errorf("the host is attached: %v", attached)
			}
			// The rest of the network is there, and what is attached is no clash.
			r.listen(r.space(l.Namespace(n.ID)), "172.31.16.9:6379")
			one := r.space(l.InstanceNamespace(n.Instances[0].ID))
			if _, err := seen(one, "172.31.16.9:6379", 5*time.Second); err != nil {
				t.Errorf("the instance does not reach the node: %v", err)
			}
			check(r.open().Clash(n.CIDR))
		})
	}
}

func TestClashSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	cidr, other := netip.MustParsePrefix("172.31.0.0/16"), netip.MustParsePrefix("172.16.0.0/12")
	for want, e := range map[string]ClashError{
		"the host cannot be attached to 172.31.0.0/16: its interface tun0 leads to 172.16.0.0/12":          {CIDR: cidr, Other: other, Dev: "tun0"},
		"the host cannot be attached to 172.31.0.0/16: it has a route for 172.16.0.0/12":                   {CIDR: cidr, Other: other},
		"the host cannot be attached to 172.31.0.0/16: it is attached to network vpc-1 with 172.16.0.0/12": {CIDR: cidr, Other: other, Network: "vpc-1"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("it says %q", got)
		}
	}
}

// Networks of other regions have the same range; the host is in one of them.
func TestEqualRanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.open()
	a, b := sample(), sample()
	b.ID, b.Instances = "vpc-2", []Instance{{ID: "i-2", Address: addr("172.31.32.5")}}
	plan := func(networks ...Network) Plan { return Plan{Networks: networks} }
	only := func(l *Links, p Plan, loser string) {
		t.Helper()
		failed, err := l.Apply(context.Background(), p)
		var clash *ClashError
		if err != nil || len(failed) != 1 || !errors.As(failed[loser], &clash) {
			t.Fatalf("failed: %v, %v", failed, err)
		}
	}
	only(l, plan(a, b), "vpc-2")
	r.listen(r.space(l.Namespace("vpc-1")), "172.31.16.9:1001")
	r.listen(r.space(l.Namespace("vpc-2")), "172.31.16.9:1002")
	reaches := func(path, to string, want bool) {
		t.Helper()
		if _, err := seen(r.space(path), to, 5*time.Second); (err == nil) != want {
			t.Errorf("%s to %s: %v", path, to, err)
		}
	}
	reaches(l.InstanceNamespace("i-0123456789abcdef0"), "172.31.16.9:1001", true)
	reaches(l.InstanceNamespace("i-0123456789abcdef0"), "172.31.16.9:1002", false)
	reaches(l.InstanceNamespace("i-2"), "172.31.16.9:1001", false)
	reaches(l.InstanceNamespace("i-2"), "172.31.16.9:1002", true)
	reaches(r.host.Path(), "172.31.16.9:1001", true)
	reaches(r.host.Path(), "172.31.16.9:1002", false)
	// The order of a later plan does not move the host, nor does a restart.
	only(l, plan(b, a), "vpc-2")
	l = r.open()
	only(l, plan(b, a), "vpc-2")
	reaches(r.host.Path(), "172.31.16.9:1001", true)
	a.Host = netip.Addr{}
	r.apply(l, b, a)
	reaches(r.host.Path(), "172.31.16.9:1002", true)
}

// Another deployment of the host holds its range.
func TestTwoDeployments(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.open()
	r.apply(first, sample())
	want := r.views()
	cfg := r.cfg
	cfg.Deployment += "2"
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	defer func() {
		if err := second.Remove(); err != nil {
			t.Error(err)
		}
	}()
	failed, err := second.Apply(context.Background(), Plan{Networks: []Network{sample()}})
	var clash *ClashError
	if err != nil || len(failed) != 1 || !errors.As(failed["vpc-1"], &clash) || clash.Dev != first.hostLink("vpc-1") {
		t.Errorf("failed: %v, %v", failed, err)
	}
	if err := second.Remove(); err != nil {
		t.Fatal(err)
	}
	for name, view := range r.views() {
		if view != want[name] {
			t.Errorf("%s of the first deployment has changed: %s", name, view)
		}
	}
}
