package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel/links"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel/rules"
)

// kernelNetwork measures what the network of the kernel fabric costs: an address
// with its rules for a node, a namespace with an interface and its rules for an
// instance. The host is a namespace of its own here.
func kernelNetwork(ctx context.Context, b *bench) ([]line, error) {
	many := b.size(100, 20)
	one := line{what: "kernel fabric: address and rules of a node", unit: "ms", bars: []bar{medianAtMost(10)}}
	all := line{what: fmt.Sprintf("kernel fabric: addresses and rules of %d nodes, one by one", many), unit: "ms", bars: []bar{medianAtMost(1000)}}
	instance := line{what: "kernel fabric: namespace, interface and rules of an instance", unit: "ms", bars: []bar{medianAtMost(10)}}
	lines := []*line{&one, &all, &instance}
	if os.Geteuid() != 0 {
		return unprivileged(lines), nil
	}
	for range b.rounds(5, 1) {
		err := onKernel(true, func(k *kernelSide) error {
			began := time.Now()
			for i := range many {
				took, err := k.add(ctx, func() { k.addNode(i) })
				if err != nil {
					return err
				}
				one.larder = append(one.larder, milliseconds(took))
			}
			all.larder = append(all.larder, milliseconds(time.Since(began)))
			for i := range many {
				took, err := k.add(ctx, func() { k.addInstance(i) })
				if err != nil {
					return err
				}
				instance.larder = append(instance.larder, milliseconds(took))
			}
			return nil
		})
		if err != nil {
			return values(lines), err
		}
	}
	return values(lines), nil
}

// unprivileged are lines that cannot be measured.
func unprivileged(lines []*line) []line {
	for _, l := range lines {
		l.bars, l.note = nil, "needs root"
	}
	return values(lines)
}

// Where clients of the throughput measurements connect.
const (
	nodeAt    = "172.31.16.10:6379"
	primaryAt = "172.31.16.250:6379"
)

// kernelThroughput measures requests from an instance to a node, and to an endpoint
// that leads there, with the rules in force and few or many members in the group,
// beside the same in namespaces without any rules, each with 50 clients.
func kernelThroughput(ctx context.Context, b *bench) ([]line, error) {
	requests := b.size(30_000, 5_000)
	all := func(size, pipeline int) load {
		n := requests
		if pipeline > 1 {
			n *= 6
		}
		return load{tests: "set,get", pipeline: pipeline, size: size, requests: n}
	}
	reconnecting := all(64, 1)
	reconnecting.requests, reconnecting.reconnect = requests/5, true
	var cells []cell
	for _, size := range []int{64, 1024} {
		for _, pipeline := range []int{1, 16} {
			cells = append(cells, cell{load: all(size, pipeline), to: nodeAt})
		}
	}
	cells = append(cells, cell{load: all(64, 1), to: primaryAt}, cell{load: all(64, 16), to: primaryAt},
		cell{load: all(64, 1), to: nodeAt, members: 1_000}, cell{load: all(64, 1), to: primaryAt, members: 10_000},
		cell{load: reconnecting, to: nodeAt}, cell{load: reconnecting, to: primaryAt, members: 10_000})
	var lines []*line
	for _, members := range []int{0, 1_000, 10_000} {
		got, err := throughputs(ctx, b, members, slices.DeleteFunc(slices.Clone(cells), func(c cell) bool { return c.members != members }))
		if lines = append(lines, got...); err != nil {
			return values(lines), err
		}
	}
	return values(lines), nil
}

// cell is one load on one way, with so many more members in the group that is let in.
type cell struct {
	load    load
	to      string
	members int
}

func (c cell) line(test string) *line {
	l := &line{unit: "k/s", bars: []bar{ratioAtLeast(0.95)}}
	way := "node"
	if c.to == primaryAt {
		way = "primary endpoint"
	}
	how := fmt.Sprintf("%d B, -P %d", c.load.size, c.load.pipeline)
	if c.load.reconnect {
		how, l.bars, l.note = "a connection each", nil, "reported"
	}
	l.what = fmt.Sprintf("kernel fabric, rules for %d members, %s, %s, %s", c.members+2, way, how, test)
	return l
}

// throughputs measures cells by turns, with rules and without.
func throughputs(ctx context.Context, b *bench, members int, cells []cell) ([]*line, error) {
	tests := []string{"SET", "GET"}
	var lines []*line
	for _, c := range cells {
		for _, test := range tests {
			lines = append(lines, c.line(test))
		}
	}
	if os.Geteuid() != 0 {
		unprivileged(lines)
		return lines, nil
	}
	rate := func(from *netns.Namespace, l load, to string) (rates map[string]float64, err error) {
		doErr := from.Do(func() (e error) { rates, e = l.run(ctx, to, false); return e })
		return rates, doErr
	}
	return lines, withKernelEngine(ctx, false, 0, func(bare *netns.Namespace) error {
		return withKernelEngine(ctx, true, members, func(ruled *netns.Namespace) error {
			for range b.rounds(20, 2) {
				for i, c := range cells {
					without, err := rate(bare, c.load, nodeAt) // endpoints are a matter of rules
					if err != nil {
						return err
					}
					with, err := rate(ruled, c.load, c.to)
					if err != nil {
						return err
					}
					for j, test := range tests {
						l := lines[len(tests)*i+j]
						l.bare, l.larder = append(l.bare, without[test]), append(l.larder, with[test])
					}
				}
			}
			return nil
		})
	})
}

// withKernelEngine lends an instance whose VPC has an engine.
func withKernelEngine(ctx context.Context, ruled bool, members int, fn func(instance *netns.Namespace) error) error {
	return onKernel(ruled, func(k *kernelSide) error {
		for _, change := range []func(){func() { k.addNode(0) }, k.addPrimary, func() { k.addInstance(0) }, func() { k.addMembers(members) }} {
			if _, err := k.add(ctx, change); err != nil {
				return err
			}
		}
		vpc, err := netns.Open(k.links.Namespace(k.net.ID))
		if err != nil {
			return err
		}
		defer vpc.Close()
		instance, err := netns.Open(k.links.InstanceNamespace(k.net.Instances[0].ID))
		if err != nil {
			return err
		}
		defer instance.Close()
		return within(func(dir string) error {
			var e *bareEngine
			err := vpc.Do(func() (err error) {
				e, err = startBare(ctx, dir, "--bind", k.net.Local[0].String(), "--port", "6379", "--protected-mode", "no", "--tcp-backlog", "4096")
				return err
			})
			if err != nil {
				return err
			}
			defer e.stop()
			if k.conn != nil {
				if _, err := k.conn.LeadTo(map[netip.AddrPort]int{netip.MustParseAddrPort(nodeAt): e.cmd.Process.Pid}); err != nil {
					return err
				}
			}
			return fn(instance)
		})
	})
}

// kernelSide is a VPC in the kernel: as the fabric does it, rules first, then what
// they are about.
type kernelSide struct {
	links    *links.Links
	compiler rules.Compiler
	conn     *rules.Conn
	net      links.Network
	world    network.World
	in       rules.Inputs
}

// onKernel lends an empty VPC, with a group that admits the host to the nodes, and
// takes it away. Unless it is ruled, no rules are in force.
func onKernel(ruled bool, fn func(*kernelSide) error) (err error) {
	// Both kinds exist side by side.
	name := fmt.Sprintf("bench%d%t", os.Getpid(), ruled)
	host, _, err := netns.Create("larder" + name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close(), netns.Delete("larder"+name)) }()
	dir, err := os.MkdirTemp("", "larder-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cidr := netip.MustParsePrefix("172.31.0.0/16")
	k := &kernelSide{
		net: links.Network{ID: "vpc-1", CIDR: cidr, Host: netip.MustParseAddr("172.31.0.10")},
		world: network.World{
			VPCs: []network.VPC{{ID: "vpc-1", CIDR: cidr}},
			Groups: []network.Group{{ID: "sg-1", VPC: "vpc-1", Rules: []network.Rule{
				{ID: "sgr-1", Protocol: network.TCP, From: 6379, To: 6379, Group: "sg-1"},
				{ID: "sgr-2", Protocol: network.AnyProtocol, Egress: true, CIDR: netip.MustParsePrefix("0.0.0.0/0")},
			}}},
		},
	}
	k.in.Links = map[string]netip.Addr{links.HostInterface: k.net.Host}
	k.links, err = links.New(links.Config{
		Deployment: name, Host: host, ResolverDir: dir, Log: slog.New(slog.DiscardHandler),
		Before: func(_ string, ns *netns.Namespace) (err error) {
			if !ruled {
				return nil
			}
			if k.conn, err = rules.Open(ns.Path()); err != nil {
				return err
			}
			return k.enforce()
		},
	})
	if err != nil {
		return err
	}
	defer func() {
		if k.conn != nil {
			err = errors.Join(err, k.conn.Close())
		}
		err = errors.Join(err, k.links.Remove(), k.links.Close())
	}()
	return fn(k)
}

func (k *kernelSide) enforce() error {
	return k.conn.Apply(k.compiler.Compile(k.world, k.net.ID, k.in))
}

// add measures how long a change takes to be in force.
func (k *kernelSide) add(ctx context.Context, change func()) (time.Duration, error) {
	change()
	began := time.Now()
	if k.conn != nil {
		if err := k.enforce(); err != nil {
			return 0, err
		}
	}
	failed, err := k.links.Apply(ctx, links.Plan{Networks: []links.Network{k.net}})
	for _, f := range failed {
		err = errors.Join(err, f)
	}
	return time.Since(began), err
}

func (k *kernelSide) addNode(i int) {
	at := netip.AddrFrom4([4]byte{172, 31, 16, byte(10 + i)})
	k.net.Local = append(k.net.Local, at)
	k.in.Nodes = append(k.in.Nodes, rules.Service{Protocol: network.TCP, At: netip.AddrPortFrom(at, 6379)})
	k.join(fmt.Sprintf("node-%d", i), at, true)
}

// addPrimary adds an endpoint that leads to the first node.
func (k *kernelSide) addPrimary() {
	at := netip.MustParseAddrPort(primaryAt)
	k.net.Local = append(k.net.Local, at.Addr())
	k.in.Endpoints = append(k.in.Endpoints, rules.Endpoint{At: at, Targets: []netip.AddrPort{netip.MustParseAddrPort(nodeAt)}})
}

// addMembers adds so many interfaces to the group, which nobody has.
func (k *kernelSide) addMembers(n int) {
	for i := range n {
		k.join(fmt.Sprintf("member-%d", i), netip.AddrFrom4([4]byte{172, 31, byte(64 + i/250), byte(1 + i%250)}), false)
	}
}

func (k *kernelSide) addInstance(i int) {
	at, id := netip.AddrFrom4([4]byte{172, 31, 32, byte(10 + i)}), fmt.Sprintf("i-%017x", i)
	k.net.Instances = append(k.net.Instances, links.Instance{ID: id, Address: at})
	k.in.Links[links.InterfaceName(id)] = at
	k.join(id, at, false)
}

// join makes an address one of the group.
func (k *kernelSide) join(id string, at netip.Addr, passive bool) {
	k.world.Interfaces = append(k.world.Interfaces, network.Interface{
		ID: id, VPC: k.net.ID, Addresses: []netip.Addr{at}, Groups: []string{"sg-1"}, Passive: passive,
	})
}
