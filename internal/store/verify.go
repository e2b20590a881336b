package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
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
		// Not every value is stored just as its type encodes it now.
		want := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		if json.Unmarshal(r.raw, want) == nil && !bytes.Equal(encode(want), encode(v)) {
			err = fmt.Errorf("store: %s was stored as %s but reads %s", r.key, r.raw, encode(v))
		}
		return err == nil
	})
	return err
}

func encode(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		return []byte(err.Error())
	}
	return raw
}
