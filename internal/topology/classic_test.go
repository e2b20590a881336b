package topology

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/storetest"
)

// classicStore has an EC2-Classic network with the EC2 security groups web and
// batch, a cluster on port 6379 in the cache security groups "default" and "extra",
// and another on port 6380 in "extra"; ingress is as given.
func classicStore(t *testing.T, ingress map[string][]resource.CacheIngress) *store.Store {
	st := storetest.New(t)
	update(t, st, func(tx *store.Tx) error {
		v := vpc(resource.ClassicID("1"), "10.20.0.0/16", 20)
		v.Subnets[0].ID = "pool"
		resource.VPCs.Put(tx, "us-east-1/"+v.ID, v)
		for _, name := range []string{"default", "web", "batch"} {
			id := "sg-" + name
			if name == "default" {
				id = v.DefaultSecurityGroup
			}
			resource.SecurityGroups.Put(tx, "us-east-1/"+id, &resource.SecurityGroup{Region: "us-east-1", ID: id, VPCID: v.ID, Name: name})
		}
		for name, in := range ingress {
			resource.CacheSecurityGroups.Put(tx, "us-east-1/"+name, &resource.CacheSecurityGroup{Region: "us-east-1", Name: name, Ingress: in, Generation: 9})
		}
		for _, c := range []struct {
			id, address string
			port        int
			caches      []string
		}{{"both", "10.20.0.1", 6379, []string{"default", "extra"}}, {"other", "10.20.0.2", 6380, []string{"extra"}}} {
			slot := resource.NodeSlot{ID: "0001", SubnetID: "pool"}
			slot.Endpoint.VPC.Address = c.address
			resource.CacheClusters.Put(tx, "us-east-1/"+c.id, &resource.CacheCluster{Region: "us-east-1", ID: c.id, Spec: resource.CacheClusterSpec{
				Port: c.port, CacheSecurityGroups: c.caches, Nodes: []resource.NodeSlot{slot},
			}})
		}
		resource.Instances.Put(tx, "us-east-1/i-1", &resource.Instance{Region: "us-east-1", ID: "i-1", Spec: resource.InstanceSpec{VPCID: resource.ClassicID("1")}})
		ended := &resource.Instance{Region: "us-east-1", ID: "i-2", Spec: resource.InstanceSpec{VPCID: resource.ClassicID("1")}}
		ended.Status.Power = resource.PowerTerminated
		resource.Instances.Put(tx, "us-east-1/i-2", ended)
		return nil
	})
	return st
}

func TestCacheSecurityGroupsLetIn(t *testing.T) {
	t.Parallel()
	revoked := resource.CacheIngress{GroupName: "batch", Revoked: true}
	for _, c := range []struct {
		name    string
		ingress map[string][]resource.CacheIngress
		// who gets in: "GROUP:CLUSTER:PORT"
		want string
	}{
		{"nobody at first", nil, ""},
		{"one group, in one of the cluster's", map[string][]resource.CacheIngress{"default": {{GroupName: "web"}}}, "web:both:6379"},
		{"the port is each cluster's own", map[string][]resource.CacheIngress{"extra": {{GroupName: "web"}}}, "web:both:6379 web:other:6380"},
		{"the union of groups", map[string][]resource.CacheIngress{"default": {{GroupName: "batch"}}, "extra": {{GroupName: "web"}}}, "batch:both:6379 web:both:6379 web:other:6380"},
		{"a revoked one", map[string][]resource.CacheIngress{"extra": {{GroupName: "web"}, revoked}}, "web:both:6379 web:other:6380"},
		{"a group that there is not", map[string][]resource.CacheIngress{"extra": {{GroupName: "none"}}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := classicStore(t, c.ingress)
			var w network.World
			st.Local(func(r store.Reader) { w, _ = World(r) })
			clients := map[string]netip.Addr{"batch": netip.MustParseAddr("10.20.0.30"), "web": netip.MustParseAddr("10.20.0.31"), "nobody": netip.MustParseAddr("10.20.0.32")}
			for _, name := range []string{"batch", "web"} {
				w.Interfaces = append(w.Interfaces, network.Interface{ID: name, VPC: resource.ClassicID("1"), Addresses: []netip.Addr{clients[name]}, Groups: []string{"sg-" + name}})
			}
			p := network.Compile(w)
			var in []string
			for _, from := range []string{"batch", "nobody", "web"} {
				for i, cluster := range []string{"both", "other"} {
					for _, port := range []int{6379, 6380} {
						ok, why := p.Allows(network.Flow{
							Protocol: network.TCP, SourceVPC: resource.ClassicID("1"), Source: clients[from], VPC: resource.ClassicID("1"),
							Destination: netip.AddrFrom4([4]byte{10, 20, 0, byte(1 + i)}), Port: port,
						})
						if ok {
							in = append(in, strings.Join([]string{from, cluster, map[int]string{6379: "6379", 6380: "6380"}[port]}, ":"))
							if !why.Tracked {
								t.Errorf("%s to %s is not tracked", from, cluster)
							}
						}
					}
				}
			}
			if got := strings.Join(in, " "); got != c.want {
				t.Errorf("let in are %q, want %q", got, c.want)
			}
		})
	}
}

func TestInClassic(t *testing.T) {
	t.Parallel()
	st := classicStore(t, map[string][]resource.CacheIngress{"default": {{GroupName: "web", Generation: 1}}, "extra": nil})
	var got []string
	st.Local(func(r store.Reader) { got = InClassic(r) })
	want := []string{
		"the instances i-1 in us-east-1",
		"the cache clusters both, other in us-east-1",
		"the cache security groups default (which cannot be deleted: its ingress is to be revoked), extra in us-east-1",
		"the EC2 security groups batch, web in us-east-1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	update(t, st, func(tx *store.Tx) error {
		resource.Instances.Delete(tx, "us-east-1/i-1")
		for _, id := range []string{"both", "other"} {
			resource.CacheClusters.Delete(tx, "us-east-1/"+id)
		}
		resource.CacheSecurityGroups.Delete(tx, "us-east-1/extra")
		resource.CacheSecurityGroups.Put(tx, "us-east-1/default", &resource.CacheSecurityGroup{
			Region: "us-east-1", Name: "default", Generation: 2, Status: resource.CacheSecurityGroupStatus{ObservedGeneration: 2},
			Ingress: []resource.CacheIngress{{GroupName: "web", Revoked: true, Generation: 2}},
		})
		for _, id := range []string{"sg-web", "sg-batch"} {
			resource.SecurityGroups.Delete(tx, "us-east-1/"+id)
		}
		return nil
	})
	st.Local(func(r store.Reader) { got = InClassic(r) })
	if len(got) > 0 {
		t.Errorf("what is always there counts: %q", got)
	}
}
