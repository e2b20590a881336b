package compat

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// goRedisClient is what python/cluster.py is, with go-redis.
func goRedisClient() {
	options := &redis.ClusterOptions{Addrs: []string{net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT"))}, PoolSize: 1}
	if options.Password = os.Getenv("TOKEN"); options.Password != "" {
		pem, err := os.ReadFile(os.Getenv("LARDER_CA_FILE"))
		if err != nil {
			panic(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		options.TLSConfig = &tls.Config{RootCAs: pool}
	}
	w := &goRedisWriter{client: redis.NewClusterClient(options), acknowledged: map[string]int{}, say: json.NewEncoder(os.Stdout)}
	phases := make(chan []string, 10)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			w.waiting.Add(1)
			phases <- strings.Fields(in.Text())
		}
		close(phases)
	}()
	for phase := range phases {
		w.waiting.Add(-1)
		if phase[0] == "end" {
			w.end()
			return
		}
		w.run(phase[0], phase[1] == "durable")
	}
}

type goRedisWriter struct {
	client       *redis.ClusterClient
	i            int
	acknowledged map[string]int
	waiting      atomic.Int32 // phases that have not begun
	say          *json.Encoder
}

// run is one phase, up to the line that begins the next.
func (w *goRedisWriter) run(name string, durable bool) {
	sum := map[string]any{"phase": name}
	var errs []error
	var slowest time.Duration
	operations := 0
	for w.waiting.Load() == 0 {
		w.i++
		key, began := fmt.Sprint("go-redis-", w.i%1000), time.Now()
		for {
			err := w.write(key)
			if err == nil && (!durable || w.replicated(key)) {
				break
			}
			if err != nil {
				errs = append(errs, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		w.acknowledged[key] = w.i
		slowest = max(slowest, time.Since(began))
		if operations++; operations == 50 {
			_ = w.say.Encode(map[string]string{"begun": name})
		}
		time.Sleep(5 * time.Millisecond)
	}
	if len(errs) > 0 {
		sum["first"] = errs[0].Error()
	}
	sum["operations"], sum["errors"], sum["slowest_ms"] = operations, len(errs), slowest.Milliseconds()
	_ = w.say.Encode(sum)
}

func (w *goRedisWriter) write(key string) error {
	ctx := context.Background()
	if err := w.client.Set(ctx, key, w.i, 0).Err(); err != nil {
		return err
	}
	got, err := w.client.Get(ctx, key).Int()
	if err == nil && got != w.i {
		err = fmt.Errorf("%s is %d, not what was written", key, got)
	}
	return err
}

// replicated asks on the one connection to the node, which is what WAIT is about.
func (w *goRedisWriter) replicated(key string) bool {
	primary, err := w.client.MasterForKey(context.Background(), key)
	return err == nil && primary.Wait(context.Background(), 1, time.Second).Val() >= 1
}

func (w *goRedisWriter) end() {
	lost := 0
	for key, i := range w.acknowledged {
		if got, err := w.client.Get(context.Background(), key).Int(); err != nil || got < i {
			lost++
		}
	}
	_ = w.say.Encode(map[string]any{"phase": "end", "operations": len(w.acknowledged), "lost": lost})
}
