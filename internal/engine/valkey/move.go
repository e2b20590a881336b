package valkey

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
)

const (
	// lanes is how many slots are on the move side by side. A Valkey makes whoever
	// changes the state of a slot wait until its replicas know of it, and every engine
	// writes what it knows of its cluster to disk after such changes; both are shared
	// by those that come together. Each lane is a connection to either engine.
	lanes = 32
	// emptyAtOnce is how many slots without keys a lane moves together.
	emptyAtOnce = 16
	// moveTimeout bounds one exchange: the whole of one large value may be in it.
	moveTimeout = 30 * time.Second
)

// mover is one move of slots under way, between engines that stand like this:
//
//	from has the slot -> to imports, from migrates -> from has no key -> to has the slot
//
// While from migrates it sends clients to where a key is, and has those of several
// keys try again; so that lasts no longer than it takes to move the keys of one slot.
// Each step may be repeated: a move that was cut short goes on by beginning again.
type mover struct {
	fromID   string
	toID     string
	at       core.Endpoint
	user     string
	password core.Secret
	lanes    []*lane
	// What the engines said of themselves at the beginning.
	source, target *knownNode

	mu    sync.Mutex
	full  core.Slots // with keys, when they were counted; no lane has taken them yet
	empty core.Slots // the same, without keys
	moved core.Slots // from start to end

	// hauled bounds what is on its way at a time, in bytes: an engine serves nobody
	// else meanwhile.
	hauled *semaphore.Weighted
}

// lane is what moves one slot, or some without keys, at a time.
type lane struct {
	*mover
	from, to *conn
}

// MoveSlots implements engine.Driver.
func (d Driver) MoveSlots(ctx context.Context, from, to engine.Process, slots core.Slots) (core.Slots, error) {
	if err := equip(ctx, from, to); err != nil {
		return nil, err
	}
	m := &mover{
		fromID: from.Node.Cluster.Self.ID, toID: to.Node.Cluster.Self.ID, at: to.Node.Replication,
		user: replicationUser, password: to.Node.Auth.Replication,
		hauled: semaphore.NewWeighted(loadSize),
	}
	defer m.close()
	if err := m.open(ctx, from, to, min(lanes, slots.Len())); err != nil {
		return nil, err
	}
	err := errors.Join(m.move(ctx, slots), m.confirm(ctx))
	return m.moved, err
}

// open makes up to n lanes. With as few as there are while customers take up all
// connections it takes longer.
func (m *mover) open(ctx context.Context, from, to engine.Process, n int) error {
	var wg sync.WaitGroup
	var failed error
	for range n {
		wg.Go(func() {
			l, err := newLane(ctx, m, from, to)
			m.mu.Lock()
			defer m.mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			m.lanes = append(m.lanes, l)
		})
	}
	wg.Wait()
	if len(m.lanes) == 0 && n > 0 {
		return failed
	}
	return nil
}

func newLane(ctx context.Context, m *mover, from, to engine.Process) (*lane, error) {
	source, err := enter(ctx, from)
	if err != nil {
		return nil, err
	}
	target, err := enter(ctx, to)
	if err != nil {
		_ = source.close()
		return nil, err
	}
	return &lane{mover: m, from: source, to: target}, nil
}

// enter connects to an engine as its administrator.
func enter(ctx context.Context, p engine.Process) (*conn, error) {
	c, err := dial(ctx, p.Socket)
	if err != nil {
		return nil, err
	}
	c.patience = moveTimeout
	if _, err := c.do(ctx, "AUTH", adminUser, p.Node.Auth.Admin.Reveal()); err != nil {
		_ = c.close()
		return nil, fmt.Errorf("valkey: log in: %w", err)
	}
	return c, nil
}

func (m *mover) close() {
	for _, l := range m.lanes {
		_ = l.from.close()
		_ = l.to.close()
	}
}

// move finds out how far earlier moves of the slots have come, and has the lanes do
// the rest.
func (m *mover) move(ctx context.Context, slots core.Slots) error {
	if len(m.lanes) == 0 {
		return nil
	}
	first := m.lanes[0]
	source, target, err := m.lead(ctx)
	if err != nil {
		return err
	}
	m.source, m.target = source.self, target.self
	there := slots.Shared(target.self.slots)
	left := slots.Without(there)
	// Each of the two may hold the other for the owner.
	strays := left.Without(source.self.slots)
	if strange := strays.Without(source.slotsOf(m.toID).Shared(target.slotsOf(m.fromID))); len(strange) > 0 {
		return fmt.Errorf("valkey: slots %s belong to neither of the nodes", strange)
	}
	if err := m.claim(ctx, strays); err != nil {
		return err
	}
	there, left = there.With(strays), left.Without(strays)
	// Of those that were moved before the source may not have been told.
	if err := each(ctx, first.from, there.Shared(source.self.slots), "NODE", m.toID); err != nil {
		return err
	}
	m.moved = there
	if err := m.count(ctx, first, left); err != nil {
		return err
	}
	errs := make([]error, len(m.lanes))
	var wg sync.WaitGroup
	for i, l := range m.lanes {
		wg.Go(func() { errs[i] = l.work(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// count finds out which slots have keys.
func (m *mover) count(ctx context.Context, l *lane, slots core.Slots) error {
	var cmds [][]string
	for slot := range slots.Each {
		cmds = append(cmds, []string{"CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(slot)})
	}
	replies, err := l.from.pipeline(ctx, cmds...)
	if err != nil {
		return fmt.Errorf("valkey: count keys: %w", err)
	}
	i := 0
	for slot := range slots.Each {
		if err := replies[i].failure(); err != nil {
			return fmt.Errorf("valkey: count keys of slot %d: %w", slot, err)
		}
		if replies[i].text == "0" {
			m.empty = append(m.empty, core.SlotRange{First: slot, Last: slot})
		} else {
			m.full = append(m.full, core.SlotRange{First: slot, Last: slot})
		}
		i++
	}
	m.empty, m.full = m.empty.With(nil), m.full.With(nil)
	return nil
}

// take gives a lane its next slots.
func (m *mover) take() core.Slots {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.full.First(1)
	m.full = m.full.Without(next)
	if len(next) == 0 {
		next = m.empty.First(emptyAtOnce)
		m.empty = m.empty.Without(next)
	}
	return next
}

// work moves slots until none is left.
func (l *lane) work(ctx context.Context) error {
	for {
		slots := l.take()
		if len(slots) == 0 {
			return nil
		}
		if err := l.carry(ctx, slots); err != nil {
			return err
		}
		l.mu.Lock()
		l.moved = l.moved.With(slots)
		l.mu.Unlock()
	}
}

// carry moves slots together: what is asked of an engine for each of them is asked
// at once.
func (l *lane) carry(ctx context.Context, slots core.Slots) error {
	if err := each(ctx, l.to, slots.Without(listed(l.target.arriving, l.fromID)), "IMPORTING", l.fromID); err != nil {
		return err
	}
	if err := each(ctx, l.from, slots.Without(listed(l.source.leaving, l.toID)), "MIGRATING", l.toID); err != nil {
		return err
	}
	for slot := range slots.Each {
		if err := l.keys(ctx, slot); err != nil {
			return err
		}
	}
	if err := each(ctx, l.to, slots, "NODE", l.toID); err != nil {
		return err
	}
	// All other nodes get to know from the one that has the slots now.
	return each(ctx, l.from, slots, "NODE", l.toID)
}

// listed are the slots that are on the move from or to a node.
func listed(moves map[int]string, id string) (s core.Slots) {
	for slot, other := range moves {
		if other == id {
			s = s.With(core.Slots{{First: slot, Last: slot}})
		}
	}
	return s
}

// each sets the state of slots at an engine.
func each(ctx context.Context, c *conn, slots core.Slots, state, id string) error {
	var cmds [][]string
	for slot := range slots.Each {
		cmds = append(cmds, []string{"CLUSTER", "SETSLOT", strconv.Itoa(slot), state, id})
	}
	if len(cmds) == 0 {
		return nil
	}
	replies, err := c.pipeline(ctx, cmds...)
	if err != nil {
		return fmt.Errorf("valkey: set slots %s to %s: %w", slots, state, err)
	}
	for i, r := range replies {
		if err := r.failure(); err != nil {
			return fmt.Errorf("valkey: set slot %s to %s: %w", cmds[i][2], state, err)
		}
	}
	return nil
}
