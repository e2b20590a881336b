package harness

import (
	"context"
	"encoding/json"
)

// Status is what tests read of `larder status -o json`.
type Status struct {
	Nodes []struct {
		Region  string `json:"region"`
		Cluster string `json:"cluster"`
		Node    string `json:"node"`
		PID     int    `json:"pid"`
		Role    string `json:"role"`
	} `json:"nodes"`
}

// Status asks the deployment for its nodes.
func (d *Deployment) Status(ctx context.Context) (Status, error) {
	var st Status
	out, err := d.Larder(ctx, "status", "-o", "json")
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal([]byte(out), &st)
}
