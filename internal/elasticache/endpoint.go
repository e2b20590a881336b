package elasticache

import (
	"crypto/sha256"
	"encoding/base32"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// allocator hands out addresses of one VPC within one transaction. Everything
// it decides is a function of the owners' names and of what is taken, because
// the transaction may be run again.
type allocator struct {
	tx        *store.Tx
	vpc       *resource.VPC
	advertise Advertise
}

// endpoint gives owner an address in the first of the subnets that has one
// free, and a port of the advertised range if there is one.
func (a allocator) endpoint(owner string, subnets []resource.Subnet, port int, names []string) (resource.Endpoint, resource.Subnet, error) {
	for _, subnet := range subnets {
		ip, err := topology.TakeAddress(a.tx, a.vpc, subnet, owner)
		if err != nil {
			return resource.Endpoint{}, subnet, err
		}
		if !ip.IsValid() {
			continue
		}
		bound := ip
		if a.vpc.Window != 0 {
			b := ip.As4()
			bound = netip.AddrFrom4([4]byte{127, byte(a.vpc.Window), b[2], b[3]})
		}
		e := resource.Endpoint{
			VPC:   core.Endpoint{Address: ip.String(), Port: port},
			Bound: core.Endpoint{Address: bound.String(), Port: port},
			Names: names,
		}
		e.Advertised, err = a.advertised(owner, e.Bound)
		return e, subnet, err
	}
	return resource.Endpoint{}, resource.Subnet{}, errNoFreeAddress(subnets)
}

// advertised is what clients are told: the bound address, or one port of the
// deployment's range on its one address.
func (a allocator) advertised(owner string, bound core.Endpoint) (core.Endpoint, error) {
	if a.advertise.Host == "" {
		return bound, nil
	}
	for port := a.advertise.PortFrom; port <= a.advertise.PortTo; port++ {
		key := "ports/" + strconv.Itoa(port)
		if _, taken := resource.Addresses.Get(a.tx, key); taken {
			continue
		}
		resource.Addresses.Put(a.tx, key, &resource.Address{Owner: owner})
		return core.Endpoint{Address: a.advertise.Host, Port: port}, nil
	}
	return core.Endpoint{}, errNoFreePort(a.advertise)
}

// releaseEndpoint frees the addresses of a slot that no node was made for.
func releaseEndpoint(tx *store.Tx, region string, slot resource.NodeSlot) {
	for _, vpc := range resource.VPCs.List(tx, region+"/") {
		if !slices.ContainsFunc(vpc.Subnets, func(s resource.Subnet) bool { return s.ID == slot.SubnetID }) {
			continue
		}
		e := slot.Endpoint
		resource.Addresses.Delete(tx, key(region, vpc.ID+"/"+e.VPC.Address))
		if e.Advertised != e.Bound {
			resource.Addresses.Delete(tx, "ports/"+strconv.Itoa(e.Advertised.Port))
		}
	}
}

// Forms of endpoints in answers.
const (
	// EndpointNamesAuto gives names while this host resolves them, addresses otherwise.
	EndpointNamesAuto = "auto"
	EndpointNamesIP   = "ip"
	EndpointNamesDNS  = "dns"
)

// told is where clients are told to connect; nil for an endpoint that is none.
type told func(resource.Endpoint) *wire.Endpoint

// told gives the form that answers have, for endpoints with TLS or without. Names of
// the other form lead to the same place, so that a client's configuration stays good
// when TLS is turned on.
func (s *Service) told(r store.Reader, tls resource.TLSMode) told {
	named := s.endpointNames == EndpointNamesDNS
	if s.endpointNames == EndpointNamesAuto {
		h, ok := resource.HostResolvers.Get(r, resource.HostResolverKey)
		named = ok && h.Ready && !h.Removing
	}
	return func(e resource.Endpoint) *wire.Endpoint {
		if e.IsZero() {
			return nil
		}
		address := e.Advertised.Address
		ip, err := netip.ParseAddr(address)
		switch {
		case !named || len(e.Names) == 0 || err != nil || !ip.Is4(): // names lead to IPv4 addresses
		case tls == resource.TLSOff:
			address = e.Names[0]
		default:
			address = e.Names[len(e.Names)-1]
		}
		return &wire.Endpoint{Address: &address, Port: &e.Advertised.Port}
	}
}

// dnsNames makes the DNS names of the endpoints of one VPC, labelled as the
// service labels them. An endpoint has the names of both forms, with and
// without TLS, because a group can move from one to the other.
type dnsNames struct {
	// tail is ".REGIONCODE.DOMAIN", id the short hash of account and VPC.
	id, tail string
}

func newDNSNames(account, region, vpcID, domain string) dnsNames {
	sum := sha256.Sum256([]byte(account + "/" + vpcID))
	id := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:6]
	return dnsNames{id: id, tail: "." + regionCode(region) + "." + domain}
}

func (d dnsNames) clusterNode(cluster, node string) []string {
	return []string{cluster + "." + d.id + "." + node + d.tail, node + "." + cluster + "." + d.id + d.tail}
}

func (d dnsNames) configuration(cluster string) []string {
	return []string{cluster + "." + d.id + ".cfg" + d.tail}
}

func (d dnsNames) member(group, cluster string) []string {
	return []string{cluster + "." + d.id + "." + onlyNode + d.tail, cluster + "." + group + "." + d.id + d.tail}
}

func (d dnsNames) primary(group string) []string {
	return []string{group + "." + d.id + ".ng." + onlyShard + d.tail, "master." + group + "." + d.id + d.tail}
}

func (d dnsNames) reader(group string) []string {
	return []string{group + "-ro." + d.id + ".ng." + onlyShard + d.tail, "replica." + group + "." + d.id + d.tail}
}

func (d dnsNames) shards(group string) []string {
	return []string{group + "." + d.id + ".clustercfg" + d.tail, "clustercfg." + group + "." + d.id + d.tail}
}

// regionCode is the short form of a region's name in endpoints: "us-east-1" is
// "use1", "ap-northeast-1" is "apne1".
func regionCode(region string) string {
	parts := strings.Split(region, "-")
	if len(parts) < 3 {
		return strings.ReplaceAll(region, "-", "")
	}
	area, number := parts[0], parts[len(parts)-1]
	var direction strings.Builder
	for _, p := range parts[1 : len(parts)-1] {
		for _, compass := range []string{"north", "south", "east", "west", "central"} {
			if rest, ok := strings.CutPrefix(p, compass); ok {
				direction.WriteByte(compass[0])
				p = rest
			}
		}
		if p != "" {
			direction.WriteByte(p[0])
		}
	}
	return area + direction.String() + number
}
