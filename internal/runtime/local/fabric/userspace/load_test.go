package userspace

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/pki"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/runtime/local"
)

// scaled is how much of something a test does: a fifth with the race detector, which is
// that much slower.
func scaled(n int) int {
	if raceEnabled {
		return n / 5
	}
	return n
}

// resident is the memory of a process in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// heard waits until the relay has taken in all who connected to its control socket before:
// one connection of a fabric is there to notice the relay's end, and asks for nothing.
func (r *rig) heard() {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, "relay-*.sock"))
	if err != nil || len(paths) != 1 {
		r.t.Fatal(paths, err)
	}
	c, err := relay.Dial(r.t.Context(), paths[0])
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	if _, err := c.Hello(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// descriptors is how many files a process has open.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	all, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func pingRaw(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("+PONG\r\n"))
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "+PONG\r\n" {
		t.Fatalf("%q, %v", answer, err)
	}
}

// Idle connections cost little, and nothing once they are closed.
func TestManyConnections(t *testing.T) {
	r := newRig(t)
	f := r.fabric("v1")
	socket, _ := r.engine("redis-server")
	backend := local.Backend{Node: "a", Socket: socket}
	plain, secure := r.endpoint("node a", backend), r.endpoint("node b", backend)
	secure.TLS = selfSigned(t)
	apply(t, f, plain, secure)
	r.heard()
	for _, tc := range []struct {
		name        string
		ep          local.Endpoint
		connections int
		most        int // bytes each, by the relay's own account
	}{
		{"plain", plain, scaled(5000), 4 << 10},
		{"tls", secure, scaled(500), 40 << 10},
	} {
		pid := f.pid()
		files, before := descriptors(t, pid), resident(t, pid)
		open := make([]net.Conn, 0, tc.connections)
		for range tc.connections {
			c, err := net.Dial("tcp", tc.ep.Listen[0].String())
			if err != nil {
				t.Fatal(err)
			}
			if tc.ep.TLS.Mode != "" {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			pingRaw(t, c)
			open = append(open, c)
		}
		each := (resident(t, pid) - before) / tc.connections
		t.Logf("%s: %d bytes for each of %d connections", tc.name, each, tc.connections)
		if each > tc.most && !raceEnabled {
			t.Errorf("%s: %d bytes for each connection", tc.name, each)
		}
		pingRaw(t, open[0])
		for _, c := range open {
			c.Close()
		}
		until(t, tc.name+": descriptors are as before", func() bool { return descriptors(t, pid) <= files })
	}
}

// A client that is slow to read a large reply takes no memory of the relay's.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	size := scaled(200) << 20
	r := newRig(t)
	f := r.fabric("v1")
	socket, _ := r.engine("redis-server")
	backend := local.Backend{Node: "a", Socket: socket}
	plain, secure := r.endpoint("node a", backend), r.endpoint("node b", backend)
	secure.TLS = selfSigned(t)
	apply(t, f, plain, secure)
	if err := client(t, plain).SetRange(t.Context(), "big", int64(size-1), "x").Err(); err != nil {
		t.Fatal(err)
	}
	for _, ep := range []local.Endpoint{plain, secure} {
		before := resident(t, f.pid())
		c, err := net.Dial("tcp", ep.Listen[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if ep.TLS.Mode != "" {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		_ = c.SetDeadline(time.Now().Add(60 * time.Second))
		if _, err := c.Write([]byte("GET big\r\n")); err != nil {
			t.Fatal(err)
		}
		piece := make([]byte, 256<<10)
		most := 0
		left := len(fmt.Sprintf("$%d\r\n", size)) + size + len("\r\n")
		for reads := 0; left > 0; reads++ {
			n, err := c.Read(piece[:min(left, len(piece))])
			if err != nil {
				t.Fatal(err, left)
			}
			if left -= n; reads%16 == 0 {
				most = max(most, resident(t, f.pid()))
			}
		}
		t.Logf("%s: %d KiB more at most", ep.ID, (most-before)>>10)
		if most-before > 16<<20 && !raceEnabled {
			t.Errorf("%s: memory grew by %d MiB", ep.ID, (most-before)>>20)
		}
	}
}

// A relay without descriptors neither spins nor loses those who wait.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.fabric("v1")
	socket, _ := r.engine("redis-server")
	ep := r.endpoint("node a", local.Backend{Node: "a", Socket: socket})
	apply(t, f, ep)
	r.heard()
	pid := f.pid()
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	tight := unix.Rlimit{Cur: uint64(descriptors(t, pid) + 6), Max: limit.Max}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &tight, nil); err != nil {
		t.Fatal(err)
	}
	var open []net.Conn
	for range 10 {
		c, err := net.Dial("tcp", ep.Listen[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	pingRaw(t, open[0])
	before := processorTime(t, pid)
	time.Sleep(500 * time.Millisecond) // the measurement itself
	if used := processorTime(t, pid) - before; used > 200*time.Millisecond {
		t.Errorf("used %v of processor time in half a second of waiting", used)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range open {
		pingRaw(t, c)
	}
}

// processorTime is what a process has used.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// One client that does not read, one that sends nonsense, and one that never
// finishes its request leave the others alone.
func TestBadClients(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.fabric("v1")
	socket, _ := r.engine("redis-server")
	ep := r.endpoint("node a", local.Backend{Node: "a", Socket: socket})
	ep.TLS = selfSigned(t)
	ep.TLS.Mode = "preferred"
	apply(t, f, ep)
	for _, garbage := range []string{"", "\x16\x03\x01garbage that is no handshake", strings.Repeat("\xff", 1<<20), "*1000000\r\n$5\r\n"} {
		c, err := net.Dial("tcp", ep.Listen[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = c.Write([]byte(garbage)) // may be reset within
	}
	good := client(t, ep)
	for range 100 {
		if err := good.Set(context.Background(), "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func selfSigned(t *testing.T) runtime.TLS {
	t.Helper()
	a, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return runtime.TLS{Mode: "required", ChainPEM: a.CertPEM, KeyPEM: a.KeyPEM}
}
