package host

import (
	"net/netip"
	"slices"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/topology"
)

// publications adds an endpoint for each publication, which leads where the published
// one does.
func (c *composer) publications() {
	for _, p := range resource.Publications.List(c.reader, "") {
		is := func(e runtime.Endpoint) bool { return e.ID == p.Endpoint }
		at := slices.IndexFunc(c.doc.Endpoints, is)
		listen, err := netip.ParseAddrPort(p.Listen)
		source, bad := netip.ParseAddr(p.Address)
		if at < 0 || err != nil || bad != nil || !topology.Published(c.reader, p) {
			continue
		}
		e := c.doc.Endpoints[at]
		out := runtime.Endpoint{
			ID: p.RuntimeID(), Network: p.VPCID, Source: source,
			Bound: core.Endpoint{Address: listen.Addr().String(), Port: int(listen.Port())},
			Nodes: e.Nodes, Primary: e.Primary, TLS: e.TLS,
		}
		if p.Plaintext {
			out.TLS = runtime.TLS{}
		}
		c.doc.Endpoints = append(c.doc.Endpoints, out)
	}
}
