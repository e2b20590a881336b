package admin

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// Explanation says whether a client may connect to a cache, and why. It tells what
// the stored rules decide; it sends nothing.
type Explanation struct {
	// From is the client as it was named, Source the address that rules see, which
	// is empty where it has none.
	From   string `json:"from"`
	Source string `json:"source,omitempty"`
	To     string `json:"to"`
	VPC    string `json:"vpc"`
	Port   int    `json:"port"`
	// Nodes are the nodes that To leads to, sorted.
	Nodes []Verdict `json:"nodes"`
	// TLS is "off", "preferred" or "required"; Auth "off", "optional" or "required".
	TLS  string `json:"tls"`
	Auth string `json:"auth"`
	// Warnings are sentences for whoever owns the cache.
	Warnings []string `json:"warnings,omitempty"`
}

// Verdict is the decision for one node.
type Verdict struct {
	// Node is CLUSTER/NODE.
	Node    string `json:"node"`
	Allowed bool   `json:"allowed"`
	// Gates are those that the client passes, in order, up to the one that refuses.
	Gates []Gate `json:"gates"`
	// Open is the command that would open the gate that refuses.
	Open string `json:"open,omitempty"`
}

// Gate is one thing that has to be true.
type Gate struct {
	Name string `json:"name"`
	Pass bool   `json:"pass"`
	// Unchecked: it depends on what the client speaks, which nothing here knows; Text
	// says what that must be.
	Unchecked bool `json:"unchecked,omitempty"`
	// Rules are the ids of the rules that decide; Text is one sentence.
	Rules []string `json:"rules,omitempty"`
	Text  string   `json:"text"`
}

// target is what a client wants to reach.
type target struct {
	clusters []*resource.CacheCluster
	auth     resource.Auth
	// only, if set, is the one node that an endpoint leads to.
	only string
}

// has reports whether CLUSTER/NODE is a node of it.
func (t target) has(id string) bool {
	cluster, _, _ := strings.Cut(id, "/")
	return slices.ContainsFunc(t.clusters, func(c *resource.CacheCluster) bool { return c.ID == cluster }) && (t.only == "" || t.only == id)
}

func (s *Server) explain(r *http.Request) (any, error) {
	q := r.URL.Query()
	var out Explanation
	err := s.cfg.Store.View(r.Context(), func(rd store.Reader) error {
		var err error
		out, err = explain(rd, core.RequestFrom(r.Context()).Region, s.cfg.Account, q.Get("from"), q.Get("to"), q.Get("port"))
		return err
	})
	return out, err
}

func explain(r store.Reader, region, account, from, to, port string) (Explanation, error) {
	out := Explanation{From: from, To: to}
	who, err := findClient(r, from)
	if err != nil {
		return out, err
	}
	var reached target
	if p := who.publication; p != nil {
		if port != "" {
			return out, core.Errorf("InvalidParameterCombination", "%s leads to the port of its cache: leave the port out.", p.ID)
		}
		region, reached = p.Region, endpointTarget(r, p.Endpoint)
		if to == "" {
			_, out.To, _ = strings.Cut(p.Endpoint, "/")
		}
	}
	t, ok := reached, true
	if out.To == to {
		t, ok = findTarget(r, region, to)
	}
	if !ok || len(t.clusters) == 0 {
		return out, core.Errorf("NotFound", "There is no replication group, cache cluster or endpoint %q in %s.", out.To, region).WithStatus(http.StatusNotFound)
	}
	first := t.clusters[0]
	out.Port, out.TLS, out.Auth = first.Spec.Port, tlsText(who.tls(first)), authText(t.auth)
	if port != "" {
		if out.Port, err = strconv.Atoi(port); err != nil || out.Port < 1 || out.Port > 65535 {
			return out, core.Errorf("ValidationError", "port: %q is not a port.", port)
		}
	}
	world, interfaces := topology.World(r)
	e := explainer{policy: network.Compile(world), region: region, account: account, port: out.Port, client: who, reached: reached, auth: t.auth}
	for _, c := range t.clusters {
		for _, slot := range c.Spec.Nodes {
			i, ok := interfaces[c.Region+"/"+c.ID+"/"+slot.ID]
			id := c.ID + "/" + slot.ID
			if !ok || !t.has(id) {
				continue
			}
			out.VPC = networkName(i.VPC)
			e.locate(topology.Windows(r)[i.VPC], i.VPC)
			e.groups = groupsAt(r, world, region, i.VPC, e.source)
			out.Nodes = append(out.Nodes, e.verdict(id, c, i))
		}
	}
	if e.source.IsValid() {
		out.Source = e.source.String()
	}
	out.Warnings = warnings(r, t.clusters)
	return out, nil
}

func findTarget(r store.Reader, region, to string) (target, bool) {
	if g, ok := resource.ReplicationGroups.Get(r, region+"/"+to); ok {
		return groupTarget(r, g, func(string) bool { return true }), true
	}
	if c, ok := resource.CacheClusters.Get(r, region+"/"+to); ok {
		return clusterTarget(r, c, ""), true
	}
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		host = to
	}
	is := func(e resource.Endpoint) bool {
		return slices.ContainsFunc([]core.Endpoint{e.Advertised, e.Bound, e.VPC}, func(a core.Endpoint) bool {
			return a.Address == host && (port == "" || strconv.Itoa(a.Port) == port)
		}) || slices.Contains(e.Names, host)
	}
	for _, g := range resource.ReplicationGroups.List(r, region+"/") {
		switch {
		case is(g.Spec.ConfigurationEndpoint):
			return groupTarget(r, g, func(string) bool { return true }), true
		case is(g.Spec.PrimaryEndpoint):
			return primaryTarget(r, g), true
		case is(g.Spec.ReaderEndpoint):
			return readerTarget(r, g), true
		}
	}
	for _, c := range resource.CacheClusters.List(r, region+"/") {
		if is(c.Spec.ConfigurationEndpoint) {
			return clusterTarget(r, c, ""), true
		}
		for _, n := range c.Spec.Nodes {
			if is(n.Endpoint) {
				return clusterTarget(r, c, c.ID+"/"+n.ID), true
			}
		}
	}
	return target{}, false
}

func primaryTarget(r store.Reader, g *resource.ReplicationGroup) target {
	return groupTarget(r, g, func(id string) bool { return id == g.Status.Primary })
}

func readerTarget(r store.Reader, g *resource.ReplicationGroup) target {
	return groupTarget(r, g, func(id string) bool { return id != g.Status.Primary || len(g.Spec.Members) == 1 })
}

// groupTarget are the members of a group that an endpoint leads to.
func groupTarget(r store.Reader, g *resource.ReplicationGroup, leads func(id string) bool) target {
	t := target{auth: g.Spec.Auth}
	for _, id := range g.Spec.Members {
		if c, ok := resource.CacheClusters.Get(r, g.Region+"/"+id); ok && leads(id) {
			t.clusters = append(t.clusters, c)
		}
	}
	return t
}

func clusterTarget(r store.Reader, c *resource.CacheCluster, only string) target {
	t := target{clusters: []*resource.CacheCluster{c}, only: only}
	if g, ok := resource.ReplicationGroups.Get(r, c.Region+"/"+c.Spec.ReplicationGroupID); ok {
		t.auth = g.Spec.Auth
	}
	return t
}

// explainer decides for one client.
type explainer struct {
	policy          *network.Policy
	region, account string
	// source is the client's address in the VPC; host: it is the host, if that is in
	// the VPC.
	source netip.Addr
	host   bool
	port   int
	// groups are the names of those that the client is in.
	groups []string
	client client
	// reached is what a publication leads to.
	reached target
	auth    resource.Auth
}

// locate finds the address that rules of a VPC see: one of the VPC stands for itself,
// any other is a peer as it connects to an endpoint. An instance or a publication is
// in its own VPC only.
func (e *explainer) locate(w network.Window, vpc string) {
	from := e.client.address
	if own := e.client.vpc; own != "" {
		e.source, e.host = netip.Addr{}, false
		if own == vpc {
			e.source = from
		}
		return
	}
	if w.CIDR.Contains(from) {
		e.source, e.host = from, from == w.Host
		return
	}
	e.source = w.Source(from)
	attached := network.Window{Loopback: w.Loopback, CIDR: w.CIDR, Host: netip.IPv4Unspecified()}
	e.host = attached.Source(from) == attached.Host
}

func (e explainer) verdict(id string, c *resource.CacheCluster, i network.Interface) Verdict {
	v := Verdict{Node: id}
	gate := func(name string, pass bool, rules []string, text string) bool {
		v.Gates = append(v.Gates, Gate{Name: name, Pass: pass, Rules: rules, Text: text})
		return pass
	}
	if i := e.client.instance; i != nil && i.Spec.Power != resource.PowerRunning {
		gate("instance", false, nil, i.ID+" does not run: it is "+i.Spec.Power)
		return v
	}
	if p := e.client.publication; p != nil && !e.reached.has(id) {
		gate("route", false, nil, fmt.Sprintf("%s leads to %s and nowhere else", p.ID, p.Endpoint))
		return v
	}
	if !e.source.IsValid() {
		gate("route", false, nil, "the client has no address in "+networkName(i.VPC))
		if e.host && !c.Spec.Classic() {
			v.Open = "larder attach " + i.VPC
		}
		return v
	}
	port := e.port
	if c.Spec.Classic() {
		port = c.Spec.Port // cache security groups know no other; its own gate comes last
	}
	_, why := e.policy.Allows(network.Flow{
		Protocol: network.TCP, SourceVPC: i.VPC, Source: e.source, VPC: i.VPC, Destination: i.Addresses[0], Port: port,
	})
	if why.Gate == network.GateRoute || why.Gate == network.GateDestination {
		gate(string(why.Gate), false, nil, why.String())
		return v
	}
	gate("route", true, nil, fmt.Sprintf("%s is an address of %s", e.source, networkName(i.VPC)))
	switch {
	case why.Gate == network.GateEgress:
		gate("egress", false, nil, why.String())
		v.Open = e.command("egress", why.Groups, i.Addresses[0])
		return v
	case len(why.Egress) == 0 || c.Spec.Classic():
		gate("egress", true, nil, "no rules bind what the client sends")
	default:
		gate("egress", true, why.Egress, "its own groups let it out")
	}
	ingress, open := e.ingress(c, why)
	v.Gates = append(v.Gates, ingress)
	if !ingress.Pass {
		v.Open = open
		return v
	}
	v.Allowed = gate("port", e.port == c.Spec.Port, nil, fmt.Sprintf("the node listens on port %d", c.Spec.Port))
	if v.Allowed {
		v.Gates = append(v.Gates, tlsGate(e.client.tls(c)), authGate(e.auth))
	}
	return v
}

// tlsGate and authGate say what a client has to speak once it is connected. Nothing
// here knows what it does speak, so they refuse nobody.
func tlsGate(mode resource.TLSMode) Gate {
	text := "the client must not use TLS"
	switch mode {
	case resource.TLSRequired:
		text = "the client must use TLS: others are cut off"
	case resource.TLSPreferred:
		text = "the client may use TLS or not"
	}
	return Gate{Name: "tls", Pass: true, Unchecked: true, Text: text}
}

func authGate(a resource.Auth) Gate {
	text := "the client needs no token"
	switch {
	case a.Optional():
		text = "the client may send a valid token with AUTH, or none"
	case a.Enabled():
		text = "the client must send a valid token with AUTH: others are told NOAUTH"
	}
	return Gate{Name: "auth", Pass: true, Unchecked: true, Text: text}
}

// ingress is the last gate that rules guard, and the command that would open it.
func (e explainer) ingress(c *resource.CacheCluster, why network.Reason) (Gate, string) {
	pass := why.Gate != network.GateIngress
	switch {
	case c.Spec.Classic():
		return classicIngress(c, e.source, e.groups, pass), classicCommand(c, e.account, e.groups)
	case pass:
		return Gate{Name: "ingress", Pass: true, Rules: why.Ingress, Text: "the groups of the node let it in"}, ""
	}
	return Gate{Name: "ingress", Text: why.String()}, e.command("ingress", why.Groups, e.source)
}

// command opens a gate for one address, in the first group that could.
func (e explainer) command(direction string, groups []string, peer netip.Addr) string {
	if len(groups) == 0 {
		return ""
	}
	return fmt.Sprintf("aws ec2 authorize-security-group-%s --region %s --group-id %s --ip-permissions IpProtocol=tcp,FromPort=%d,ToPort=%d,IpRanges='[{CidrIp=%s/32}]'",
		direction, e.region, groups[0], e.port, e.port, peer)
}

// warnings tell of caches that share a VPC's default group where that is open to
// everyone: whatever else is in the group is open too.
func warnings(r store.Reader, clusters []*resource.CacheCluster) []string {
	var out []string
	for _, v := range resource.VPCs.List(r, clusters[0].Region+"/") {
		g, ok := resource.SecurityGroups.Get(r, v.Region+"/"+v.DefaultSecurityGroup)
		open := ok && slices.ContainsFunc(g.Rules, func(rule resource.SecurityGroupRule) bool { return !rule.Egress && rule.CIDR == "0.0.0.0/0" })
		if open && slices.Contains(clusters[0].Spec.SecurityGroupIDs, v.DefaultSecurityGroup) {
			out = append(out, fmt.Sprintf("the cache is in %s, the default group of %s, which lets in 0.0.0.0/0: give it a group of its own", g.ID, v.ID))
		}
	}
	return out
}
