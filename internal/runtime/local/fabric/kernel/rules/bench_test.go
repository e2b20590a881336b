package rules

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/network"
	"golang.org/x/sys/unix"
)

// large is 1,000 groups and 10,000 interfaces, spread over VPCs; each group lets
// in nine ranges and the members of another one, and each interface is in two.
func large(vpcs int) network.World {
	var w network.World
	for v := range vpcs {
		w.VPCs = append(w.VPCs, network.VPC{ID: fmt.Sprintf("vpc-%d", v), CIDR: prefix("10.0.0.0/16")})
	}
	for g := range 1000 {
		group := network.Group{ID: fmt.Sprintf("sg-%d", g), VPC: fmt.Sprintf("vpc-%d", g%vpcs), Rules: []network.Rule{allOut()}}
		for k := range 9 {
			group.Rules = append(group.Rules, in(network.TCP, 6379, 6379, fmt.Sprintf("10.0.%d.0/24", k*7)))
		}
		group.Rules = append(group.Rules, in(network.TCP, 6379, 6379, fmt.Sprintf("sg-%d", (g+10)%1000)))
		w.Groups = append(w.Groups, group)
	}
	for n := range 10000 {
		w.Interfaces = append(w.Interfaces, network.Interface{
			ID: fmt.Sprintf("eni-%d", n), VPC: fmt.Sprintf("vpc-%d", n%vpcs), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(n / 250), byte(n % 250)})},
			Groups: []string{fmt.Sprintf("sg-%d", n%1000), fmt.Sprintf("sg-%d", (n+500)%1000)},
		})
	}
	return w
}

// inputs gives every interface of a VPC a link or makes it a node, half each.
func inputs(w network.World, vpc string) (in Inputs) {
	in.Links = map[string]netip.Addr{}
	for n, i := range w.Interfaces {
		switch {
		case i.VPC != vpc:
		case n/10%2 == 0:
			in.Links[fmt.Sprintf("i-%d", n)] = i.Addresses[0]
		default:
			in.Nodes = append(in.Nodes, Service{network.TCP, netip.AddrPortFrom(i.Addresses[0], 6379)})
		}
	}
	return in
}

// processorTime reports what the process used for each operation: on a machine
// that others use, too, it says more than the clock.
func processorTime(b *testing.B) func() {
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Microseconds())/float64(b.N)/1000, "cpu-ms/op") }
}

// BenchmarkWhole compiles the tables of all VPCs and applies them whole.
func BenchmarkWhole(b *testing.B) {
	for _, vpcs := range []int{1, 10} {
		b.Run(fmt.Sprintf("vpcs=%d", vpcs), func(b *testing.B) {
			w := large(vpcs)
			var conns []*Conn
			var ins []Inputs
			for v := range vpcs {
				conns = append(conns, open(b, namespace(b, fmt.Sprintf("whole-%d-%d", vpcs, v))))
				ins = append(ins, inputs(w, fmt.Sprintf("vpc-%d", v)))
			}
			defer processorTime(b)()
			for b.Loop() {
				for v, c := range conns {
					c.applied = nil
					apply(b, c, Compile(w, fmt.Sprintf("vpc-%d", v), ins[v]))
				}
			}
		})
	}
}

// BenchmarkChange compiles the table of one VPC after a small change and applies
// the difference.
func BenchmarkChange(b *testing.B) {
	for _, vpcs := range []int{1, 10} {
		for _, change := range []struct {
			name string
			make func(w *network.World, in *Inputs, n int)
		}{
			{"rule", func(w *network.World, _ *Inputs, n int) {
				w.Groups[0].Rules[1] = in(network.TCP, 6379, 6379, fmt.Sprintf("10.0.%d.0/24", n%256))
			}},
			{"membership", func(w *network.World, _ *Inputs, n int) {
				w.Interfaces[10].Groups = []string{fmt.Sprintf("sg-%d", n%100*10)}
			}},
			{"endpoint", func(w *network.World, in *Inputs, n int) {
				target := netip.AddrPortFrom(w.Interfaces[10+n%2*20].Addresses[0], 6379)
				in.Endpoints = []Endpoint{{At: addrPort("10.0.255.1:6379"), Targets: []netip.AddrPort{target}}}
			}},
			{"nothing", func(*network.World, *Inputs, int) {}},
		} {
			b.Run(fmt.Sprintf("%s/vpcs=%d", change.name, vpcs), func(b *testing.B) {
				w := large(vpcs)
				in := inputs(w, "vpc-0")
				c := open(b, namespace(b, "change"))
				var compiler Compiler
				apply(b, c, compiler.Compile(w, "vpc-0", in))
				n := 0
				defer processorTime(b)()
				for b.Loop() {
					n++
					change.make(&w, &in, n)
					apply(b, c, compiler.Compile(w, "vpc-0", in))
				}
			})
		}
	}
}

// BenchmarkNode adds or removes a node beside 100 others that share a group.
func BenchmarkNode(b *testing.B) {
	w, in := echoes(in(network.TCP, 6379, 6379, "sg-app"))
	for n := range 100 {
		a := netip.AddrFrom4([4]byte{10, 1, 0, byte(100 + n)})
		w.Interfaces = append(w.Interfaces, network.Interface{ID: fmt.Sprint("n-", n), VPC: "vpc", Addresses: []netip.Addr{a}, Groups: []string{"sg-node"}, Passive: true})
		in.Nodes = append(in.Nodes, Service{network.TCP, netip.AddrPortFrom(a, 6379)})
	}
	less, lessIn := w, in
	less.Interfaces, lessIn.Nodes = w.Interfaces[:len(w.Interfaces)-1], in.Nodes[:len(in.Nodes)-1]
	c := open(b, namespace(b, "node"))
	var compiler Compiler
	apply(b, c, compiler.Compile(w, "vpc", in))
	defer processorTime(b)()
	for n := 0; b.Loop(); n++ {
		if n%2 == 0 {
			apply(b, c, compiler.Compile(less, "vpc", lessIn))
		} else {
			apply(b, c, compiler.Compile(w, "vpc", in))
		}
	}
}

// BenchmarkVerify asks whether a table is intact: when nobody has changed any, and
// when somebody has changed another one, so that ours is listed.
func BenchmarkVerify(b *testing.B) {
	w := large(1)
	ns := namespace(b, "verify")
	c := open(b, ns)
	apply(b, c, Compile(w, "vpc-0", inputs(w, "vpc-0")))
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			if ok, err := c.Verify(); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("listed", func(b *testing.B) {
		for b.Loop() {
			if ok, err := c.same(c.applied); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}

// BenchmarkPath measures what rules cost a client: a round trip of one byte, and a
// new connection, without rules, with few, and with those of a large world.
func BenchmarkPath(b *testing.B) {
	l := newLAN(b, "path")
	echo(b, l.vpc, nodePort(0))
	w, in := echoes(in(network.TCP, portEcho, portEcho, "10.1.0.0/24"))
	few := Compile(w, "vpc", in)
	more := large(1)
	for n := range more.Groups {
		more.Groups[n].VPC = "vpc"
	}
	for n := range more.Interfaces {
		more.Interfaces[n].VPC = "vpc"
	}
	w.VPCs[0].CIDR = prefix("10.0.0.0/8")
	w.Groups, w.Interfaces = append(w.Groups, more.Groups...), append(w.Interfaces, more.Interfaces...)
	many := Compile(w, "vpc", in)
	for _, table := range []struct {
		name string
		t    *Table
	}{{"none", nil}, {"few", few}, {"many", many}} {
		if table.t != nil {
			apply(b, l.conn, table.t)
		}
		b.Run("roundtrip/rules="+table.name, func(b *testing.B) {
			c := l.client(b, 0, nodePort(0))
			for b.Loop() {
				c.alive("round trip")
			}
		})
		b.Run("connect/rules="+table.name, func(b *testing.B) {
			err := l.inst[0].Do(func() error {
				for b.Loop() {
					fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
					if err != nil {
						return err
					}
					unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // no TIME_WAIT
					if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: nodeAddress(0).As4(), Port: portEcho}); err != nil {
						return err
					}
					unix.Close(fd)
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkCut cuts one flow to an endpoint that has moved while another node has 4,000.
func BenchmarkCut(b *testing.B) {
	l := newLAN(b, "many")
	w, in := echoes(rule4(false, network.TCP, portEcho, portEcho, "0.0.0.0/0"))
	apply(b, l.conn, Compile(w, "vpc", in))
	echo(b, l.vpc, nodePort(0))
	echo(b, l.vpc, netip.AddrPortFrom(nodeAddress(1), portBehind))
	for range 4_000 {
		l.client(b, 1, nodePort(1))
	}
	away := []Endpoint{{At: in.Endpoints[0].At, Targets: []netip.AddrPort{nodePort(1)}}}
	defer processorTime(b)()
	for b.Loop() {
		b.StopTimer()
		l.client(b, 0, in.Endpoints[0].At)
		b.StartTimer()
		if n, err := l.conn.CutOthers(away); n != 1 || err != nil {
			b.Fatal(n, err)
		}
	}
}
