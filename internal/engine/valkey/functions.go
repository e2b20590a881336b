package valkey

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/larder-cache/larder/internal/engine"
)

// equip gives an engine that has no slots yet the functions of the one that hands it the
// first: clients call them wherever a key is. From then on it is theirs to load functions
// into every shard.
func equip(ctx context.Context, from, to engine.Process) error {
	target, err := enter(ctx, to)
	if err != nil {
		return err
	}
	defer target.close()
	v, err := view(ctx, target)
	if err != nil || len(v.self.slots) > 0 {
		return err
	}
	source, err := enter(ctx, from)
	if err != nil {
		return err
	}
	defer source.close()
	dump, err := source.do(ctx, "FUNCTION", "DUMP")
	if r := (refusal{}); errors.As(err, &r) && strings.HasPrefix(r.text, "ERR unknown command") {
		return nil // an engine before 7.0 has no functions
	}
	if err != nil {
		return fmt.Errorf("valkey: ask for the functions: %w", err)
	}
	if _, err := target.do(ctx, "FUNCTION", "RESTORE", dump.text, "FLUSH"); err != nil {
		return fmt.Errorf("valkey: copy the functions: %w", err)
	}
	return nil
}
