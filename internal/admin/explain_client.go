package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// client is who wants to connect: an address, or an instance or a publication with the
// address that it has in its VPC.
type client struct {
	address netip.Addr
	// vpc is the one VPC in which it is; empty for an address.
	vpc         string
	instance    *resource.Instance
	publication *resource.Publication
}

// findClient reads who a client is: i-..., pub-... or an address.
func findClient(r store.Reader, from string) (client, error) {
	switch {
	case strings.HasPrefix(from, "i-"):
		i, err := instanceNamed(r, from)
		if err != nil {
			return client{}, err
		}
		address, err := addressOf(i.ID, i.Spec.Address)
		return client{address: address, vpc: i.Spec.VPCID, instance: i}, err
	case strings.HasPrefix(from, "pub-"):
		p, err := publicationNamed(r, from)
		if err != nil {
			return client{}, err
		}
		address, err := addressOf(p.ID, p.Address)
		return client{address: address, vpc: p.VPCID, publication: p}, err
	}
	address, err := netip.ParseAddr(from)
	if err != nil {
		return client{}, core.Errorf("ValidationError", "from: %q is neither an IP address nor the id of an instance or a publication.", from)
	}
	return client{address: address}, nil
}

func addressOf(id, text string) (netip.Addr, error) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return address, fmt.Errorf("address of %s: %w", id, err)
	}
	return address, nil
}

// publicationNamed finds a publication in any region.
func publicationNamed(r store.Reader, id string) (*resource.Publication, error) {
	all := resource.Publications.List(r, "")
	if at := slices.IndexFunc(all, func(p *resource.Publication) bool { return p.ID == id }); at >= 0 {
		return all[at], nil
	}
	return nil, core.Errorf("NotFound", "There is no publication %q.", id).WithStatus(http.StatusNotFound)
}

// endpointTarget is what the endpoint of a publication leads to, in the form of
// resource.Publication: nothing, once that is gone.
func endpointTarget(r store.Reader, endpoint string) target {
	kind, key, _ := strings.Cut(endpoint, " ")
	if at := strings.LastIndexByte(key, '/'); kind == "node" && at > 0 {
		if c, ok := resource.CacheClusters.Get(r, key[:at]); ok {
			return clusterTarget(r, c, c.ID+key[at:])
		}
		return target{}
	}
	g, ok := resource.ReplicationGroups.Get(r, key)
	switch {
	case !ok:
		return target{}
	case kind == "reader":
		return readerTarget(r, g)
	}
	return primaryTarget(r, g)
}

// tls is what a client has to speak to a cache. A plaintext publication ends TLS.
func (c client) tls(cache *resource.CacheCluster) resource.TLSMode {
	if c.publication != nil && c.publication.Plaintext {
		return resource.TLSOff
	}
	return cache.Spec.TLS
}
