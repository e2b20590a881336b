package valkey

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// keysAtOnce is how many keys of a slot are looked at together.
	keysAtOnce = 100
	// loadSize is how much is on its way at a time, in bytes, unless one value alone
	// is more: a fraction of a millisecond during which the engines serve nobody else. It
	// is one load or two, of which one waits for its turn. Four times as much moves a tenth
	// faster, and has customers wait twice as long at worst.
	loadSize = 32 << 10
)

// load is keys that move in one go, with what they take up in bytes.
type load struct {
	names []string
	size  int64
}

// keys moves the keys of a slot until there are none.
func (l *lane) keys(ctx context.Context, slot int) error {
	for {
		r, err := l.from.do(ctx, "CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), strconv.Itoa(keysAtOnce))
		if err != nil {
			return fmt.Errorf("valkey: ask for keys of slot %d: %w", slot, err)
		}
		if len(r.array) == 0 {
			return nil
		}
		names := make([]string, len(r.array))
		for i, k := range r.array {
			names[i] = k.text
		}
		loads, err := l.loads(ctx, names)
		if err != nil {
			return fmt.Errorf("valkey: ask for the size of keys of slot %d: %w", slot, err)
		}
		for _, what := range loads {
			if err := l.haul(ctx, what); err != nil {
				return fmt.Errorf("valkey: move keys of slot %d: %w", slot, hideKeys(err))
			}
		}
	}
}

// loads divides keys into loads by their size.
func (l *lane) loads(ctx context.Context, names []string) ([]load, error) {
	cmds := make([][]string, len(names))
	for i, name := range names {
		cmds[i] = []string{"MEMORY", "USAGE", name}
	}
	replies, err := l.from.pipeline(ctx, cmds...)
	if err != nil {
		return nil, err
	}
	sizes := make([]int64, len(names))
	for i, r := range replies {
		if err := r.failure(); err != nil {
			return nil, err
		}
		sizes[i] = number(r.text) // of a key that is gone meanwhile 0
	}
	return divide(names, sizes), nil
}

// divide puts names into loads of at most loadSize, except for single ones that are
// larger.
func divide(names []string, sizes []int64) (loads []load) {
	first, sum := 0, int64(0)
	for i, size := range sizes {
		if i > first && sum+size > loadSize {
			loads = append(loads, load{names[first:i], sum})
			first, sum = i, 0
		}
		sum += size
	}
	return append(loads, load{names[first:], sum})
}

// haul moves one load.
func (l *lane) haul(ctx context.Context, what load) error {
	cmd := append([]string{
		"MIGRATE", l.at.Address, strconv.Itoa(l.at.Port), "", "0", strconv.FormatInt(moveTimeout.Milliseconds()/2, 10),
		// A key that is there already was sent before, and not taken away here.
		"REPLACE", "AUTH2", l.user, l.password.Reveal(), "KEYS",
	}, what.names...)
	share := max(loadSize/2, min(what.size, loadSize))
	if err := l.hauled.Acquire(ctx, share); err != nil {
		return err
	}
	defer l.hauled.Release(share)
	_, err := l.from.do(ctx, cmd...)
	return err
}

// hideKeys keeps what a customer stored out of an error.
func hideKeys(err error) error {
	var r refusal
	if errors.As(err, &r) && strings.Contains(r.text, "Target instance replied with error") {
		return refusal{r.code() + " the other node refuses them"}
	}
	return err
}
