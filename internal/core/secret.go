package core

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"log/slog"
)

// Secret is a value that must never be printed, logged, marshalled or stored in
// the clear: an AUTH token, a password, a private key. Every way of formatting
// it yields "***"; Reveal is the only way to the value, so that a search for it
// finds every use.
type Secret struct{ value string }

// NewSecret wraps a plaintext value.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal returns the plaintext. Call it where the value leaves for an engine, a
// signature or a sealed store, and nowhere else.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether no value was given.
func (s Secret) IsZero() bool { return s.value == "" }

// Len is the length of the plaintext in bytes, for validation.
func (s Secret) Len() int { return len(s.value) }

// Equal compares two secrets in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.value), []byte(o.value)) == 1
}

// SHA256 is the hexadecimal digest that Redis and Valkey use for ACL passwords
// (`ACL SETUSER name #<digest>`).
func (s Secret) SHA256() string {
	sum := sha256.Sum256([]byte(s.value))
	return hex.EncodeToString(sum[:])
}

// String implements fmt.Stringer without giving the value away.
func (Secret) String() string { return "***" }

// GoString implements fmt.GoStringer (%#v) without giving the value away.
func (Secret) GoString() string { return "***" }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// MarshalJSON refuses: a secret is sealed before it is stored.
func (Secret) MarshalJSON() ([]byte, error) {
	return nil, errors.New("core: a Secret cannot be marshalled; seal it first")
}
