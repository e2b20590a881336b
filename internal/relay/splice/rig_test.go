package splice

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/network"
)

// rig is a splicer with listening sockets of its own.
type rig struct {
	t       *testing.T
	s       *Splicer
	sockets map[string]int
}

func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	cfg.Clock, cfg.Log = core.SystemClock{}, slog.New(slog.DiscardHandler)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, s: s, sockets: map[string]int{}}
	t.Cleanup(func() {
		s.Close()
		for _, fd := range r.sockets {
			unix.Close(fd)
		}
	})
	return r
}

// apply puts listeners in force that everyone may use.
func (r *rig) apply(listeners []Listener) { r.s.Apply(listeners, everyone(listeners)) }

// everyone is a policy that admits all clients, tracked, to every backend.
func everyone(listeners []Listener) Access {
	a := Access{Guard: network.Guard{
		Windows: map[string]network.Window{"": {Host: netip.MustParseAddr("10.0.0.4")}},
		Filters: []network.Filter{{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}},
		Nodes:   map[string]int{},
	}}
	for _, ls := range listeners {
		for _, b := range ls.Backends {
			a.Nodes[b.Node] = 0
		}
	}
	return a
}

// listen opens a listening socket and returns it with its address.
func (r *rig) listen() (fd int, address string) {
	r.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.Listen(fd, 1024)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		r.t.Fatal(err)
	}
	address = net.JoinHostPort("127.0.0.1", strconv.Itoa(sa.(*unix.SockaddrInet4).Port))
	r.sockets[address] = fd
	return fd, address
}

// engine listens on a unix socket and gives each connection to serve.
func (r *rig) engine(serve func(net.Conn)) Backend {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		r.t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { serve(c); c.Close() })
		}
	})
	r.t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return Backend{Node: path, Socket: path}
}

// echo serves a connection by sending everything back.
func echo(c net.Conn) { _, _ = io.Copy(c, c) }

// named answers every byte with its name.
func named(name byte) func(net.Conn) {
	return func(c net.Conn) {
		b := make([]byte, 1)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			if _, err := c.Write([]byte{name}); err != nil {
				return
			}
		}
	}
}

func (r *rig) dial(address string) *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// ask sends one byte and returns the one that comes back.
func ask(t *testing.T, c net.Conn) byte {
	t.Helper()
	b := []byte{'?'}
	if _, err := c.Write(b); err != nil {
		t.Fatal("write:", err)
	}
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal("read:", err)
	}
	return b[0]
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not happen:", what)
		}
	}
}

// certificate makes a self-signed server certificate, and a client's view of it.
func certificate(t testing.TB, name string) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, DynamicRecordSizingDisabled: true}
	return server, &tls.Config{RootCAs: pool, ServerName: name}
}
