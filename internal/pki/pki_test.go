package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/pki"
)

var longName = strings.Repeat("replica.", 10) + "cache.internal"

func authority(t *testing.T) pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority("Larder test authority", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a pki.Authority, r pki.Request) pki.Certificate {
	t.Helper()
	if r.Now.IsZero() {
		r.Now = time.Now()
	}
	if r.Lifetime == 0 {
		r.Lifetime = time.Hour
	}
	c, err := a.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pair(t *testing.T, c pki.Certificate) tls.Certificate {
	t.Helper()
	p, err := tls.X509KeyPair([]byte(c.ChainPEM), []byte(c.KeyPEM.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pool(t *testing.T, a pki.Authority) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM([]byte(a.CertPEM)) {
		t.Fatal("the authority's certificate cannot be read")
	}
	return p
}

// handshake connects over TLS and exchanges a byte each way.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer c.Close()
		_, err = io.CopyN(c, c, 1)
		served <- err
	}()
	d := &net.Dialer{Timeout: 5 * time.Second}
	c, err := tls.DialWithDialer(d, "tcp", l.Addr().String(), client)
	if err != nil {
		<-served
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		<-served
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	if err2 := <-served; err == nil {
		err = err2
	}
	return err
}

func TestServerCertificates(t *testing.T) {
	t.Parallel()
	a, other := authority(t), authority(t)
	c := issue(t, a, pki.Request{Names: []string{"127.0.0.1", "10.0.0.7", "cache.internal", "*.clustercfg.internal", longName}})
	for _, test := range []struct {
		name       string
		serverName string
		roots      *x509.CertPool
		want       bool
	}{
		{"address", "127.0.0.1", pool(t, a), true},
		{"second address", "10.0.0.7", pool(t, a), true},
		{"dns name", "cache.internal", pool(t, a), true},
		{"wildcard", "x.clustercfg.internal", pool(t, a), true},
		{"long name", longName, pool(t, a), true},
		{"other address", "10.0.0.8", pool(t, a), false},
		{"other name", "other.internal", pool(t, a), false},
		{"other authority", "cache.internal", pool(t, other), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := handshake(t,
				&tls.Config{Certificates: []tls.Certificate{pair(t, c)}},
				&tls.Config{RootCAs: test.roots, ServerName: test.serverName})
			if (err == nil) != test.want {
				t.Errorf("handshake: %v, want success %v", err, test.want)
			}
		})
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	a := authority(t)
	server := issue(t, a, pki.Request{Names: []string{"127.0.0.1"}})
	for _, client := range []bool{true, false} {
		c := issue(t, a, pki.Request{Names: []string{"127.0.0.2"}, Client: client})
		err := handshake(t,
			&tls.Config{Certificates: []tls.Certificate{pair(t, server)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(t, a)},
			&tls.Config{Certificates: []tls.Certificate{pair(t, c)}, RootCAs: pool(t, a), ServerName: "127.0.0.1"})
		if (err == nil) != client {
			t.Errorf("certificate with Client %v: handshake %v", client, err)
		}
	}
}

func TestLongFirstNameIsNotTheCommonName(t *testing.T) {
	t.Parallel()
	c := issue(t, authority(t), pki.Request{Names: []string{longName}})
	leaf := pair(t, c).Leaf
	if cn := leaf.Subject.CommonName; cn == "" || len(cn) > 64 {
		t.Errorf("common name %q, want a short one", cn)
	}
	if err := leaf.VerifyHostname(longName); err != nil {
		t.Error(err)
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 678, time.UTC)
	a, err := pki.NewAuthority("a", now)
	if err != nil {
		t.Fatal(err)
	}
	c := issue(t, a, pki.Request{Names: []string{"x"}, Now: now, Lifetime: 48 * time.Hour})
	if want := time.Date(2030, 1, 4, 3, 4, 5, 0, time.UTC); !c.NotAfter.Equal(want) || !pair(t, c).Leaf.NotAfter.Equal(want) {
		t.Errorf("valid until %v and %v, want %v", c.NotAfter, pair(t, c).Leaf.NotAfter, want)
	}
	if start := pair(t, c).Leaf.NotBefore; !start.Before(now) {
		t.Errorf("valid from %v, want somewhat before %v", start, now)
	}
	long := issue(t, a, pki.Request{Names: []string{"x"}, Now: now, Lifetime: 100 * 365 * 24 * time.Hour})
	if end := pair(t, issue(t, a, pki.Request{Names: []string{"x"}, Now: now, Lifetime: 100 * 365 * 24 * time.Hour})).Leaf.NotAfter; !long.NotAfter.Equal(end) || end.Year() > 2040 {
		t.Errorf("certificate until %v outlives its authority", end)
	}
}

func TestLoadAuthority(t *testing.T) {
	t.Parallel()
	a, other := authority(t), authority(t)
	loaded, err := pki.LoadAuthority(a.CertPEM, a.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	c := issue(t, loaded, pki.Request{Names: []string{"cache.internal"}})
	err = handshake(t,
		&tls.Config{Certificates: []tls.Certificate{pair(t, c)}},
		&tls.Config{RootCAs: pool(t, a), ServerName: "cache.internal"})
	if err != nil {
		t.Errorf("certificate of a loaded authority: %v", err)
	}
	leaf := issue(t, a, pki.Request{Names: []string{"x"}})
	for _, test := range []struct {
		name string
		cert string
		key  core.Secret
		want string
	}{
		{"no certificate", "", a.KeyPEM, "not PEM"},
		{"damaged certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", a.KeyPEM, "reading the authority's certificate"},
		{"no authority", leaf.ChainPEM, leaf.KeyPEM, "not an authority"},
		{"no key", a.CertPEM, core.Secret{}, "not PEM"},
		{"damaged key", a.CertPEM, core.NewSecret("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "cannot be read"},
		{"key of another", a.CertPEM, other.KeyPEM, "does not belong"},
	} {
		if _, err := pki.LoadAuthority(test.cert, test.key); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", test.name, err, test.want)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	a := authority(t)
	for name, r := range map[string]pki.Request{
		"no names":    {Now: time.Now(), Lifetime: time.Hour},
		"no lifetime": {Now: time.Now(), Names: []string{"x"}},
		"not ASCII":   {Now: time.Now(), Names: []string{"käse.internal"}, Lifetime: time.Hour},
	} {
		if _, err := a.Issue(r); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
}

func TestOpenSSLVerifies(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	a := authority(t)
	c := issue(t, a, pki.Request{Names: []string{"127.0.0.1", "cache.internal"}, Client: true})
	dir := t.TempDir()
	ca, leaf := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "leaf.pem")
	for path, text := range map[string]string{ca: a.CertPEM, leaf: c.ChainPEM} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"-verify_ip", "127.0.0.1", "-purpose", "sslserver"},
		{"-verify_hostname", "cache.internal", "-purpose", "sslclient"},
	} {
		args = append(append([]string{"verify", "-x509_strict", "-CAfile", ca}, args...), leaf)
		if out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput(); err != nil {
			t.Errorf("openssl %v: %v\n%s", args, err, out)
		}
	}
}
