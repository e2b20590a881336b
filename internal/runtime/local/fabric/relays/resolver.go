package relays

import (
	"net/netip"

	"github.com/larder-cache/larder/internal/dns"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/runtime/local"
)

// Resolver is where the names of endpoints are answered on this host.
type Resolver struct {
	// Listen is where, over UDP and TCP; invalid: nowhere.
	Listen netip.AddrPort
	// Domain is the domain of the names.
	Domain string
}

// Answer is the resolver for the names of a network, if one is asked for.
func (r Resolver) Answer(n local.Network) []relay.Resolver {
	if !r.Listen.IsValid() {
		return nil
	}
	at := r.Listen.String()
	return []relay.Resolver{{
		ID: runtime.ResolverID, Addresses: []string{Datagrams + at, Streams + at},
		Zone: dns.Zone{Domain: r.Domain, Names: n.AdvertisedNames()},
	}}
}
