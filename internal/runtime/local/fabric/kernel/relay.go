package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/dns"
	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel/rules"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/relays"
)

// lingering is how long a listener stays that nobody is led to any more: a client that
// was on its way would meet a reset.
const lingering = time.Second

// relay puts in force what the plan asks of the relay.
func (f *Fabric) relay(ctx context.Context, n local.Network, p *plan, failed *failures) error {
	all := f.wanted(p)
	f.linger(all)
	behind := n // what nobody is led to by the relay is none of its business
	behind.Endpoints = slices.DeleteFunc(slices.Clone(n.Endpoints), func(e local.Endpoint) bool {
		_, ok := all[e.ID]
		return !ok
	})
	doc := relay.Document{Access: relay.Access{Guard: f.rules.Guard(behind), RefuseAfter: f.cfg.RefuseAfter}}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		doc.Listeners = append(doc.Listeners, all[id])
	}
	doc.Resolvers = append(f.cfg.Resolver.Answer(n), f.resolvers(n, p)...)
	applied, err := f.relays.Apply(ctx, doc)
	if err != nil {
		return err
	}
	f.listeners = all
	for _, l := range doc.Listeners {
		for _, a := range l.Addresses {
			if err := applied.Missing[a]; err != nil {
				failed.by[l.ID] = err
			}
		}
		if err := applied.Refused[l.ID]; err != nil {
			failed.by[l.ID] = err
		}
	}
	for _, r := range doc.Resolvers {
		for _, a := range r.Addresses {
			if err := applied.Missing[a]; err != nil {
				failed.by[r.ID] = err
			}
		}
	}
	return nil
}

// awaits reports whether the relay does not listen yet somewhere where the plan has it.
func (f *Fabric) awaits(p *plan) bool {
	for id, l := range f.wanted(p) {
		if now, ok := f.listeners[id]; !ok || !slices.Equal(now.Addresses, l.Addresses) {
			return true
		}
	}
	return false
}

// linger adds the listeners in force that are not among those wanted, for as long as
// somebody may be on the way to them, and nobody else wants their address. Nobody is let
// in by them who would not be otherwise.
func (f *Fabric) linger(wanted map[string]relay.Listener) {
	now := f.cfg.Clock.Now()
	taken := map[string]bool{}
	for id, l := range wanted {
		delete(f.leaving, id)
		for _, a := range l.Addresses {
			taken[a] = true
		}
	}
	for id, l := range f.listeners {
		if _, ok := wanted[id]; ok || l.Source.IsValid() {
			continue // a publication ends at once
		}
		if _, ok := f.leaving[id]; !ok {
			f.leaving[id] = now
		}
		if now.Sub(f.leaving[id]) < lingering && !slices.ContainsFunc(l.Addresses, func(a string) bool { return taken[a] }) {
			wanted[id] = l
		} else {
			delete(f.leaving, id)
		}
	}
}

// wanted are the listeners of a plan by ID. Networks that could not be made have none.
func (f *Fabric) wanted(p *plan) map[string]relay.Listener {
	out := map[string]relay.Listener{}
	for id, net := range p.networks {
		s := f.spaces[id]
		if s == nil || s.conn == nil {
			continue
		}
		for _, r := range net.relayed {
			l := listener(r.Endpoint)
			l.Addresses = []string{s.address(r.at.String())}
			out[l.ID] = l
		}
	}
	for _, ep := range p.published {
		l := listener(ep)
		for _, e := range ep.Listen {
			l.Addresses = append(l.Addresses, relays.PublishAt(e, relays.HostAddresses)...)
		}
		out[l.ID] = l
	}
	return out
}

func listener(ep local.Endpoint) relay.Listener {
	l := relay.Listener{
		ID: ep.ID, VPC: ep.Network, Source: ep.Source, MaxConns: ep.MaxConns,
		// Of a publication; those of the kernel's are cut there.
		CutRemoved: ep.CutRemoved && ep.Source.IsValid(),
		TLS:        relay.TLS{Mode: ep.TLS.Mode, ChainPEM: ep.TLS.ChainPEM, KeyPEM: ep.TLS.KeyPEM},
	}
	for _, b := range ep.Backends {
		l.Backends = append(l.Backends, relay.Backend{Node: b.Node, Socket: b.Socket, Login: b.Login})
	}
	return l
}

// resolvers answer inside of each network for the names of what is in it.
func (f *Fabric) resolvers(n local.Network, p *plan) []relay.Resolver {
	var out []relay.Resolver
	for _, id := range slices.Sorted(maps.Keys(p.networks)) {
		s := f.spaces[id]
		if s == nil || s.conn == nil {
			continue
		}
		inside := local.Network{Endpoints: slices.DeleteFunc(slices.Clone(n.Endpoints), func(e local.Endpoint) bool {
			return e.Network != id
		})}
		at := core.Endpoint{Address: p.networks[id].rules.Resolver.String(), Port: 53}.String()
		out = append(out, relay.Resolver{
			ID: "resolver " + id, Addresses: []string{s.address(relays.Datagrams + at), s.address(relays.Streams + at)},
			Zone: dns.Zone{Domain: f.cfg.Resolver.Domain, Names: inside.VPCNames()},
		})
	}
	return out
}

// in separates the namespace of an address from the address.
const in = "#"

// address names a socket of the namespace. The same address can be in several
// networks, and in one that follows another under its name.
func (s *space) address(at string) string { return fmt.Sprintf("%s:%d%s%s", s.path, s.inode, in, at) }

// listen opens a socket, in the namespace that its address names.
func (f *Fabric) listen(address string) (fd int, err error) {
	place, at, ok := strings.Cut(address, in)
	if !ok {
		return relays.Listen(address)
	}
	path := place[:strings.LastIndexByte(place, ':')]
	ns, err := netns.Open(path)
	if err != nil {
		return -1, err
	}
	err = ns.Do(func() (err error) {
		if fd, err = relays.Listen(at); err == nil {
			err = rules.Transparent(fd) // clients are led to it that dialled something else
		}
		return err
	})
	return fd, errors.Join(err, ns.Close())
}
