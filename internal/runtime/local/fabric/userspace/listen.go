package userspace

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/relays"
)

// plan is what the endpoints ask for.
type plan struct {
	listeners []relay.Listener
	// places are, by endpoint, the places to listen at: of each place at least
	// one address must be had.
	places map[string][]place
}

type place []string

// planFor translates the endpoints, but for who may connect. An address that two of
// them name is the first one's, and never a publication's.
func planFor(eps []local.Endpoint) plan {
	p := plan{places: map[string][]place{}}
	owned := map[string]bool{}
	eps = slices.Clone(eps)
	slices.SortStableFunc(eps, func(a, b local.Endpoint) int { return cmp.Compare(a.Source.BitLen(), b.Source.BitLen()) })
	for _, ep := range eps {
		l := relay.Listener{
			ID: ep.ID, VPC: ep.Network, Source: ep.Source, CutRemoved: ep.CutRemoved, MaxConns: ep.MaxConns,
			TLS: relay.TLS{Mode: ep.TLS.Mode, ChainPEM: ep.TLS.ChainPEM, KeyPEM: ep.TLS.KeyPEM},
		}
		for _, b := range ep.Backends {
			l.Backends = append(l.Backends, relay.Backend{Node: b.Node, Socket: b.Socket, Login: b.Login})
		}
		for _, e := range ep.Listen {
			if e.IsZero() {
				continue
			}
			at := placesOf(ep, e)
			p.places[ep.ID] = append(p.places[ep.ID], at...)
			for _, a := range slices.Concat(at...) {
				if !owned[a] {
					owned[a] = true
					l.Addresses = append(l.Addresses, a)
				}
			}
		}
		p.listeners = append(p.listeners, l)
	}
	return p
}

// missed says for each endpoint which place it lacks, and why.
func (p plan) missed(reasons map[string]error) map[string]error {
	failed := map[string]error{}
	owner := map[string]string{}
	for _, l := range p.listeners {
		for _, a := range l.Addresses {
			owner[a] = l.ID
		}
	}
	for id, places := range p.places {
		for _, at := range places {
			if err := at.missed(id, owner, reasons); err != nil {
				failed[id] = err
			}
		}
	}
	return failed
}

func (at place) missed(id string, owner map[string]string, reasons map[string]error) error {
	err := errors.New("this host has no address to listen on")
	for _, a := range at {
		switch {
		case owner[a] != id:
			err = fmt.Errorf("address %s is that of %q", a, owner[a])
		case reasons[a] != nil:
			err = reasons[a]
		default:
			return nil
		}
	}
	return err
}

// placesOf says where to listen for one of an endpoint's addresses. Each address of a
// publication has to be had.
func placesOf(ep local.Endpoint, e core.Endpoint) []place {
	if !ep.Source.IsValid() {
		return []place{listenOn(e, relays.HostAddresses)}
	}
	var all []place
	for _, a := range relays.PublishAt(e, relays.HostAddresses) {
		all = append(all, place{a})
	}
	return all
}

// listenOn says where to listen for an endpoint: at its address, if this host has
// it. A name, or an address that only exists outside (of a container's host, of
// a load balancer), is reached through one of the host's own, so it is all of
// those. It is not the wildcard address, which would collide with every
// endpoint that has the same port in a loopback window.
func listenOn(e core.Endpoint, host func() []netip.Addr) place {
	port := uint16(e.Port)
	if ip, err := netip.ParseAddr(e.Address); err == nil && (ip.IsLoopback() || slices.Contains(host(), ip)) {
		return place{netip.AddrPortFrom(ip, port).String()}
	}
	var all place
	for _, ip := range host() {
		all = append(all, netip.AddrPortFrom(ip, port).String())
	}
	return all
}
