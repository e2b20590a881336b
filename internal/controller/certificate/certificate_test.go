package certificate_test

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/certificate"
	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/pki"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const (
	groupKey = "group " + controllertest.Region + "/rg"
	certKey  = controllertest.Region + "/rg-uid"
	day      = 24 * time.Hour
)

// newWorld has a group of two with TLS and the controller of certificates.
func newWorld(t *testing.T) (*controllertest.Loop, reconcile.Controller, pki.Authority) {
	l := controllertest.NewLoop(t, true)
	if err := certificate.EnsureAuthorities(t.Context(), l.Store, l.Seal, l.Clock); err != nil {
		t.Fatal(err)
	}
	ca, err := certificate.Load(t.Context(), l.Store, l.Seal, certificate.ClientAuthority)
	if err != nil {
		t.Fatal(err)
	}
	g, members := controllertest.Group(2)
	g.Spec.TLS = resource.TLSRequired
	l.Update(t, func(tx *store.Tx) { controllertest.PutGroup(tx, g, members) })
	c := certificate.New(certificate.Config{Store: l.Store, Seal: l.Seal, Clock: l.Clock, Log: l.Log, Authority: ca})
	return l, c, ca
}

func stored(l *controllertest.Loop, key string) (c *resource.Certificate) {
	l.Store.Local(func(r store.Reader) { c, _ = resource.Certificates.Get(r, key) })
	return c
}

// verify checks a chain as a client would.
func verify(t *testing.T, ca pki.Authority, chain, name string, now time.Time) error {
	t.Helper()
	block, _ := pem.Decode([]byte(chain))
	if block == nil {
		t.Fatal("no certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca.CertPEM))
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err
}

func TestIssue(t *testing.T) {
	t.Parallel()
	l, c, ca := newWorld(t)
	l.Pass(t, c, groupKey)
	cert := stored(l, certKey)
	if cert == nil {
		t.Fatal("there is no certificate")
	}
	for _, name := range []string{
		"primary.rg.cache.test", "reader.rg.cache.test", "0001.rg-001.cache.test", "0001.rg-002.cache.test",
		"127.10.0.1", "127.10.0.2", "127.10.0.100", "172.31.0.101",
	} {
		if err := verify(t, ca, cert.ChainPEM, name, l.Clock.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(t, ca, cert.ChainPEM, "127.10.0.3", l.Clock.Now()); err == nil {
		t.Error("it is valid for an address of somebody else")
	}
	if key, err := l.Seal.Unseal(cert.KeyPEM); err != nil || key.IsZero() {
		t.Errorf("its key cannot be opened: %v", err)
	}
	if got := cert.NotAfter.Sub(l.Clock.Now()).Round(day); got != 395*day {
		t.Errorf("it is valid for %v", got)
	}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	l, c, _ := newWorld(t)
	l.Pass(t, c, groupKey)
	first := stored(l, certKey).ChainPEM
	wait := l.Pass(t, c, groupKey)
	if want := (395 - 30) * day; wait.Round(day) != want {
		t.Errorf("it looks again after %v, want %v", wait, want)
	}
	l.Clock.Advance(wait - time.Second)
	l.Pass(t, c, groupKey)
	if stored(l, certKey).ChainPEM != first {
		t.Error("it was renewed too early")
	}
	l.Clock.Advance(time.Second)
	l.Pass(t, c, groupKey)
	if cert := stored(l, certKey); cert.ChainPEM == first || cert.NotAfter.Sub(l.Clock.Now()).Round(day) != 395*day {
		t.Error("it was not renewed 30 days before its end")
	}
}

// TestClockSetBack: a certificate that was issued by a clock that was ahead is replaced
// once it is set right, and is good under the same authority.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		jump    time.Duration
		renewed bool
	}{"a bit": {-time.Minute, false}, "a day": {-day, true}, "months": {-300 * day, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, c, ca := newWorld(t)
			l.Pass(t, c, groupKey)
			first := stored(l, certKey).ChainPEM
			l.Clock.Advance(tc.jump)
			l.Pass(t, c, groupKey)
			cert := stored(l, certKey)
			if (cert.ChainPEM != first) != tc.renewed {
				t.Errorf("it is renewed: %v", !tc.renewed)
			}
			if err := verify(t, ca, cert.ChainPEM, "primary.rg.cache.test", l.Clock.Now()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNewNames(t *testing.T) {
	t.Parallel()
	l, c, ca := newWorld(t)
	l.Pass(t, c, groupKey)
	l.Update(t, func(tx *store.Tx) {
		g, _ := resource.ReplicationGroups.Get(tx, controllertest.Region+"/rg")
		m := controllertest.Member(g, 3)
		resource.ReplicationGroups.Put(tx, controllertest.Region+"/rg", g)
		controllertest.PutCluster(tx, m)
	})
	l.Pass(t, c, groupKey)
	if err := verify(t, ca, stored(l, certKey).ChainPEM, "127.10.0.3", l.Clock.Now()); err != nil {
		t.Errorf("the new member: %v", err)
	}
}

func TestNotNeeded(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*resource.ReplicationGroup){
		"no TLS":   func(g *resource.ReplicationGroup) { g.Spec.TLS = resource.TLSOff },
		"deleting": func(g *resource.ReplicationGroup) { g.Spec.Deleting = true },
	} {
		t.Run(name, func(t *testing.T) {
			l, c, _ := newWorld(t)
			l.Update(t, func(tx *store.Tx) {
				g, _ := resource.ReplicationGroups.Get(tx, controllertest.Region+"/rg")
				edit(g)
				resource.ReplicationGroups.Put(tx, controllertest.Region+"/rg", g)
			})
			for _, key := range l.Keys(c) {
				l.Pass(t, c, key)
			}
			if cert := stored(l, certKey); cert != nil {
				t.Error("a certificate was made")
			}
		})
	}
}

func TestAuthoritiesAreMadeOnce(t *testing.T) {
	t.Parallel()
	l, _, ca := newWorld(t)
	if err := certificate.EnsureAuthorities(t.Context(), l.Store, l.Seal, l.Clock); err != nil {
		t.Fatal(err)
	}
	again, err := certificate.Load(t.Context(), l.Store, l.Seal, certificate.ClientAuthority)
	if err != nil || again.CertPEM != ca.CertPEM {
		t.Errorf("the authority changed: %v", err)
	}
	nodes, err := certificate.Load(t.Context(), l.Store, l.Seal, certificate.NodeAuthority)
	if err != nil || nodes.CertPEM == ca.CertPEM {
		t.Errorf("nodes have no authority of their own: %v", err)
	}
	issuer := certificate.NodeIssuer{Authority: nodes, Clock: l.Clock}
	chain, key, caPEM, err := issuer.Issue("127.11.0.1")
	if err != nil || key.IsZero() || caPEM != nodes.CertPEM {
		t.Fatalf("issuing for a node: %v", err)
	}
	if err := verify(t, nodes, chain, "127.11.0.1", l.Clock.Now()); err != nil {
		t.Error(err)
	}
	if err := verify(t, ca, chain, "127.11.0.1", l.Clock.Now()); err == nil {
		t.Error("clients would trust a node's certificate")
	}
}
