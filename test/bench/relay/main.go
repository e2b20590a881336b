// Command relay measures what the relay costs: requests through it against
// requests straight to the same engine, in pairs of rounds that take turns (the
// machine's own swings then hit both), the relay's processor time per request,
// connections per second, and memory per idle connection. It prints a table; the
// ratios are what to read.
//
//	go run ./test/bench/relay [-rounds 15] [-n 100000] [-idle 2000]
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/userspace"
)

// Where things listen.
var (
	direct  = core.Endpoint{Address: "127.0.0.1", Port: 17379}
	secured = core.Endpoint{Address: "127.0.0.1", Port: 17380}
	plain   = core.Endpoint{Address: "127.254.77.1", Port: 6379}
	tlsOnly = core.Endpoint{Address: "127.254.77.2", Port: 6379}
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "relay" {
		if err := relay.Main(context.Background(), relay.Options{Socket: os.Args[3]}); err != nil {
			log.Fatal(err)
		}
		return
	}
	rounds := flag.Int("rounds", 15, "paired rounds")
	requests := flag.Int("n", 100000, "requests of a round without pipelining; with -P 16 five times as many")
	idle := flag.Int("idle", 2000, "idle connections to weigh")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *rounds, *requests, *idle)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rounds, requests, idle int) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cert, key, err := makeCertificate(dir)
	if err != nil {
		return err
	}
	engine, err := startEngine(dir)
	if err != nil {
		return err
	}
	defer func() { _ = engine.Process.Kill(); _ = engine.Wait() }()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	f, err := userspace.New(ctx, userspace.Config{RunDir: dir, Exe: exe, Args: []string{"relay"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { _ = f.Shutdown(context.WithoutCancel(ctx)) }()
	backends := []local.Backend{{Node: "n", Socket: filepath.Join(dir, "s")}}
	failed, err := f.Apply(ctx, []local.Endpoint{
		{ID: "plain", Listen: []core.Endpoint{plain}, Backends: backends},
		{ID: "tls", Listen: []core.Endpoint{tlsOnly}, Backends: backends,
			TLS: runtime.TLS{Mode: "required", ChainPEM: cert, KeyPEM: core.NewSecret(key)}},
	})
	if err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("endpoints failed: %v", failed)
	}
	pid, err := relayPID(ctx, dir)
	if err != nil {
		return err
	}
	if err := throughput(ctx, pid, rounds, requests); err != nil {
		return err
	}
	if err := setUp(rounds); err != nil {
		return err
	}
	return weigh(pid, idle)
}

// perRequest is the relay's processor time in a round, in microseconds.
const perRequest = "us"

// throughput prints the paired ratios.
func throughput(ctx context.Context, pid, rounds, requests int) error {
	fmt.Println("| -P | bytes | test | direct k/s | relay k/s | ratio | tls direct k/s | tls relay k/s | tls relay/direct | tls relay/tls direct | relay us/request | tls relay us/request |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, pipeline := range []int{1, 16} {
		for _, size := range []int{64, 1024} {
			n := requests
			if pipeline > 1 {
				n *= 5
			}
			rates := map[string][]map[string]float64{}
			for range rounds {
				for _, path := range []struct {
					name string
					at   core.Endpoint
					tls  bool
				}{{"direct", direct, false}, {"relay", plain, false}, {"tls direct", secured, true}, {"tls relay", tlsOnly, true}} {
					before, err := processorTime(pid)
					if err != nil {
						return err
					}
					got, err := benchmark(ctx, path.at, path.tls, pipeline, size, n)
					if err != nil {
						return fmt.Errorf("%s: %w", path.name, err)
					}
					after, err := processorTime(pid)
					if err != nil {
						return err
					}
					got[perRequest] = float64((after - before).Microseconds()) / float64(2*n)
					rates[path.name] = append(rates[path.name], got)
				}
			}
			for _, test := range []string{"SET", "GET"} {
				fmt.Printf("| %d | %d | %s | %.0f | %.0f | **%.2f** | %.0f | %.0f | %.2f | %.2f | %.1f | %.1f |\n", pipeline, size, test,
					median(rates["direct"], test)/1000, median(rates["relay"], test)/1000, ratio(rates, "relay", "direct", test),
					median(rates["tls direct"], test)/1000, median(rates["tls relay"], test)/1000,
					ratio(rates, "tls relay", "direct", test), ratio(rates, "tls relay", "tls direct", test),
					median(rates["relay"], perRequest), median(rates["tls relay"], perRequest))
			}
		}
	}
	return nil
}

func ratio(rates map[string][]map[string]float64, of, to, test string) float64 {
	var all []float64
	for i := range rates[of] {
		all = append(all, rates[of][i][test]/rates[to][i][test])
	}
	return middle(all)
}

func median(rounds []map[string]float64, test string) float64 {
	var all []float64
	for _, r := range rounds {
		all = append(all, r[test])
	}
	return middle(all)
}

func middle(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// benchmark runs one round of redis-benchmark: requests per second by test.
func benchmark(ctx context.Context, at core.Endpoint, secure bool, pipeline, size, n int) (map[string]float64, error) {
	args := []string{"-h", at.Address, "-p", strconv.Itoa(at.Port), "-t", "set,get", "-c", "50", "-r", "10000", "--csv",
		"-P", strconv.Itoa(pipeline), "-d", strconv.Itoa(size), "-n", strconv.Itoa(n)}
	if secure {
		args = append(args, "--tls", "--insecure")
	}
	out, err := exec.CommandContext(ctx, "redis-benchmark", args...).Output()
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil {
		return nil, err
	}
	rates := map[string]float64{}
	for _, row := range rows[1:] {
		if rates[row[0]], err = strconv.ParseFloat(row[1], 64); err != nil {
			return nil, err
		}
	}
	return rates, nil
}

// setUp prints how many connections per second, each with one PING, can be made.
func setUp(rounds int) error {
	const connections = 2000
	rate := func(at core.Endpoint) (float64, error) {
		begin := time.Now()
		for range connections {
			c, err := net.Dial("tcp", at.String())
			if err == nil {
				err = pingOn(c)
				c.Close()
			}
			if err != nil {
				return 0, err
			}
		}
		return connections / time.Since(begin).Seconds(), nil
	}
	var d, r, ratios []float64
	for range rounds {
		straight, err := rate(direct)
		if err != nil {
			return err
		}
		relayed, err := rate(plain)
		if err != nil {
			return err
		}
		d, r, ratios = append(d, straight), append(r, relayed), append(ratios, relayed/straight)
	}
	fmt.Printf("\nconnect, PING, close (one at a time): direct %.0f/s, relay %.0f/s, ratio %.2f\n", middle(d), middle(r), middle(ratios))
	return nil
}

func pingOn(c net.Conn) error {
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, len("+PONG\r\n")))
	return err
}

// weigh prints the relay's memory per idle connection.
func weigh(pid, connections int) error {
	for _, kind := range []struct {
		name   string
		at     core.Endpoint
		secure bool
	}{{"plain", plain, false}, {"tls", tlsOnly, true}} {
		before, err := resident(pid)
		if err != nil {
			return err
		}
		var open []net.Conn
		for range connections {
			c, err := net.Dial("tcp", kind.at.String())
			if err != nil {
				return err
			}
			if kind.secure {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // our own, on loopback
			}
			if err := pingOn(c); err != nil {
				return err
			}
			open = append(open, c)
		}
		after, err := resident(pid)
		if err != nil {
			return err
		}
		fmt.Printf("%d idle %s connections: RSS %.1f MB -> %.1f MB, %.1f KiB each\n", connections, kind.name,
			float64(before)/1024, float64(after)/1024, float64(after-before)/float64(connections))
		for _, c := range open {
			c.Close()
		}
	}
	return nil
}

// resident is the memory of a process in KiB.
func resident(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, fmt.Errorf("no VmRSS of %d", pid)
}

// processorTime is what a process has used.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	const user, system, tick = 11, 12, 10 * time.Millisecond // fields after the name
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	u, uerr := strconv.Atoi(fields[user])
	s, serr := strconv.Atoi(fields[system])
	return time.Duration(u+s) * tick, errors.Join(uerr, serr)
}

func relayPID(ctx context.Context, dir string) (int, error) {
	all, err := filepath.Glob(filepath.Join(dir, "relay-*.sock"))
	if err != nil || len(all) != 1 {
		return 0, fmt.Errorf("relays: %v, %w", all, err)
	}
	c, err := relay.Dial(ctx, all[0])
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.PID(), nil
}

func startEngine(dir string) (*exec.Cmd, error) {
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(direct.Port), "--bind", direct.Address,
		"--tls-port", strconv.Itoa(secured.Port), "--tls-auth-clients", "no",
		"--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--tls-ca-cert-file", filepath.Join(dir, "cert.pem"),
		"--unixsocket", filepath.Join(dir, "s"), "--save", "", "--dir", dir, "--maxclients", "15000")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", filepath.Join(dir, "s")); err == nil {
			return cmd, c.Close()
		}
	}
	_ = cmd.Process.Kill()
	return nil, fmt.Errorf("engine does not start: %w", cmd.Wait())
}
