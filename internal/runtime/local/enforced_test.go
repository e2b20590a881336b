package local

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	policy "github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime"
)

// slow is a fabric whose every Apply ends as the test says.
type slow struct {
	began  chan Network
	answer chan error
}

func (f *slow) Apply(_ context.Context, n Network) (map[string]error, error) {
	f.began <- n
	return nil, <-f.answer
}
func (f *slow) Namespace(string) string        { return "" }
func (f *slow) Shutdown(context.Context) error { return nil }
func (f *slow) Close() error                   { return nil }

// A document is enforced once the fabric has taken it, or one after it, and not
// because the fabric has taken one before it.
func TestEnforced(t *testing.T) {
	t.Parallel()
	fabric := &slow{began: make(chan Network), answer: make(chan error)}
	changed := make(chan struct{}, 10)
	n := newNetwork(fabric, core.SystemClock{}, slog.New(slog.DiscardHandler), func(map[string]bool) { changed <- struct{}{} }, func(runtime.Report) {})
	ctx, cancel := context.WithCancel(t.Context())
	go n.run(ctx)
	defer func() { cancel(); <-n.done }()
	world := func(group string) policy.World {
		return policy.World{Interfaces: []policy.Interface{{ID: "eni", VPC: "vpc", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.4")}, Groups: []string{group}}}}
	}
	await := func(what string) {
		t.Helper()
		select {
		case <-fabric.began:
		case <-time.After(10 * time.Second):
			t.Fatal(what, "never came to the fabric")
		}
	}
	expect := func(what string, want int64) {
		t.Helper()
		if got := n.enforcedRevision(); got != want {
			t.Errorf("%s: revision %d is enforced, want %d", what, got, want)
		}
	}
	n.setDocument(&runtime.Document{Revision: 100, Endpoints: []runtime.Endpoint{}, World: world("a")})
	await("the first document")
	expect("under way", 0)
	n.setDocument(&runtime.Document{Revision: 200, Endpoints: []runtime.Endpoint{}, World: world("b")})
	fabric.answer <- nil
	await("the second document")
	expect("the first one is in force, but the second is wanted", 0)
	fabric.answer <- errors.New("no")
	await("the second document, again")
	expect("refused", 0)
	fabric.answer <- nil
	for range 2 {
		<-changed
	}
	expect("in force", 200)
	n.setDocument(&runtime.Document{Revision: 300, Endpoints: []runtime.Endpoint{}, World: world("b")})
	expect("another that says the same of the network", 300)
}
