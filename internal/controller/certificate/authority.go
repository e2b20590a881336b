package certificate

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/pki"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store"
)

// The keys of the two authorities: of what clients connect to, and of what
// engines connect to among themselves. Clients never have to trust the second.
const (
	ClientAuthority = "ca"
	NodeAuthority   = "node-ca"
)

var authorityNames = map[string]string{
	ClientAuthority: "Larder cache endpoints",
	NodeAuthority:   "Larder cache nodes",
}

// EnsureAuthorities makes the authorities that are missing: at the first start
// of a deployment. It may run on several servers at once.
func EnsureAuthorities(ctx context.Context, st *store.Store, ring *seal.Ring, clock core.Clock) error {
	for _, key := range []string{ClientAuthority, NodeAuthority} {
		exists := false
		err := st.View(ctx, func(r store.Reader) error {
			_, exists = resource.Certificates.Get(r, key)
			return nil
		})
		if err != nil {
			return err
		}
		if exists {
			continue
		}
		if err := makeAuthority(ctx, st, ring, key, clock.Now()); err != nil {
			return fmt.Errorf("making the authority %q: %w", key, err)
		}
	}
	return nil
}

func makeAuthority(ctx context.Context, st *store.Store, ring *seal.Ring, key string, now time.Time) error {
	authority, err := pki.NewAuthority(authorityNames[key], now)
	if err != nil {
		return err
	}
	sealed, err := ring.Seal(authority.KeyPEM)
	if err != nil {
		return err
	}
	return st.Update(ctx, func(tx *store.Tx) error {
		if _, ok := resource.Certificates.Get(tx, key); ok {
			return nil
		}
		resource.Certificates.Put(tx, key, &resource.Certificate{
			ChainPEM: authority.CertPEM, KeyPEM: sealed, Names: []string{authorityNames[key]},
		})
		return nil
	})
}

// Load gives a stored authority by its key.
func Load(ctx context.Context, st *store.Store, ring *seal.Ring, key string) (pki.Authority, error) {
	var record *resource.Certificate
	err := st.View(ctx, func(r store.Reader) error {
		var ok bool
		if record, ok = resource.Certificates.Get(r, key); !ok {
			return fmt.Errorf("the authority %q does not exist", key)
		}
		return nil
	})
	if err != nil {
		return pki.Authority{}, err
	}
	secret, err := ring.Unseal(record.KeyPEM)
	if err != nil {
		return pki.Authority{}, fmt.Errorf("opening the key of the authority %q: %w", key, err)
	}
	return pki.LoadAuthority(record.ChainPEM, secret)
}

// NodeIssuer issues the certificates that engines show each other.
type NodeIssuer struct {
	Authority pki.Authority
	Clock     core.Clock
}

// nodeLifetime is long because an engine keeps its certificate for as long as it
// runs; authorities live for ten years, and certificates are cut short there.
const nodeLifetime = 10 * 365 * 24 * time.Hour

// Issue makes a certificate for an address that is good for both ends of a
// connection. caPEM is the authority that it and its peers are checked with.
func (i NodeIssuer) Issue(address string) (chainPEM string, keyPEM core.Secret, caPEM string, err error) {
	c, err := i.Authority.Issue(pki.Request{
		Names: []string{address}, Client: true, Now: i.Clock.Now(), Lifetime: nodeLifetime,
	})
	if err != nil {
		return "", core.Secret{}, "", err
	}
	return c.ChainPEM, c.KeyPEM, i.Authority.CertPEM, nil
}
