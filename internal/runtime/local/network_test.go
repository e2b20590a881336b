package local

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime"
)

// picky is a fabric that takes everything but some endpoints.
type picky struct {
	refused map[string]error
	got     chan Network
}

func (f *picky) Namespace(string) string { return "" }

func (p *picky) Apply(_ context.Context, n Network) (map[string]error, error) {
	p.got <- n
	return p.refused, nil
}
func (p *picky) Shutdown(context.Context) error { return nil }
func (p *picky) Close() error                   { return nil }

// What a fabric says of an endpoint can be asked for. Of a publication it is no
// trouble of the node's.
func TestListening(t *testing.T) {
	t.Parallel()
	const node, open, shut = "us-east-1/c/0001", "publication us-east-1/pub-1", "publication us-east-1/pub-2"
	fabric := &picky{got: make(chan Network, 10), refused: map[string]error{shut: errors.New("taken"), runtime.ResolverID: errors.New("no port")}}
	changed := make(chan struct{}, 10)
	n := newNetwork(fabric, core.SystemClock{}, slog.New(slog.DiscardHandler), func(map[string]bool) { changed <- struct{}{} }, func(runtime.Report) {})
	if got := n.listening(open); got != (runtime.Listening{}) {
		t.Errorf("before anything is known: %+v", got)
	}
	source := netip.MustParseAddr("172.31.0.9")
	names := []string{"c.d.test"}
	version := n.setDocument(&runtime.Document{Endpoints: []runtime.Endpoint{
		{ID: "node " + node, VPC: core.Endpoint{Address: "172.31.0.4", Port: 1}, Advertised: core.Endpoint{Address: "127.10.0.4", Port: 1}, Names: names, Nodes: []string{node}},
		{ID: open, Source: source, Nodes: []string{node}},
		{ID: shut, Source: source, Nodes: []string{node}},
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go n.run(ctx)
	defer func() { cancel(); <-n.done }()
	for reached := false; !reached; {
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing is in force")
		}
		var trouble string
		if reached, trouble = n.reached(version, node); trouble != "" {
			t.Errorf("the node has the trouble %q", trouble)
		}
	}
	for id, want := range map[string]runtime.Listening{
		"node " + node: {Open: true}, open: {Open: true}, shut: {Trouble: "taken"}, "publication us-east-1/pub-3": {}, runtime.ResolverID: {Trouble: "no port"},
	} {
		if got := n.listening(id); got != want {
			t.Errorf("%s: %+v, want %+v", id, got, want)
		}
	}
	got := <-fabric.got
	if got.Endpoints[1].Source != source {
		t.Errorf("the source is lost: %+v", got.Endpoints[1])
	}
	for what, address := range map[string][]netip.Addr{"172.31.0.4": got.VPCNames()["c.d.test"], "127.10.0.4": got.AdvertisedNames()["c.d.test"]} {
		if len(address) != 1 || address[0].String() != what {
			t.Errorf("the name is %v, want %s", address, what)
		}
	}
}

// The endpoint of a primary leads to no replica. Until the node that it shall lead to has
// become the primary, it stays where it is, if there is a primary there.
func TestPrimaryEndpoint(t *testing.T) {
	t.Parallel()
	at := func(nodes ...string) *runtime.Document {
		return &runtime.Document{Endpoints: []runtime.Endpoint{{ID: "primary", Nodes: nodes, Primary: true}}}
	}
	in := func(node string, replica bool) func(*network) {
		return func(n *network) { n.setBackend(node, backend{uid: "u" + node, replica: replica}) }
	}
	leads := func(nodes ...string) func(*network) { return func(n *network) { n.setDocument(at(nodes...)) } }
	ends := func(node string) func(*network) { return func(n *network) { n.dropBackend(node, "u"+node) } }
	for _, tt := range []struct {
		name  string
		steps []func(*network)
		want  string
	}{
		{"a primary", []func(*network){leads("a"), in("a", false)}, "a"},
		{"a replica", []func(*network){leads("a"), in("a", true)}, ""},
		{"the heir is a replica still", []func(*network){in("a", false), in("b", true), leads("a"), leads("b")}, "a"},
		{"the heir has taken over", []func(*network){in("a", false), in("b", true), leads("a"), leads("b"), in("b", false)}, "b"},
		{"the heir is a replica still, and the old primary one already", []func(*network){in("a", false), in("b", true), leads("a"), leads("b"), in("a", true)}, ""},
		{"the heir is a replica still, and the old primary has ended", []func(*network){in("a", false), in("b", true), leads("a"), leads("b"), ends("a")}, ""},
		{"the old primary comes back as a replica", []func(*network){in("a", false), in("b", true), leads("a"), leads("b"), ends("a"), in("a", true)}, ""},
		{"nowhere", []func(*network){in("a", false), leads("a"), leads()}, ""},
	} {
		n := newNetwork(&picky{}, core.SystemClock{}, slog.New(slog.DiscardHandler), func(map[string]bool) {}, func(runtime.Report) {})
		for _, step := range tt.steps {
			step(n)
			n.compose()
		}
		v, _, _ := n.compose()
		var got string
		for _, b := range v.Endpoints[0].Backends {
			got += b.Node
		}
		if got != tt.want {
			t.Errorf("%s: it leads to %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A node whose place its successor has taken may be about to say that it serves, and ends
// right after that: clients are still led to the successor.
func TestPlaceIsTakenForGood(t *testing.T) {
	t.Parallel()
	n := newNetwork(&picky{}, core.SystemClock{}, slog.New(slog.DiscardHandler), func(map[string]bool) {}, func(runtime.Report) {})
	doc := func(nodes ...runtime.Node) *runtime.Document {
		return &runtime.Document{Nodes: nodes, Endpoints: []runtime.Endpoint{{ID: "node a", Nodes: []string{"a"}}}}
	}
	old, next := backend{uid: "u1", socket: "old"}, backend{uid: "u2", socket: "next"}
	n.setDocument(doc(runtime.Node{ID: "a", UID: "u1"}, runtime.Node{ID: "a-next", UID: "u2", Successor: true}))
	n.setBackend("a", old)
	n.setBackend("a-next", next)
	n.moveBackend("a-next", "a", "u2")
	n.setBackend("a", old)
	n.setDocument(doc(runtime.Node{ID: "a", UID: "u2"}))
	n.setBackend("a", old)
	n.dropBackend("a", "u1")
	v, _, _ := n.compose()
	if got := v.Endpoints[0].Backends; len(got) != 1 || got[0].Socket != "next" {
		t.Errorf("clients are led to %+v", got)
	}
}
