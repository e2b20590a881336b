package main

import (
	"context"
	"crypto/tls"
	"encoding/csv"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/test/harness"
)

// paths are the ways to an engine that are compared.
type paths struct {
	plain, secure         string // through the relay
	barePlain, bareSecure string
	relay                 int // pid
}

// withPaths makes a group with and one without TLS beside a bare engine.
func withPaths(ctx context.Context, fn func(paths) error) error {
	return within(func(dir string) error {
		bare, err := startServing(ctx, dir)
		if err != nil {
			return err
		}
		defer bare.stop()
		return deployed(ctx, func(d *harness.Deployment) error {
			p := paths{barePlain: bare.plain.String(), bareSecure: bare.secure.String()}
			api := d.ElastiCache()
			for id, addr := range map[string]*string{"plain": &p.plain, "secure": &p.secure} {
				in := groupOf(id, 1, id == "secure")
				in.AuthToken = nil
				g, err := createReady(ctx, api, in)
				if err != nil {
					return err
				}
				*addr = harness.Addr(g.NodeGroups[0].NodeGroupMembers[0].ReadEndpoint)
			}
			if p.relay, err = relayOf(d); err != nil {
				return err
			}
			return fn(p)
		})
	})
}

// load is one run of redis-benchmark.
type load struct {
	tests                    string
	pipeline, size, requests int
	reconnect                bool // for each request
}

// run gives the requests per second by test.
func (l load) run(ctx context.Context, addr string, secure bool) (map[string]float64, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	args := []string{"-h", host, "-p", port, "-t", l.tests, "-c", "50", "-r", "10000", "--csv",
		"-P", strconv.Itoa(l.pipeline), "-d", strconv.Itoa(l.size), "-n", strconv.Itoa(l.requests)}
	if l.reconnect {
		args = append(args, "-k", "0")
	}
	if secure {
		args = append(args, "--tls", "--insecure")
	}
	out, err := exec.CommandContext(ctx, "redis-benchmark", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("redis-benchmark at %s: %w", addr, err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(rows) < 2 {
		return nil, fmt.Errorf("redis-benchmark at %s says %q: %w", addr, out, err)
	}
	rates := map[string]float64{}
	for _, row := range rows[1:] {
		rate, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return nil, err
		}
		rates[row[0]] = rate / 1000
	}
	return rates, nil
}

// pair runs a load against the bare engine and through the relay, adds the rates
// of each test to its line, and gives the relay's processor time in µs per request.
func (p paths) pair(ctx context.Context, l load, secure bool, lines map[string]*line) (float64, error) {
	bareAddr, addr := p.barePlain, p.plain
	if secure {
		bareAddr, addr = p.bareSecure, p.secure
	}
	bare, err := l.run(ctx, bareAddr, secure)
	if err != nil {
		return 0, err
	}
	before, err := processorTime(p.relay)
	if err != nil {
		return 0, err
	}
	relayed, err := l.run(ctx, addr, secure)
	if err != nil {
		return 0, err
	}
	after, err := processorTime(p.relay)
	if err != nil {
		return 0, err
	}
	for test, line := range lines {
		line.bare, line.larder = append(line.bare, bare[test]), append(line.larder, relayed[test])
	}
	return float64((after - before).Microseconds()) / float64(len(lines)*l.requests), nil
}

// relayThroughput measures requests through the relay beside those to a bare
// engine, each with 50 clients.
func relayThroughput(ctx context.Context, b *bench) ([]line, error) {
	var loads []load
	for _, pipeline := range []int{1, 16} {
		for _, size := range []int{64, 1024} {
			requests := b.size(40_000, 10_000)
			if pipeline > 1 {
				requests *= 6
			}
			loads = append(loads, load{tests: "set,get", pipeline: pipeline, size: size, requests: requests})
		}
	}
	var lines []*line
	type cell struct {
		load   load
		secure bool
		tests  map[string]*line
		cpu    *line
	}
	var cells []cell
	for _, secure := range []bool{false, true} {
		for _, l := range loads {
			name, bars, note := "plain", []bar{ratioAtLeast(0.5)}, ""
			if secure {
				name, bars, note = "TLS", nil, "reported"
			}
			name = fmt.Sprintf("relay, %s, %d B, -P %d", name, l.size, l.pipeline)
			c := cell{load: l, secure: secure, tests: map[string]*line{}}
			for _, test := range []string{"SET", "GET"} {
				c.tests[test] = &line{what: name + ", " + test, unit: "k/s", bars: bars, note: note}
				lines = append(lines, c.tests[test])
			}
			c.cpu = &line{what: name + ": CPU of the relay", unit: "µs/request"}
			lines = append(lines, c.cpu)
			cells = append(cells, c)
		}
	}
	err := withPaths(ctx, func(p paths) error {
		for range b.rounds(5, 1) {
			for _, c := range cells {
				cpu, err := p.pair(ctx, c.load, c.secure, c.tests)
				if err != nil {
					return err
				}
				c.cpu.larder = append(c.cpu.larder, cpu)
			}
		}
		return nil
	})
	return values(lines), err
}

func values(pointers []*line) []line {
	var all []line
	for _, l := range pointers {
		all = append(all, *l)
	}
	return all
}

// relayConnect measures connections, each with one request.
func relayConnect(ctx context.Context, b *bench) ([]line, error) {
	l := load{tests: "get", pipeline: 1, size: 64, requests: b.size(8000, 2000), reconnect: true}
	few := l
	few.requests = b.size(1500, 500)
	plain := &line{what: "relay, plain, a connection for each GET", unit: "k/s", note: "reported"}
	secure := &line{what: "relay, TLS, a connection for each GET", unit: "k/s", note: "reported; the client's own handshakes are the limit"}
	err := withPaths(ctx, func(p paths) error {
		for range b.rounds(9, 2) {
			if _, err := p.pair(ctx, l, false, map[string]*line{"GET": plain}); err != nil {
				return err
			}
			if _, err := p.pair(ctx, few, true, map[string]*line{"GET": secure}); err != nil {
				return err
			}
		}
		return nil
	})
	return []line{*plain, *secure}, err
}

// relayMemory weighs the relay with idle connections.
func relayMemory(ctx context.Context, b *bench) ([]line, error) {
	const connections = 2000
	plain := &line{what: "relay, memory of an idle plain connection, 2,000 of them", unit: "KiB", bars: []bar{medianAtMost(40)}}
	secure := &line{what: "relay, memory of an idle TLS connection, 2,000 of them", unit: "KiB", bars: []bar{medianAtMost(40)}}
	for range b.rounds(3, 1) {
		for _, l := range []*line{plain, secure} {
			err := withPaths(ctx, func(p paths) error {
				addr := p.plain
				if l == secure {
					addr = p.secure
				}
				kb, err := perConnection(ctx, p.relay, addr, l == secure, connections)
				l.larder = append(l.larder, kb)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return []line{*plain, *secure}, nil
}

// perConnection opens connections, has each answered once, and gives the memory
// in KiB by which a process grew for each.
func perConnection(ctx context.Context, pid int, addr string, secure bool, connections int) (float64, error) {
	before, err := residentMB(pid)
	if err != nil {
		return 0, err
	}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	dialer := net.Dialer{Timeout: 5 * time.Second}
	for range connections {
		c, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return 0, err
		}
		if secure {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // our own, on loopback
		}
		open = append(open, c)
		if err := pingOn(c); err != nil {
			return 0, err
		}
	}
	after, err := residentMB(pid)
	return (after - before) * 1024 / float64(connections), err
}
