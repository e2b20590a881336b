// Package local carries out a runtime.Document with processes of this host: it
// starts engines, adopts those that a former Larder has left running, makes
// their users, settings and roles as wanted, and reports what is true of them.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/engine/memcached"
	"github.com/larder-cache/larder/internal/engine/valkey"
	"github.com/larder-cache/larder/internal/runtime"
)

// drivers are all engines that can be run.
var drivers = map[string]engine.Driver{
	engine.Redis:     valkey.Driver{},
	engine.Valkey:    valkey.Driver{},
	engine.Memcached: memcached.Driver{},
}

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
	// MaxClients is how many client connections the fabric carries at once, over
	// all nodes; 0 means that it sets no limit.
	MaxClients int
	// BusyTimeout is for how long an engine may give no answer, or none but that it is
	// busy, before that is reported; 0 means 15 s.
	BusyTimeout time.Duration
	Clock       core.Clock
	Log         *slog.Logger
	// Ephemeral makes Close stop the engines and the fabric too.
	Ephemeral bool
}

// Runtime implements runtime.Runtime with processes. Each node has a goroutine
// of its own that brings it step by step to what the last document says.
type Runtime struct {
	cfg         Config
	nodesDir    string
	boot        string
	descriptors int

	base    context.Context // does not end; for the last words of Close
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	actors  sync.WaitGroup
	net     *network
	reports *reports
	closing sync.Once

	mu        sync.Mutex
	closed    bool
	revision  int64
	nodes     map[string]*node // by uid
	unknown   []string         // directories without a record, until the first document
	relations relations
}

var _ runtime.Runtime = (*Runtime)(nil)

var errClosed = errors.New("local: the runtime is closed")

// New adopts what runs already and ends processes that are not known. Nothing
// is started, stopped or taken out of service before the first document. The
// runtime lives until Close, not until ctx ends.
func New(ctx context.Context, cfg Config) (*Runtime, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	nodes, err := nodesDir(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	if err := os.MkdirAll(cfg.RunDir, 0o700); err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, fmt.Errorf("local: limit of open files: %w", err)
	}
	cfg.BusyTimeout = cmp.Or(cfg.BusyTimeout, busyTimeout)
	base := context.WithoutCancel(ctx)
	ctx, cancel := context.WithCancel(base)
	r := &Runtime{
		cfg: cfg, nodesDir: nodes, boot: boot, descriptors: int(min(files.Max, 1<<20)),
		base: base, ctx: ctx, cancel: cancel, reports: newReports(), nodes: make(map[string]*node),
	}
	r.net = newNetwork(cfg.Fabric, cfg.Clock, cfg.Log, r.wake, r.reports.put)
	if err := r.adopt(); err != nil {
		cancel()
		r.reports.close()
		return nil, err
	}
	go r.net.run(ctx)
	for _, n := range r.nodes {
		r.actors.Go(n.run)
	}
	return r, nil
}

// adopt makes a node of each directory, with its process if that runs.
func (r *Runtime) adopt() error {
	dirs, err := os.ReadDir(r.nodesDir)
	if err != nil {
		return fmt.Errorf("local: %w", err)
	}
	known := make(map[int]bool)
	for _, d := range dirs {
		if !uidForm.MatchString(d.Name()) {
			continue
		}
		n := newNode(r, d.Name())
		rec := readRecord(n.dir)
		if rec == nil {
			r.unknown = append(r.unknown, n.uid)
			continue
		}
		r.nodes[n.uid] = n
		n.rec = *rec
		n.known.Store(&rec.ID)
		p, err := rec.process(r.boot)
		if err != nil && !errors.Is(err, errNoProcess) {
			return fmt.Errorf("local: node %s: %w", rec.ID, err)
		}
		n.proc, n.away = p, p == nil && rec.Ready
		if p != nil {
			n.running.Store(true)
			known[p.pid] = true
			r.cfg.Log.Info("engine found running", "node", n.id(), "pid", p.pid)
		}
		if p != nil && rec.Ready {
			r.net.setBackend(n.id(), n.backend(core.Secret{}))
		}
	}
	lost, err := killStrays(r.nodesDir, known)
	if err != nil {
		return fmt.Errorf("local: look for lost processes: %w", err)
	}
	if lost > 0 {
		r.cfg.Log.Warn("ended processes of an interrupted start", "count", lost)
	}
	return nil
}

// uidForm keeps a uid from being any other path.
var uidForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// Enforced implements runtime.Runtime.
func (r *Runtime) Enforced() int64 { return r.net.enforcedRevision() }

// hasID reports whether a node of that id is there; r.mu is held.
func (r *Runtime) hasID(id string) bool {
	for _, n := range r.nodes {
		if n.id() == id {
			return true
		}
	}
	return false
}

// forget takes a removed node out and reports it gone, unless another one
// goes by its id by now.
func (r *Runtime) forget(n *node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.nodes, n.uid)
	if !r.hasID(n.id()) {
		r.reports.put(goneReport(n.id()))
	}
}

// wake has the nodes with these ids look at things again.
func (r *Runtime) wake(ids map[string]bool) {
	if len(ids) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.nodes {
		if ids[n.id()] {
			n.poke()
		}
	}
}

// Reports implements runtime.Runtime.
func (r *Runtime) Reports() <-chan []runtime.Report { return r.reports.out }

// Replication implements runtime.Runtime.
func (r *Runtime) Replication(ctx context.Context, id string) (runtime.Replication, error) {
	r.mu.Lock()
	var found *node
	for _, n := range r.nodes {
		if n.id() == id && n.wanted() != nil {
			found = n
		}
	}
	r.mu.Unlock()
	if found == nil {
		return runtime.Replication{}, fmt.Errorf("local: no node %s", id)
	}
	return found.ask(ctx)
}

// Listening implements runtime.Runtime.
func (r *Runtime) Listening(endpoint string) runtime.Listening { return r.net.listening(endpoint) }

// Close lets go of the engines and leaves them running, or stops them if the
// runtime is ephemeral.
func (r *Runtime) Close() error {
	if r.cfg.Ephemeral {
		return r.Shutdown(r.base)
	}
	return r.finish(func() error { return r.cfg.Fabric.Close() })
}

// Shutdown stops every engine and the fabric, and closes the runtime. The
// directories stay: later the nodes are found exited.
func (r *Runtime) Shutdown(ctx context.Context) error {
	return r.finish(func() error {
		_, err := killStrays(r.nodesDir, nil)
		return errors.Join(err, r.cfg.Fabric.Shutdown(ctx), r.cfg.Fabric.Close())
	})
}

// finish ends all goroutines, and calls last before nobody hears of anything any
// more.
func (r *Runtime) finish(last func() error) (err error) {
	r.closing.Do(func() {
		r.mu.Lock()
		r.closed = true
		r.mu.Unlock()
		r.cancel()
		r.actors.Wait()
		<-r.net.done
		err = last()
		r.reports.close()
	})
	return err
}

// Stop ends every engine of these directories, for when no Runtime runs, and
// gives how many there were.
func Stop(dataDir, runDir string) (int, error) {
	nodes, err := nodesDir(dataDir)
	if err != nil {
		return 0, fmt.Errorf("local: %w", err)
	}
	stopped, err := killStrays(nodes, nil)
	if err != nil {
		return stopped, fmt.Errorf("local: %w", err)
	}
	dirs, err := os.ReadDir(nodes)
	if err != nil {
		return stopped, fmt.Errorf("local: %w", err)
	}
	for _, d := range dirs {
		_ = os.Remove(socketPath(runDir, d.Name()))
		_ = os.RemoveAll(scratchPath(runDir, d.Name()))
	}
	return stopped, nil
}

// socketPath is where an engine listens for Larder and its relay.
func socketPath(runDir, uid string) string { return filepath.Join(runDir, uid+".sock") }

// scratchPath is the directory of what an engine writes for itself. Whatever is there is
// of no use once the process has ended.
func scratchPath(runDir, uid string) string { return filepath.Join(runDir, uid+".d") }
