package controllertest

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Region is where everything is.
const Region = "us-east-1"

// Clock stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// Now implements core.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After implements core.Clock by the real clock: nobody waits in these tests
// but for failures.
func (c *Clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// UIDs gives ids that differ.
func UIDs() func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprintf("uid%05d", n)
	}
}

// Engines renders parameters as they are: those that begin with "static-" need a
// restart. A parameter "broken" cannot be rendered. A cache.t3.micro has room for
// 100 writes, a cache.t3.small for 200.
type Engines struct{}

var _ nodespec.Engines = Engines{}

// Directives implements nodespec.Engines.
func (Engines) Directives(_, _, nodeType string, values map[string]string) (nodespec.Directives, error) {
	sizes := map[string]string{"cache.t3.micro": "100", "cache.t3.small": "200"}
	d := nodespec.Directives{
		Live:  map[string]string{"maxmemory": cmp.Or(sizes[nodeType], nodeType)},
		Start: map[string]string{"databases": "16"},
	}
	for name, value := range values {
		switch {
		case name == "broken":
			return nodespec.Directives{}, fmt.Errorf("parameter %s cannot be rendered", name)
		case strings.HasPrefix(name, "static-"):
			d.Start[name] = value
		default:
			d.Live[name] = value
		}
	}
	return d, nil
}

// Default implements nodespec.Engines.
func (Engines) Default(_, _, name string) string { return "default-of-" + name }

// Program implements nodespec.Engines. Every version has a program of its own, but for
// redis 7.0.7 and 7.1.0, which have one.
func (Engines) Program(engine, version string) catalog.Binary {
	if version == "7.0.7" {
		version = "7.1.0"
	}
	return catalog.Binary{Engine: engine, Version: version, Path: "/usr/bin/" + engine + "-server"}
}

// Network is the default VPC of the region, with subnets subnet-a to subnet-c.
func Network() *resource.VPC {
	v := &resource.VPC{Region: Region, ID: "vpc-1", CIDR: "172.31.0.0/16", IsDefault: true, Window: 10}
	for i, zone := range []string{"a", "b", "c"} {
		v.Subnets = append(v.Subnets, resource.Subnet{ID: "subnet-" + zone, CIDR: fmt.Sprintf("172.31.%d.0/24", i), Zone: Region + zone})
	}
	return v
}

// Endpoint is an endpoint whose addresses end in a number.
func Endpoint(name string, number, port int) resource.Endpoint {
	bound := core.Endpoint{Address: fmt.Sprintf("127.10.0.%d", number), Port: port}
	return resource.Endpoint{
		VPC:   core.Endpoint{Address: fmt.Sprintf("172.31.0.%d", number), Port: port},
		Bound: bound, Advertised: bound, Names: []string{name + ".cache.test"},
	}
}

// Group is a new replication group "rg" with n members, rg-001 in zone a and so
// on, and the records that its creation stores.
func Group(n int) (*resource.ReplicationGroup, []*resource.CacheCluster) {
	g := &resource.ReplicationGroup{
		Region: Region, ID: "rg", UID: "rg-uid", Generation: 1,
		Spec: resource.ReplicationGroupSpec{
			Engine:          "redis",
			PrimaryEndpoint: Endpoint("primary.rg", 100, 6379),
			ReaderEndpoint:  Endpoint("reader.rg", 101, 6379),
		},
	}
	var members []*resource.CacheCluster
	for i := range n {
		members = append(members, Member(g, i+1))
	}
	return g, members
}

// Member adds member number i to a group's spec.
func Member(g *resource.ReplicationGroup, i int) *resource.CacheCluster {
	zone := string(rune('a' + (i-1)%3))
	id := fmt.Sprintf("%s-%03d", g.ID, i)
	g.Spec.Members = append(g.Spec.Members, id)
	c := Cluster(id, "redis", 6379)
	c.Spec.TLS, c.Spec.ReplicationGroupID = g.Spec.TLS, g.ID
	c.Spec.Nodes = []resource.NodeSlot{Slot(id, 1, i, zone, 6379)}
	return c
}

// Cluster is a new cluster without nodes.
func Cluster(id, engine string, port int) *resource.CacheCluster {
	return &resource.CacheCluster{
		Region: Region, ID: id, UID: id + "-uid", Generation: 1,
		Spec: resource.CacheClusterSpec{
			Engine: engine, EngineVersion: "7.1.0", NodeType: "cache.t3.micro",
			ParameterGroup: "default.redis7", Port: port,
		},
	}
}

// Slot is a place for node number id of a cluster, with an address that ends in
// number.
func Slot(cluster string, id, number int, zone string, port int) resource.NodeSlot {
	return resource.NodeSlot{
		ID: fmt.Sprintf("%04d", id), Zone: Region + zone, SubnetID: "subnet-" + zone,
		Endpoint: Endpoint(fmt.Sprintf("%04d.%s", id, cluster), number, port),
	}
}

// Update stores what fn writes.
func Update(t testing.TB, st *store.Store, fn func(tx *store.Tx)) {
	t.Helper()
	err := st.Update(t.Context(), func(tx *store.Tx) error { fn(tx); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

// PutCluster stores a cluster and takes its addresses.
func PutCluster(tx *store.Tx, c *resource.CacheCluster) {
	resource.CacheClusters.Put(tx, c.Region+"/"+c.ID, c)
	take(tx, c.Spec.ConfigurationEndpoint)
	for _, s := range c.Spec.Nodes {
		take(tx, s.Endpoint)
	}
}

// PutGroup stores a group and its members, and takes their addresses.
func PutGroup(tx *store.Tx, g *resource.ReplicationGroup, members []*resource.CacheCluster) {
	v := Network()
	resource.VPCs.Put(tx, v.Region+"/"+v.ID, v)
	resource.ReplicationGroups.Put(tx, g.Region+"/"+g.ID, g)
	take(tx, g.Spec.PrimaryEndpoint)
	take(tx, g.Spec.ReaderEndpoint)
	for _, c := range members {
		PutCluster(tx, c)
	}
}

func take(tx *store.Tx, e resource.Endpoint) {
	if !e.IsZero() {
		resource.Addresses.Put(tx, Region+"/vpc-1/"+e.VPC.Address, &resource.Address{Owner: "test"})
	}
}

// Events are the messages so far, "SOURCE: MESSAGE", oldest first.
func Events(st *store.Store) (messages []string) {
	st.Local(func(r store.Reader) {
		for _, e := range resource.Events.List(r, "") {
			messages = append(messages, e.SourceID+": "+e.Message)
		}
	})
	return messages
}

// Records names every record there is but for events and networks, which must
// not outlive what they belong to.
func Records(st *store.Store) (keys []string) {
	st.Local(func(r store.Reader) {
		add := func(table string, found []string) {
			for _, k := range found {
				keys = append(keys, table+" "+k)
			}
		}
		add("group", resource.ReplicationGroups.Keys(r, ""))
		add("cluster", resource.CacheClusters.Keys(r, ""))
		add("node", resource.Nodes.Keys(r, ""))
		add("address", resource.Addresses.Keys(r, ""))
		add("certificate", resource.Certificates.Keys(r, ""))
	})
	return keys
}
