package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/pki"
)

// start runs a relay in this process; ended is closed when Main has returned.
func start(t *testing.T, o Options) (path string, ended chan struct{}) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "c")
	return path, startAt(t, o, path)
}

func startAt(t *testing.T, o Options, path string) (ended chan struct{}) {
	t.Helper()
	o.Socket = path
	if o.Version == "" {
		o.Version = "test"
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		if err := Main(ctx, o); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return ended
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	var c *Client
	until(t, "relay answers", func() (ok bool) {
		var err error
		c, err = Dial(t.Context(), path)
		return err == nil
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// listening opens a listening socket, closed by the test's end.
func listening(t *testing.T) Socket {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return Socket{Address: ln.Addr().String(), FD: fd}
}

// echoEngine gives the path of a unix socket that echoes.
func echoEngine(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "e")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	return path
}

// everyone admits all clients to the engine "n".
func everyone() Access {
	return Access{Guard: network.Guard{
		Windows: map[string]network.Window{"": {Host: netip.MustParseAddr("10.0.0.4")}},
		Nodes:   map[string]int{"n": 0},
		Filters: []network.Filter{{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}},
	}}
}

// put applies a document, for everyone if it does not say who may connect.
func put(t *testing.T, c *Client, d Document, sockets ...Socket) Applied {
	t.Helper()
	if d.Access.Filters == nil {
		d.Access = everyone()
	}
	a, err := c.Apply(t.Context(), d, sockets)
	CloseSockets(sockets)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func echoes(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	b := []byte("hello")
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Fatal(string(b), err)
	}
	return c
}

func TestControl(t *testing.T) {
	t.Parallel()
	path, ended := start(t, Options{Version: "v7"})
	c := dial(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("control socket:", info.Mode(), err)
	}
	s := listening(t)
	doc := Document{Revision: 5, Listeners: []Listener{{
		ID: "a", Addresses: []string{s.Address, "192.0.2.1:1"}, Backends: []Backend{{Node: "n", Socket: echoEngine(t)}},
	}}}
	a := put(t, c, doc, s)
	if len(a.Missing) != 1 || a.Missing[0] != "192.0.2.1:1" || len(a.Refused) != 0 {
		t.Errorf("applied %+v", a)
	}
	echoes(t, s.Address)
	h, err := c.Hello(t.Context())
	if err != nil || h.PID != os.Getpid() || h.Version != "v7" || h.Revision != 5 || h.Draining ||
		len(h.Addresses) != 1 || h.Addresses[0] != s.Address || h.Limit < 100 || h.Connections != 1 || c.PID() != h.PID {
		t.Errorf("hello %+v, %v", h, err)
	}
	stats, err := c.Stats(t.Context())
	if want := (ListenerStats{ID: "a", Open: 1, Accepted: 1, BytesIn: 5, BytesOut: 5}); err != nil || len(stats) != 1 || stats[0] != want {
		t.Errorf("stats %+v, %v", stats, err)
	}
	doc.Revision = 4
	if _, err := c.Apply(t.Context(), doc, nil); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("an older document: %v", err)
	}
	doc.Revision, doc.Listeners = 6, nil
	put(t, c, doc)
	if _, err := net.Dial("tcp", s.Address); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("listener that is gone: %v", err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error("stop:", err)
	}
	<-ended
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("control socket is left: %v", err)
	}
}

// Who may connect is replaced alone, in the order of the documents.
func TestEnforce(t *testing.T) {
	t.Parallel()
	path, _ := start(t, Options{})
	c := dial(t, path)
	s := listening(t)
	put(t, c, Document{Revision: 3, Listeners: []Listener{{ID: "a", Addresses: []string{s.Address}, Backends: []Backend{{Node: "n", Socket: echoEngine(t)}}}}}, s)
	held := echoes(t, s.Address)
	if err := c.Enforce(t.Context(), Access{}, 2); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("an older policy: %v", err)
	}
	echoes(t, s.Address)
	if err := c.Enforce(t.Context(), Access{RefuseAfter: 50 * time.Millisecond}, 4); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a client that is not admitted got %d bytes, %v", n, err)
	}
	if _, err := held.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(held, make([]byte, 1)); err != nil {
		t.Error("a tracked connection:", err)
	}
	if err := c.Enforce(t.Context(), everyone(), 5); err != nil {
		t.Fatal(err)
	}
	echoes(t, s.Address)
	if h, err := c.Hello(t.Context()); err != nil || h.Revision != 5 {
		t.Errorf("hello %+v, %v", h, err)
	}
}

// Between HandOver and Drain both relays accept; after it only the newer one.
func TestHandOver(t *testing.T) {
	t.Parallel()
	oldPath, ended := start(t, Options{})
	newPath, _ := start(t, Options{})
	older, newer := dial(t, oldPath), dial(t, newPath)
	s := listening(t)
	doc := Document{Revision: 1, Listeners: []Listener{{ID: "a", Addresses: []string{s.Address}, Backends: []Backend{{Node: "n", Socket: echoEngine(t)}}}}}
	put(t, older, doc, s)
	held := echoes(t, s.Address)
	sockets, err := older.HandOver(t.Context())
	if err != nil || len(sockets) != 1 || sockets[0].Address != s.Address {
		t.Fatal(sockets, err)
	}
	echoes(t, s.Address).Close()
	put(t, newer, doc, sockets...)
	echoes(t, s.Address).Close()
	if err := older.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	doc.Revision = 2
	put(t, older, doc) // still told, and takes no listener from it
	echoes(t, s.Address)
	if h, err := older.Hello(t.Context()); err != nil || !h.Draining || h.Connections != 1 || len(h.Addresses) != 0 {
		t.Errorf("draining: %+v, %v", h, err)
	}
	if _, err := held.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(held, make([]byte, 1)); err != nil {
		t.Error("held connection:", err)
	}
	held.Close()
	<-ended
}

// TestDrainIsAnswered: a relay without connections ends at once, but not before it has
// said that it will.
func TestDrainIsAnswered(t *testing.T) {
	t.Parallel()
	for range 100 {
		path, ended := start(t, Options{})
		c := dial(t, path)
		if err := c.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-ended
	}
}

func TestOrphan(t *testing.T) {
	t.Parallel()
	path, ended := start(t, Options{Orphaned: 50 * time.Millisecond})
	<-ended
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("control socket is left: %v", err)
	}
	path, ended = start(t, Options{Orphaned: 50 * time.Millisecond})
	put(t, dial(t, path), Document{Revision: 1})
	select {
	case <-ended:
		t.Error("ends though it has a document")
	case <-time.After(150 * time.Millisecond):
	}
}

// A server that is killed within a message, or that sends nonsense, harms nobody.
func TestBrokenPusher(t *testing.T) {
	t.Parallel()
	path, _ := start(t, Options{})
	c := dial(t, path)
	s := listening(t)
	put(t, c, Document{Revision: 1, Listeners: []Listener{{ID: "a", Addresses: []string{s.Address}, Backends: []Backend{{Node: "n", Socket: echoEngine(t)}}}}}, s)
	for _, bytes := range [][]byte{frame(`{"Op":"apply","Document":{"Revision":2}}`)[:20], []byte("GET / HTTP/1.1\r\n\r\n"), frame("null!"), frame(`{"Op":"dance"}`), frame(`{"Op":"apply"}`)} {
		raw, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Write(bytes); err != nil {
			t.Error(err)
		}
		_ = raw.(*net.UnixConn).CloseWrite()
		_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.ReadAll(raw)
		raw.Close()
	}
	echoes(t, s.Address)
	if h, err := c.Hello(t.Context()); err != nil || h.Revision != 1 {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestRefusesWhatIsNoListener(t *testing.T) {
	t.Parallel()
	path, _ := start(t, Options{})
	c := dial(t, path)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := c.Apply(t.Context(), Document{Revision: 1}, []Socket{{Address: "127.0.0.1:1", FD: fd}}); err == nil {
		t.Error("a socket that does not listen was taken")
	}
}

// Another user is not listened to, even if the file's permissions were lost.
func TestOtherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	dir, err := os.MkdirTemp("", "relay") // not under t.TempDir, which others cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "c")
	startAt(t, Options{}, path)
	put(t, dial(t, path), Document{Revision: 1}) // it serves, and does not change the file's permissions any more
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its user
		const nobody = 65534
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), nobody, ^uintptr(0)); errno != 0 {
			answer <- errno
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		}
		if err != nil {
			answer <- err
			return
		}
		defer unix.Close(fd)
		_, _ = unix.Write(fd, frame(`{"Op":"hello"}`))
		if n, _ := unix.Read(fd, make([]byte, 1)); n > 0 {
			answer <- errors.New("was answered")
			return
		}
		answer <- nil
	}()
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

// A certificate that does not load makes its listener fail, and no other; the
// message does not show the key.
func TestBadCertificate(t *testing.T) {
	t.Parallel()
	path, _ := start(t, Options{})
	c := dial(t, path)
	own, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bad, good := listening(t), listening(t)
	engine := []Backend{{Node: "n", Socket: echoEngine(t)}}
	a := put(t, c, Document{Revision: 1, Listeners: []Listener{
		{ID: "bad", Addresses: []string{bad.Address}, Backends: engine, TLS: TLS{Mode: "required", ChainPEM: own.CertPEM, KeyPEM: core.NewSecret("s3cret")}},
		{ID: "good", Addresses: []string{good.Address}, Backends: engine, TLS: TLS{Mode: "preferred", ChainPEM: own.CertPEM, KeyPEM: own.KeyPEM}},
		{ID: "odd", Backends: engine, TLS: TLS{Mode: "maybe"}},
	}}, bad, good)
	if len(a.Refused) != 2 || a.Refused["bad"] == "" || strings.Contains(a.Refused["bad"], "s3cret") || a.Refused["odd"] == "" {
		t.Errorf("refused %v", a.Refused)
	}
	echoes(t, good.Address)
	conn, err := net.Dial("tcp", bad.Address)
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("a client without its TLS got %d bytes, %v", n, err)
		}
		conn.Close()
	}
}

func TestBuildID(t *testing.T) {
	t.Parallel()
	id, err := BuildID("/proc/self/exe")
	if err != nil || len(id) < 10 || strings.ContainsAny(id, "/\x00") {
		t.Errorf("%q, %v", id, err)
	}
	other, err := BuildID("/bin/true") // not by Go
	if err != nil || other == id || other == "" {
		t.Errorf("%q, %v", other, err)
	}
	if _, err := BuildID("/nonexistent"); err == nil {
		t.Error("no error")
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not happen:", what)
		}
	}
}
