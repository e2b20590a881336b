package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/larder-cache/larder/test/harness"
)

// TestHostileClients: what clients send that is too much, too slow or no protocol at
// all harms nobody else: neighbours, on connections held and new, of the API and of
// the same caches, do not notice.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	plain, secret := group(t, d, "plain", 2, nil), group(t, d, "secret", 2, secured)
	cached := cluster(t, d, "cached", "memcached", 1)
	api := strings.TrimPrefix(d.Endpoint, "http://")
	caches := []string{primaryAddr(plain), readerAddr(plain), primaryAddr(secret), harness.Addr(cached.CacheNodes[0].Endpoint)}
	before, err := d.Nodes(ctx)
	must(t, err)
	h := hold(t)
	h.redis(ctx, "plain", client(t, primaryAddr(plain), "", nil))
	h.redis(ctx, "secret", client(t, primaryAddr(secret), token, trust(t, d)))
	h.memcached(t, "cached", harness.Addr(cached.CacheNodes[0].Endpoint))

	fine := func() {
		t.Helper()
		limit, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if g, err := d.Group(limit, "plain"); err != nil || aws.ToString(g.Status) != "available" {
			t.Errorf("the API: %s, %v", aws.ToString(g.Status), err)
		}
		must(t, ping(limit, primaryAddr(plain), "", nil))
		must(t, ping(limit, primaryAddr(secret), token, trust(t, d)))
		must(t, says(harness.Addr(cached.CacheNodes[0].Endpoint), "mn", "MN"))
	}
	// These stay connected, and silent, to the end.
	for name, addr := range map[string]string{"api": api, "plain": caches[0], "secret": caches[2], "cached": caches[3]} {
		for range 50 {
			loiter(t, name, addr, "G")
		}
	}
	loiter(t, "half a request", api, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nAction=")
	loiter(t, "half a handshake", caches[2], "\x16\x03\x01\x02\x00\x01\x00")
	// An engine without a token reserves what a client announces, up to 512 MB; one with
	// a token does not before the client has shown it.
	loiter(t, "half a command", caches[0], "*2\r\n$3\r\nGET\r\n$1000000\r\n")
	for range 20 {
		loiter(t, "half a large command", caches[2], "*2\r\n$3\r\nGET\r\n$500000000\r\n", &tls.Config{InsecureSkipVerify: true})
	}
	fine()

	for name, garbage := range garbage() {
		for _, addr := range append([]string{api}, caches...) {
			throw(addr, garbage, false)
		}
		throw(caches[2], garbage, true)
		t.Log(name)
		fine()
	}
	if status := oversized(t, d); status < 400 || status >= 500 {
		t.Errorf("a request that is too large gets %d", status)
	}
	fine()

	must(t, h.end())
	after, err := d.Nodes(ctx)
	must(t, err)
	for id, n := range before {
		if after[id].PID != n.PID {
			t.Errorf("node %s was restarted", id)
		}
	}
}

// loiter connects, says something and stays.
func loiter(t testing.TB, name, addr, text string, secure ...*tls.Config) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for _, config := range secure {
		conn = tls.Client(conn, config)
	}
	_, err = conn.Write([]byte(text))
	must(t, err)
}

// garbage is what no protocol is.
func garbage() map[string][]byte {
	random := make([]byte, 1<<20)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(source.Uint32())
	}
	return map[string][]byte{
		"random bytes":             random,
		"zeros":                    make([]byte, 1<<20),
		"one endless line":         bytes.Repeat([]byte("x"), 4<<20),
		"a bulk of 600 MB":         []byte("*1\r\n$600000000\r\n" + strings.Repeat("y", 1<<16)),
		"a negative length":        []byte("*-5\r\n$-9999999999\r\n*3\r\n$abc\r\n"),
		"a million arguments":      []byte("*1000000\r\n" + strings.Repeat("$1\r\na\r\n", 10000)),
		"endless headers":          []byte("GET / HTTP/1.1\r\n" + strings.Repeat("X-Header: "+strings.Repeat("z", 1000)+"\r\n", 3000)),
		"a smuggled request":       []byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
		"a set of 2 GB":            []byte("set k 0 0 2147483647\r\n" + strings.Repeat("v", 1<<16)),
		"a handshake of no length": []byte("\x16\x03\x01\x00\x00\x16\x03\x01\xff\xff" + strings.Repeat("\x00", 70000)),
	}
}

// throw sends everything that is taken within a short time, and reads what comes.
func throw(addr string, what []byte, secure bool) {
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			conn, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(50 * time.Millisecond))
			if secure {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			_, _ = conn.Write(what)
		})
	}
	wg.Wait()
}

// oversized sends a request of 64 MB and gives the status of the answer.
func oversized(t testing.TB, d *harness.Deployment) int {
	t.Helper()
	body := io.MultiReader(strings.NewReader("Action=DescribeEvents&X="), bytes.NewReader(make([]byte, 64<<20)))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.Endpoint+"/", body)
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return http.StatusRequestEntityTooLarge // it hung up on us, which is as good
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(res.Body)
	if len(answer) == 0 {
		t.Error(fmt.Errorf("an empty answer with status %d", res.StatusCode))
	}
	return res.StatusCode
}
