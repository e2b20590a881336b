package kernel

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel/links"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel/rules"
)

// plan is what a local.Network asks of the kernel and of the relay.
type plan struct {
	networks map[string]*netPlan
	// instances are the ids of those that are connected, by their names.
	instances map[string]string
	// published are the endpoints that are listened for on the host itself.
	published []local.Endpoint
}

// netPlan is one network.
type netPlan struct {
	links links.Network
	rules rules.Inputs
	// endpoints are the ids of all endpoints in it.
	endpoints []string
	// relayed are the nodes' own endpoints that the relay is in front of.
	relayed []relayed
	// engines are the listeners of engines that clients are led to.
	engines []engine
	// following are the endpoints whose flows are cut when they move; barred are the
	// nodes that no client may reach in plaintext.
	following []rules.Endpoint
	barred    []netip.Addr
}

// engine is where the process of a node listens; endpoint is the node's own.
type engine struct {
	endpoint string
	at       netip.AddrPort
	pid      int
}

// relayed is a node's endpoint and where the relay listens for it.
type relayed struct {
	local.Endpoint
	at netip.AddrPort
}

// planFor translates a network. A VPC in which there is nothing has no namespace.
func planFor(n local.Network) *plan {
	p := &plan{networks: map[string]*netPlan{}, instances: map[string]string{}}
	for _, v := range n.World.VPCs {
		net := &netPlan{links: links.Network{ID: v.ID, CIDR: v.CIDR.Masked(), Host: n.Windows[v.ID].Host}}
		net.rules.Links = map[string]netip.Addr{}
		if net.links.Host.IsValid() {
			net.rules.Links[links.HostInterface] = net.links.Host
		}
		p.networks[v.ID] = net
	}
	for _, ep := range n.Endpoints {
		if ep.Source.IsValid() {
			p.published = append(p.published, ep)
			continue
		}
		if net := p.networks[ep.Network]; net != nil {
			net.add(ep)
		}
	}
	for _, i := range n.Instances {
		if net := p.networks[i.Network]; net != nil && i.Running {
			name := instanceName(i)
			p.instances[name] = i.ID
			net.rules.Links[links.InterfaceName(name)] = i.Address
			net.links.Instances = append(net.links.Instances, links.Instance{ID: name, Address: i.Address})
		}
	}
	maps.DeleteFunc(p.networks, func(_ string, net *netPlan) bool { return net.empty() })
	for _, net := range p.networks {
		net.complete()
	}
	return p
}

func (net *netPlan) empty() bool {
	return len(net.endpoints) == 0 && len(net.links.Instances) == 0 && !net.links.Host.IsValid()
}

// complete adds what every network has: the addresses of the router and of the
// resolver.
func (net *netPlan) complete() {
	router := net.links.CIDR.Addr().Next()
	net.rules.Resolver = router.Next()
	net.links.Local = append(net.links.Local, router, net.rules.Resolver)
	for n := range net.links.Instances {
		net.links.Instances[n].Resolver = net.rules.Resolver
	}
	slices.SortFunc(net.links.Local, netip.Addr.Compare)
	net.links.Local = slices.Compact(net.links.Local)
}

// add adds an endpoint: an address of a node, or one that stands for nodes.
func (net *netPlan) add(ep local.Endpoint) {
	net.endpoints = append(net.endpoints, ep.ID)
	at, ok := addrPort(ep.VPC)
	if !ok {
		return
	}
	net.links.Local = append(net.links.Local, at.Addr())
	if ep.Node == "" {
		net.addEndpoint(ep, at)
		return
	}
	net.rules.Nodes = append(net.rules.Nodes, rules.Service{Protocol: network.TCP, At: at})
	if ep.TLS.Mode == requiredTLS {
		net.barred = append(net.barred, at.Addr())
	}
	for _, b := range ep.Backends {
		if direct, ok := addrPort(b.Direct); ok && b.PID != 0 {
			net.engines = append(net.engines, engine{ep.ID, direct, b.PID})
		}
	}
	if !behindRelay(ep) {
		return
	}
	hidden := netip.AddrPortFrom(at.Addr(), uint16(runtime.HiddenPort(runtime.RelayPort, int(at.Port()))))
	net.rules.Inserted = append(net.rules.Inserted, rules.Insertion{Node: at, Relay: hidden})
	net.relayed = append(net.relayed, relayed{ep, hidden})
}

// requiredTLS is the mode of an endpoint that speaks nothing but TLS.
const requiredTLS = "required"

func (net *netPlan) addEndpoint(ep local.Endpoint, at netip.AddrPort) {
	e := rules.Endpoint{At: at}
	for _, b := range ep.Backends {
		if to, ok := addrPort(b.VPC); ok {
			e.Targets = append(e.Targets, to)
		}
	}
	net.rules.Endpoints = append(net.rules.Endpoints, e)
	if ep.CutRemoved {
		net.following = append(net.following, e)
	}
}

// instanceName is the name by which an instance is known to package links. With each
// boot after the first it is another one, so that what ran in the instance before
// ends.
func instanceName(i runtime.Instance) string {
	name := i.ID[strings.LastIndexByte(i.ID, '/')+1:]
	if i.Boots > 1 {
		name += "." + strconv.Itoa(i.Boots)
	}
	return name
}

// behindRelay reports whether a node's clients meet the relay: it ends TLS, logs
// clients in, and leads to an engine that listens at its unix socket alone.
func behindRelay(ep local.Endpoint) bool {
	return ep.TLS.Mode != "" || slices.ContainsFunc(ep.Backends, func(b local.Backend) bool {
		return b.Direct.IsZero() || !b.Login.IsZero()
	})
}

// links is the part of package links.
func (p *plan) links() links.Plan {
	var out links.Plan
	for _, net := range p.networks {
		out.Networks = append(out.Networks, net.links)
	}
	slices.SortFunc(out.Networks, func(a, b links.Network) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
