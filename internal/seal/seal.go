// Package seal encrypts the secrets that are stored: AES-256-GCM under the key of
// the deployment, which is a file of the data directory and never in the store.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/larder-cache/larder/internal/core"
)

const (
	// keyFile is the name of the key in the data directory.
	keyFile = "seal.key"
	keySize = 32
	// A sealed value is: version (1 byte), key id (4 bytes), nonce, ciphertext.
	// The key id lets a later Ring hold several keys and know which one to use.
	version    = 1
	headerSize = 5
)

// ErrUnseal says that a value was not sealed with this deployment's key, or is
// damaged.
var ErrUnseal = errors.New("seal: not sealed with the key of this deployment, or damaged")

// Ring seals and unseals. Its methods may be called from any goroutine.
type Ring struct {
	key  []byte
	id   uint32
	aead cipher.AEAD
}

// Open reads the key of a data directory, and makes one where there is none.
func Open(dataDir string) (*Ring, error) {
	path := filepath.Join(dataDir, keyFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(dataDir, path); err != nil {
			return nil, fmt.Errorf("seal: making the key: %w", err)
		}
		key, err = readKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("seal: reading the key: %w", err)
	}
	return newRing(key)
}

// NewTest is a Ring with a key of its own, for tests.
func NewTest() *Ring {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	r, err := newRing(key)
	if err != nil {
		panic(err)
	}
	return r
}

func newRing(key []byte) (*Ring, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	sum := sha256.Sum256(append([]byte("larder key id:"), key...))
	return &Ring{key: key, id: binary.BigEndian.Uint32(sum[:]), aead: aead}, nil
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s is accessible to others (mode %04o); chmod 600 it", path, mode)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("%s has %d bytes, want %d", path, len(key), keySize)
	}
	return key, nil
}

// makeKey puts a new key in place whole and durably, and never over another: a
// lost or replaced key loses every secret.
func makeKey(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, keyFile+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Seal encrypts a secret. Sealing the same secret twice gives different values.
// The empty secret seals to the zero Sealed.
func (r *Ring) Seal(s core.Secret) (core.Sealed, error) {
	if s.IsZero() {
		return nil, nil
	}
	nonceSize := r.aead.NonceSize()
	out := make([]byte, headerSize+nonceSize, headerSize+nonceSize+s.Len()+r.aead.Overhead())
	out[0] = version
	binary.BigEndian.PutUint32(out[1:], r.id)
	nonce := out[headerSize:]
	_, _ = rand.Read(nonce) // never fails
	return r.aead.Seal(out, nonce, []byte(s.Reveal()), out[:headerSize]), nil
}

// Unseal decrypts what Seal made; anything else is ErrUnseal. The zero Sealed is
// the empty secret.
func (r *Ring) Unseal(s core.Sealed) (core.Secret, error) {
	if s.IsZero() {
		return core.Secret{}, nil
	}
	body := headerSize + r.aead.NonceSize()
	if len(s) < body+r.aead.Overhead() || s[0] != version || binary.BigEndian.Uint32(s[1:]) != r.id {
		return core.Secret{}, ErrUnseal
	}
	plain, err := r.aead.Open(nil, s[headerSize:body], s[body:], s[:headerSize])
	if err != nil {
		return core.Secret{}, ErrUnseal
	}
	return core.NewSecret(string(plain)), nil
}

// Derive makes the password of one purpose (such as "admin") and one object: 64
// hexadecimal digits, the same each time, of which none tells another.
func (r *Ring) Derive(purpose, uid string) core.Secret {
	info := fmt.Sprintf("larder password:%d:%s:%s", len(purpose), purpose, uid)
	b, err := hkdf.Key(sha256.New, r.key, nil, info, keySize)
	if err != nil {
		panic(err) // only for lengths HKDF cannot make
	}
	return core.NewSecret(hex.EncodeToString(b))
}
