package admin

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/aws/gateway"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store"
)

// Keys are the access keys of the deployment. Their secrets are stored sealed.
type Keys struct {
	store   *store.Store
	seal    *seal.Ring
	clock   core.Clock
	account string
}

var _ gateway.Keys = (*Keys)(nil)

// NewKeys returns the keys of a deployment, all owned by one account.
func NewKeys(st *store.Store, ring *seal.Ring, clock core.Clock, account string) *Keys {
	return &Keys{store: st, seal: ring, clock: clock, account: account}
}

// rootName is the name of the key that is made at first start.
const rootName = "root"

// Lookup implements gateway.Keys.
func (k *Keys) Lookup(ctx context.Context, id string) (core.Secret, string, error) {
	var found *resource.AccessKey
	err := k.store.View(ctx, func(r store.Reader) error {
		found, _ = resource.AccessKeys.Get(r, id)
		return nil
	})
	if err != nil {
		return core.Secret{}, "", fmt.Errorf("admin: look up access key: %w", err)
	}
	if found == nil {
		return core.Secret{}, "", gateway.ErrUnknownKey
	}
	secret, err := k.seal.Unseal(found.Secret)
	if err != nil {
		return core.Secret{}, "", fmt.Errorf("admin: access key %s: %w", id, err)
	}
	return secret, k.principal(found), nil
}

func (k *Keys) principal(key *resource.AccessKey) string {
	if key.Root {
		return "arn:aws:iam::" + k.account + ":root"
	}
	return "arn:aws:iam::" + k.account + ":user/" + key.Name
}

// EnsureRoot returns the root key, made when there is none.
func (k *Keys) EnsureRoot(ctx context.Context) (*resource.AccessKey, error) {
	fresh, _, err := k.generate(rootName)
	if err != nil {
		return nil, err
	}
	fresh.Root = true
	var root *resource.AccessKey
	err = k.store.Update(ctx, func(tx *store.Tx) error {
		all := resource.AccessKeys.List(tx, "")
		if i := slices.IndexFunc(all, func(key *resource.AccessKey) bool { return key.Root }); i >= 0 {
			root = all[i]
			return nil
		}
		root = fresh
		resource.AccessKeys.Put(tx, root.ID, root)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("admin: make the root key: %w", err)
	}
	return root, nil
}

// keyName is what IAM allows as a user name.
var keyName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)

// Create makes a key for a user of the given name. The secret can never be had
// again.
func (k *Keys) Create(ctx context.Context, name string) (*resource.AccessKey, core.Secret, error) {
	if !keyName.MatchString(name) {
		return nil, core.Secret{}, core.Errorf("ValidationError",
			"A key needs a name of 1 to 64 letters, digits and +=,.@_- characters.")
	}
	key, secret, err := k.generate(name)
	if err != nil {
		return nil, core.Secret{}, err
	}
	err = k.store.Update(ctx, func(tx *store.Tx) error {
		resource.AccessKeys.Put(tx, key.ID, key)
		return nil
	})
	if err != nil {
		return nil, core.Secret{}, fmt.Errorf("admin: store access key: %w", err)
	}
	return key, secret, nil
}

// List returns all keys, sorted by id.
func (k *Keys) List(ctx context.Context) ([]*resource.AccessKey, error) {
	var all []*resource.AccessKey
	err := k.store.View(ctx, func(r store.Reader) error {
		all = resource.AccessKeys.List(r, "")
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("admin: list access keys: %w", err)
	}
	return all, nil
}

// Revoke removes a key; the next request signed with it is refused. The root key
// stays, because nothing else could make keys.
func (k *Keys) Revoke(ctx context.Context, id string) error {
	return k.store.Update(ctx, func(tx *store.Tx) error {
		key, ok := resource.AccessKeys.Get(tx, id)
		if !ok {
			return core.Errorf("NoSuchEntity", "The Access Key with id %s cannot be found.", id).WithStatus(http.StatusNotFound)
		}
		if key.Root {
			return core.Errorf("DeleteConflict", "The root key cannot be revoked.").WithStatus(http.StatusConflict)
		}
		resource.AccessKeys.Delete(tx, id)
		return nil
	})
}

// generate makes a key in AWS's form: an id of AKIA and 16 characters, a secret
// of 40.
func (k *Keys) generate(name string) (*resource.AccessKey, core.Secret, error) {
	var random [40]byte
	_, _ = rand.Read(random[:]) // never fails
	secret := core.NewSecret(base64.StdEncoding.EncodeToString(random[:30]))
	sealed, err := k.seal.Seal(secret)
	if err != nil {
		return nil, core.Secret{}, fmt.Errorf("admin: seal access key: %w", err)
	}
	return &resource.AccessKey{
		ID:      "AKIA" + strings.ToUpper(base32.StdEncoding.EncodeToString(random[30:])),
		Secret:  sealed,
		Name:    name,
		Created: k.clock.Now().UTC().Truncate(time.Second),
	}, secret, nil
}
