package harness

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/larder-cache/larder/internal/admin"
)

// Status asks the deployment for everything it runs.
func (d *Deployment) Status(ctx context.Context) (admin.Status, error) {
	var st admin.Status
	out, err := d.Larder(ctx, "status", "-o", "json")
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal([]byte(out), &st)
}

// Nodes are all nodes of the deployment by CLUSTER/NODE.
func (d *Deployment) Nodes(ctx context.Context) (map[string]admin.Node, error) {
	st, err := d.Status(ctx)
	nodes := map[string]admin.Node{}
	for _, c := range st.Caches {
		for _, n := range c.Nodes {
			nodes[n.ID] = n
		}
	}
	return nodes, err
}

// Node is one node by CLUSTER/NODE.
func (d *Deployment) Node(ctx context.Context, id string) (admin.Node, error) {
	nodes, err := d.Nodes(ctx)
	if err != nil {
		return admin.Node{}, err
	}
	n, ok := nodes[id]
	if !ok {
		return admin.Node{}, fmt.Errorf("there is no node %s", id)
	}
	return n, nil
}
