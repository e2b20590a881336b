package admin

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Status is everything a deployment runs.
type Status struct {
	// Version is the server's, Account the one that owns everything.
	Version string `json:"version"`
	Account string `json:"account"`
	// Fabric is "kernel" or "userspace".
	Fabric string `json:"fabric"`
	// Troubles are the last troubles of the network that an operator should know of.
	Troubles []Trouble `json:"troubles,omitempty"`
	// Attachments are the VPCs that the host is an instance of.
	Attachments []Attachment `json:"attachments"`
	// Publications are the ways in from outside.
	Publications []Publication `json:"publications"`
	// Instances are those that have not ended.
	Instances []Instance `json:"instances"`
	// Caches are sorted by region and id.
	Caches []Cache `json:"caches"`
}

// Trouble is something about the network that was not as it should be.
type Trouble struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Cache is a replication group, or a cache cluster of its own.
type Cache struct {
	Region string `json:"region"`
	ID     string `json:"id"`
	// Kind is "replication-group" or "cache-cluster".
	Kind string `json:"kind"`
	// Status is the one that the AWS API shows.
	Status        string `json:"status"`
	Engine        string `json:"engine"`
	EngineVersion string `json:"engineVersion"`
	NodeType      string `json:"nodeType"`
	// TLS is "off", "preferred" or "required"; Auth "off", "optional" or
	// "required".
	TLS  string `json:"tls"`
	Auth string `json:"auth"`
	// Notice is one sentence that an operator should read, or empty.
	Notice    string     `json:"notice,omitempty"`
	Endpoints []Endpoint `json:"endpoints"`
	Nodes     []Node     `json:"nodes"`
}

// Endpoint is where clients of a whole cache connect.
type Endpoint struct {
	// Name is "primary", "reader" or "configuration".
	Name string `json:"name"`
	// Address is host:port as clients are told.
	Address string `json:"address"`
}

// Node is one engine process.
type Node struct {
	// ID is CLUSTER/NODE.
	ID string `json:"id"`
	// Phase is "pending", "starting", "running", "exited", "failed" or "gone".
	Phase string `json:"phase"`
	// Role is "primary" or "replica"; empty where there is no such thing.
	Role string `json:"role,omitempty"`
	// Zone is the availability zone, Address host:port as clients are told.
	Zone    string `json:"zone"`
	Address string `json:"address"`
	PID     int    `json:"pid,omitempty"`
	// Binary is the name of the program that runs, BinaryVersion its own version,
	// which may differ from the cache's EngineVersion.
	Binary        string `json:"binary,omitempty"`
	BinaryVersion string `json:"binaryVersion,omitempty"`
	// UsedMemory (bytes) and Clients are asked of the engine; absent when it did
	// not answer in time.
	UsedMemory *int64 `json:"usedMemory,omitempty"`
	Clients    *int   `json:"clients,omitempty"`
	MaxClients int    `json:"maxClients,omitempty"`
	// Message says why a node failed or exited.
	Message string `json:"message,omitempty"`

	// key is the node's id in the runtime.
	key string
}

// authOptional is shown for a group that admits clients with and without token.
const authOptional = "AUTH optional: unauthenticated clients are still admitted; SET closes it"

// overview is the part of the status that is stored.
func (s *Server) overview(r store.Reader) []Cache {
	nodes := map[string]*resource.Node{}
	for _, n := range resource.Nodes.List(r, "") {
		nodes[n.Key()] = n
	}
	clusters := map[string]*resource.CacheCluster{}
	caches := []Cache{}
	for _, c := range resource.CacheClusters.List(r, "") {
		clusters[c.Region+"/"+c.ID] = c
		if c.Spec.ReplicationGroupID == "" {
			caches = append(caches, s.clusterCache(c, nodes))
		}
	}
	for _, g := range resource.ReplicationGroups.List(r, "") {
		caches = append(caches, s.groupCache(g, clusters, nodes))
	}
	slices.SortFunc(caches, func(a, b Cache) int {
		return cmp.Or(strings.Compare(a.Region, b.Region), strings.Compare(a.ID, b.ID))
	})
	return caches
}

func (s *Server) clusterCache(c *resource.CacheCluster, nodes map[string]*resource.Node) Cache {
	out := Cache{
		Region: c.Region, ID: c.ID, Kind: "cache-cluster", Status: s.cfg.ClusterStatus(c),
		Engine: c.Spec.Engine, EngineVersion: c.Spec.EngineVersion, NodeType: c.Spec.NodeType,
		TLS: tlsText(c.Spec.TLS), Auth: "off", Notice: c.Status.Failure,
		Endpoints: endpoints(named{"configuration", c.Spec.ConfigurationEndpoint}),
		Nodes:     clusterNodes(c, nodes),
	}
	return out
}

func (s *Server) groupCache(g *resource.ReplicationGroup, clusters map[string]*resource.CacheCluster, nodes map[string]*resource.Node) Cache {
	out := Cache{
		Region: g.Region, ID: g.ID, Kind: "replication-group", Status: s.cfg.GroupStatus(g), Engine: g.Spec.Engine,
		TLS: tlsText(g.Spec.TLS), Auth: authText(g.Spec.Auth), Notice: g.Status.Failure,
		Endpoints: endpoints(named{"primary", g.Spec.PrimaryEndpoint}, named{"reader", g.Spec.ReaderEndpoint},
			named{"configuration", g.Spec.ConfigurationEndpoint}),
		Nodes: []Node{},
	}
	if out.Notice == "" && g.Spec.Auth.Optional() {
		out.Notice = authOptional
	}
	for _, id := range g.Spec.Members {
		if c := clusters[g.Region+"/"+id]; c != nil {
			out.EngineVersion, out.NodeType = c.Spec.EngineVersion, c.Spec.NodeType
			out.Nodes = append(out.Nodes, clusterNodes(c, nodes)...)
		}
	}
	return out
}

func clusterNodes(c *resource.CacheCluster, nodes map[string]*resource.Node) []Node {
	out := []Node{}
	for _, slot := range c.Spec.Nodes {
		n := Node{
			ID: c.ID + "/" + slot.ID, Phase: "pending", Zone: slot.Zone,
			Address: slot.Endpoint.Advertised.String(), key: c.Region + "/" + c.ID + "/" + slot.ID,
		}
		if rec := nodes[n.key]; rec != nil {
			n.observe(rec.Status)
		}
		out = append(out, n)
	}
	return out
}

func (n *Node) observe(s resource.NodeStatus) {
	if s.Phase != resource.NodePending {
		n.Phase = s.Phase
	}
	switch s.Role {
	case "master":
		n.Role = "primary"
	case "slave":
		n.Role = "replica"
	}
	n.PID, n.BinaryVersion, n.MaxClients, n.Message = s.PID, s.BinaryVersion, s.MaxClients, s.Message
	if s.Binary != "" {
		n.Binary = filepath.Base(s.Binary)
	}
}

// named is an endpoint of a cache and what it is for.
type named struct {
	name string
	at   resource.Endpoint
}

func endpoints(all ...named) []Endpoint {
	out := []Endpoint{}
	for _, e := range all {
		if !e.at.IsZero() {
			out = append(out, Endpoint{Name: e.name, Address: e.at.Advertised.String()})
		}
	}
	return out
}

func tlsText(m resource.TLSMode) string {
	if m == resource.TLSOff {
		return "off"
	}
	return string(m)
}

func authText(a resource.Auth) string {
	switch {
	case a.Optional():
		return "optional"
	case a.Enabled():
		return "required"
	}
	return "off"
}
