// Package kernel is the fabric that needs root: every VPC is a network namespace of
// this host with the addresses of its nodes and endpoints, and nftables decides who
// may connect. What is bound, what rules see and what clients are told is one
// address, and engines that speak plaintext are reached with nobody in between.
//
// It is put together from package links (namespaces, interfaces, addresses), package
// rules (nftables, and the flows to be cut) and a relay. The relay is inserted in
// front of the nodes that need it (TLS, optional AUTH, an engine with one transport
// only) by an element of a map, which leads connections to (node address, port) to a
// hidden port. It listens inside of the namespaces with sockets that are opened here.
// Clients are led to the listeners of others than they have dialled; no address of a
// packet is changed, and no flow to a node is remembered but as a socket.
//
// The order of every change is: addresses; the relay's new listeners, which nobody
// can dial; the rules, in one batch per network; the flows that the new rules no
// longer have a place for; and after a while, for the sake of clients on their way, the
// relay's listeners that nobody is led to any more.
// Nothing is remembered but what saves work: the kernel's state is compared and
// changed, so that a fabric that follows one which was killed does the same.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel/links"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/relays"
)

// Config of a Fabric.
type Config struct {
	// Deployment keeps the namespaces of one deployment from those of others, see
	// links.Config.
	Deployment string
	// RunDir, Exe, Args and Version are those of relays.Config.
	RunDir  string
	Exe     string
	Args    []string
	Version string
	// RefuseAfter is how long a client of a publication is left in silence that may
	// not connect. Others are refused by the kernel, which says nothing ever.
	RefuseAfter time.Duration
	// Resolver answers for the names of endpoints on this host. Each network has one
	// of its own beside it.
	Resolver relays.Resolver
	// Trouble is told in a sentence when somebody has changed what is ours in the
	// kernel, or a host cannot be attached to a network. It may be nil.
	Trouble func(text string)
	// Clock paces waiting; nil is the real one.
	Clock core.Clock
	Log   *slog.Logger
}

// resyncPeriod is how often the kernel is asked whether all is as it was left. That
// rules have changed it says by itself.
const resyncPeriod = 2 * time.Second

// Fabric implements local.Fabric.
type Fabric struct {
	cfg    Config
	relays *relays.Relays
	links  *links.Links
	cancel context.CancelFunc
	task   sync.WaitGroup

	// mu is held while the kernel is changed.
	mu     sync.Mutex
	closed bool
	rules  relays.Rules
	spaces map[string]*space // by network
	// network was asked for last, and want is its plan; nil before the first.
	network local.Network
	want    *plan
	// connected is what links are known to have made; nil: nothing is known.
	connected *links.Plan
	// world is the one whose untracked flows were last looked at.
	world *network.Policy
	// listeners are those that the relay was last given, leaving are those of them that
	// no plan has any more, since when.
	listeners map[string]relay.Listener
	leaving   map[string]time.Time
	// alarmed: somebody has changed rules in a network of ours, perhaps we.
	alarmed chan struct{}
	// clashes are the networks that the host is known to be kept from, with the
	// reason, so that it is told once.
	clashes map[string]string
}

var _ local.Fabric = (*Fabric)(nil)

// New finds the relays of an earlier server, and changes nothing in the kernel yet.
// The fabric watches over its relay and over its tables until Close or the end of
// ctx.
func New(ctx context.Context, cfg Config) (*Fabric, error) {
	if cfg.Clock == nil {
		cfg.Clock = core.SystemClock{}
	}
	if cfg.Trouble == nil {
		cfg.Trouble = func(string) {}
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &Fabric{
		cfg: cfg, cancel: cancel, spaces: map[string]*space{}, leaving: map[string]time.Time{}, clashes: map[string]string{},
		alarmed: make(chan struct{}, 1),
	}
	var err error
	f.links, err = links.New(links.Config{Deployment: cfg.Deployment, Before: f.guard, Log: cfg.Log})
	if err != nil {
		cancel()
		return nil, err
	}
	f.relays, err = relays.New(ctx, relays.Config{
		RunDir: cfg.RunDir, Exe: cfg.Exe, Args: cfg.Args, Version: cfg.Version, Listen: f.listen, Clock: cfg.Clock, Log: cfg.Log,
	})
	if err != nil {
		cancel()
		return nil, errors.Join(err, f.links.Close())
	}
	f.task.Go(func() { f.watch(ctx) })
	return f, nil
}

// Namespace implements local.Fabric.
func (f *Fabric) Namespace(network string) string { return f.links.Namespace(network) }

// InstanceSpace implements local.Spaces.
func (f *Fabric) InstanceSpace(i runtime.Instance) (namespace, resolver string) {
	return f.InstanceNamespace(i), f.links.ResolverFile(instanceName(i))
}

// InstanceNamespace is the path of the namespace of an instance that runs.
func (f *Fabric) InstanceNamespace(i runtime.Instance) string {
	return f.links.InstanceNamespace(instanceName(i))
}

// Apply implements local.Fabric.
func (f *Fabric) Apply(ctx context.Context, n local.Network) (map[string]error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errors.New("fabric is closed")
	}
	return f.apply(ctx, n)
}

// apply is Apply for those who hold f.mu.
func (f *Fabric) apply(ctx context.Context, n local.Network) (map[string]error, error) {
	p := planFor(n)
	f.want, f.network = p, n
	for id, net := range p.networks {
		s := f.spaces[id]
		if s == nil {
			s = &space{}
			f.spaces[id] = s
		}
		s.table = s.compiler.Compile(n.World, id, net.rules)
	}
	failed := failures{plan: p, by: map[string]error{}}
	if err := f.connectOnce(ctx, p, &failed); err != nil {
		return nil, err
	}
	// The rules wait for the relay only if they lead to a listener that is not there
	// yet: a failover does not.
	first := f.awaits(p)
	if first {
		if err := f.relay(ctx, n, p, &failed); err != nil {
			return nil, err
		}
	}
	f.enforce(n, p, &failed)
	if !first {
		if err := f.relay(ctx, n, p, &failed); err != nil {
			return nil, err
		}
	}
	f.forget(p)
	return failed.by, nil
}

// connectOnce is connect unless nothing has changed since that succeeded. What others
// change is the watch's business.
func (f *Fabric) connectOnce(ctx context.Context, p *plan, failed *failures) error {
	next := p.links()
	if f.connected != nil && reflect.DeepEqual(*f.connected, next) {
		return nil
	}
	f.connected = nil
	if err := f.connect(ctx, p, failed); err != nil {
		return err
	}
	if len(failed.by)+len(f.clashes) == 0 {
		f.connected = &next
	}
	return nil
}

// connect makes namespaces, interfaces and addresses. Rules are in force in a
// namespace before there is anything in it, see guard.
func (f *Fabric) connect(ctx context.Context, p *plan, failed *failures) error {
	wrong, err := f.links.Apply(ctx, p.links())
	if err != nil {
		return fmt.Errorf("networks: %w", err)
	}
	clashes := map[string]string{}
	for id, err := range wrong {
		if clash := (*links.ClashError)(nil); errors.As(err, &clash) {
			clashes[id] = clash.Error()
			if f.clashes[id] != clash.Error() {
				f.tell(clash.Error() + "; what is in the network goes on without the host")
			}
			if !severe(err) {
				continue
			}
		}
		failed.of(id, err)
	}
	f.clashes = clashes
	return nil
}

// severe reports whether there is more in an error than that the host cannot be
// attached.
func severe(err error) bool {
	if _, ok := err.(*links.ClashError); ok {
		return false
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range all.Unwrap() {
			if severe(e) {
				return true
			}
		}
		return false
	}
	return true
}

// enforce puts the rules of all networks in force, and cuts the flows that they have
// no place for.
func (f *Fabric) enforce(n local.Network, p *plan, failed *failures) {
	policy := f.rules.Policy(n.World)
	changed := policy != f.world
	f.world = policy
	for id, net := range p.networks {
		s := f.spaces[id]
		if s.conn == nil {
			continue // it failed, and nothing is in it
		}
		refused, err := s.lead(net.engines)
		for id, e := range refused {
			failed.by[id] = e
		}
		if err == nil {
			err = s.enforce()
		}
		if err == nil {
			err = s.cut(net)
		}
		if err == nil && changed {
			_, err = s.conn.CutUntracked(policy, id)
		}
		if err != nil {
			failed.of(id, err)
			f.world = nil
		}
	}
}

// guard is called with each namespace before anything is put into it.
func (f *Fabric) guard(id string, ns *netns.Namespace) error {
	s := f.spaces[id]
	before := s.alarm
	if err := s.open(ns); err != nil {
		return err
	}
	if err := s.enforce(); err != nil {
		return err
	}
	if alarm := s.alarm; alarm != before {
		f.task.Go(func() { f.listenTo(alarm) })
	}
	return nil
}

// forget closes what is open of networks that are gone.
func (f *Fabric) forget(p *plan) {
	for id, s := range f.spaces {
		if p.networks[id] == nil {
			s.close()
			delete(f.spaces, id)
		}
	}
}

// Shutdown implements local.Fabric: it ends every relay, and takes every namespace of
// the deployment away.
func (f *Fabric) Shutdown(ctx context.Context) error {
	f.end()
	return errors.Join(f.relays.Shutdown(ctx), f.links.Remove())
}

// Close implements local.Fabric: relays and tables stay in force.
func (f *Fabric) Close() error {
	f.end()
	f.relays.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, s := range f.spaces {
		s.close()
		delete(f.spaces, id)
	}
	return f.links.Close()
}

// end stops the watch; nothing changes any more.
func (f *Fabric) end() {
	f.cancel()
	f.mu.Lock()
	f.closed = true
	for _, s := range f.spaces {
		s.quiet()
	}
	f.mu.Unlock()
	f.task.Wait()
}

// tell says a trouble to the operator.
func (f *Fabric) tell(text string) {
	f.cfg.Log.Warn("trouble in the network", "what", text)
	f.cfg.Trouble(text)
}

// failures are the endpoints that could not be brought about, by their IDs.
type failures struct {
	plan *plan
	by   map[string]error
}

// of is the failure of all of a network, or of an instance.
func (f *failures) of(network string, err error) {
	if id, ok := f.plan.instances[network]; ok {
		f.by[id] = err
		return
	}
	net := f.plan.networks[network]
	if net == nil {
		return
	}
	for _, id := range net.endpoints {
		f.by[id] = err
	}
	for _, i := range net.links.Instances {
		f.by[f.plan.instances[i.ID]] = err
	}
}

// addrPort is an endpoint as the kernel knows it.
func addrPort(e core.Endpoint) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(e.Address)
	if err != nil || !a.Is4() || e.Port < 1 || e.Port > 65535 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a, uint16(e.Port)), true
}
