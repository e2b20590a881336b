// Package userspace is the fabric that needs no privileges: every endpoint is a
// listening socket of this host (on an address of the loopback windows, and where
// endpoints are advertised under another address on the host's own), and a relay
// process carries clients to the engines.
package userspace

import (
	"context"
	"log/slog"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/relays"
)

// Config of a Fabric.
type Config struct {
	// RunDir, Exe, Args and Version are those of relays.Config.
	RunDir  string
	Exe     string
	Args    []string
	Version string
	// RefuseAfter is how long a client that may not connect is left in silence
	// before it is reset.
	RefuseAfter time.Duration
	Resolver    relays.Resolver
	// Clock paces waiting and restarts; nil is the real one.
	Clock core.Clock
	Log   *slog.Logger
}

// Fabric implements local.Fabric.
type Fabric struct {
	relays      *relays.Relays
	refuseAfter time.Duration
	resolver    relays.Resolver
	rules       relays.Rules // of the goroutine that calls Apply
}

var _ local.Fabric = (*Fabric)(nil)

// New finds the relays of an earlier server. The fabric watches over its relay
// until Close or the end of ctx.
func New(ctx context.Context, cfg Config) (*Fabric, error) {
	all, err := relays.New(ctx, relays.Config{
		RunDir: cfg.RunDir, Exe: cfg.Exe, Args: cfg.Args, Version: cfg.Version, Clock: cfg.Clock, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	return &Fabric{relays: all, refuseAfter: cfg.RefuseAfter, resolver: cfg.Resolver}, nil
}

// Apply implements local.Fabric.
func (f *Fabric) Apply(ctx context.Context, n local.Network) (map[string]error, error) {
	p := planFor(n.Endpoints)
	resolvers := f.resolver.Answer(n)
	applied, err := f.relays.Apply(ctx, relay.Document{
		Listeners: p.listeners, Resolvers: resolvers, Access: relay.Access{Guard: f.rules.Guard(n), RefuseAfter: f.refuseAfter},
	})
	if err != nil {
		return nil, err
	}
	failed := p.missed(applied.Missing)
	for _, r := range resolvers {
		for _, a := range r.Addresses {
			if err := applied.Missing[a]; err != nil {
				failed[r.ID] = err
			}
		}
	}
	for id, err := range applied.Refused {
		failed[id] = err
	}
	return failed, nil
}

// Namespace implements local.Fabric: there is but the host's.
func (f *Fabric) Namespace(string) string { return "" }

// Shutdown implements local.Fabric: it ends every relay of the run directory.
func (f *Fabric) Shutdown(ctx context.Context) error { return f.relays.Shutdown(ctx) }

// Close implements local.Fabric: the relays go on.
func (f *Fabric) Close() error {
	f.relays.Close()
	return nil
}
