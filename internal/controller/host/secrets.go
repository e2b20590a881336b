package host

import (
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/seal"
)

// Secrets opens what a document needs; *seal.Ring does.
type Secrets interface {
	Unseal(core.Sealed) (core.Secret, error)
	Derive(purpose, uid string) core.Secret
}

var _ Secrets = (*seal.Ring)(nil)

// memory remembers the secrets of the latest document, so that the next one,
// which differs little, costs a tenth of the first: a failover waits for it.
type memory struct {
	ring Secrets
	// used are those asked for since the last call of turn, before the others.
	used, before map[string]core.Secret
}

func newMemory(ring Secrets) *memory {
	return &memory{ring: ring, used: map[string]core.Secret{}, before: map[string]core.Secret{}}
}

// turn forgets what the latest document did not need.
func (m *memory) turn() { m.before, m.used = m.used, map[string]core.Secret{} }

// Unseal implements Secrets.
func (m *memory) Unseal(s core.Sealed) (core.Secret, error) {
	return m.remember("sealed "+string(s), func() (core.Secret, error) { return m.ring.Unseal(s) })
}

// Derive implements Secrets.
func (m *memory) Derive(purpose, uid string) core.Secret {
	s, _ := m.remember("derived "+purpose+" "+uid, func() (core.Secret, error) { return m.ring.Derive(purpose, uid), nil })
	return s
}

func (m *memory) remember(key string, find func() (core.Secret, error)) (core.Secret, error) {
	s, ok := m.used[key]
	if !ok {
		s, ok = m.before[key]
	}
	if !ok {
		var err error
		if s, err = find(); err != nil {
			return s, err
		}
	}
	m.used[key] = s
	return s, nil
}
