package splice

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestEchoes(t *testing.T) {
	t.Parallel()
	server, client := certificate(t, "cache.test")
	big := make([]byte, 5<<20)
	_, _ = rand.Read(big)
	for _, tc := range []struct {
		name string
		mode Mode
		tls  bool
		data []byte
	}{
		{"plain", Plain, false, []byte("hello")},
		{"plain, more than any buffer", Plain, false, big},
		{"preferred, plaintext", Preferred, false, big},
		{"preferred, tls", Preferred, true, big},
		{"required", Required, true, []byte("hello")},
		{"required, more than any buffer", Required, true, big},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{Loops: 2})
			fd, addr := r.listen()
			r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{r.engine(echo)}, Mode: tc.mode, TLS: server}})
			raw := r.dial(addr)
			var c net.Conn = raw
			half := raw.CloseWrite
			if tc.tls {
				tc := tlsClient(raw, client)
				c, half = tc, tc.CloseWrite
			}
			sent := make(chan error, 1)
			go func() {
				_, err := c.Write(tc.data)
				if err == nil {
					err = half()
				}
				sent <- err
			}()
			got, err := io.ReadAll(c)
			if err != nil {
				t.Error("read:", err)
			}
			if err := <-sent; err != nil {
				t.Error("write:", err)
			}
			if !bytes.Equal(got, tc.data) {
				t.Errorf("%d bytes came back, not the %d sent", len(got), len(tc.data))
			}
			until(t, "all connections end", func() bool { return r.s.Open() == 0 })
			st := r.s.Stats()["a"]
			want := Stats{Accepted: 1, BytesIn: int64(len(tc.data)), BytesOut: int64(len(tc.data))}
			if st != want {
				t.Errorf("stats %+v, want %+v", st, want)
			}
		})
	}
}

// A client that has sent its last byte still gets the whole answer.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd, addr := r.listen()
	engine := r.engine(func(c net.Conn) {
		got, _ := io.ReadAll(c) // only the end of the input lets it answer
		_, _ = c.Write(append(got, " answered"...))
	})
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}}})
	c := r.dial(addr)
	if _, err := c.Write([]byte("request")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if string(got) != "request answered" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// What an engine says before it closes reaches a client that is still sending.
func TestLastWordsOfEngine(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd, addr := r.listen()
	engine := r.engine(func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 3))
		_, _ = c.Write([]byte("-ERR no more\r\n"))
	})
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}}})
	for range 50 {
		c := r.dial(addr)
		_, _ = c.Write([]byte("abcdefgh"))
		got, err := io.ReadAll(c)
		if string(got) != "-ERR no more\r\n" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestEngineGone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		backends func(r *rig) []Backend
	}{
		{"no backend", func(*rig) []Backend { return nil }},
		{"no such socket", func(*rig) []Backend { return []Backend{{Node: "n", Socket: "/nonexistent"}} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{})
			fd, addr := r.listen()
			r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: tc.backends(r)}})
			mustBeRefused(t, addr)
			if st := r.s.Stats()["a"]; st.Refused != 1 || st.Open != 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// A backend that cannot be dialled is skipped for one that can.
func TestSkipsDeadBackend(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd, addr := r.listen()
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{{Node: "dead", Socket: "/nonexistent"}, r.engine(named('x'))}}})
	for range 5 {
		if got := ask(t, r.dial(addr)); got != 'x' {
			t.Errorf("answered by %c", got)
		}
	}
}

func TestSpreads(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd, addr := r.listen()
	backends := []Backend{r.engine(named('a')), r.engine(named('b')), r.engine(named('c'))}
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: backends}})
	count := map[byte]int{}
	for range 12 {
		count[ask(t, r.dial(addr))]++
	}
	if count['a'] != 4 || count['b'] != 4 || count['c'] != 4 {
		t.Errorf("12 connections spread as %v", count)
	}
}

// An engine that does not accept for a while keeps its clients waiting.
func TestFullBacklog(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd, addr := r.listen()
	path := t.TempDir() + "/s"
	efd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(syscall.Bind(efd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(efd, 0)); err != nil {
		t.Fatal(err)
	}
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{{Node: "n", Socket: path}}}})
	var clients []net.Conn
	for range 4 {
		c := r.dial(addr)
		if _, err := c.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	until(t, "all are accepted", func() bool { return r.s.Stats()["a"].Accepted == 4 })
	f := os.NewFile(uintptr(efd), path)
	ln, err := net.FileListener(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	for range clients {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		wg.Go(func() { named('x')(c) })
	}
	for _, c := range clients {
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Error(err)
		}
	}
}

func TestCutRemoved(t *testing.T) {
	t.Parallel()
	for _, cut := range []bool{true, false} {
		r := newRig(t, Config{Loops: 2})
		fd, addr := r.listen()
		old, next := r.engine(named('o')), r.engine(named('n'))
		ls := Listener{ID: "a", Sockets: []int{fd}, Backends: []Backend{old}, CutRemoved: cut}
		r.apply([]Listener{ls})
		idle := r.dial(addr)
		ask(t, idle)
		ls.Backends = []Backend{next}
		r.apply([]Listener{ls})
		if cut {
			mustBeReset(t, idle)
		} else if got := ask(t, idle); got != 'o' {
			t.Errorf("kept connection answered by %c", got)
		}
		if got := ask(t, r.dial(addr)); got != 'n' {
			t.Errorf("new connection answered by %c", got)
		}
		r.apply(nil)
		until(t, "connections of a listener that is gone are as CutRemoved says", func() bool {
			return (r.s.Open() == 0) == cut
		})
	}
}

func TestMaxConns(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd1, addr1 := r.listen()
	fd2, addr2 := r.listen()
	engine := r.engine(named('x'))
	r.apply([]Listener{
		{ID: "node", Sockets: []int{fd1}, Backends: []Backend{engine}, MaxConns: 3},
		{ID: "primary", Sockets: []int{fd2}, Backends: []Backend{engine}, MaxConns: 3},
	})
	first := r.dial(addr1)
	ask(t, first)
	ask(t, r.dial(addr2))
	ask(t, r.dial(addr1))
	mustBeRefused(t, addr1)
	mustBeRefused(t, addr2)
	first.Close()
	until(t, "the closed one makes room", func() bool { return r.s.Open() == 2 })
	ask(t, r.dial(addr2))
}

// Clients that say nothing where TLS is possible are counted, too.
func TestSilentClientsAreBounded(t *testing.T) {
	t.Parallel()
	server, _ := certificate(t, "cache.test")
	r := newRig(t, Config{Loops: 1})
	fd, addr := r.listen()
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{r.engine(named('x'))}, Mode: Preferred, TLS: server, MaxConns: 2}})
	r.dial(addr)
	r.dial(addr)
	until(t, "both are accepted", func() bool { return r.s.Open() == 2 })
	mustBeRefused(t, addr)
}

func TestProcessLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{MaxConns: 2})
	fd, addr := r.listen()
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{r.engine(named('x'))}}})
	ask(t, r.dial(addr))
	ask(t, r.dial(addr))
	mustBeRefused(t, addr)
}

// A reset by the client ends the engine's connection, and a dying engine ends
// its clients.
func TestEndsTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd, addr := r.listen()
	ended := make(chan struct{}, 1)
	engine := r.engine(func(c net.Conn) { named('x')(c); ended <- struct{}{} })
	dying := make(chan net.Conn, 1)
	other := r.engine(func(c net.Conn) { dying <- c; named('y')(c) })
	ls := Listener{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}}
	r.apply([]Listener{ls})
	c := r.dial(addr)
	ask(t, c)
	_ = c.SetLinger(0)
	c.Close()
	<-ended
	ls.Backends = []Backend{other}
	r.apply([]Listener{ls})
	c = r.dial(addr)
	ask(t, c)
	(<-dying).Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("client of a dead engine still reads")
	}
}

// A client that never reads what a closed engine has left for it is let go; one that
// reads slowly gets all of it.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	r := newRig(t, Config{Loops: 1, HandshakeTimeout: 100 * time.Millisecond})
	fd, addr := r.listen()
	engine := r.engine(func(c net.Conn) {
		// Shorter than the time that a client may do nothing.
		_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = c.Write(make([]byte, size))
	})
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}}})
	r.dial(addr)
	until(t, "the client is accepted", func() bool { return r.s.Open() == 1 })
	until(t, "the client that does not read is let go", func() bool { return r.s.Open() == 0 })

	before := r.s.Stats()["a"].BytesOut
	slow := r.dial(addr)
	var got int64
	for piece := make([]byte, 512<<10); ; time.Sleep(20 * time.Millisecond) { // it is slow
		n, err := io.ReadFull(slow, piece)
		got += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", got, err)
		}
	}
	until(t, "the engine is done", func() bool { return r.s.Open() == 0 })
	if out := r.s.Stats()["a"].BytesOut - before; got != out || got == 0 {
		t.Errorf("%d bytes read of %d", got, out)
	}
}

// A client that does not read stops the engine's flow, not others' and not
// without bound.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	r := newRig(t, Config{Loops: 1})
	fd, addr := r.listen()
	var mu sync.Mutex
	var sent int
	engine := r.engine(func(c net.Conn) {
		piece := make([]byte, 64<<10)
		for range size / len(piece) {
			n, err := c.Write(piece)
			mu.Lock()
			sent += n
			mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	fd2, addr2 := r.listen()
	r.apply([]Listener{
		{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}},
		{ID: "b", Sockets: []int{fd2}, Backends: []Backend{r.engine(named('x'))}},
	})
	slow := r.dial(addr)
	var last int
	until(t, "the flow stops", func() bool {
		time.Sleep(20 * time.Millisecond) // a flow stands still if nothing comes for a while
		mu.Lock()
		defer mu.Unlock()
		stopped := sent > 0 && sent == last
		last = sent
		return stopped
	})
	if last >= size/2 {
		t.Errorf("%d bytes were taken from the engine for a client that reads nothing", last)
	}
	ask(t, r.dial(addr2))
	n, err := io.Copy(io.Discard, slow)
	if n != size || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// An engine that stalls with unread input does not lose it, either.
func TestBackPressureUp(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	r := newRig(t, Config{Loops: 1})
	fd, addr := r.listen()
	go1 := make(chan struct{})
	got := make(chan int64, 1)
	engine := r.engine(func(c net.Conn) {
		<-go1
		n, _ := io.Copy(io.Discard, c)
		got <- n
	})
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}}})
	c := r.dial(addr)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		_ = c.CloseWrite()
		sent <- err
	}()
	until(t, "bytes arrive", func() bool { return r.s.Stats()["a"].BytesIn > 0 })
	close(go1)
	if n := <-got; n != size {
		t.Errorf("engine got %d bytes of %d", n, size)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func mustBeReset(t *testing.T, c net.Conn) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %d bytes, %v; want a reset", n, err)
	}
}

// mustBeRefused connects and is reset, which may come as early as from connect.
func mustBeRefused(t *testing.T, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Error("dial:", err)
		}
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	mustBeReset(t, c)
}
