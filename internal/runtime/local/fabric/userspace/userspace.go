// Package userspace is the fabric that needs no privileges: every endpoint is a
// listening socket of this host (on an address of the loopback windows, and where
// endpoints are advertised under another address on the host's own), and a relay
// process carries clients to the engines.
//
// The package starts the relay, finds it again after a restart of the server,
// replaces it by a newer one after an upgrade, and starts it again should it die.
// Relays are never children to be kept: they live on when the server ends.
package userspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime/local"
)

// Config of a Fabric.
type Config struct {
	// RunDir holds the control sockets; it must be the user's alone, and short:
	// a socket's path has at most 107 bytes.
	RunDir string
	// Exe with Args and `--socket PATH` runs a relay.
	Exe  string
	Args []string
	// RefuseAfter is how long a client that may not connect is left in silence
	// before it is reset.
	RefuseAfter time.Duration
	// Version is what a relay of Exe calls itself; "" is the build id of Exe.
	Version string
	// Clock paces waiting and restarts; nil is the real one.
	Clock core.Clock
	Log   *slog.Logger
}

// answerTime bounds one exchange with a relay, which takes milliseconds.
const answerTime = 15 * time.Second

// Fabric implements local.Fabric.
type Fabric struct {
	cfg    Config
	ctx    context.Context // of the watches
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	// mu is held while relays are spoken to.
	mu     sync.Mutex
	closed bool
	// active is the relay that accepts; nil: none is known.
	active *process
	// older relays are draining, or about to be once the active one has their
	// sockets.
	older []*process
	// plan and access are what was asked for last; asked: something was.
	rules  rules
	plan   plan
	access relay.Access
	asked  bool
	// settled: everything asked for has come about.
	settled bool
	// revision is that of the newest document of any relay.
	revision int64
}

var _ local.Fabric = (*Fabric)(nil)

// New finds the relays of an earlier server in RunDir. One is started by the
// first Apply if there is none of this version. The fabric watches over its relay
// until Close or the end of ctx.
func New(ctx context.Context, cfg Config) (*Fabric, error) {
	if cfg.Version == "" {
		v, err := relay.BuildID(cfg.Exe)
		if err != nil {
			return nil, err
		}
		cfg.Version = v
	}
	if cfg.Clock == nil {
		cfg.Clock = core.SystemClock{}
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &Fabric{cfg: cfg, ctx: ctx, cancel: cancel}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.find(ctx)
	return f, nil
}

// Apply implements local.Fabric.
func (f *Fabric) Apply(ctx context.Context, n local.Network) (map[string]error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errors.New("fabric is closed")
	}
	p, access := planFor(n.Endpoints), relay.Access{Guard: f.rules.guard(n), RefuseAfter: f.cfg.RefuseAfter}
	same := f.active != nil && f.asked && f.settled && reflect.DeepEqual(p, f.plan)
	if same && reflect.DeepEqual(access, f.access) {
		return nil, nil
	}
	f.plan, f.access, f.asked = p, access, true
	if same && f.enforce(ctx) == nil {
		return nil, nil
	}
	return f.push(ctx)
}

// enforce tells the relays of no more than who may connect: rules change more
// often than endpoints, and are to be in force in no time.
func (f *Fabric) enforce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	f.revision++
	for _, p := range append([]*process{f.active}, f.older...) {
		if err := p.client.Enforce(ctx, f.access, f.revision); err != nil {
			return err
		}
		p.revision = f.revision
	}
	return nil
}

// push puts the plan in force: on the active relay, which is started if need be
// and takes over what older ones hold, and on the older ones.
func (f *Fabric) push(ctx context.Context) (failed map[string]error, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	f.settled = false
	if f.active == nil {
		f.find(ctx) // an exchange with it may only have been cut short
	}
	if f.active == nil {
		if err := f.startRelay(ctx); err != nil {
			return nil, err
		}
	}
	f.revision++
	doc := f.plan.doc
	doc.Revision, doc.Access = f.revision, f.access
	sockets, reasons := f.open(f.takeOver(ctx))
	applied, err := f.active.client.Apply(ctx, doc, sockets)
	relay.CloseSockets(sockets)
	if err != nil {
		f.forget(f.active)
		return nil, fmt.Errorf("apply %d endpoints: %w", len(doc.Listeners), err)
	}
	f.active.took(doc, applied.Missing)
	f.pushOlder(ctx, doc)
	failed = f.plan.missed(reasons)
	for id, why := range applied.Refused {
		failed[id] = errors.New(why)
	}
	f.settled = len(failed) == 0
	return failed, nil
}

// pushOlder lets older relays drain, and tells them which connections to cut.
func (f *Fabric) pushOlder(ctx context.Context, doc relay.Document) {
	kept := f.older[:0]
	for _, p := range f.older {
		var err error
		if !p.draining {
			err = p.client.Drain(ctx)
			p.draining = true
		}
		if err == nil {
			_, err = p.client.Apply(ctx, doc, nil)
		}
		if err != nil {
			// It has served its last connection, or is of a version that speaks
			// another language; then its connections go on until they end.
			f.cfg.Log.Info("older relay is gone", "pid", p.client.PID(), "err", err)
			p.client.Close()
			continue
		}
		kept = append(kept, p)
	}
	f.older = kept
}

// Shutdown implements local.Fabric: it ends every relay in RunDir.
func (f *Fabric) Shutdown(ctx context.Context) error {
	f.mu.Lock()
	f.asked = false // so that nothing is started again
	f.mu.Unlock()
	if err := f.Close(); err != nil {
		return err
	}
	return Stop(ctx, f.cfg.RunDir)
}

// Close implements local.Fabric: the relays go on.
func (f *Fabric) Close() error {
	f.mu.Lock()
	f.closed = true
	f.cancel()
	for _, p := range append(f.older, f.active) {
		if p != nil {
			p.client.Close()
		}
	}
	f.active, f.older = nil, nil
	f.mu.Unlock()
	f.tasks.Wait()
	return nil
}
