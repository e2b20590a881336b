package userspace

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/relays"
)

// lookUp asks for the address of a name; it is empty if there is none.
func lookUp(t *testing.T, protocol, at, name string) string {
	t.Helper()
	c := dns.Client{Net: protocol, Timeout: 10 * time.Second}
	m, _, err := c.Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeA), at)
	if err != nil {
		t.Fatalf("%s %s: %v", protocol, name, err)
	}
	if len(m.Answer) == 0 {
		return ""
	}
	return m.Answer[0].(*dns.A).A.String()
}

func TestResolver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := freePort(t)
	r.resolver = relays.Resolver{Listen: netip.MustParseAddrPort(at.String()), Domain: "d.test"}
	a := r.endpoint("node a")
	a.Names, a.Advertised = []string{"a.d.test", "also-a.d.test"}, core.Endpoint{Address: "192.0.2.7", Port: 7000}
	b := r.endpoint("node b")
	b.Names, b.Advertised = []string{"b.d.test"}, core.Endpoint{Address: "cache.example.com", Port: 7000}
	f := r.fabric("v1")
	apply(t, f, a, b)
	check := func(when string, want map[string]string) {
		t.Helper()
		for name, address := range want {
			for _, protocol := range []string{"udp", "tcp"} {
				if got := lookUp(t, protocol, at.String(), name); got != address {
					t.Errorf("%s: %s %s is %q, want %q", when, protocol, name, got, address)
				}
			}
		}
	}
	both := map[string]string{"a.d.test": "192.0.2.7", "also-a.d.test": "192.0.2.7", "b.d.test": "", "c.d.test": ""}
	check("at first", both)
	apply(t, f, b)
	check("after one is gone", map[string]string{"a.d.test": "", "b.d.test": ""})
	f.Close()
	newer := r.fabric("v2")
	apply(t, newer, a, b)
	check("after an upgrade", both)
	newer.Close()
	check("without a server", both)
	r.resolver = relays.Resolver{}
	apply(t, r.fabric("v2"), a, b)
	if c, err := net.Dial("tcp", at.String()); err == nil {
		c.Close()
		t.Error("names are answered though nobody asks for it any more")
	}
}

// A port that another process has is said, and keeps nothing else from working.
func TestResolverWithoutPort(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	taken, err := net.ListenPacket("udp", "127.88.255.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r.resolver = relays.Resolver{Listen: netip.MustParseAddrPort(taken.LocalAddr().String()), Domain: "d.test"}
	socket, _ := r.engine("redis-server")
	ep := r.endpoint("node a", local.Backend{Node: "a", Socket: socket})
	f := r.fabric("v1")
	failed, err := f.Apply(context.Background(), everyone(ep))
	if err != nil || len(failed) != 1 || !strings.Contains(failed[runtime.ResolverID].Error(), taken.LocalAddr().String()+" is taken") {
		t.Errorf("failed are %v, %v", failed, err)
	}
	if err := ping(client(t, ep)); err != nil {
		t.Error(err)
	}
	taken.Close()
	apply(t, f, ep)
	if got := lookUp(t, "udp", taken.LocalAddr().String(), "a.d.test"); got != "" {
		t.Errorf("got %s", got)
	}
}

// Whoever connects to a publication counts as its address in the VPC; where it
// cannot listen it says so, and it never takes the place of an endpoint.
func TestPublication(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	socket, _ := r.engine("redis-server")
	source := netip.MustParseAddr("10.0.200.9")
	backend := local.Backend{Node: "a", Socket: socket}
	reader := r.endpoint("reader a", backend)
	open, thief, elsewhere := r.endpoint("publication a", backend), r.endpoint("publication b", backend), r.endpoint("publication c", backend)
	open.Source, thief.Source, elsewhere.Source = source, source, source
	thief.Listen = reader.Listen
	elsewhere.Listen = []core.Endpoint{{Address: "192.0.2.1", Port: 6379}}
	f := r.fabric("v1")
	rule := network.Rule{ID: "in", Protocol: network.AnyProtocol, CIDR: netip.PrefixFrom(source, 32)}
	failed, err := f.Apply(context.Background(), guardedBy([]network.Rule{rule}, open, thief, elsewhere, reader))
	if err != nil || len(failed) != 2 || !strings.Contains(failed[thief.ID].Error(), `is that of "reader a"`) || !strings.Contains(failed[elsewhere.ID].Error(), "none of this host's") {
		t.Errorf("failed are %v, %v", failed, err)
	}
	if err := ping(client(t, open)); err != nil {
		t.Error("through the publication:", err)
	}
	if err := ping(client(t, reader)); err == nil {
		t.Error("the host is let in where only the publication shall be")
	}
	if _, err := f.Apply(context.Background(), guardedBy(nil, open)); err != nil {
		t.Fatal(err)
	}
	if err := ping(client(t, open)); err == nil {
		t.Error("the publication is let in without a rule")
	}
}
