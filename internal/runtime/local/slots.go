package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// MoveSlots implements runtime.Runtime.
func (r *Runtime) MoveSlots(ctx context.Context, m runtime.SlotMove) (core.Slots, error) {
	from, err := r.process(m.From)
	if err != nil {
		return nil, err
	}
	to, err := r.process(m.To)
	if err != nil {
		return nil, err
	}
	driver := drivers[from.Node.Engine]
	if driver == nil || from.Node.Cluster == nil || to.Node.Cluster == nil {
		return nil, errors.New("local: no nodes of a cluster of shards")
	}
	return driver.MoveSlots(ctx, from, to, m.Slots)
}

// process is where a node's engine can be talked to.
func (r *Runtime) process(id string) (engine.Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.nodes {
		if want := n.wanted(); n.id() == id && want != nil {
			return engine.Process{Socket: n.socket, Node: want}, nil
		}
	}
	return engine.Process{}, fmt.Errorf("local: no node %s", id)
}
