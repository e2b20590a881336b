package store

import (
	"context"
	"fmt"
)

// metaTable holds what the store keeps for itself; watchers are not told.
const metaTable = "meta"

var schemas = NewTable[int](metaTable)

const schemaKey = "schema"

// upgrade brings all records from one schema version to the next. Old shapes are
// read through a Table of map[string]any.
type upgrade = func(tx *Tx) error

// upgrades are applied in order: the first leads from version 1 to 2.
var upgrades []upgrade

// migrate brings the schema of the store to the version this program writes.
// Each step is one transaction, so that of two servers starting together one
// does it, and a crash leaves a whole version behind.
func (s *Store) migrate(ctx context.Context, steps []upgrade) error {
	want := 1 + len(steps)
	for done := false; !done; {
		err := s.Update(ctx, func(tx *Tx) error {
			have, ok := schemas.Get(tx, schemaKey)
			next := want
			switch {
			case !ok:
			case *have > want:
				return fmt.Errorf("store: schema version %d is newer than %d, the newest this program knows; run a newer program", *have, want)
			case *have == want:
				done = true
				return nil
			default:
				if err := steps[*have-1](tx); err != nil {
					return fmt.Errorf("store: upgrading the schema from version %d: %w", *have, err)
				}
				next = *have + 1
			}
			schemas.Put(tx, schemaKey, &next)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
