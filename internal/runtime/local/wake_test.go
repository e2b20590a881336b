package local

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime"
)

// poked reports whether something has woken a node since this was last asked.
func poked(n *node) bool {
	select {
	case <-n.poked:
		return true
	default:
		return false
	}
}

// Of many nodes only those are woken that a change of the network is anything to: that
// were told to wait for it, or have other trouble than before.
func TestNetworkWakesWhoWaits(t *testing.T) {
	t.Parallel()
	fabric := &picky{got: make(chan Network, 10), refused: map[string]error{"c": errors.New("taken")}}
	woken := make(chan map[string]bool, 10)
	n := newNetwork(fabric, core.SystemClock{}, slog.New(slog.DiscardHandler), func(nodes map[string]bool) { woken <- nodes }, func(runtime.Report) {})
	var all []runtime.Endpoint
	for _, id := range []string{"a", "b", "c"} {
		all = append(all, runtime.Endpoint{ID: id, Nodes: []string{id}})
	}
	version := n.setDocument(&runtime.Document{Endpoints: all})
	if ok, _ := n.reached(version, "a"); ok {
		t.Fatal("what no fabric has taken is in force")
	}
	n.reached(0, "b")
	ctx, cancel := context.WithCancel(t.Context())
	go n.run(ctx)
	defer func() { cancel(); <-n.done }()
	next := func() string {
		select {
		case nodes := <-woken:
			return strings.Join(slices.Sorted(maps.Keys(nodes)), " ")
		case <-time.After(10 * time.Second):
			t.Fatal("nobody is woken")
			return ""
		}
	}
	if got := next(); got != "a c" {
		t.Errorf("woken are %q: a waits, c has trouble", got)
	}
	version = n.setBackend("b", backend{uid: "u"})
	if ok, trouble := n.reached(version, "b"); !ok && trouble != "" {
		t.Errorf("b has the trouble %q", trouble)
	}
	for got := next(); got != "b"; got = next() {
		if got != "" { // it was asked again for c
			t.Errorf("woken are %q: b waits, c has the trouble that it had", got)
		}
	}
}

// A document wakes the nodes that are to be another thing, and those that may wait for
// them. The nodes here do nothing but be woken.
func TestDocumentWakesWhoIsConcerned(t *testing.T) {
	t.Parallel()
	spec := func(id string, primary *runtime.Node) runtime.Node {
		at := core.Endpoint{Address: "127.1.0." + id, Port: 1}
		n := runtime.Node{ID: id, UID: "u" + id, Network: "vpc-1", Replication: at, Settings: map[string]string{"hz": "1"}}
		if primary != nil {
			n.Primary = &primary.Replication
		}
		return n
	}
	primary, other := spec("1", nil), spec("4", nil)
	elsewhere := spec("5", &primary)
	elsewhere.Network = "vpc-2"
	base := []runtime.Node{primary, spec("2", &primary), spec("3", &primary), other, elsewhere}
	for _, tt := range []struct {
		name   string
		change func(nodes []runtime.Node) []runtime.Node
		woken  string
	}{
		{"nothing", func(nodes []runtime.Node) []runtime.Node { return nodes }, ""},
		{"a setting of the primary", func(nodes []runtime.Node) []runtime.Node {
			nodes[0].Settings = map[string]string{"hz": "2"}
			return nodes
		}, "1 2 3"},
		{"a setting of a replica", func(nodes []runtime.Node) []runtime.Node {
			nodes[1].Settings = map[string]string{"hz": "2"}
			return nodes
		}, "1 2"},
		{"a replica follows another one", func(nodes []runtime.Node) []runtime.Node {
			nodes[1].Primary = &other.Replication
			return nodes
		}, "1 2 4"},
		{"the primary is gone", func(nodes []runtime.Node) []runtime.Node { return nodes[1:] }, "1 2 3"},
		{"the same in another network", func(nodes []runtime.Node) []runtime.Node {
			nodes[4].HoldWrites = true
			return nodes
		}, "5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &Runtime{nodes: map[string]*node{}}
			r.net = newNetwork(&picky{}, core.SystemClock{}, slog.New(slog.DiscardHandler), func(map[string]bool) {}, func(runtime.Report) {})
			for i, nodes := range [][]runtime.Node{base, tt.change(copies(base))} {
				uids := map[string]bool{}
				for _, n := range nodes {
					uids[n.UID] = true
					if i == 0 {
						r.nodes[n.UID] = newNode(r, n.UID)
						r.nodes[n.UID].known.Store(&n.ID)
					}
				}
				r.mu.Lock()
				r.setNodes(&runtime.Document{Nodes: nodes}, uids)
				r.mu.Unlock()
				var woken []string
				for _, n := range r.nodes {
					if poked(n) {
						woken = append(woken, n.id())
					}
				}
				slices.Sort(woken)
				if got := strings.Join(woken, " "); i == 0 && len(woken) != len(base) || i == 1 && got != tt.woken {
					t.Errorf("document %d wakes %q, want %q", i, got, tt.woken)
				}
			}
		})
	}
}

// A primary that ends before it has looked at the spec by which it makes way wakes its
// heir, which waits for it by then.
func TestEndWakesHeir(t *testing.T) {
	t.Parallel()
	r := &Runtime{nodes: map[string]*node{}, reports: newReports()}
	defer r.reports.close()
	r.net = newNetwork(&picky{}, core.SystemClock{}, slog.New(slog.DiscardHandler), func(map[string]bool) {}, func(runtime.Report) {})
	old := runtime.Node{ID: "1", UID: "u1", Replication: core.Endpoint{Address: "127.1.0.1", Port: 1}}
	heir := runtime.Node{ID: "2", UID: "u2", Replication: core.Endpoint{Address: "127.1.0.2", Port: 1}}
	for _, spec := range []runtime.Node{old, heir} {
		r.nodes[spec.UID] = newNode(r, spec.UID)
		r.nodes[spec.UID].known.Store(&spec.ID)
	}
	r.nodes["u1"].seen = &old
	demoted := old
	demoted.Primary = &heir.Replication
	r.mu.Lock()
	r.setNodes(&runtime.Document{Nodes: []runtime.Node{demoted, heir}}, map[string]bool{"u1": true, "u2": true})
	r.mu.Unlock()
	poked(r.nodes["u2"])
	r.nodes["u1"].report(runtime.PhaseExited)
	if !poked(r.nodes["u2"]) {
		t.Error("the heir sleeps on")
	}
}

// So does one that is stopped, of which nothing is reported until it runs again.
func TestStopWakesHeir(t *testing.T) {
	t.Parallel()
	r := &Runtime{cfg: Config{Clock: core.SystemClock{}}, nodes: map[string]*node{}, reports: newReports()}
	defer r.reports.close()
	r.net = newNetwork(&picky{}, core.SystemClock{}, slog.New(slog.DiscardHandler), func(map[string]bool) {}, func(runtime.Report) {})
	heir := runtime.Node{ID: "2", UID: "u2", Replication: core.Endpoint{Address: "127.1.0.2", Port: 1}}
	old := runtime.Node{ID: "1", UID: "u1", Primary: &heir.Replication}
	for _, want := range []*runtime.Node{&old, &heir} {
		n := newNode(r, want.UID)
		n.log = slog.New(slog.DiscardHandler)
		n.want(want, 1)
		poked(n)
		r.nodes[want.UID] = n
	}
	r.relate()
	ended := make(chan struct{})
	close(ended)
	p := &process{exited: ended, watcher: ended}
	r.nodes["u1"].proc, r.nodes["u1"].stopping = p, time.Now()
	r.nodes["u1"].noticeExit()
	if !poked(r.nodes["u2"]) {
		t.Error("the heir sleeps on")
	}
}

// copies have nothing in common with the nodes that they are copies of.
func copies(nodes []runtime.Node) []runtime.Node {
	out := slices.Clone(nodes)
	for i := range out {
		out[i].Settings = maps.Clone(out[i].Settings)
		if p := out[i].Primary; p != nil {
			at := *p
			out[i].Primary = &at
		}
	}
	return out
}

// An engine is eager for as long as a replica waits for it, and no longer.
func TestHasteEnds(t *testing.T) {
	t.Parallel()
	r := &Runtime{cfg: Config{Clock: core.SystemClock{}}, nodes: map[string]*node{}}
	primary := runtime.Node{ID: "p", UID: "p", Replication: core.Endpoint{Address: "127.1.0.1", Port: 1}}
	first, second := runtime.Node{ID: "a", UID: "a", Primary: &primary.Replication}, runtime.Node{ID: "b", UID: "b", Primary: &primary.Replication}
	for _, want := range []*runtime.Node{&primary, &first, &second} {
		n := newNode(r, want.UID)
		n.want(want, 1)
		n.hasten()
		poked(n)
		r.nodes[want.UID] = n
	}
	r.relate()
	eager := func() (ids string) {
		for _, id := range []string{"p", "a", "b"} {
			if r.nodes[id].isHurried() {
				ids += id
			}
		}
		return ids
	}
	for _, step := range []struct {
		name  string
		calm  *runtime.Node
		eager string
		woken bool
	}{
		{"the primary has nobody to follow", &primary, "pab", false},
		{"one replica is in sync", &first, "pb", false},
		{"it is still", &first, "pb", false},
		{"the other one is, too", &second, "", true},
	} {
		r.nodes[step.calm.UID].calm(step.calm)
		if got := eager(); got != step.eager {
			t.Errorf("%s: eager are %q, want %q", step.name, got, step.eager)
		}
		if got := poked(r.nodes["p"]); got != step.woken {
			t.Errorf("%s: the primary is woken: %v", step.name, got)
		}
	}
}
