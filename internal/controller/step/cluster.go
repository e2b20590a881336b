package step

import (
	"maps"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Cluster is a cache cluster with all that a plan for it has to know.
type Cluster struct {
	Record *resource.CacheCluster
	// Nodes are all of the cluster's, by id; those of dropped slots too.
	Nodes map[string]*resource.Node
	// Successors are nodes that are to take the place of others, by the ids of those.
	Successors map[string]*resource.Node
	// VPCID is where the addresses of the cluster are.
	VPCID string
	// Parameters and Directives are what the parameter group asks for; Problem
	// says why that cannot be told.
	Parameters nodespec.Parameters
	Directives nodespec.Directives
	Problem    string
	// Program is what a new node runs.
	Program catalog.Binary
	// held: a part of what is wanted is held back in this pass.
	held bool
}

// Key is the key of the cluster's record.
func (c *Cluster) Key() string { return c.Record.Region + "/" + c.Record.ID }

// NodeKey is the key of the node with an id.
func (c *Cluster) NodeKey(id string) string { return c.Key() + "/" + id }

// ReadCluster reads a cluster and what belongs to it; nil if there is none.
func ReadCluster(r store.Reader, engines nodespec.Engines, key string) *Cluster {
	record, ok := resource.CacheClusters.Get(r, key)
	if !ok {
		return nil
	}
	c := &Cluster{Record: record, Nodes: map[string]*resource.Node{}}
	for _, n := range resource.Nodes.List(r, key+"/") {
		c.Nodes[n.ID] = n
	}
	c.Successors = successors(c.Nodes)
	if len(record.Spec.Nodes) > 0 {
		c.VPCID = vpcOf(r, record.Region, record.Spec.Nodes[0].SubnetID)
	}
	spec := record.Spec
	c.Parameters = nodespec.Parameters{
		Group:   spec.ParameterGroup,
		Default: func(name string) string { return engines.Default(spec.Engine, spec.EngineVersion, name) },
	}
	if group, ok := resource.ParameterGroups.Get(r, record.Region+"/"+spec.ParameterGroup); ok {
		c.Parameters.Values = group.Values
	}
	var err error
	c.Directives, err = engines.Directives(spec.Engine, spec.EngineVersion, spec.NodeType, c.Parameters.Values)
	if err != nil {
		c.Problem = err.Error()
	}
	c.Parameters.Start = c.Directives.Start
	c.Program = engines.Program(spec.Engine, spec.EngineVersion)
	return c
}

// vpcOf finds the VPC of a subnet.
func vpcOf(r store.Reader, region, subnetID string) string {
	for _, vpc := range resource.VPCs.List(r, region+"/") {
		for _, s := range vpc.Subnets {
			if s.ID == subnetID {
				return vpc.ID
			}
		}
	}
	return ""
}

// Want is what the cluster wants of the node of a slot; the role is the caller's
// to add. Directives that cannot be told stay as they are, and so does the mode
// of TLS as long as the certificate for it is not there.
func (c *Cluster) Want(slot resource.NodeSlot, auth resource.NodeAuth, tls resource.TLSMode, certified bool) nodespec.Want {
	spec := c.Record.Spec
	w := nodespec.Want{
		Engine: spec.Engine, Version: spec.EngineVersion,
		Endpoint: slot.Endpoint, TLS: tls, Auth: auth,
		Directives: c.Directives,
		Reboots:    spec.Reboot[slot.ID],
	}
	n := c.Nodes[slot.ID]
	if n != nil && !certified {
		w.TLS = n.Spec.TLS
	}
	return c.fit(w, n)
}

// fit adds to what is wanted of a node what follows from the node that there is; nil for
// none.
func (c *Cluster) fit(w nodespec.Want, n *resource.Node) nodespec.Want {
	w.InPlace, w.Superseded = false, false
	if n == nil {
		return w
	}
	w.InPlace = n.Status.Binary != "" && n.Status.Binary == c.Program.Path && n.Status.BinaryVersion == c.Program.Version
	w.Superseded = c.superseded(n)
	if c.Problem != "" {
		w.Superseded = false
		w.Engine, w.Version = n.Spec.Engine, n.Spec.Version
		w.Directives = nodespec.Directives{Live: n.Spec.Settings, Start: n.Spec.StartSettings}
	}
	return w
}

// Certified reports whether there is a certificate for the endpoints of an
// owner, or none is needed.
func Certified(r store.Reader, region, ownerUID string, tls resource.TLSMode, endpoints []resource.Endpoint) bool {
	if tls == resource.TLSOff {
		return true
	}
	cert, ok := resource.Certificates.Get(r, region+"/"+ownerUID)
	return ok && slices.Equal(cert.Names, nodespec.CertificateNames(endpoints))
}

// Create is the step that makes the node of a slot.
func (c *Cluster) Create(slot resource.NodeSlot, spec resource.NodeSpec) Step {
	return CreateNode{Region: c.Record.Region, ClusterID: c.Record.ID, ID: slot.ID, Spec: spec}
}

// Change is the step that gives a node another spec: none if it has it.
func Change(n *resource.Node, spec resource.NodeSpec) []Step {
	changes := nodespec.Diff(n.Spec, spec)
	if len(changes) == 0 {
		return nil
	}
	return []Step{ChangeNode{Key: n.Key(), Spec: spec, Changes: changes}}
}

// Observe is the step to the status that follows from an observation, with its
// events: none if the status says so already.
func (c *Cluster) Observe(o nodespec.Observation) []Step {
	o.Held = c.held
	status, messages := o.Status()
	var plan []Step
	if changes := nodespec.DiffStatus(c.Record.Status, status); len(changes) > 0 {
		plan = append(plan, ChangeClusterStatus{Key: c.Key(), Status: status, Changes: changes})
	}
	for _, m := range messages {
		plan = append(plan, c.Event(m))
	}
	return plan
}

// Event tells something about the cluster.
func (c *Cluster) Event(message string) Step {
	return RecordEvent{
		Region: c.Record.Region, SourceType: resource.SourceCacheCluster,
		SourceID: c.Record.ID, Message: message,
	}
}

// maxRemovals bounds how many nodes go in one transaction, because servers limit
// the operations of one.
const maxRemovals = 20

// Vacate are the steps that make the nodes with these ids go: first their
// processes, then their records. The address of a slot that still exists goes
// with the cluster (Remove), of a dropped one with the node. left counts the
// nodes whose records remain.
func (c *Cluster) Vacate(ids []string) (plan []Step, left int) {
	var removed []string
	for _, id := range ids {
		n := c.Nodes[id]
		if next := c.Successors[id]; next != nil {
			steps, gone := dismiss(next)
			plan = append(plan, steps...)
			if !gone {
				left++
			}
		}
		if !nodespec.Gone(n) || len(removed) == maxRemovals {
			plan = append(plan, Change(n, nodespec.Removed(n))...)
			left++
			continue
		}
		removed = append(removed, id)
		plan = append(plan, RemoveNode{Key: n.Key()})
		if slot, ok := c.slot(id); !ok || !nodespec.EqualEndpoints(slot.Endpoint, n.Spec.Endpoint) {
			plan = append(plan, Release(c.Record.Region, c.VPCID, n.Spec.Endpoint)...)
		}
	}
	if len(removed) > 0 && !c.Record.Spec.Deleting {
		plan = append(plan, c.Event("Removed cache nodes "+strings.Join(removed, ", ")))
	}
	return plan, left
}

func (c *Cluster) slot(id string) (resource.NodeSlot, bool) {
	i := slices.IndexFunc(c.Record.Spec.Nodes, func(s resource.NodeSlot) bool { return s.ID == id })
	if i < 0 {
		return resource.NodeSlot{}, false
	}
	return c.Record.Spec.Nodes[i], true
}

// NodeIDs are the ids of all nodes there are, sorted.
func (c *Cluster) NodeIDs() []string { return slices.Sorted(maps.Keys(c.Nodes)) }

// Leaving are the ids of the nodes whose slots were dropped, sorted; also of
// those whose slot came back before they had gone.
func (c *Cluster) Leaving() []string {
	return slices.DeleteFunc(c.NodeIDs(), func(id string) bool {
		_, ok := c.slot(id)
		return ok && !c.Nodes[id].Spec.Deleted
	})
}

// Remove are the steps that end a cluster whose nodes are all gone.
func (c *Cluster) Remove() []Step {
	var plan []Step
	spec := c.Record.Spec
	for _, slot := range slices.Concat(spec.Nodes, spec.Pending.AddNodes) {
		plan = append(plan, Release(c.Record.Region, c.VPCID, slot.Endpoint)...)
	}
	plan = append(plan, Release(c.Record.Region, c.VPCID, c.Record.Spec.ConfigurationEndpoint)...)
	return append(plan, RemoveCluster{Key: c.Key()}, c.Event("Cache cluster deleted"))
}
