package admin

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// Publication is an address of the host at which clients from outside reach a cache.
type Publication struct {
	ID     string `json:"id"`
	Region string `json:"region"`
	// Endpoint is where it leads, e.g. "primary us-east-1/GROUP".
	Endpoint string `json:"endpoint"`
	// Listen is IP:PORT on the host.
	Listen string `json:"listen"`
	// VPC, Address and SecurityGroups are those of its interface: what rules see.
	VPC            string   `json:"vpc"`
	Address        string   `json:"address"`
	SecurityGroups []string `json:"securityGroups"`
	// Plaintext: clients outside speak no TLS.
	Plaintext bool      `json:"plaintext,omitempty"`
	Created   time.Time `json:"created"`
	// State is "opening", "open" or "failed"; Trouble says why.
	State   string `json:"state"`
	Trouble string `json:"trouble,omitempty"`
}

// States of a publication.
const (
	PublicationOpening = "opening"
	PublicationOpen    = "open"
	PublicationFailed  = "failed"
)

// Publish is the body of the request that makes a publication.
type Publish struct {
	// Target is the id of a replication group or cache cluster, or CLUSTER/NODE.
	Target string `json:"target"`
	// Reader leads to the replicas of a group, not to its primary.
	Reader bool `json:"reader,omitempty"`
	// Listen is IP:PORT on the host; 0.0.0.0 is each of its addresses.
	Listen string `json:"listen"`
	// SecurityGroups are ids of groups of the VPC; none means its default one.
	SecurityGroups []string `json:"securityGroups,omitempty"`
	// Plaintext ends TLS at the publication; Insecure permits that where others than
	// this host can connect.
	Plaintext bool `json:"plaintext,omitempty"`
	Insecure  bool `json:"insecure,omitempty"`
}

func (s *Server) publish(r *http.Request) (any, error) {
	if err := requireRoot(r.Context()); err != nil {
		return nil, err
	}
	var in Publish
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, core.Errorf("ValidationError", "The body must be a JSON object with the members target and listen.")
	}
	listen, err := listenAddress(in.Listen)
	if err != nil {
		return nil, err
	}
	if in.Plaintext && !in.Insecure && !listen.Addr().IsLoopback() {
		return nil, core.Errorf("InvalidParameterCombination",
			"On %s others could read what a plaintext publication carries. Listen on a loopback address, or add insecure if that is wanted.", listen.Addr())
	}
	id, created := "pub-"+randomID(), s.cfg.Clock.Now().UTC().Truncate(time.Second)
	region := core.RequestFrom(r.Context()).Region
	var p *resource.Publication
	err = s.cfg.Store.Update(r.Context(), func(tx *store.Tx) error {
		t, err := publishable(tx, region, in.Target, in.Reader)
		if err != nil {
			return err
		}
		if in.Plaintext && t.cluster.Spec.TLS == resource.TLSOff {
			return core.Errorf("InvalidParameterCombination", "%s speaks plaintext itself: leave plaintext out.", in.Target)
		}
		if other := listener(tx, listen); other != "" {
			return core.Errorf("AddressInUse", "%s already listens on %s.", other, listen).WithStatus(http.StatusConflict)
		}
		groups, err := groupsFor(tx, t.vpc, in.SecurityGroups)
		if err != nil {
			return err
		}
		p = &resource.Publication{
			Region: region, ID: id, Created: created, Endpoint: t.endpoint, OwnerUID: t.ownerUID,
			Listen: listen.String(), Plaintext: in.Plaintext, SubnetID: t.subnet, SecurityGroupIDs: groups,
		}
		if err := topology.Publish(tx, t.vpc, p); err != nil {
			return core.Errorf("InsufficientAddressCapacity", "No subnet of %s has a free address for the publication.", t.vpc.ID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.wirePublication(p), nil
}

// listenAddress reads where to listen. Addresses of the windows are those of caches.
func listenAddress(text string) (netip.AddrPort, error) {
	listen, err := netip.ParseAddrPort(text)
	if err != nil || listen.Port() == 0 {
		return listen, core.Errorf("ValidationError", "listen: %q is not IP:PORT.", text)
	}
	listen = netip.AddrPortFrom(listen.Addr().Unmap(), listen.Port())
	if ip := listen.Addr(); ip.Is4() && ip.IsLoopback() && !hostLoopback.Contains(ip) {
		return listen, core.Errorf("ValidationError", "listen: addresses outside of %s are kept for caches: choose one inside, or an address of the host.", hostLoopback)
	}
	return listen, nil
}

// hostLoopback is the part of 127.0.0.0/8 that no VPC is mapped to.
var hostLoopback = netip.MustParsePrefix("127.0.0.0/16")

// listener is the publication that listens at an address.
func listener(r store.Reader, at netip.AddrPort) string {
	for _, p := range resource.Publications.List(r, "") {
		other, err := netip.ParseAddrPort(p.Listen)
		if err == nil && other.Port() == at.Port() && (other == at || other.Addr().IsUnspecified() || at.Addr().IsUnspecified()) {
			return p.ID
		}
	}
	return ""
}

// published is what a publication can lead to.
type published struct {
	endpoint, ownerUID string
	// cluster is one behind the endpoint, subnet that of a node of it.
	cluster *resource.CacheCluster
	vpc     *resource.VPC
	subnet  string
}

func publishable(r store.Reader, region, target string, reader bool) (published, error) {
	name, node, hasNode := strings.Cut(target, "/")
	if g, ok := resource.ReplicationGroups.Get(r, region+"/"+name); ok && !hasNode {
		return publishableGroup(r, g, reader)
	}
	c, ok := resource.CacheClusters.Get(r, region+"/"+name)
	if !ok || c.Spec.Deleting || len(c.Spec.Nodes) == 0 {
		return published{}, core.Errorf("NotFound", "There is no replication group or cache cluster %q in %s.", name, region).WithStatus(http.StatusNotFound)
	}
	if reader {
		return published{}, core.Errorf("InvalidParameterCombination", "%s is a cache cluster: only a replication group has a reader endpoint.", name)
	}
	if g, ok := resource.ReplicationGroups.Get(r, region+"/"+c.Spec.ReplicationGroupID); ok && g.Spec.PrimaryEndpoint.IsZero() {
		return published{}, errSharded(g.ID)
	}
	if !hasNode && len(c.Spec.Nodes) > 1 {
		return published{}, core.Errorf("InvalidParameterValue", "%s has %d nodes that each hold a part of the data: name one, like %s/%s.", name, len(c.Spec.Nodes), name, c.Spec.Nodes[0].ID)
	}
	at := slices.IndexFunc(c.Spec.Nodes, func(n resource.NodeSlot) bool { return !hasNode || n.ID == node })
	if at < 0 {
		return published{}, core.Errorf("NotFound", "Cache cluster %s has no node %q.", name, node).WithStatus(http.StatusNotFound)
	}
	return placed(r, published{endpoint: "node " + region + "/" + name + "/" + c.Spec.Nodes[at].ID, ownerUID: c.UID, cluster: c, subnet: c.Spec.Nodes[at].SubnetID})
}

func publishableGroup(r store.Reader, g *resource.ReplicationGroup, reader bool) (published, error) {
	if g.Spec.Deleting {
		return published{}, core.Errorf("InvalidReplicationGroupState", "Replication group %s is being deleted.", g.ID)
	}
	if g.Spec.PrimaryEndpoint.IsZero() {
		return published{}, errSharded(g.ID)
	}
	out := published{endpoint: "primary " + g.Region + "/" + g.ID, ownerUID: g.UID}
	if reader {
		out.endpoint = "reader " + g.Region + "/" + g.ID
	}
	for _, id := range g.Spec.Members {
		if c, ok := resource.CacheClusters.Get(r, g.Region+"/"+id); ok && len(c.Spec.Nodes) > 0 {
			out.cluster, out.subnet = c, c.Spec.Nodes[0].SubnetID
			return placed(r, out)
		}
	}
	return published{}, core.Errorf("InvalidReplicationGroupState", "Replication group %s has no member yet.", g.ID)
}

func errSharded(group string) error {
	return core.Errorf("InvalidParameterValue",
		"%s is in cluster mode, whose nodes send clients to each other's own addresses, which a publication does not lead to.", group)
}

// placed finds the VPC.
func placed(r store.Reader, p published) (published, error) {
	for _, v := range resource.VPCs.List(r, p.cluster.Region+"/") {
		if slices.ContainsFunc(v.Subnets, func(s resource.Subnet) bool { return s.ID == p.subnet }) {
			p.vpc = v
		}
	}
	if p.vpc == nil || resource.IsClassic(p.vpc.ID) {
		return p, core.Errorf("InvalidParameterValue", "%s is in no VPC, in which the publication could have an address.", p.cluster.ID)
	}
	return p, nil
}

func (s *Server) unpublish(r *http.Request) (any, error) {
	if err := requireRoot(r.Context()); err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	return struct{}{}, s.cfg.Store.Update(r.Context(), func(tx *store.Tx) error {
		p, err := publicationNamed(tx, id)
		if err == nil {
			topology.Unpublish(tx, p)
		}
		return err
	})
}

func (s *Server) listPublications(r *http.Request) (any, error) {
	var out []Publication
	err := s.cfg.Store.View(r.Context(), func(rd store.Reader) error {
		out = s.publications(rd)
		return nil
	})
	return out, err
}

// publications are all of every region, sorted by region and id.
func (s *Server) publications(r store.Reader) []Publication {
	out := []Publication{}
	for _, p := range resource.Publications.List(r, "") {
		out = append(out, s.wirePublication(p))
	}
	return out
}

func (s *Server) wirePublication(p *resource.Publication) Publication {
	out := Publication{
		ID: p.ID, Region: p.Region, Endpoint: p.Endpoint, Listen: p.Listen, VPC: networkName(p.VPCID), Address: p.Address,
		SecurityGroups: p.SecurityGroupIDs, Plaintext: p.Plaintext, Created: p.Created, State: PublicationOpening,
	}
	switch l := s.cfg.Live.Listening(p.RuntimeID()); {
	case l.Open:
		out.State = PublicationOpen
	case l.Trouble != "":
		out.State, out.Trouble = PublicationFailed, l.Trouble
	}
	return out
}

func randomID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
