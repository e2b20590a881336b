package elasticache

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func TestRegionCode(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{
		"us-east-1": "use1", "us-west-2": "usw2", "eu-west-1": "euw1", "eu-north-1": "eun1", "ap-northeast-1": "apne1",
		"ap-southeast-1": "apse1", "ap-south-1": "aps1", "ca-central-1": "cac1", "eu-central-1": "euc1", "sa-east-1": "sae1",
		"us-gov-west-1": "usgw1", "local": "local",
	} {
		if got := regionCode(region); got != want {
			t.Errorf("%s is %s, want %s", region, got, want)
		}
	}
}

func TestDNSNames(t *testing.T) {
	t.Parallel()
	d := newDNSNames("000000000000", "us-east-1", "vpc-1", "cache.larder.internal")
	if len(d.id) != 6 || strings.ToLower(d.id) != d.id {
		t.Fatalf("short hash %q", d.id)
	}
	all := slices.Concat(d.clusterNode("c", "0002"), d.configuration("c"), d.member("rg", "rg-001"), d.primary("rg"), d.reader("rg"))
	want := []string{
		"c.HASH.0002.use1", "0002.c.HASH.use1", "c.HASH.cfg.use1",
		"rg-001.HASH.0001.use1", "rg-001.rg.HASH.use1",
		"rg.HASH.ng.0001.use1", "master.rg.HASH.use1",
		"rg-ro.HASH.ng.0001.use1", "replica.rg.HASH.use1",
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "HASH", d.id) + ".cache.larder.internal"
	}
	if !slices.Equal(all, want) {
		t.Errorf("names\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	if other := newDNSNames("000000000000", "us-east-1", "vpc-2", "x"); other.id == d.id {
		t.Error("two networks have the same names")
	}
}

func TestAddressesOfANode(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createCluster(redisRequest("c"))
	e := f.cluster("c").Spec.Nodes[0].Endpoint
	ip := netip.MustParseAddr(e.VPC.Address).As4()
	want := fmt.Sprintf("127.10.%d.%d:6379", ip[2], ip[3])
	if e.Bound.String() != want || e.Advertised != e.Bound || e.VPC.Port != 6379 {
		t.Errorf("%+v, want bound and advertised %s", e, want)
	}
	f.update(func(tx *store.Tx) error {
		a, ok := resource.Addresses.Get(tx, "us-east-1/vpc-1/"+e.VPC.Address)
		if !ok || a.Owner != "node us-east-1/c/0001" {
			t.Errorf("the address is held by %+v", a)
		}
		return nil
	})
}

// A subnet of 16 addresses has 11 to give: 4 at its start and its last one are
// the network's.
func TestSubnetExhausted(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := memcachedRequest("c", 10) // and the configuration endpoint
	in.PreferredAvailabilityZone = core.Ptr("us-east-1b")
	f.createCluster(in)
	used := map[string]bool{f.cluster("c").Spec.ConfigurationEndpoint.VPC.Address: true}
	for _, n := range f.cluster("c").Spec.Nodes {
		used[n.Endpoint.VPC.Address] = true
	}
	for i := 4; i < 15; i++ {
		if ip := fmt.Sprintf("172.31.16.%d", i); !used[ip] {
			t.Errorf("%s is not used", ip)
		}
	}
	if len(used) != 11 {
		t.Errorf("%d addresses are used", len(used))
	}
	before := f.dump()
	in = memcachedRequest("d", 1)
	in.PreferredAvailabilityZone = core.Ptr("us-east-1b")
	_, err := f.CreateCacheCluster(f.ctx, in)
	wantError(t, err, "InsufficientCacheClusterCapacity", "There are not enough free IP addresses in subnet-b.")
	if f.dump() != before {
		t.Error("something was stored")
	}
}

func TestAdvertisedPorts(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t, func(c *Config) { c.Advertise = Advertise{Host: "cache.example", PortFrom: 7000, PortTo: 7003} })
	f.createGroup(groupRequest("rg", 2)) // two nodes, primary, reader
	f.settle()
	g := f.describeGroup("rg").NodeGroups[0]
	var got []string
	for _, e := range []*struct{ a, p string }{
		{*g.NodeGroupMembers[0].ReadEndpoint.Address, fmt.Sprint(*g.NodeGroupMembers[0].ReadEndpoint.Port)},
		{*g.NodeGroupMembers[1].ReadEndpoint.Address, fmt.Sprint(*g.NodeGroupMembers[1].ReadEndpoint.Port)},
		{*g.PrimaryEndpoint.Address, fmt.Sprint(*g.PrimaryEndpoint.Port)},
		{*g.ReaderEndpoint.Address, fmt.Sprint(*g.ReaderEndpoint.Port)},
	} {
		got = append(got, e.a+":"+e.p)
	}
	slices.Sort(got)
	want := []string{"cache.example:7000", "cache.example:7001", "cache.example:7002", "cache.example:7003"}
	if !slices.Equal(got, want) {
		t.Errorf("advertised %v, want %v", got, want)
	}
	if e := f.group("rg").Spec.PrimaryEndpoint; e.Bound.Port != 6379 || e.VPC.Port != 6379 {
		t.Errorf("the engine's port became the advertised one: %+v", e)
	}
	before := f.dump()
	_, err := f.CreateCacheCluster(f.ctx, redisRequest("c"))
	wantError(t, err, "InsufficientCacheClusterCapacity", "There is no free port between 7000 and 7003, the ports that this deployment advertises.")
	if f.dump() != before {
		t.Error("something was stored")
	}
}

// Creations at the same time never share an address.
func TestConcurrentCreates(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	const clusters = 20
	var wg sync.WaitGroup
	errs := make([]error, clusters)
	for i := range clusters {
		wg.Go(func() { _, errs[i] = f.CreateCacheCluster(f.ctx, memcachedRequest(fmt.Sprintf("c%d", i), 3)) })
	}
	wg.Wait()
	used := map[string]string{}
	for i, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
		c := f.cluster(fmt.Sprintf("c%d", i))
		endpoints := []resource.Endpoint{c.Spec.ConfigurationEndpoint}
		for _, n := range c.Spec.Nodes {
			endpoints = append(endpoints, n.Endpoint)
		}
		for _, e := range endpoints {
			if other, taken := used[e.Bound.Address]; taken {
				t.Errorf("%s and %s share %s", c.ID, other, e.Bound.Address)
			}
			used[e.Bound.Address] = c.ID
		}
	}
	if len(used) != clusters*4 {
		t.Errorf("%d addresses, want %d", len(used), clusters*4)
	}
}

// What clients are told is an address or the name that has the form of the cache's
// TLS mode.
func TestTold(t *testing.T) {
	t.Parallel()
	endpoint := resource.Endpoint{
		VPC: core.Endpoint{Address: "172.31.0.9", Port: 6379}, Advertised: core.Endpoint{Address: "127.10.0.9", Port: 7000},
		Names: []string{"plain.d.test", "tls.d.test"},
	}
	outside, unnamed := endpoint, endpoint
	outside.Advertised.Address = "cache.example.com"
	unnamed.Names = nil
	for _, tt := range []struct {
		name, setting string
		installed     bool
		tls           resource.TLSMode
		endpoint      resource.Endpoint
		want          string
	}{
		{"by default", "", false, resource.TLSOff, endpoint, "127.10.0.9"},
		{"addresses", EndpointNamesIP, true, resource.TLSOff, endpoint, "127.10.0.9"},
		{"names", EndpointNamesDNS, false, resource.TLSOff, endpoint, "plain.d.test"},
		{"names with TLS", EndpointNamesDNS, false, resource.TLSRequired, endpoint, "tls.d.test"},
		{"names with or without TLS", EndpointNamesDNS, false, resource.TLSPreferred, endpoint, "tls.d.test"},
		{"auto on a host that does not resolve", EndpointNamesAuto, false, resource.TLSOff, endpoint, "127.10.0.9"},
		{"auto on a host that resolves", EndpointNamesAuto, true, resource.TLSOff, endpoint, "plain.d.test"},
		{"a name outside", EndpointNamesAuto, true, resource.TLSOff, outside, "cache.example.com"},
		{"no name", EndpointNamesDNS, true, resource.TLSOff, unnamed, "127.10.0.9"},
		{"no endpoint", EndpointNamesDNS, true, resource.TLSOff, resource.Endpoint{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t, func(c *Config) { c.EndpointNames = tt.setting })
			var got *wire.Endpoint
			f.update(func(tx *store.Tx) error {
				if tt.installed {
					resource.HostResolvers.Put(tx, resource.HostResolverKey, &resource.HostResolver{Via: resource.ViaHosts, Ready: true})
				}
				got = f.told(tx, tt.tls)(tt.endpoint)
				return nil
			})
			if got == nil {
				got = &wire.Endpoint{Address: core.Ptr(""), Port: core.Ptr(7000)}
			}
			if *got.Address != tt.want || *got.Port != 7000 {
				t.Errorf("told %s:%d, want %s", *got.Address, *got.Port, tt.want)
			}
		})
	}
}
