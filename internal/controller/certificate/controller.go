// Package certificate keeps the certificates of the deployment: its authorities,
// and a server certificate for each cluster or replication group with TLS,
// renewed in time and whenever the names of its endpoints change.
package certificate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/pki"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store"
)

const (
	// lifetime is that of AWS's own certificates, about 13 months.
	lifetime = 395 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is replaced.
	renewBefore = 30 * 24 * time.Hour
)

// Config is what the controller needs.
type Config struct {
	Store *store.Store
	Seal  *seal.Ring
	Clock core.Clock
	Log   *slog.Logger
	// Authority signs; see Load and ClientAuthority.
	Authority pki.Authority
}

type controller struct{ Config }

// New makes the controller. Its keys name the owners of certificates.
func New(c Config) reconcile.Controller {
	return reconcile.Controller{
		Name:       "certificate",
		Reconciler: controller{c},
		Watches:    watches,
		Keys:       keys,
		Resync:     time.Minute, // the clock may have been set
		Workers:    2,
	}
}

const (
	groupPrefix   = "group "
	clusterPrefix = "cluster "
)

func watches(c store.Change) []string {
	switch c.Table {
	case resource.ReplicationGroups.Name():
		return []string{groupPrefix + c.Key}
	case resource.CacheClusters.Name():
		return []string{clusterPrefix + c.Key}
	}
	return nil
}

func keys(r store.Reader) []string {
	var all []string
	for _, k := range resource.ReplicationGroups.Keys(r, "") {
		all = append(all, groupPrefix+k)
	}
	for _, k := range resource.CacheClusters.Keys(r, "") {
		all = append(all, clusterPrefix+k)
	}
	return all
}

// need is a certificate that there should be.
type need struct {
	key, ownerUID string
	names         []string
}

// Reconcile implements reconcile.Reconciler.
func (c controller) Reconcile(ctx context.Context, key string) (time.Duration, error) {
	now := c.Clock.Now()
	var n need
	var fresh time.Duration
	c.Store.Local(func(r store.Reader) {
		n = find(r, key)
		fresh = n.fresh(r, now)
	})
	if n.key == "" || fresh > 0 {
		return fresh, nil
	}
	issued, err := c.Authority.Issue(pki.Request{Names: n.names, Now: now, Lifetime: lifetime})
	if err != nil {
		return 0, err
	}
	sealed, err := c.Seal.Seal(issued.KeyPEM)
	if err != nil {
		return 0, fmt.Errorf("sealing a key: %w", err)
	}
	done := false
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		again := find(tx, key)
		done = again.key == n.key && slices.Equal(again.names, n.names)
		if done {
			resource.Certificates.Put(tx, n.key, &resource.Certificate{
				OwnerUID: n.ownerUID, ChainPEM: issued.ChainPEM, KeyPEM: sealed, Names: n.names, NotAfter: issued.NotAfter,
			})
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if done {
		c.Log.Info("certificate issued", "for", key, "until", issued.NotAfter)
	}
	return issued.NotAfter.Add(-renewBefore).Sub(now), nil
}

// find is the certificate that an owner needs; the zero need if none.
func find(r store.Reader, key string) need {
	if k, ok := strings.CutPrefix(key, groupPrefix); ok {
		g, ok := resource.ReplicationGroups.Get(r, k)
		if !ok || g.Spec.TLS == resource.TLSOff || g.Spec.Deleting {
			return need{}
		}
		endpoints := g.Spec.Endpoints()
		for _, id := range g.Spec.Members {
			if member, ok := resource.CacheClusters.Get(r, g.Region+"/"+id); ok {
				endpoints = append(endpoints, nodespec.ClusterEndpoints(member)...)
			}
		}
		return need{g.Region + "/" + g.UID, g.UID, nodespec.CertificateNames(endpoints)}
	}
	c, ok := resource.CacheClusters.Get(r, strings.TrimPrefix(key, clusterPrefix))
	if !ok || c.Spec.ReplicationGroupID != "" || c.Spec.TLS == resource.TLSOff || c.Spec.Deleting {
		return need{}
	}
	return need{c.Region + "/" + c.UID, c.UID, nodespec.CertificateNames(nodespec.ClusterEndpoints(c))}
}

// fresh is how long the stored certificate may stay as it is; 0 or less: it must
// be made now.
func (n need) fresh(r store.Reader, now time.Time) time.Duration {
	cert, ok := resource.Certificates.Get(r, n.key)
	if !ok || !slices.Equal(cert.Names, n.names) {
		return 0
	}
	if issued := cert.NotAfter.Add(-lifetime); now.Before(issued.Add(-pki.Backdate / 2)) {
		return 0 // the clock was set back since, and it would soon not be valid yet
	}
	return cert.NotAfter.Add(-renewBefore).Sub(now)
}
