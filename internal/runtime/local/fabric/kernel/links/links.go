// Package links makes the networks of the kernel fabric, all but the rules for
// packets: a network namespace per VPC with the addresses of its nodes and
// endpoints on the loopback interface, a namespace per instance with a veth into
// that of its VPC, and the same veth for the host.
//
// There is no bridge and no shared segment. Each veth is routed: an instance sends
// everything for its VPC to the router, which is the namespace of the VPC, so
// that every packet passes the rules there. What the VPC has no address for
// vanishes in a blackhole, as it does in a VPC of AWS.
//
// Nothing is remembered: names follow from ids, and what exists is read from the
// kernel. Whatever has the name of the deployment and is not in the plan is taken
// away; nothing else is touched.
package links

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/larder-cache/larder/internal/netns"
)

// Plan is all that shall exist.
type Plan struct {
	Networks []Network
}

// Network is a VPC.
type Network struct {
	// ID becomes part of a name, see Config.Deployment.
	ID   string
	CIDR netip.Prefix
	// Local are the addresses that the namespace itself has: those of nodes and
	// endpoints, of the router and of the resolver.
	Local     []netip.Addr
	Instances []Instance
	// Host is the host's address in the network; the zero Addr: the host is not
	// attached. Of networks that overlap the host can be attached to one.
	Host netip.Addr
}

// Instance is a client with a network of its own. It has one interface, eth0, with
// a route to the VPC and to nowhere else.
type Instance struct {
	ID      string
	Address netip.Addr
	// Resolver and Search make its resolv.conf; the zero Addr: it has none.
	Resolver netip.Addr
	Search   string
}

// Config of Links.
type Config struct {
	// Deployment keeps what is ours apart from what is not. It consists of 1 to 16
	// lower-case letters and digits. Namespaces are larder-DEPLOYMENT-ID.
	Deployment string
	// Before is called with the namespace of each network before anything else is
	// put into one that is new, and once for each after a start, since nobody knows
	// how far an earlier server came. It loads the rules; while it fails nothing is
	// added to the network. It may be nil.
	Before func(network string, ns *netns.Namespace) error
	// Host is the namespace of the host; nil is the one this process is in.
	Host *netns.Namespace
	// ResolverDir is where the resolv.conf of a namespace is looked for by
	// `ip netns exec`; "" is /etc/netns.
	ResolverDir string
	Log         *slog.Logger
}

// Links converges the kernel to a plan. Its methods may be called by several
// goroutines.
type Links struct {
	cfg Config

	mu       sync.Mutex
	host     *space
	ownsHost bool
	// hostEnds are our interfaces in the host's namespace, by name; nil: unknown.
	hostEnds map[string]*netlink.LinkAttrs
	networks map[string]*vpc
	// step, if not nil, is called after each change of the kernel, by tests.
	step func()
}

// New opens the host's namespace and changes nothing yet.
func New(cfg Config) (*Links, error) {
	if !validDeployment.MatchString(cfg.Deployment) {
		return nil, fmt.Errorf("deployment %q is not 1 to 16 lower-case letters and digits", cfg.Deployment)
	}
	if cfg.ResolverDir == "" {
		cfg.ResolverDir = "/etc/netns"
	}
	l := &Links{cfg: cfg, networks: map[string]*vpc{}}
	ns := cfg.Host
	if ns == nil {
		var err error
		if ns, err = netns.Current(); err != nil {
			return nil, err
		}
		l.ownsHost = true
	}
	var err error
	if l.host, err = openSpace(ns); err != nil {
		if l.ownsHost {
			_ = ns.Close()
		}
		return nil, err
	}
	return l, nil
}

// Close lets go of the kernel and leaves everything as it is.
func (l *Links) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.networks {
		l.forget(id)
	}
	l.host.closeHandles()
	if l.ownsHost {
		return l.host.ns.Close()
	}
	return nil
}

// Namespace is the path of a network's namespace.
func (l *Links) Namespace(network string) string { return netns.Path(l.spaceName(network)) }

// InstanceNamespace is the path of an instance's namespace.
func (l *Links) InstanceNamespace(id string) string { return netns.Path(l.spaceName(id)) }

// Apply makes the kernel match the plan. What could not be made is in failed, by
// the id of the network or of the instance; of a failed network all that could be
// is there, so that a host that cannot be attached (a ClashError) hinders nobody
// else. The error is about what could not be taken away, or the end of ctx.
//
// It is to be called again after an error, and now and then: it looks whether
// anything has changed in the kernel, which costs little, and repairs that.
func (l *Links) Apply(ctx context.Context, p Plan) (failed map[string]error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	networks, failed := p.check()
	names, err := netns.List(l.spaceName(""))
	if err != nil {
		return failed, err
	}
	wanted := l.wanted(p)
	present := map[string]bool{}
	var kept []error
	for _, name := range names {
		if wanted[name] {
			present[name] = netns.Exists(name)
		} else if err := l.dismantle(name); err != nil {
			kept = append(kept, err)
		}
	}
	attached, err := l.lookAtHost(p)
	if err != nil {
		kept = append(kept, err)
	}
	detachOverlapping(networks, attached, failed)
	for _, n := range networks {
		if err := ctx.Err(); err != nil {
			return failed, errors.Join(append(kept, err)...)
		}
		l.converge(ctx, n, present, failed)
	}
	return failed, errors.Join(kept...)
}

// Remove takes away everything of the deployment.
func (l *Links) Remove() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	names, err := netns.List(l.spaceName(""))
	failed := []error{err}
	for _, name := range names {
		failed = append(failed, l.dismantle(name))
	}
	_, err = l.lookAtHost(Plan{})
	return errors.Join(append(failed, err)...)
}

// wanted are the names of the namespaces of a plan, also of parts that cannot be
// made: those that exist are left alone.
func (l *Links) wanted(p Plan) map[string]bool {
	names := map[string]bool{}
	for _, n := range p.Networks {
		names[l.spaceName(n.ID)] = true
		for _, i := range n.Instances {
			names[l.spaceName(i.ID)] = true
		}
	}
	return names
}

// dismantle takes a namespace away: its veths first, so that nothing is reached
// through it any more though processes may still be inside, then its name. An
// instance is switched off: what runs in it ends. Engines in the namespace of a
// VPC are for others to end.
func (l *Links) dismantle(name string) error {
	l.forget(strings.TrimPrefix(name, l.spaceName("")))
	if err := l.cutOff(name); err != nil {
		return fmt.Errorf("take away namespace %s: %w", name, err)
	}
	l.stepped()
	if err := l.removeResolver(name); err != nil {
		return err
	}
	l.stepped()
	if err := netns.Delete(name); err != nil {
		return err
	}
	l.stepped()
	l.cfg.Log.Info("namespace taken away", "name", name)
	return nil
}

// forget closes what is open of a network.
func (l *Links) forget(network string) {
	if v := l.networks[network]; v != nil {
		v.closeHandles()
		_ = v.ns.Close()
		delete(l.networks, network)
	}
}

func (l *Links) stepped() {
	if l.step != nil {
		l.step()
	}
}

// detachOverlapping decides which networks the host is attached to: those that it
// is already, then in the order of the plan. The others fail and go without.
func detachOverlapping(networks []Network, attached map[string]bool, failed map[string]error) {
	var taken []Network
	for _, now := range []bool{true, false} {
		for i := range networks {
			n := &networks[i]
			if !n.Host.IsValid() || attached[n.ID] != now {
				continue
			}
			at := slices.IndexFunc(taken, func(o Network) bool { return o.CIDR.Overlaps(n.CIDR) })
			if at < 0 {
				taken = append(taken, *n)
				continue
			}
			fail(failed, n.ID, &ClashError{CIDR: n.CIDR, Other: taken[at].CIDR, Network: taken[at].ID})
			n.Host = netip.Addr{}
		}
	}
}
