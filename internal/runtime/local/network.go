package local

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/core"
	policy "github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime"
)

// Waits before the fabric is asked again after a failure.
const (
	fabricRetryFirst = 100 * time.Millisecond
	fabricRetryLast  = 5 * time.Second
)

// backend is an engine in service, as the fabric shall see it.
type backend struct {
	uid        string
	socket     string
	login      core.Secret
	direct     core.Endpoint // where the engine listens itself, if the fabric may use that
	pid        int
	maxClients int
	replica    bool
}

// place is an address of one of several networks.
type place struct {
	network string
	at      core.Endpoint
}

// network keeps the fabric at what the document's endpoints and the engines in
// service add up to. Changes are numbered, so that whoever made one can tell when
// it is in force.
type network struct {
	fabric  Fabric
	clock   core.Clock
	log     *slog.Logger
	changed func(nodes map[string]bool) // after a change of what reached tells of them
	report  func(runtime.Report)
	wake    chan struct{}
	done    chan struct{}

	mu        sync.Mutex
	endpoints []runtime.Endpoint // nil before the first document
	nodes     map[string]place   // by node id
	owners    map[place]string   // ids of the nodes whose own addresses these are
	uids      map[string]string  // whose ids these are
	world     policy.World
	windows   map[string]policy.Window
	instances []runtime.Instance
	backends  map[string]backend  // by node id
	led       map[string][]string // where endpoints of primaries lead, by endpoint id
	version   int64               // of all above
	applied   int64               // the version that is in force
	failed    map[string]string   // by node id: what keeps clients from it
	waiting   map[string]bool     // ids of nodes that were told that a version is not in force
	// document is the version that the latest document made, revision the
	// document's; enforced is the revision of the latest one that is in force.
	document, revision, enforced int64
	// inForce are the endpoints that the fabric has taken last, troubles what it
	// said of some of them, by their ids.
	inForce  []Endpoint
	troubles map[string]error
}

func newNetwork(f Fabric, clock core.Clock, log *slog.Logger, changed func(nodes map[string]bool), report func(runtime.Report)) *network {
	return &network{
		fabric: f, clock: clock, log: log, changed: changed, report: report,
		wake: make(chan struct{}, 1), done: make(chan struct{}), backends: make(map[string]backend),
		waiting: make(map[string]bool),
	}
}

// setDocument takes over what a document says of the network and gives its version.
func (n *network) setDocument(doc *runtime.Document) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	nodes, owners := make(map[string]place, len(doc.Nodes)), make(map[place]string, len(doc.Nodes))
	n.uids = make(map[string]string, len(doc.Nodes))
	for i := range doc.Nodes {
		n.uids[doc.Nodes[i].ID] = doc.Nodes[i].UID
		at := place{doc.Nodes[i].Network, doc.Nodes[i].VPC}
		nodes[doc.Nodes[i].ID] = at
		if !doc.Nodes[i].Successor {
			owners[at] = doc.Nodes[i].ID
		}
	}
	changed := n.endpoints == nil
	if changed || !reflect.DeepEqual(n.endpoints, doc.Endpoints) || !maps.Equal(n.nodes, nodes) || !maps.Equal(n.owners, owners) {
		n.endpoints, n.nodes, n.owners, changed = append([]runtime.Endpoint{}, doc.Endpoints...), nodes, owners, true
	}
	// What is equal is kept, so that a fabric sees at a glance that it is.
	if !reflect.DeepEqual(n.world, doc.World) {
		n.world, changed = doc.World, true
	}
	if !maps.Equal(n.windows, doc.Windows) {
		n.windows, changed = doc.Windows, true
	}
	if !slices.Equal(n.instances, doc.Instances) {
		n.instances, changed = doc.Instances, true
	}
	if changed {
		n.bump()
	}
	n.document, n.revision = n.version, doc.Revision
	n.noteEnforced()
	return n.version
}

// noteEnforced takes note of the latest document if all of it is in force; n.mu is
// held.
func (n *network) noteEnforced() {
	if n.applied >= n.document {
		n.enforced = n.revision
	}
}

// enforcedRevision is the revision of the latest document known to be in force.
func (n *network) enforcedRevision() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.enforced
}

// setBackend puts a node in service and gives the version in which it is. One whose
// place another has taken meanwhile comes too late.
func (n *network) setBackend(node string, b backend) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	late := n.uids[node] != "" && n.uids[node] != b.uid
	if !late && n.backends[node] != b {
		n.backends[node] = b
		n.bump()
	}
	return n.version
}

// adoptLogin gives a node that was found in service the login that it has had
// from a former Larder, before the fabric is told of it.
func (n *network) adoptLogin(node, uid string, login core.Secret) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if b, ok := n.backends[node]; ok && b.uid == uid {
		b.login = login
		n.backends[node] = b
	}
}

// moveBackend has the node with this uid in service under another id, if it is.
func (n *network) moveBackend(from, to, uid string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.uids != nil {
		n.uids[to] = uid
	}
	if b, ok := n.backends[from]; ok && b.uid == uid {
		delete(n.backends, from)
		n.backends[to] = b
		n.bump()
	}
}

// dropBackend takes the node with this uid out of service.
func (n *network) dropBackend(node, uid string) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if b, ok := n.backends[node]; ok && b.uid == uid {
		delete(n.backends, node)
		n.bump()
	}
	return n.version
}

func (n *network) bump() {
	n.version++
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// reached reports whether a version is in force, and what is wrong with an
// endpoint of the node, which is woken when either is another.
func (n *network) reached(version int64, node string) (ok bool, trouble string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ok = n.applied >= version; !ok {
		n.waiting[node] = true
	}
	return ok, n.failed[node]
}

// run applies each change until ctx ends.
func (n *network) run(ctx context.Context) {
	defer close(n.done)
	var (
		last  *Network
		wait  = fabricRetryFirst
		retry <-chan time.Time
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		case <-retry:
			last = nil
		}
		next, version, ok := n.compose()
		if !ok {
			continue
		}
		if reflect.DeepEqual(last, next) {
			n.settle(version, nil, false)
			continue
		}
		failed, err := n.fabric.Apply(ctx, *next)
		retry = nil
		if err != nil || len(failed) > 0 {
			retry = n.clock.After(wait)
			wait = min(2*wait, fabricRetryLast)
		} else {
			wait = fabricRetryFirst
		}
		if err != nil {
			last = nil
			if ctx.Err() == nil {
				n.log.Error("fabric does not take the endpoints", "error", err)
			}
			continue
		}
		n.tell(next.Instances, failed)
		last = next
		n.note(next.Endpoints, failed)
		n.settle(version, n.byNode(failed), true)
	}
}

// note keeps what the fabric says of endpoints.
func (n *network) note(eps []Endpoint, failed map[string]error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, err := range failed {
		if n.troubles[id] == nil {
			n.log.Warn("clients do not reach an endpoint", "endpoint", id, "error", err)
		}
	}
	n.inForce, n.troubles = eps, failed
}

// listening is what is known of an endpoint.
func (n *network) listening(endpoint string) runtime.Listening {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.troubles[endpoint]; err != nil {
		return runtime.Listening{Trouble: err.Error()}
	}
	is := func(e Endpoint) bool { return e.ID == endpoint }
	return runtime.Listening{Open: endpoint == runtime.ResolverID && n.inForce != nil || slices.ContainsFunc(n.inForce, is)}
}

// compose is what the fabric shall bring about, with its version; not ok before
// there is a document, since until then nothing may be taken away.
func (n *network) compose() (v *Network, version int64, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	eps, led := make([]Endpoint, 0, len(n.endpoints)), make(map[string][]string)
	for _, e := range n.endpoints {
		ep := Endpoint{
			ID: e.ID, Network: e.Network, VPC: e.VPC, Node: n.owners[place{e.Network, e.VPC}], CutRemoved: e.Primary, TLS: e.TLS,
			Advertised: e.Advertised, Names: e.Names, Source: e.Source,
		}
		ep.Listen = append(ep.Listen, e.Bound)
		if !e.Advertised.IsZero() && e.Advertised != e.Bound {
			ep.Listen = append(ep.Listen, e.Advertised)
		}
		nodes := e.Nodes
		if e.Primary {
			nodes = n.writers(e)
			led[e.ID] = nodes
		}
		for _, id := range nodes {
			b, ok := n.backends[id]
			if !ok {
				continue
			}
			ep.Backends = append(ep.Backends, Backend{Node: id, VPC: n.nodes[id].at, Socket: b.socket, Login: b.login, Direct: b.direct, PID: b.pid})
			if b.maxClients > 0 && (ep.MaxConns == 0 || b.maxClients < ep.MaxConns) {
				ep.MaxConns = b.maxClients
			}
		}
		eps = append(eps, ep)
	}
	n.led = led
	return &Network{Endpoints: eps, World: n.world, Windows: n.windows, Instances: n.instances}, n.version, n.endpoints != nil
}

// writers are the nodes that a primary's endpoint leads to: of those that it shall lead
// to the ones that are no replicas. Until one of them is none any more it stays where it
// leads: who waits there would only be turned away elsewhere. n.mu is held.
func (n *network) writers(e runtime.Endpoint) []string {
	replica := func(id string) bool { return n.backends[id].uid == "" || n.backends[id].replica }
	ready := slices.DeleteFunc(slices.Clone(e.Nodes), replica)
	if len(ready) > 0 || len(e.Nodes) == 0 {
		return ready
	}
	return slices.DeleteFunc(n.led[e.ID], replica)
}

// byNode says the failures of endpoints for the nodes that the document has behind
// them.
func (n *network) byNode(failed map[string]error) map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make(map[string]string)
	for _, e := range n.endpoints {
		err, ok := failed[e.ID]
		if !ok || e.Source.IsValid() {
			continue // a publication is no part of the cache
		}
		for _, id := range e.Nodes {
			if out[id] != "" {
				out[id] += "; "
			}
			out[id] += e.ID + ": " + err.Error()
		}
	}
	return out
}

// settle notes that a version is in force. With fresh, failed replaces what was
// known to fail.
func (n *network) settle(version int64, failed map[string]string, fresh bool) {
	n.mu.Lock()
	n.applied = version
	n.noteEnforced()
	woken := n.waiting
	n.waiting = make(map[string]bool)
	if fresh {
		for _, all := range []map[string]string{n.failed, failed} {
			for id := range all {
				if n.failed[id] != failed[id] {
					woken[id] = true
				}
			}
		}
		n.failed = failed
	}
	n.mu.Unlock()
	n.changed(woken)
}
