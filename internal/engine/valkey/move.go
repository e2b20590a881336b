package valkey

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
)

const (
	// keysAtOnce is how many keys an engine hands on in one go, during which it
	// serves nobody else.
	keysAtOnce = 20
	// moveTimeout bounds one such go: the whole of one large value may be in it.
	moveTimeout = 30 * time.Second
	// lanes is how many slots are on the move side by side: a Valkey makes whoever
	// changes the state of a slot wait until its replicas know of it.
	lanes = 8
)

// mover is one move of slots under way, between engines that stand like this:
//
//	from has the slot -> to imports, from migrates -> from has no key -> to has the slot
//
// While from migrates it sends clients to where a key is. Each step may be repeated,
// so that a move that was cut short goes on by beginning again.
type mover struct {
	from, to  *conn
	tell      []*conn
	fromID    string
	toID      string
	at        core.Endpoint
	user      string
	password  core.Secret
	connected []*conn
}

// MoveSlots implements engine.Driver.
func (d Driver) MoveSlots(ctx context.Context, from, to engine.Process, tell []engine.Process, slots core.Slots) (core.Slots, error) {
	if err := equip(ctx, from, to); err != nil {
		return nil, err
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		moved core.Slots
		errs  []error
	)
	share := (slots.Len() + lanes - 1) / lanes
	for left := slots; len(left) > 0; {
		part := left.First(share)
		left = left.Without(part)
		wg.Go(func() {
			done, err := moveLane(ctx, from, to, tell, part)
			mu.Lock()
			defer mu.Unlock()
			moved = moved.With(done)
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return moved, errors.Join(errs...)
}

func moveLane(ctx context.Context, from, to engine.Process, tell []engine.Process, slots core.Slots) (core.Slots, error) {
	m := &mover{
		fromID: from.Node.Cluster.Self.ID, toID: to.Node.Cluster.Self.ID, at: to.Node.Replication,
		user: replicationUser, password: to.Node.Auth.Replication,
	}
	defer m.close()
	var err error
	if m.from, err = m.connect(ctx, from); err != nil {
		return nil, err
	}
	if m.to, err = m.connect(ctx, to); err != nil {
		return nil, err
	}
	for _, p := range tell {
		// One that does not answer gets to know from the others.
		if c, err := m.connect(ctx, p); err == nil {
			m.tell = append(m.tell, c)
		}
	}
	return m.move(ctx, slots)
}

func (m *mover) connect(ctx context.Context, p engine.Process) (*conn, error) {
	c, err := dial(ctx, p.Socket)
	if err != nil {
		return nil, err
	}
	c.patience = moveTimeout
	m.connected = append(m.connected, c)
	if _, err := c.do(ctx, "AUTH", adminUser, p.Node.Auth.Admin.Reveal()); err != nil {
		return nil, fmt.Errorf("valkey: log in: %w", err)
	}
	return c, nil
}

func (m *mover) close() {
	for _, c := range m.connected {
		_ = c.close()
	}
}

// move moves all slots together: what is asked of an engine for each of them is
// asked at once.
func (m *mover) move(ctx context.Context, slots core.Slots) (core.Slots, error) {
	target, err := m.view(ctx, m.to)
	if err != nil {
		return nil, err
	}
	moved := slots.Shared(target.self.slots)
	source, err := m.view(ctx, m.from)
	if err != nil {
		return nil, err
	}
	left := slots.Without(moved)
	if strange := left.Without(source.self.slots); len(strange) > 0 {
		return nil, fmt.Errorf("valkey: slots %s belong to neither of the nodes", strange)
	}
	if err := m.each(ctx, m.to, left.Without(listed(target.self.arriving, m.fromID)), "IMPORTING", m.fromID); err != nil {
		return nil, err
	}
	if err := m.each(ctx, m.from, left.Without(listed(source.self.leaving, m.toID)), "MIGRATING", m.toID); err != nil {
		return nil, err
	}
	for slot := range left.Each {
		if err := m.keys(ctx, slot); err != nil {
			return moved, err
		}
		one := core.Slots{{First: slot, Last: slot}}
		if err := m.each(ctx, m.to, one, "NODE", m.toID); err != nil {
			return moved, err
		}
		moved = moved.With(one)
	}
	// Also for those that were moved before: this may not have been done then.
	if err := m.each(ctx, m.from, moved.Shared(source.self.slots), "NODE", m.toID); err != nil {
		return moved, err
	}
	for _, c := range m.tell {
		// It gets to know from the others what it does not take from here.
		_ = m.each(ctx, c, left, "NODE", m.toID)
	}
	return moved, nil
}

func (m *mover) view(ctx context.Context, c *conn) (clusterView, error) {
	r, err := c.do(ctx, "CLUSTER", "NODES")
	if err != nil {
		return clusterView{}, fmt.Errorf("valkey: ask for the nodes: %w", err)
	}
	return parseNodes(r.text)
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
func (m *mover) each(ctx context.Context, c *conn, slots core.Slots, state, id string) error {
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

// keys moves the keys of a slot until there are none.
func (m *mover) keys(ctx context.Context, slot int) error {
	for {
		r, err := m.from.do(ctx, "CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), strconv.Itoa(keysAtOnce))
		if err != nil {
			return fmt.Errorf("valkey: ask for keys of slot %d: %w", slot, err)
		}
		if len(r.array) == 0 {
			return nil
		}
		cmd := []string{
			"MIGRATE", m.at.Address, strconv.Itoa(m.at.Port), "", "0", strconv.FormatInt(moveTimeout.Milliseconds()/2, 10),
			// A key that is there already was sent before, and not taken away here.
			"REPLACE", "AUTH2", m.user, m.password.Reveal(), "KEYS",
		}
		for _, k := range r.array {
			cmd = append(cmd, k.text)
		}
		if _, err := m.from.do(ctx, cmd...); err != nil {
			return fmt.Errorf("valkey: move keys of slot %d: %w", slot, hideKeys(err))
		}
	}
}

// hideKeys keeps what a customer stored out of an error.
func hideKeys(err error) error {
	var r refusal
	if errors.As(err, &r) && strings.Contains(r.text, "Target instance replied with error") {
		return refusal{r.code() + " the other node refuses them"}
	}
	return err
}
