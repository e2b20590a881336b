// Package local carries out a runtime.Document with processes of this host: it
// starts engines, adopts those that a former Larder has left running, makes
// their users, settings and roles as wanted, and reports what is true of them.
package local

import (
	"context"
	"errors"
	"log/slog"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// NodeCA issues the certificates with which engines replicate among themselves.
type NodeCA interface {
	// Issue makes a certificate for one address that is good for both ends of a
	// connection. caPEM is the authority that it and its peers are checked with.
	Issue(address string) (chainPEM string, keyPEM core.Secret, caPEM string, err error)
}

// Config is what a Runtime needs.
type Config struct {
	// DataDir holds a directory for each node; RunDir the engines' sockets, so
	// its path must be short (a socket's is under 108 bytes). Both are made if
	// missing.
	DataDir, RunDir string
	// Choose gives the binary that serves a version of an engine.
	Choose func(engine, version string) (engine.Binary, error)
	Fabric Fabric
	NodeCA NodeCA
	Clock  core.Clock
	Log    *slog.Logger
	// Ephemeral makes Close stop the engines too.
	Ephemeral bool
}

// Runtime implements runtime.Runtime with processes.
type Runtime struct{}

var _ runtime.Runtime = (*Runtime)(nil)

var errNotYet = errors.New("local: not there yet")

// New adopts what runs already. Nothing is started or stopped before the first
// document.
func New(cfg Config) (*Runtime, error) { return nil, errNotYet }

// Apply implements runtime.Runtime.
func (r *Runtime) Apply(ctx context.Context, doc *runtime.Document) error { return errNotYet }

// Reports implements runtime.Runtime.
func (r *Runtime) Reports() <-chan []runtime.Report { return nil }

// Replication implements runtime.Runtime.
func (r *Runtime) Replication(ctx context.Context, node string) (runtime.Replication, error) {
	return runtime.Replication{}, errNotYet
}

// Shutdown stops every engine and the fabric, then closes the runtime.
func (r *Runtime) Shutdown(ctx context.Context) error { return errNotYet }

// Close lets go of the engines and leaves them running.
func (r *Runtime) Close() error { return errNotYet }

// Stop ends every engine that runs from these directories, for when no Runtime
// does. It returns how many there were.
func Stop(ctx context.Context, dataDir, runDir string) (int, error) { return 0, errNotYet }
