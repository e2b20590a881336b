// Package pki issues the certificates of cache endpoints and of the engines
// among themselves: ECDSA P-256, one authority that signs servers directly.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

const (
	// authorityLifetime is long because clients pin the authority.
	authorityLifetime = 10 * 365 * 24 * time.Hour
	// Backdate is for how long a certificate has been valid when it is issued, for
	// clients whose clock is slow.
	Backdate = time.Hour
	// authorityBackdate is longer: what was issued by a clock that was ahead is issued
	// anew once it is set right, but the authority stays.
	authorityBackdate = 365 * 24 * time.Hour
	// maxCommonName is X.509's limit.
	maxCommonName = 64
)

// Authority signs certificates. CertPEM is what clients trust.
type Authority struct {
	CertPEM string
	KeyPEM  core.Secret

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Request is what a certificate shall be good for.
type Request struct {
	// Names are IP addresses and DNS names (also "*.example.com"), at least one.
	Names []string
	// Client allows use as a client certificate too, as engines that replicate
	// from each other need.
	Client bool
	Now    time.Time
	// Lifetime is cut short where the authority itself ends earlier.
	Lifetime time.Duration
}

// Certificate is an issued certificate and its key.
type Certificate struct {
	// ChainPEM is the certificate followed by its authority's.
	ChainPEM string
	// KeyPEM is PKCS #8.
	KeyPEM   core.Secret
	NotAfter time.Time
}

// NewAuthority makes an authority of a name, valid for ten years.
func NewAuthority(name string, now time.Time) (Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Authority{}, fmt.Errorf("pki: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-authorityBackdate),
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Authority{}, fmt.Errorf("pki: making authority %q: %w", name, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Authority{}, err
	}
	return LoadAuthority(encodeCert(der), keyPEM)
}

// LoadAuthority reads an authority that NewAuthority made.
func LoadAuthority(certPEM string, keyPEM core.Secret) (Authority, error) {
	block, _ := pem.Decode([]byte(certPEM))
	if block == nil || block.Type != "CERTIFICATE" {
		return Authority{}, errors.New("pki: the authority's certificate is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Authority{}, fmt.Errorf("pki: reading the authority's certificate: %w", err)
	}
	if !cert.IsCA {
		return Authority{}, errors.New("pki: the certificate is not an authority's")
	}
	key, err := decodeKey(keyPEM)
	if err != nil {
		return Authority{}, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return Authority{}, errors.New("pki: the authority's key does not belong to its certificate")
	}
	return Authority{CertPEM: certPEM, KeyPEM: keyPEM, cert: cert, key: key}, nil
}

// Issue makes a key and a server certificate for it.
func (a Authority) Issue(r Request) (Certificate, error) {
	if len(r.Names) == 0 || r.Lifetime <= 0 {
		return Certificate{}, errors.New("pki: a certificate needs a name and a lifetime")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, fmt.Errorf("pki: %w", err)
	}
	template := a.template(r)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Certificate{}, fmt.Errorf("pki: issuing for %q: %w", r.Names, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{
		ChainPEM: encodeCert(der) + a.CertPEM,
		KeyPEM:   keyPEM,
		NotAfter: template.NotAfter,
	}, nil
}

func (a Authority) template(r Request) *x509.Certificate {
	backdate := Backdate
	if r.Client {
		backdate = authorityBackdate // nobody replaces it
	}
	notAfter := r.Now.Add(r.Lifetime).UTC().Truncate(time.Second)
	if notAfter.After(a.cert.NotAfter) {
		notAfter = a.cert.NotAfter
	}
	t := &x509.Certificate{
		NotBefore:             r.Now.Add(-backdate),
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if r.Client {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, name := range r.Names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	t.Subject.CommonName = r.Names[0]
	if len(r.Names[0]) > maxCommonName {
		t.Subject.CommonName = "larder"
	}
	return t
}

func encodeCert(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func encodeKey(key *ecdsa.PrivateKey) (core.Secret, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return core.Secret{}, fmt.Errorf("pki: encoding a key: %w", err)
	}
	return core.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))), nil
}

func decodeKey(keyPEM core.Secret) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(keyPEM.Reveal()))
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("pki: the authority's key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("pki: the authority's key cannot be read") // the cause might quote it
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("pki: the authority's key is %T, want ECDSA", parsed)
	}
	return key, nil
}
