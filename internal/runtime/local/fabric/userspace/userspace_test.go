package userspace

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime/local"
)

func TestServesEngines(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis-server", "valkey-server"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			f := r.fabric("v1")
			socket, process := r.engine(name)
			ep := r.endpoint("node a", local.Backend{Node: "a", Socket: socket})
			apply(t, f, ep)
			c := client(t, ep)
			if err := c.Set(t.Context(), "k", strings.Repeat("v", 1<<20), 0).Err(); err != nil {
				t.Fatal(err)
			}
			if v, err := c.Get(t.Context(), "k").Result(); err != nil || len(v) != 1<<20 {
				t.Fatal(len(v), err)
			}
			idle := subscribe(t, ep)
			_ = process.Kill()
			if _, err := idle.Receive(t.Context()); err == nil {
				t.Error("a subscriber outlives its engine")
			}
		})
	}
}

// subscribe gives an idle subscriber.
func subscribe(t *testing.T, ep local.Endpoint) *redis.PubSub {
	t.Helper()
	sub := client(t, ep).Subscribe(t.Context(), "news")
	t.Cleanup(func() { sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return sub
}

func TestPrimaryMoves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.fabric("v1")
	old, _ := r.engine("redis-server")
	next, _ := r.engine("redis-server")
	ep := r.endpoint("primary g", local.Backend{Node: "a", Socket: old})
	ep.CutRemoved = true
	apply(t, f, ep)
	c, sub := client(t, ep), subscribe(t, ep)
	if err := c.Set(t.Context(), "who", "old", 0).Err(); err != nil {
		t.Fatal(err)
	}
	raw, err := net.Dial("tcp", ep.Listen[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := raw.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(raw, make([]byte, len("+PONG\r\n"))); err != nil {
		t.Fatal(err)
	}
	ep.Backends = []local.Backend{{Node: "b", Socket: next}}
	apply(t, f, ep)
	if _, err := sub.Receive(t.Context()); err == nil {
		t.Error("an idle subscriber was not cut")
	}
	if _, err := raw.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("an idle connection to the old primary: %v", err)
	}
	if n, err := c.Exists(t.Context(), "who").Result(); n != 0 || err != nil {
		t.Errorf("the endpoint has not moved: %d, %v", n, err)
	}
}

// AUTH is optional: the relay logs in, the client may authenticate, and a wrong
// token is refused by the engine itself.
func TestLogin(t *testing.T) {
	t.Parallel()
	const token = "a-token-of-the-customer"
	for _, tc := range []struct {
		name, login string
		silent      string // the error of a client without a token
	}{
		{"login accepted", "hidden", ""},
		{"login refused", "outdated", "NOAUTH"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			f := r.fabric("v1")
			socket, _ := r.engine("redis-server", "--user", "default", "on", ">"+token, ">hidden", "~*", "&*", "+@all")
			ep := r.endpoint("node a", local.Backend{Node: "a", Socket: socket, Login: core.NewSecret(tc.login)})
			apply(t, f, ep)
			err := ping(client(t, ep))
			if (err == nil) != (tc.silent == "") || err != nil && !strings.HasPrefix(err.Error(), tc.silent) {
				t.Errorf("silent client: %v", err)
			}
			with := func(password string) error {
				c := redis.NewClient(&redis.Options{Addr: ep.Listen[0].String(), Password: password, MaxRetries: -1})
				defer c.Close()
				return ping(c)
			}
			if err := with(token); err != nil {
				t.Error("client with the token:", err)
			}
			if err := with("wrong"); err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS") {
				t.Errorf("client with a wrong token: %v", err)
			}
		})
	}
}

// A server that ends, and one that begins, leave connections alone; so does the
// death of the server within an exchange.
func TestOutlivesServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.fabric("v1")
	socket, _ := r.engine("redis-server")
	ep := r.endpoint("node a", local.Backend{Node: "a", Socket: socket})
	apply(t, f, ep)
	pid := f.pid()
	c := client(t, ep)
	id, err := c.ClientID(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ping(c); err != nil {
		t.Error("after the server has ended:", err)
	}
	f = r.fabric("v1")
	apply(t, f, ep, r.endpoint("node b"))
	if f.pid() != pid {
		t.Errorf("relay %d was replaced by %d", pid, f.pid())
	}
	if now, err := c.ClientID(t.Context()).Result(); now != id || err != nil {
		t.Errorf("connection %d became %d, %v", id, now, err)
	}
}

// An upgrade under load: no client sees an error, the old relay serves its
// connections to the end, obeys a later cut, and goes.
func TestHandOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	socket, _ := r.engine("redis-server")
	node := r.endpoint("node a", local.Backend{Node: "a", Socket: socket})
	primary := r.endpoint("primary g", node.Backends...)
	primary.CutRemoved = true
	f := r.fabric("v1")
	apply(t, f, node, primary)
	oldPID := f.pid()
	held, doomed := client(t, node), client(t, primary)
	if err := errors.Join(ping(held), ping(doomed)); err != nil {
		t.Fatal(err)
	}

	stop := make(chan struct{})
	var wg sync.WaitGroup
	var done atomic.Int64
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := redis.NewClient(&redis.Options{Addr: node.Listen[0].String(), PoolSize: 1, MaxRetries: -1})
				if err := ping(c); err != nil {
					t.Error("during the hand-over:", err)
				}
				c.Close()
				done.Add(1)
			}
		})
	}
	until(t, "load", func() bool { return done.Load() > 50 })
	f.Close()
	f = r.fabric("v2")
	apply(t, f, node, primary)
	at := done.Load()
	until(t, "more load", func() bool { return done.Load() > at+50 })
	close(stop)
	wg.Wait()

	if f.pid() == oldPID || !alive(oldPID) {
		t.Fatalf("old relay %d, new %d, old alive: %v", oldPID, f.pid(), alive(oldPID))
	}
	if err := errors.Join(ping(held), ping(doomed)); err != nil {
		t.Error("held connections:", err)
	}
	primary.Backends = nil
	apply(t, f, node, primary)
	if err := ping(doomed); err == nil {
		t.Error("the draining relay did not cut")
	}
	if err := ping(held); err != nil {
		t.Error("the draining relay cut too much:", err)
	}
	held.Close()
	until(t, "the old relay ends after its last connection", func() bool { return !alive(oldPID) })
}

func TestRelayDies(t *testing.T) {
	t.Parallel()
	for _, found := range []bool{false, true} {
		r := newRig(t)
		f := r.fabric("v1")
		socket, _ := r.engine("redis-server")
		ep := r.endpoint("node a", local.Backend{Node: "a", Socket: socket})
		apply(t, f, ep)
		if found { // by a later server
			f.Close()
			f = r.fabric("v1")
			apply(t, f, ep)
		}
		pid := f.pid()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "it is started again and serves", func() bool { return f.pid() != pid && ping(client(t, ep)) == nil })
		if alive(pid) {
			t.Error("the killed relay lives")
		}
		until(t, "the control socket of the killed one is removed", func() bool { return len(r.controls()) == 1 })
	}
}

func TestAddressTaken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.fabric("v1")
	socket, _ := r.engine("redis-server")
	taken := r.endpoint("node a", local.Backend{Node: "a", Socket: socket})
	free := r.endpoint("node b", local.Backend{Node: "a", Socket: socket})
	other, err := net.Listen("tcp", taken.Listen[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for range 2 {
		failed, err := f.Apply(t.Context(), everyone(taken, free))
		if err != nil {
			t.Fatal(err)
		}
		if len(failed) != 1 || failed["node a"] == nil || !strings.Contains(failed["node a"].Error(), "taken") {
			t.Errorf("failed: %v", failed)
		}
		if err := ping(client(t, free)); err != nil {
			t.Error("the other endpoint:", err)
		}
	}
	other.Close()
	// A process that a test beside this one is starting has the socket, too, between its fork
	// and its exec.
	until(t, "the address is free", func() bool {
		failed, err := f.Apply(t.Context(), everyone(taken, free))
		if err != nil {
			t.Fatal(err)
		}
		return len(failed) == 0
	})
	if err := ping(client(t, taken)); err != nil {
		t.Error("after the address is free:", err)
	}
}

func TestEndpointsComeAndGo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.fabric("v1")
	socket, _ := r.engine("redis-server")
	// More than fit into one message of descriptors.
	var eps []local.Endpoint
	for i := range 250 {
		eps = append(eps, r.endpoint("node "+string(rune('A'+i)), local.Backend{Node: "a", Socket: socket}))
	}
	apply(t, f, eps...)
	if err := errors.Join(ping(client(t, eps[0])), ping(client(t, eps[249]))); err != nil {
		t.Error(err)
	}
	f.Close()
	f = r.fabric("v2") // hands all of them over
	apply(t, f, eps...)
	if err := errors.Join(ping(client(t, eps[0])), ping(client(t, eps[249]))); err != nil {
		t.Error(err)
	}
	apply(t, f, eps[1:]...)
	if _, err := net.DialTimeout("tcp", eps[0].Listen[0].String(), time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("endpoint that is gone: %v", err)
	}
	if err := f.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := net.DialTimeout("tcp", eps[1].Listen[0].String(), time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Shutdown: %v", err)
	}
	if left := r.controls(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f, err := New(t.Context(), Config{RunDir: r.dir, Exe: "/bin/false", Version: "x", Log: discard()})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Apply(t.Context(), everyone()); err == nil || !strings.Contains(err.Error(), "exits at once") {
		t.Errorf("err %v", err)
	}
}

func TestPrivate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.fabric("v1")
	secret := "the-hidden-login"
	socket, _ := r.engine("redis-server")
	apply(t, f, r.endpoint("node a", local.Backend{Node: "a", Socket: socket, Login: core.NewSecret(secret)}))
	files, err := os.ReadDir(r.dir)
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file.Name(), info.Mode(), err)
		}
		if text, err := os.ReadFile(filepath.Join(r.dir, file.Name())); err == nil && strings.Contains(string(text), secret) {
			t.Errorf("%s holds the secret", file.Name())
		}
	}
}

// Apply gives up with its context, and the next one recovers.
func TestApplyCancelled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.fabric("v1")
	socket, _ := r.engine("redis-server")
	ep := r.endpoint("node a", local.Backend{Node: "a", Socket: socket})
	apply(t, f, ep)
	pid := f.pid()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := r.endpoint("node b", ep.Backends...)
	if _, err := f.Apply(ctx, everyone(ep, other)); err == nil {
		t.Error("no error")
	}
	apply(t, f, ep, other)
	if err := errors.Join(ping(client(t, ep)), ping(client(t, other))); err != nil {
		t.Error(err)
	}
	if f.pid() != pid {
		t.Errorf("relay %d was replaced by %d", pid, f.pid())
	}
}
