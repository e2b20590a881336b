package splice

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Every byte arrives, in order and on its own connection, while many clients of
// every kind send and receive at their own pace, some give up half-way, and the
// routes change all the time.
func TestStress(t *testing.T) {
	t.Parallel()
	server, client := certificate(t, "cache.test")
	r := newRig(t, Config{Loops: 2})
	plainFD, plain := r.listen()
	mixedFD, mixed := r.listen()
	backends := []Backend{r.engine(echo), r.engine(echo), r.engine(echo)}
	table := func(n int) []Listener {
		return []Listener{
			{ID: "plain", Sockets: []int{plainFD}, Backends: backends[:1+n%3]},
			{ID: "mixed", Sockets: []int{mixedFD}, Backends: backends[n%3:], Mode: Preferred, TLS: server},
		}
	}
	r.apply(table(0))
	stop := make(chan struct{})
	var changes, clients sync.WaitGroup
	changes.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				r.apply(table(n))
			}
		}
	})
	for i := range 30 {
		clients.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			address := []string{plain, mixed, mixed}[i%3]
			raw, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer raw.Close()
			var c net.Conn = raw
			if i%3 == 2 {
				c = tlsClient(raw, client)
			}
			if err := converse(c, rng, i%10 == 9); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	clients.Wait()
	close(stop)
	changes.Wait()
	until(t, "all connections end", func() bool { return r.s.Open() == 0 })
}

// converse sends pseudo-random bytes in pieces of any size and checks that they
// come back, also read in pieces of any size.
func converse(c net.Conn, rng *rand.Rand, giveUp bool) error {
	data := make([]byte, rng.IntN(1<<20))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	sizes := rand.New(rand.NewPCG(rng.Uint64(), 2))
	var sender sync.WaitGroup
	defer sender.Wait()
	defer c.Close()
	sender.Go(func() {
		for left := data; len(left) > 0; {
			n := min(1+sizes.IntN(100_000), len(left))
			if _, err := c.Write(left[:n]); err != nil {
				return
			}
			left = left[n:]
		}
	})
	limit := len(data)
	if giveUp {
		limit /= 2
	}
	piece := make([]byte, 100_000)
	for got := 0; got < limit; {
		n, err := io.ReadFull(c, piece[:min(1+rng.IntN(len(piece)), limit-got)])
		if err != nil {
			return err
		}
		if !bytes.Equal(piece[:n], data[got:got+n]) {
			return fmt.Errorf("wrong bytes after %d", got)
		}
		got += n
	}
	return nil
}
