// Package app is the composition root: it builds every part of Larder from a
// configuration and runs them. Nothing else may import everything.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/controller/host"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/ec2"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/store"
)

// IO is where a server speaks to its user.
type IO struct {
	// Out gets the few lines for the person who started it.
	Out io.Writer
	Log *slog.Logger
	// Program is how the user called this program, for the commands shown.
	Program string
}

// shutdownTime is how long requests under way may take to finish.
const shutdownTime = 5 * time.Second

// server holds the parts of one running server, in the order they are made.
type server struct {
	cfg   config.Config
	io    IO
	clock core.Clock

	state
	store    *store.Store
	fabric   string // config.FabricKernel or config.FabricUserspace
	networks *ec2.Service
	troubles *troubles
	runtime  *local.Runtime
	host     *host.Host
	listener apiListener
	http     *http.Server
}

// Serve runs a server until ctx ends. Engines and relay go on without it, unless
// the configuration says ephemeral.
func Serve(ctx context.Context, cfg config.Config, io IO) (err error) {
	clock := core.SystemClock{}
	s := &server{cfg: cfg, io: io, clock: clock, troubles: &troubles{clock: clock}}
	var parts undo
	defer func() { err = errors.Join(err, parts.run()) }()
	// What is being taken down must not be cut short by the signal that began it.
	base := context.WithoutCancel(ctx)
	for _, open := range []func(context.Context, *undo) error{s.openState, s.openStore, s.openNetworks, s.openRuntime, s.openAPI} {
		if err := open(base, &parts); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return s.run(ctx)
}

// run serves until ctx ends or a part fails.
func (s *server) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.host.Follow(ctx) })
	g.Go(func() error { s.engines.follow(ctx, s.clock); return nil })
	g.Go(func() error { return reconcile.Run(ctx, s.store, s.clock, s.io.Log, s.controllers()...) })
	g.Go(func() error {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving the API: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if s.http.Shutdown(limit) != nil {
			return s.http.Close()
		}
		return nil
	})
	s.greet()
	err := g.Wait()
	if err == nil || errors.Is(err, context.Canceled) {
		s.farewell()
		return nil
	}
	return err
}

// RelayMain runs the relay process.
func RelayMain(ctx context.Context, socket string, log *slog.Logger) error {
	return relay.Main(ctx, relay.Options{Socket: socket, Log: log})
}

// executable is the path that starts this program again.
func executable() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	return path, nil
}

// undo takes parts down in the reverse order of their making.
type undo []func() error

func (u *undo) add(fn func() error) { *u = append(*u, fn) }

func (u *undo) run() (err error) {
	for i := len(*u) - 1; i >= 0; i-- {
		err = errors.Join(err, (*u)[i]())
	}
	return err
}
