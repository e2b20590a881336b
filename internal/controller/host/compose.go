package host

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// Compose is everything that shall exist on the host, as the store has it, but
// for the revision. Secrets are opened: the document never leaves the process
// but for the engines and the relay.
func Compose(r store.Reader, secrets Secrets) (*runtime.Document, error) {
	c := &composer{reader: r, secrets: secrets, nodes: map[string]*resource.Node{}, clusters: map[string]*resource.CacheCluster{}}
	c.doc.World, c.interfaces = topology.World(r)
	c.doc.Windows = topology.Windows(r)
	c.instances()
	for _, cluster := range resource.CacheClusters.List(r, "") {
		c.clusters[cluster.Region+"/"+cluster.ID] = cluster
	}
	all := resource.Nodes.List(r, "")
	for _, n := range all {
		c.nodes[n.Key()] = n
	}
	for _, n := range all {
		switch {
		case !n.Spec.Deleted:
			c.node(n)
		case !nodespec.Gone(n):
			c.doc.Removed = append(c.doc.Removed, n.Key())
		}
	}
	for _, g := range resource.ReplicationGroups.List(r, "") {
		if !g.Spec.Deleting {
			c.group(g)
		}
	}
	for key, cluster := range c.clusters {
		if !cluster.Spec.Deleting {
			c.configuration(key, cluster)
		}
	}
	c.publications()
	slices.SortFunc(c.doc.Endpoints, func(a, b runtime.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return &c.doc, c.err
}

type composer struct {
	reader   store.Reader
	secrets  Secrets
	nodes    map[string]*resource.Node
	clusters map[string]*resource.CacheCluster
	// interfaces are those of the nodes.
	interfaces map[string]network.Interface
	doc        runtime.Document
	err        error
}

// node adds a node and its own endpoint.
func (c *composer) node(n *resource.Node) {
	e := n.Spec.Endpoint
	out := runtime.Node{
		ID: n.Key(), UID: n.UID,
		Incarnation: n.Spec.Incarnation, Generation: n.Spec.Generation,
		Engine: n.Spec.Engine, Version: n.Spec.Version,
		Network: c.interfaces[place(n.Key())].VPC, VPC: e.VPC, Bound: e.Bound, Advertised: e.Advertised,
		Direct: direct(n), Replication: c.replication(n),
		Settings: n.Spec.Settings, StartSettings: n.Spec.StartSettings,
		Auth: c.auth(n), HoldWrites: n.Spec.HoldWrites, Watched: n.Spec.Watched,
	}
	if n.Spec.Cluster != nil {
		out.Cluster = c.cluster(n)
	}
	if n.Spec.ReplicaOf != "" {
		out.Primary = &core.Endpoint{}
		// A primary whose record is gone leaves its replica without a source: it
		// must not become a primary by itself.
		if primary := c.nodes[n.Spec.ReplicaOf]; primary != nil {
			*out.Primary = c.replication(primary)
		}
	}
	_, out.Successor = resource.SucceededID(n.ID)
	c.doc.Nodes = append(c.doc.Nodes, out)
	if !out.Successor {
		c.endpoint("node "+n.Key(), e, n, c.served(n).Key())
	}
}

// place is the key of the node whose address the one with a key has: of another for
// a successor.
func place(key string) string {
	own, _ := resource.SucceededID(key)
	return own
}

// served is who serves the clients of a node: the successor once that takes writes.
func (c *composer) served(n *resource.Node) *resource.Node {
	if next := c.nodes[resource.SuccessorID(n.Key())]; next != nil && takesWrites(next) {
		return next
	}
	return n
}

// inNetwork: what has this endpoint is bound to its address in the VPC.
func inNetwork(e resource.Endpoint) bool { return e.Bound == e.VPC }

// direct is where clients may speak to the engine of a node with nobody in between:
// in a network of its own that lets through only what the rules admit, and in
// plaintext, while nobody is to be logged in by the relay. The address is one node's
// at a time, and not a successor's.
func direct(n *resource.Node) core.Endpoint {
	if _, successor := resource.SucceededID(n.ID); successor || !inNetwork(n.Spec.Endpoint) || n.Spec.TLS != resource.TLSOff || n.Spec.Auth.Login {
		return core.Endpoint{}
	}
	return n.Spec.Endpoint.VPC
}

// replication is where a node's own listener for its peers is: at its address in
// the VPC's own network, or in the window after the one where clients connect. In
// cluster mode it is at the node's own address in both: engines look for each other
// where clients find them. A cluster with a configuration endpoint has nodes that
// know nothing of each other, and no such listeners.
func (c *composer) replication(n *resource.Node) core.Endpoint {
	cluster := c.clusters[step.ClusterOfNode(n.Key())]
	if cluster != nil && !cluster.Spec.ConfigurationEndpoint.IsZero() {
		return core.Endpoint{}
	}
	if e := n.Spec.Endpoint; inNetwork(e) || n.Spec.Cluster != nil {
		port, _ := hiddenPorts(n.Spec.Turn, n.Spec.Endpoint)
		return core.Endpoint{Address: e.Bound.Address, Port: port}
	}
	bound, err := netip.ParseAddr(n.Spec.Endpoint.Bound.Address)
	if err != nil || !bound.Is4() {
		c.fail(fmt.Errorf("node %s: bound address %q is not IPv4", n.Key(), n.Spec.Endpoint.Bound.Address))
		return core.Endpoint{}
	}
	b := bound.As4()
	b[1]++
	out := core.Endpoint{Address: netip.AddrFrom4(b).String(), Port: n.Spec.Endpoint.VPC.Port}
	if n.Spec.Turn%2 != 0 {
		out.Port, _ = hiddenPorts(n.Spec.Turn, n.Spec.Endpoint)
	}
	return out
}

// hiddenPorts are the ports of a listener for peers and of a bus, of the node that
// has a turn at an endpoint.
func hiddenPorts(turn int, e resource.Endpoint) (replication, bus int) {
	replication, bus = runtime.ReplicationPort, runtime.BusPort
	if turn%2 != 0 {
		replication, bus = runtime.SecondReplicationPort, runtime.SecondBusPort
	}
	return runtime.HiddenPort(replication, e.VPC.Port), runtime.HiddenPort(bus, e.VPC.Port)
}

// auth opens the secrets of a node.
func (c *composer) auth(n *resource.Node) runtime.Auth {
	a := runtime.Auth{
		NoPassword:  n.Spec.Auth.NoPassword,
		Login:       c.login(n),
		Admin:       c.secrets.Derive("admin", n.UID),
		Replication: c.secrets.Derive("replication", n.Spec.Auth.SecretsFrom),
	}
	for _, sealed := range n.Spec.Auth.Digests {
		digest, err := c.secrets.Unseal(sealed)
		if err != nil {
			c.fail(fmt.Errorf("node %s: opening a token's digest: %w", n.Key(), err))
		}
		a.Digests = append(a.Digests, digest.Reveal())
	}
	return a
}

func (c *composer) login(n *resource.Node) core.Secret {
	if !n.Spec.Auth.Login {
		return core.Secret{}
	}
	return c.secrets.Derive("login", n.Spec.Auth.SecretsFrom)
}

// group adds the endpoints of a replication group.
func (c *composer) group(g *resource.ReplicationGroup) {
	if g.Spec.ClusterMode() {
		c.shards(g)
	}
	if g.Spec.Mode() == resource.ModeEnabled {
		return
	}
	var some, primary *resource.Node
	var replicas []string
	for _, id := range g.Spec.Members {
		cluster := c.clusters[g.Region+"/"+id]
		if cluster == nil || len(cluster.Spec.Nodes) == 0 {
			continue
		}
		n := c.nodes[g.Region+"/"+id+"/"+cluster.Spec.Nodes[0].ID]
		if n == nil || n.Spec.Deleted {
			continue
		}
		n = c.served(n)
		switch {
		case id == g.Status.Primary && takesWrites(n):
			primary = n
		case followsPrimary(n) && !n.Status.Lagging && n.Spec.Cluster == nil:
			// In cluster mode a replica sends everybody away who does not ask to read.
			replicas = append(replicas, n.Key())
		}
		some = n
	}
	if some == nil {
		return
	}
	var writers []string
	if primary != nil {
		writers = []string{primary.Key()}
	}
	readers := replicas
	if len(readers) == 0 {
		readers = writers
	}
	c.endpoint("primary "+g.Region+"/"+g.ID, g.Spec.PrimaryEndpoint, some, writers...)
	c.doc.Endpoints[len(c.doc.Endpoints)-1].Primary = true
	c.endpoint("reader "+g.Region+"/"+g.ID, g.Spec.ReaderEndpoint, some, readers...)
}

// takesWrites: the node shall be the primary. That it is none yet keeps clients from it
// is the runtime's part, which knows first.
func takesWrites(n *resource.Node) bool { return nodespec.Alive(n) && n.Spec.ReplicaOf == "" }

func followsPrimary(n *resource.Node) bool {
	return nodespec.Alive(n) && n.Spec.ReplicaOf != "" && n.Status.Role == "slave" && n.Status.LinkUp
}

// configuration adds the endpoint over all nodes of a cluster that has one.
func (c *composer) configuration(key string, cluster *resource.CacheCluster) {
	if cluster.Spec.ConfigurationEndpoint.IsZero() {
		return
	}
	var some *resource.Node
	var alive []string
	for _, slot := range cluster.Spec.Nodes {
		n := c.nodes[key+"/"+slot.ID]
		if n == nil || n.Spec.Deleted {
			continue
		}
		some = n
		if nodespec.Alive(n) {
			alive = append(alive, n.Key())
		}
	}
	if some != nil {
		c.endpoint("configuration "+key, cluster.Spec.ConfigurationEndpoint, some, alive...)
	}
}

// endpoint adds an endpoint that leads to nodes like n. One whose certificate is
// not there yet leads nowhere: it must not speak plaintext meanwhile.
func (c *composer) endpoint(id string, e resource.Endpoint, n *resource.Node, nodes ...string) {
	out := runtime.Endpoint{
		ID: id, Network: c.interfaces[place(n.Key())].VPC, VPC: e.VPC, Bound: e.Bound, Advertised: e.Advertised,
		Names: e.Names, Nodes: nodes,
	}
	if n.Spec.TLS != resource.TLSOff {
		tls, ok := c.tls(n)
		if !ok {
			out.Nodes = nil
		}
		out.TLS = tls
	}
	c.doc.Endpoints = append(c.doc.Endpoints, out)
}

// tls is the mode of a node with the certificate of its owner.
func (c *composer) tls(n *resource.Node) (runtime.TLS, bool) {
	cert, ok := resource.Certificates.Get(c.reader, n.Region+"/"+c.owner(n))
	if !ok {
		return runtime.TLS{}, false
	}
	key, err := c.secrets.Unseal(cert.KeyPEM)
	if err != nil {
		c.fail(fmt.Errorf("node %s: opening the key of its certificate: %w", n.Key(), err))
		return runtime.TLS{}, false
	}
	return runtime.TLS{Mode: string(n.Spec.TLS), ChainPEM: cert.ChainPEM, KeyPEM: key}, true
}

// owner is the UID of the group or cluster that a node's certificate is for.
func (c *composer) owner(n *resource.Node) string {
	cluster := c.clusters[step.ClusterOfNode(n.Key())]
	if cluster == nil {
		return ""
	}
	if cluster.Spec.ReplicationGroupID == "" {
		return cluster.UID
	}
	g, ok := resource.ReplicationGroups.Get(c.reader, n.Region+"/"+cluster.Spec.ReplicationGroupID)
	if !ok {
		return ""
	}
	return g.UID
}

func (c *composer) fail(err error) { c.err = errors.Join(c.err, err) }
