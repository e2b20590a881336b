// Package relays keeps the relay process of a fabric: it starts one, finds it again
// after a restart of the server, replaces it by a newer one after an upgrade, and
// starts it again should it die. Relays are never children to be kept: they live on
// when the server ends.
package relays

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
)

// Config of Relays.
type Config struct {
	// RunDir holds the control sockets; it must be the user's alone, and short:
	// a socket's path has at most 107 bytes.
	RunDir string
	// Exe with Args and `--socket PATH` runs a relay.
	Exe  string
	Args []string
	// Version is what a relay of Exe calls itself; "" is the build id of Exe.
	Version string
	// Listen opens a socket for an address of a listener or resolver; nil is the
	// Listen of this package.
	Listen func(address string) (fd int, err error)
	// Clock paces waiting and restarts; nil is the real one.
	Clock core.Clock
	Log   *slog.Logger
}

// answerTime bounds one exchange with a relay, which takes milliseconds.
const answerTime = 15 * time.Second

// Relays are the relay that accepts clients, and older ones that serve theirs to
// the end.
type Relays struct {
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
	// doc is what was asked for last, but for its revision; asked: something was.
	doc   relay.Document
	asked bool
	// settled: everything asked for has come about.
	settled bool
	// revision is that of the newest document of any relay.
	revision int64
}

// Applied says what of a document could not be brought about; the rest is in force.
type Applied struct {
	// Missing are the addresses that nobody listens at, with the reason.
	Missing map[string]error
	// Refused are the listeners and resolvers, by ID, that the relay could not set up.
	Refused map[string]error
}

// New finds the relays of an earlier server in RunDir. One is started by the
// first Apply if there is none of this version. The relay is watched over until
// Close or the end of ctx.
func New(ctx context.Context, cfg Config) (*Relays, error) {
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
	if cfg.Listen == nil {
		cfg.Listen = Listen
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &Relays{cfg: cfg, ctx: ctx, cancel: cancel}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.find(ctx)
	return r, nil
}

// Apply puts a document in force, whatever its revision, and returns once it is. It
// must not be changed any more.
func (r *Relays) Apply(ctx context.Context, doc relay.Document) (Applied, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return Applied{}, errors.New("relays are let go of")
	}
	same := r.active != nil && r.asked && r.settled &&
		reflect.DeepEqual(doc.Listeners, r.doc.Listeners) && reflect.DeepEqual(doc.Resolvers, r.doc.Resolvers)
	if same && reflect.DeepEqual(doc.Access, r.doc.Access) {
		return Applied{}, nil
	}
	r.doc, r.asked = doc, true
	if same && r.enforce(ctx) == nil {
		return Applied{}, nil
	}
	return r.push(ctx)
}

// enforce tells the relays of no more than who may connect: rules change more
// often than endpoints, and are to be in force in no time.
func (r *Relays) enforce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	r.revision++
	for _, p := range append([]*process{r.active}, r.older...) {
		if err := p.client.Enforce(ctx, r.doc.Access, r.revision); err != nil {
			return err
		}
		p.revision = r.revision
	}
	return nil
}

// push puts what is asked for in force: on the active relay, which is started if
// need be and takes over what older ones hold, and on the older ones.
func (r *Relays) push(ctx context.Context) (Applied, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	r.settled = false
	if r.active == nil {
		r.find(ctx) // an exchange with it may only have been cut short
	}
	if r.active == nil {
		if err := r.startRelay(ctx); err != nil {
			return Applied{}, err
		}
	}
	r.revision++
	doc := r.doc
	doc.Revision = r.revision
	sockets, missing := r.open(r.takeOver(ctx))
	applied, err := r.active.client.Apply(ctx, doc, sockets)
	relay.CloseSockets(sockets)
	if err != nil {
		r.forget(r.active)
		return Applied{}, fmt.Errorf("apply %d listeners: %w", len(doc.Listeners), err)
	}
	r.active.took(doc, applied.Missing)
	r.pushOlder(ctx, doc)
	out := Applied{Missing: missing, Refused: map[string]error{}}
	for id, why := range applied.Refused {
		out.Refused[id] = errors.New(why)
	}
	r.settled = len(out.Missing)+len(out.Refused) == 0
	return out, nil
}

// pushOlder lets older relays drain, and tells them which connections to cut.
func (r *Relays) pushOlder(ctx context.Context, doc relay.Document) {
	kept := r.older[:0]
	for _, p := range r.older {
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
			r.cfg.Log.Info("older relay is gone", "pid", p.client.PID(), "err", err)
			p.client.Close()
			continue
		}
		kept = append(kept, p)
	}
	r.older = kept
}

// PID is that of the relay that accepts; 0 if none is known.
func (r *Relays) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active == nil {
		return 0
	}
	return r.active.client.PID()
}

// Shutdown ends every relay in RunDir.
func (r *Relays) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	r.asked = false // so that nothing is started again
	r.mu.Unlock()
	r.Close()
	return Stop(ctx, r.cfg.RunDir)
}

// Close lets go of the relays; they go on.
func (r *Relays) Close() {
	r.mu.Lock()
	r.closed = true
	r.cancel()
	for _, p := range append(r.older, r.active) {
		if p != nil {
			p.client.Close()
		}
	}
	r.active, r.older = nil, nil
	r.mu.Unlock()
	r.tasks.Wait()
}
