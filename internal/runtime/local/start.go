package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

const (
	// stopGrace is how long a process may take to end when asked to.
	stopGrace = time.Second
	// primaryPatience is how long a replica waits for its primary to be one. An
	// engine that finds nobody tries again only after a second; and to follow one
	// that is still a replica itself fails likewise.
	primaryPatience = time.Second
	// openTimeout bounds one attempt to talk to an engine.
	openTimeout = 2 * time.Second
)

// start brings about a process of the wanted incarnation.
func (n *node) start(want *runtime.Node, version int64) time.Duration {
	now := n.rt.cfg.Clock.Now()
	if wait := n.retryAt.Sub(now); wait > 0 {
		return wait
	}
	if wait := n.awaitPrimary(want); wait > 0 {
		return wait
	}
	namespace := n.rt.cfg.Fabric.Namespace(want.Network)
	if namespace != "" {
		// Its address has to exist, and nobody may reach it but who is let in.
		ok, trouble := n.rt.net.reached(version, n.id())
		if !ok {
			return never // the network wakes the node
		}
		if trouble != "" {
			n.fail(errors.New(trouble))
			return n.retryAt.Sub(now)
		}
	}
	if want.Primary != nil {
		n.rt.hasten(want.Network, *want.Primary)
	}
	if err := n.launch(want, namespace); err != nil {
		n.fail(err)
		return n.retryAt.Sub(now)
	}
	n.trouble, n.quiet = "", now
	n.report(runtime.PhaseStarting)
	return 0
}

// awaitPrimary gives how long a replica shall still wait; whatever ends the
// wait earlier wakes the node.
func (n *node) awaitPrimary(want *runtime.Node) time.Duration {
	// In a cluster of shards they all start at once, and find each other.
	inside := want.Cluster != nil && want.Cluster.Outside == nil
	if want.Primary == nil || inside || n.rt.primaryReady(want.Network, *want.Primary) {
		n.waitFrom = time.Time{}
		return 0
	}
	return primaryPatience - n.waited()
}

// waited is for how long the node has waited for another one by now.
func (n *node) waited() time.Duration {
	now := n.rt.cfg.Clock.Now()
	if n.waitFrom.IsZero() {
		n.waitFrom = now
	}
	return now.Sub(n.waitFrom)
}

// prepare finds out how the process is started.
func (n *node) prepare(want *runtime.Node) (bin engine.Binary, l engine.Launch, err error) {
	if n.driver == nil {
		return bin, l, fmt.Errorf("no way to run engine %q", want.Engine)
	}
	if bin, err = n.rt.cfg.Choose(want.Engine, want.Version); err != nil {
		return bin, l, err
	}
	if _, err := os.Stat(bin.Path); err != nil {
		return bin, l, fmt.Errorf("the engine's program is gone: %w", err)
	}
	place := engine.Place{Socket: n.socket, Scratch: n.scratch, Descriptors: n.rt.descriptors}
	if !want.Replication.IsZero() {
		c := &place.Certificate
		if c.ChainPEM, c.KeyPEM, c.CAPEM, err = n.rt.cfg.NodeCA.Issue(want.Replication.Address); err != nil {
			return bin, l, fmt.Errorf("certificate for replication: %w", err)
		}
	}
	l, err = n.driver.Launch(bin, want, place)
	return bin, l, err
}

// launch starts the process and keeps a record of it before it can do anything.
func (n *node) launch(want *runtime.Node, namespace string) error {
	bin, l, err := n.prepare(want)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	if err := os.Remove(n.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := n.scribble(l.Local); err != nil {
		return err
	}
	log := filepath.Join(n.dir, logFile)
	n.logFrom = fileSize(log)
	p, g, err := spawn(command{
		dir: n.dir, log: log, path: bin.Path, args: l.Args, stdin: l.Stdin, files: l.Files, namespace: namespace,
		env: []string{"LARDER_NODE=" + n.id(), "LC_ALL=C"},
	})
	if err != nil {
		return err
	}
	rec := record{
		ID: n.id(), UID: n.uid, PID: p.pid, Start: p.start, Boot: n.rt.boot, Started: n.rt.cfg.Clock.Now(),
		Binary: bin.Path, Version: bin.Version, Incarnation: want.Incarnation,
	}
	err = rec.write(n.dir)
	if err == nil {
		err = g.open()
	} else {
		g.refuse()
	}
	if err != nil {
		p.kill()
		<-p.exited
		p.release()
		return err
	}
	n.proc, n.rec, n.syncing, n.joinFrom = p, rec, true, time.Time{}
	n.running.Store(true)
	n.hasten()
	n.log.Info("engine started", "node", n.id(), "pid", p.pid, "binary", bin.Path, "version", bin.Version,
		"incarnation", want.Incarnation)
	return nil
}

// scribble makes the scratch directory anew, with these files in it.
func (n *node) scribble(files map[string][]byte) error {
	if err := os.RemoveAll(n.scratch); err != nil || len(files) == 0 {
		return err
	}
	if err := os.MkdirAll(n.scratch, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(n.scratch, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// open connects to a process that nobody is connected to.
func (n *node) open(ctx context.Context, want *runtime.Node) time.Duration {
	if n.driver == nil {
		return never // what runs is left alone until the spec makes sense
	}
	attempt, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s, err := n.driver.Open(attempt, n.socket, want)
	if err == nil {
		n.session, n.trouble, n.life = s, "", life{}
		return 0
	}
	// An engine needs about 12 ms to listen; somebody waits for that. Whatever
	// takes long takes longer.
	switch age := n.rt.cfg.Clock.Now().Sub(n.quiet); {
	case age < 100*time.Millisecond:
		return 200 * time.Microsecond
	case age < time.Second:
		return 5 * time.Millisecond
	}
	if n.hangs(want) {
		n.log.Error("engine hangs and is ended", "node", n.id(), "pid", n.proc.pid)
		n.proc.kill()
		return never
	}
	n.trouble = "the engine does not answer: " + err.Error()
	n.noAnswer("")
	if n.mute.reason == runtime.MuteStill && n.kept(ctx, want) {
		n.log.Error("engine has long hung and is ended, though no replica is in sync", "node", n.id(), "pid", n.proc.pid)
		n.proc.kill()
		return never
	}
	n.report(n.phase())
	return 200 * time.Millisecond
}

// stop ends the process, politely if it listens.
func (n *node) stop(ctx context.Context) time.Duration {
	now := n.rt.cfg.Clock.Now()
	if n.stopping.IsZero() {
		n.rt.net.dropBackend(n.id(), n.uid)
		n.stopping = now.Add(stopGrace)
		if !n.shutdown(ctx) {
			n.stopping = now
		}
	}
	wait := n.stopping.Sub(now)
	if wait <= 0 {
		n.proc.kill()
		return never
	}
	return wait
}

// shutdown asks the engine to end and reports whether it has taken that.
func (n *node) shutdown(ctx context.Context) bool {
	if n.session == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, stopGrace/2)
	defer cancel()
	err := n.session.Shutdown(ctx)
	n.hangUp()
	return err == nil
}
