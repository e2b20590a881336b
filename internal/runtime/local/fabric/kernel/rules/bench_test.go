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
				target := netip.AddrPortFrom(w.Interfaces[10+n%2*10].Addresses[0], 6379)
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
