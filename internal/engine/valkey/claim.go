package valkey

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// leadPause is how long the target of a move is given to hear of the source's epoch.
const leadPause = 20 * time.Millisecond

// lead returns what the two say of their cluster once the target has a higher epoch than
// the source, and nothing is in sight that makes the source take another. Else the target
// would lose slots that it has just got to the next ping that the source sent while it
// still had them, and their keys with them; the source, which was told, would send clients
// to the target, and the target would send them back.
func (m *mover) lead(ctx context.Context) (source, target clusterView, err error) {
	first := m.lanes[0]
	for {
		if target, err = view(ctx, first.to); err != nil {
			return source, target, err
		}
		if source, err = view(ctx, first.from); err != nil {
			return source, target, err
		}
		if target.self.epoch > source.self.epoch && !source.contested() {
			return source, target, nil
		}
		// It has an effect once the target has heard of the source's.
		if _, err := first.to.do(ctx, "CLUSTER", "BUMPEPOCH"); err != nil {
			return source, target, fmt.Errorf("valkey: take a higher epoch: %w", err)
		}
		select {
		case <-time.After(leadPause):
		case <-ctx.Done():
			return source, target, fmt.Errorf("valkey: take a higher epoch than the slots' owner: %w", ctx.Err())
		}
	}
}

// claim gives the target slots that it got and lost again without the source's knowing. All
// others are told of what was imported alone.
func (m *mover) claim(ctx context.Context, slots core.Slots) error {
	to := m.lanes[0].to
	if err := each(ctx, to, slots, "IMPORTING", m.fromID); err != nil {
		return err
	}
	return each(ctx, to, slots, "NODE", m.toID)
}

// confirm looks whether the target still has all that it got. What it has not was not moved,
// and the next move of these slots begins with finding out whose they are.
func (m *mover) confirm(ctx context.Context) error {
	if len(m.lanes) == 0 {
		return nil
	}
	target, err := view(ctx, m.lanes[0].to)
	if err != nil {
		return err
	}
	lost := m.moved.Without(target.self.slots)
	m.moved = m.moved.Without(lost)
	if len(lost) > 0 {
		return fmt.Errorf("valkey: slots %s were taken back", lost)
	}
	return nil
}
