package store

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// VerifyShared finds a record that a reader changed in place although it is
// shared by all readers. It is slow, for tests.
func (s *Store) VerifyShared() error {
	var err error
	s.current().tree.Ascend(func(r *record) bool {
		v := r.decoded.Load()
		if v == nil {
			return true
		}
		raw, encErr := json.Marshal(v)
		if encErr != nil || !bytes.Equal(raw, r.raw) {
			err = fmt.Errorf("store: %s was stored as %s but reads %s", r.key, r.raw, raw)
		}
		return err == nil
	})
	return err
}
