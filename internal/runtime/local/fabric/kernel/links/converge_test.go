package links

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/netns"
)

// plans by name; each can become any other.
func plans() map[string][]Network {
	edit := func(change func(*Network)) []Network {
		n := sample()
		change(&n)
		return []Network{n}
	}
	second := Network{
		ID: "vpc-2", CIDR: netip.MustParsePrefix("10.1.0.0/16"), Local: []netip.Addr{addr("10.1.0.1")},
		Instances: []Instance{{ID: "i-2", Address: addr("10.1.0.9")}}, Host: addr("10.1.0.10"),
	}
	moved := sample()
	moved.Instances = moved.Instances[:1]
	other := second
	other.Instances = append(slices.Clone(second.Instances), Instance{ID: "i-0123456789abcdef1", Address: addr("10.1.0.11")})
	return map[string][]Network{
		"nothing":        nil,
		"sample":         {sample()},
		"more addresses": edit(func(n *Network) { n.Local = append(n.Local, addr("172.31.16.10"), addr("172.31.255.254")) }),
		"no addresses":   edit(func(n *Network) { n.Local = nil }),
		"no instances":   edit(func(n *Network) { n.Instances = nil }),
		"no host":        edit(func(n *Network) { n.Host = netip.Addr{} }),
		"host elsewhere": edit(func(n *Network) { n.Host = addr("172.31.48.11") }),
		"instances swapped": edit(func(n *Network) {
			n.Instances[0].Address, n.Instances[1].Address = n.Instances[1].Address, n.Instances[0].Address
		}),
		"instance replaced": edit(func(n *Network) { n.Instances[0].ID = "i-new" }),
		"host and instance swapped": edit(func(n *Network) {
			n.Host, n.Instances[0].Address = n.Instances[0].Address, n.Host
		}),
		"two networks":   {sample(), second},
		"other network":  {second},
		"instance moved": {moved, other},
	}
}

// Whatever there was before, a plan gives the same: with the server that made it,
// and with one that finds it.
func TestEveryPlanFollowsEveryOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	all := plans()
	want := map[string]map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		l := r.open()
		r.apply(l, all[name]...)
		want[name] = r.views()
		if err := l.Remove(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want["nothing"], r.views()); name > "nothing" && diff != "" {
			t.Fatalf("Remove leaves something of %s: %s", name, diff)
		}
	}
	live := r.open()
	names, last := slices.Sorted(maps.Keys(all)), "nothing"
	for i := range names {
		if testing.Short() && i%4 != 0 {
			continue
		}
		for _, later := range names[i+1:] {
			for _, to := range []string{names[i], later} {
				if i%2 == 1 {
					live = r.open()
				}
				r.apply(live, all[to]...)
				if diff := cmp.Diff(want[to], r.views()); diff != "" {
					t.Fatalf("from %q to %q: %s", last, to, diff)
				}
				last = to
			}
		}
	}
}

// An Apply that has nothing to do leaves the kernel alone, also the first after
// a restart.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.open()
	n := sample()
	r.apply(l, n)
	watches := map[string]*space{}
	for name, path := range map[string]string{
		"host": r.host.Path(), "vpc": l.Namespace(n.ID), "instance": l.InstanceNamespace(n.Instances[0].ID),
	} {
		s, err := openSpace(r.space(path))
		if err != nil {
			t.Fatal(err)
		}
		defer s.closeHandles()
		watches[name] = s
	}
	quiet := func(when string) {
		t.Helper()
		for name, s := range watches {
			if changed, err := s.watch.changed(); err != nil || changed {
				t.Errorf("%s: %s has changed (%v)", when, name, err)
			}
		}
	}
	r.in(r.host, "ip", "link", "add", "marker", "type", "bridge")
	if changed, err := watches["host"].watch.changed(); err != nil || !changed {
		t.Fatalf("the watch sees nothing (%v)", err)
	}
	r.apply(l, n)
	r.apply(l, n)
	quiet("again")
	r.apply(r.open(), n)
	quiet("after a restart")
}

func TestDamageIsRepaired(t *testing.T) {
	t.Parallel()
	const instance = "i-0123456789abcdef0"
	one := InterfaceName(instance)
	for _, c := range []struct {
		name string
		// where is "vpc-1", an instance or "host"; commands run there.
		where    string
		commands []string
	}{
		{"address deleted", "vpc-1", []string{"ip address del 172.31.16.9/32 dev lo"}},
		{"address added", "vpc-1", []string{"ip address add 172.31.77.7/32 dev lo"}},
		{"range added", "vpc-1", []string{"ip address add 172.31.16.9/16 dev lo"}},
		{"lo down", "vpc-1", []string{"ip link set lo down"}},
		{"route deleted", "vpc-1", []string{"ip route del 172.31.32.5"}},
		{"route added", "vpc-1", []string{"ip route add 172.31.32.77 dev " + one}},
		{"blackhole deleted", "vpc-1", []string{"ip route del blackhole 172.31.0.0/16"}},
		{"interface down", "vpc-1", []string{"ip link set " + one + " down"}},
		{"interface deleted", "vpc-1", []string{"ip link del " + one}},
		{"host's interface deleted", "vpc-1", []string{"ip link del host"}},
		{"interface forged", "vpc-1", []string{"ip link add i-forged type bridge"}},
		{"interface replaced", "vpc-1", []string{"ip link del " + one, "ip link add " + one + " type bridge"}},
		{"instance's interface down", instance, []string{"ip link set eth0 down"}},
		{"instance's interface deleted", instance, []string{"ip link del eth0"}},
		{"host's end down", "host", []string{"ip link set LINK down"}},
		{"host's end deleted", "host", []string{"ip link del LINK"}},
		{"host's address flushed", "host", []string{"ip address flush dev LINK"}},
		{"host's address added", "host", []string{"ip address add 10.9.9.9/24 dev LINK"}},
		{"host's route deleted", "host", []string{"ip route del 172.31.0.0/16"}},
		{"host's route changed", "host", []string{"ip route replace 172.31.0.0/16 dev LINK"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			l := r.open()
			r.apply(l, sample())
			r.apply(l, sample())
			want := r.views()
			ns := r.host
			if c.where != "host" {
				ns = r.space(l.Namespace(c.where))
			}
			for _, command := range c.commands {
				r.in(ns, strings.Fields(strings.ReplaceAll(command, "LINK", l.hostLink("vpc-1")))...)
			}
			if cmp.Equal(want, r.views()) {
				t.Fatal("the damage cannot be seen")
			}
			r.apply(l, sample())
			// Inside of an instance nobody looks: that it cannot be reached any
			// more is heard of after a while.
			for end := time.Now().Add(10 * time.Second); c.where == instance && time.Now().Before(end) && !cmp.Equal(want, r.views()); {
				r.apply(l, sample())
			}
			if diff := cmp.Diff(want, r.views()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Names can go without what they name: by somebody who deletes them, and by a
// reboot where their directory is kept.
func TestLostNamesAreRepaired(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		lose func(name string) error
		// open: somebody is in the namespaces, which then do not end.
		open bool
	}{
		{"deleted", netns.Delete, false},
		{"deleted in use", netns.Delete, true},
		{"leftover", func(name string) error { return unix.Unmount(netns.Path(name), unix.MNT_DETACH) }, false},
	} {
		for _, which := range []string{"vpc-1", "i-0123456789abcdef0", "all"} {
			t.Run(c.name+" "+which, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				l := r.open()
				r.apply(l, sample())
				want := r.views()
				for name := range want {
					if name == "host" || which != "all" && name != which {
						continue
					}
					if c.open {
						r.space(l.Namespace(name))
					}
					if err := c.lose(l.spaceName(name)); err != nil {
						t.Fatal(err)
					}
				}
				r.apply(l, sample())
				if diff := cmp.Diff(want, r.views()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestForeignThingsAreLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.open()
	neighbour := r.cfg.Deployment + "0-vpc-1"
	if len(neighbour) > 16+6 {
		t.Fatal("the neighbour's name is none")
	}
	foreign, _, err := netns.Create("larder-" + neighbour)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	defer func() { _ = netns.Delete("larder-" + neighbour) }()
	for _, command := range []string{
		"ip link add br0 type bridge", "ip link set br0 up", "ip address add 10.3.0.1/24 dev br0",
		"ip link add ldrother type veth peer name eth0", "ip link set ldrother up",
		"ip route add 10.4.0.0/16 dev br0", "ip link add host type bridge",
	} {
		r.in(r.host, strings.Fields(command)...)
	}
	want := r.view(r.host)
	r.apply(l, sample())
	vpc := r.space(l.Namespace("vpc-1"))
	r.in(vpc, "ip", "link", "add", "wg0", "type", "bridge")
	r.in(vpc, "ip", "link", "set", "wg0", "up")
	r.in(vpc, "ip", "route", "add", "10.200.0.0/16", "dev", "wg0")
	n := sample()
	n.Instances = nil
	r.apply(l, n)
	if got := r.view(vpc); !strings.Contains(got, "route 10.200.0.0/16") {
		t.Errorf("the operator's route is gone: %s", got)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, r.view(r.host)); diff != "" {
		t.Errorf("the host is not as before: %s", diff)
	}
	if !foreign.Named() {
		t.Error("a neighbour's namespace is gone")
	}
}

func TestOneFailureHindersNobodyElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.open()
	n := sample()
	// The resolver of the first instance cannot be written.
	if err := os.WriteFile(r.cfg.ResolverDir+"/"+l.spaceName(n.Instances[0].ID), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	failed, err := l.Apply(context.Background(), Plan{Networks: []Network{n}})
	if err != nil || len(failed) != 1 || failed[n.Instances[0].ID] == nil {
		t.Fatalf("failed: %v, %v", failed, err)
	}
	if got := r.view(r.space(l.InstanceNamespace(n.Instances[1].ID))); !strings.Contains(got, "route 172.31.0.0/16") {
		t.Errorf("the other instance has no network: %s", got)
	}
	if err := os.Remove(r.cfg.ResolverDir + "/" + l.spaceName(n.Instances[0].ID)); err != nil {
		t.Fatal(err)
	}
	r.apply(l, n)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Apply(ctx, Plan{}); err != nil {
		t.Errorf("nothing to make, and yet %v", err)
	}
	if _, err := l.Apply(ctx, Plan{Networks: []Network{n}}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end the context gives %v", err)
	}
}
