package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/larder-cache/larder/test/harness"
)

// hundred is how many nodes the bars of an occupied server speak of.
const hundred = 100

// serveEmpty measures how soon a server without state is ready, and what it
// weighs.
func serveEmpty(ctx context.Context, b *bench) ([]line, error) {
	ready := line{what: "`serve` with empty state: exec to /readyz", unit: "ms", bars: []bar{medianAtMost(300)}}
	weight := line{what: "memory of `serve` with empty state", unit: "MB", bars: []bar{medianAtMost(80)}}
	if _, err := harness.Binary(ctx); err != nil {
		return nil, err
	}
	for range b.rounds(15, 3) {
		err := within(func(dir string) (err error) {
			dir = filepath.Join(dir, "d")
			var d *harness.Deployment
			took, err := timeReady(ctx, filepath.Join(dir, "data"), func() (err error) {
				d, err = harness.Launch(ctx, harness.Options{Dir: dir})
				return err
			})
			if d == nil {
				return err
			}
			// A relay that is being started would outlive the server by a moment.
			relayErr := until(ctx, wait, func() error {
				if !strings.Contains(d.Output(), "relay started") {
					return errors.New("no relay is started")
				}
				return nil
			})
			mb, weighErr := residentMB(d.Pid())
			ready.larder, weight.larder = append(ready.larder, milliseconds(took)), append(weight.larder, mb)
			return errors.Join(err, relayErr, weighErr, d.Close())
		})
		if err != nil {
			return nil, err
		}
	}
	return []line{ready, weight}, nil
}

// timeReady measures from a start to the moment when the server says that it is
// ready.
func timeReady(ctx context.Context, dataDir string, start func() error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	type answer struct {
		at  time.Time
		err error
	}
	ready := make(chan answer, 1)
	began := time.Now()
	go func() {
		err := until(ctx, wait, func() error {
			url, err := publishedIn(dataDir)
			if err != nil {
				return err
			}
			return isReady(ctx, url)
		})
		ready <- answer{time.Now(), err}
	}()
	if err := start(); err != nil {
		cancel()
		<-ready
		return 0, err
	}
	a := <-ready
	return a.at.Sub(began), a.err
}

// publishedIn is where the server of a data directory says that it is.
func publishedIn(dataDir string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dataDir, "client.json"))
	if err != nil {
		return "", err
	}
	var c struct {
		Endpoint string `json:"endpoint"`
	}
	err = json.Unmarshal(raw, &c)
	return c.Endpoint, err
}

func isReady(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// serveHundred measures a server with a hundred nodes: what they weigh, what it
// costs to have them idle, and how soon another server has taken them over.
func serveHundred(ctx context.Context, b *bench) ([]line, error) {
	adopt := line{what: "`serve` that adopts 100 running nodes: exec to /readyz", unit: "ms", bars: []bar{medianAtMost(2000)}}
	adopted := line{what: "the same: exec to all nodes reported running", unit: "ms", bars: []bar{medianAtMost(2000)}}
	var lines []line
	err := deployed(ctx, func(d *harness.Deployment) error {
		empty, err := residentMB(d.Pid())
		if err != nil {
			return err
		}
		if err := createHundred(ctx, d); err != nil {
			return err
		}
		if lines, err = idle(ctx, b, d, empty); err != nil {
			return err
		}
		for range b.rounds(7, 2) {
			d.Stop()
			began := time.Now()
			took, err := timeReady(ctx, d.DataDir, func() error { return d.Start(ctx) })
			if err != nil {
				return err
			}
			if err := until(ctx, wait, func() error { return allRun(ctx, d) }); err != nil {
				return err
			}
			adopt.larder = append(adopt.larder, milliseconds(took))
			adopted.larder = append(adopted.larder, milliseconds(time.Since(began)))
		}
		return nil
	})
	return append([]line{adopt, adopted}, lines...), err
}

func createHundred(ctx context.Context, d *harness.Deployment) error {
	api := d.ElastiCache()
	for n := range hundred {
		if err := createCluster(ctx, api, fmt.Sprintf("c%d", n)); err != nil {
			return err
		}
	}
	for n := range hundred {
		if _, err := awaitCluster(ctx, api, fmt.Sprintf("c%d", n)); err != nil {
			return err
		}
	}
	return nil
}

func allRun(ctx context.Context, d *harness.Deployment) error {
	nodes, err := d.Nodes(ctx)
	if err != nil {
		return err
	}
	running := 0
	for _, n := range nodes {
		if n.Phase == "running" && n.PID != 0 {
			running++
		}
	}
	if running != hundred {
		return fmt.Errorf("%d of %d nodes run", running, hundred)
	}
	return nil
}

// idle weighs the processes of a deployment with a hundred idle nodes, and
// measures what they use while nothing happens.
func idle(ctx context.Context, b *bench, d *harness.Deployment, empty float64) ([]line, error) {
	relay, err := relayOf(d)
	if err != nil {
		return nil, err
	}
	nodes, err := d.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	period := time.Duration(b.size(10, 3)) * time.Second
	select {
	case <-time.After(period / 2): // what was just made settles
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	processes := []struct {
		what string
		pid  int
		cpu  []bar
	}{
		{"`serve`", d.Pid(), []bar{medianAtMost(2)}},
		{"the relay", relay, nil},
		{"one engine", nodes["c0/0001"].PID, nil},
	}
	before := make([]time.Duration, len(processes))
	for i, p := range processes {
		if before[i], err = processorTime(p.pid); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	select {
	case <-time.After(period):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var lines []line
	for i, p := range processes {
		mb, err := residentMB(p.pid)
		if err != nil {
			return nil, err
		}
		after, err := processorTime(p.pid)
		if err != nil {
			return nil, err
		}
		share := 100 * float64(after-before[i]) / float64(time.Since(began))
		if i == 0 {
			lines = append(lines, line{what: "memory of `serve` for each of 100 nodes", unit: "MB", larder: series{(mb - empty) / hundred}, bars: []bar{medianAtMost(0.3)}})
		}
		lines = append(lines,
			line{what: "memory of " + p.what + ", 100 nodes", unit: "MB", larder: series{mb}},
			line{what: "idle CPU of " + p.what + ", 100 nodes", unit: "% of a core", larder: series{share}, bars: p.cpu})
	}
	return lines, nil
}
