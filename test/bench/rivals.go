package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What engines do by themselves, for comparison: Sentinel and the cluster bus, both
// with a second until a primary counts as down, which is short for either.
const downAfter = 1000 // ms

// peers are bare engines of one experiment.
type peers struct {
	dir  string
	cmds map[string]*exec.Cmd // by address
}

// start starts an engine with a configuration file, and waits for its PONG.
func (p *peers) start(ctx context.Context, args []string, config ...string) (addr string, err error) {
	at, err := freePort()
	if err != nil {
		return "", err
	}
	addr = at.String()
	dir := filepath.Join(p.dir, fmt.Sprint(at.Port))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %s\n%s\n", at.Port, dir, strings.Join(config, "\n"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "valkey-server", append([]string{file}, args...)...)
	if err := cmd.Start(); err != nil {
		return "", err
	}
	p.cmds[addr] = cmd
	return addr, until(ctx, wait, func() error { return ping("tcp", addr) })
}

func (p *peers) stop() {
	for _, cmd := range p.cmds {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// engineSettings keep everything in memory and let replicas sync at once.
var engineSettings = []string{`save ""`, "appendonly no", "repl-diskless-sync-delay 0"}

// withPeers gives fn bare engines to start.
func withPeers(fn func(*peers) error) error {
	return within(func(dir string) error {
		p := &peers{dir: dir, cmds: map[string]*exec.Cmd{}}
		defer p.stop()
		return fn(p)
	})
}

// ask sends one command on a connection of its own and gives what comes back within
// a moment.
func ask(addr, command string) string {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	if c.SetDeadline(time.Now().Add(time.Second)) != nil {
		return ""
	}
	if _, err := c.Write([]byte(command + "\r\n")); err != nil {
		return ""
	}
	answer := make([]byte, 1<<16)
	n, _ := c.Read(answer)
	return string(answer[:n])
}

// sentinelFailover kills the primary of three engines that three Sentinels watch.
func sentinelFailover(ctx context.Context, b *bench) ([]line, error) {
	gap := line{what: "beside it, Valkey Sentinel (down-after 1000 ms): primary killed to the next accepted write", unit: "ms", note: "reported"}
	lost := line{what: "the same: acknowledged writes lost in each", note: "reported"}
	for range b.rounds(5, 1) {
		err := withPeers(func(p *peers) error {
			primary, sentinel, err := p.sentinels(ctx)
			if err != nil {
				return err
			}
			w := &writer{addr: primary, find: func() string { return told(ask(sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME g")) }}
			took, missing, err := w.failOver(ctx, p.cmds[primary].Process.Kill)
			gap.larder, lost.larder = append(gap.larder, milliseconds(took)), append(lost.larder, float64(missing))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return []line{gap, lost}, nil
}

// sentinels starts a primary, two replicas and three Sentinels that know all of it.
func (p *peers) sentinels(ctx context.Context) (primary, sentinel string, err error) {
	if primary, err = p.start(ctx, nil, engineSettings...); err != nil {
		return "", "", err
	}
	host, port, _ := net.SplitHostPort(primary)
	for range 2 {
		if _, err := p.start(ctx, nil, append(engineSettings, "replicaof "+host+" "+port)...); err != nil {
			return "", "", err
		}
	}
	for range 3 {
		if sentinel, err = p.start(ctx, []string{"--sentinel"}, fmt.Sprintf("sentinel monitor g %s %s 2", host, port),
			fmt.Sprintf("sentinel down-after-milliseconds g %d", downAfter), "sentinel failover-timeout g 3000"); err != nil {
			return "", "", err
		}
	}
	// They find replicas and each other through the primary, every ten seconds.
	return primary, sentinel, until(ctx, wait, func() error {
		seen := ask(sentinel, "INFO sentinel")
		if !strings.Contains(seen, "slaves=2,sentinels=3") {
			return errors.New("the sentinels have not found each other")
		}
		return nil
	})
}

// told is the address in an answer of a Sentinel.
func told(answer string) string {
	if f := strings.Fields(answer); len(f) == 5 {
		return net.JoinHostPort(f[2], f[4])
	}
	return ""
}

// busFailover kills a primary of an engines' own cluster of three shards with a
// replica each.
func busFailover(ctx context.Context, b *bench) ([]line, error) {
	gap := line{what: "beside it, the engines' own cluster failover (node timeout 1000 ms): the same", unit: "ms", note: "reported"}
	lost := line{what: "the same: acknowledged writes lost in each", note: "reported"}
	for range b.rounds(5, 1) {
		err := withPeers(func(p *peers) error {
			owner, err := p.cluster(ctx)
			if err != nil {
				return err
			}
			w := &writer{addr: owner, find: func() string { return p.owner(owner) }}
			took, missing, err := w.failOver(ctx, p.cmds[owner].Process.Kill)
			gap.larder, lost.larder = append(gap.larder, milliseconds(took)), append(lost.larder, float64(missing))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return []line{gap, lost}, nil
}

// cluster starts six engines as a cluster and gives the one that has the writer's key.
func (p *peers) cluster(ctx context.Context) (owner string, err error) {
	args := []string{"--cluster", "create"}
	for range 6 {
		addr, err := p.start(ctx, nil, append(engineSettings, "cluster-enabled yes", fmt.Sprintf("cluster-node-timeout %d", downAfter))...)
		if err != nil {
			return "", err
		}
		args = append(args, addr)
	}
	args = append(args, "--cluster-replicas", "1", "--cluster-yes")
	if out, err := exec.CommandContext(ctx, "redis-cli", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("redis-cli: %w: %s", err, out)
	}
	return owner, until(ctx, wait, func() error {
		if owner = p.owner(""); owner == "" {
			return errors.New("no engine takes the key")
		}
		if !strings.Contains(ask(owner, "INFO replication"), "state=online") {
			return errors.New("its replica is not in sync")
		}
		return nil
	})
}

// owner is the engine, other than one, that takes a write of the writer's key.
func (p *peers) owner(other string) string {
	for addr := range p.cmds {
		if addr != other && strings.HasPrefix(ask(addr, "HSET writes 0 1"), ":") {
			return addr
		}
	}
	return ""
}
