package relays

import (
	"net"
	"net/netip"

	"github.com/larder-cache/larder/internal/core"
)

// PublishAt are the addresses at which a publication is listened for: the one given,
// or if that is the unspecified one each of the host's. It is not the wildcard address,
// which would collide with every endpoint that has the same port.
func PublishAt(e core.Endpoint, host func() []netip.Addr) []string {
	ip, err := netip.ParseAddr(e.Address)
	if err != nil {
		return nil
	}
	at := []netip.Addr{ip}
	if ip.IsUnspecified() {
		at = host()
	}
	var all []string
	for _, ip := range at {
		all = append(all, netip.AddrPortFrom(ip, uint16(e.Port)).String())
	}
	return all
}

// HostAddresses are the addresses of this host under which others can reach it,
// and the loopback addresses.
func HostAddresses() []netip.Addr {
	var all []netip.Addr
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, n := range nets {
		p, err := netip.ParsePrefix(n.String())
		if err == nil && !p.Addr().IsLinkLocalUnicast() {
			all = append(all, p.Addr())
		}
	}
	return all
}
