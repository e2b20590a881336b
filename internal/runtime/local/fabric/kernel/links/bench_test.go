package links

import (
	"fmt"
	"net/netip"
	"testing"
)

// grown is a network with many addresses and instances.
func grown(addresses, instances int) Network {
	n := sample()
	n.Local, n.Instances = nil, nil
	for i := range addresses {
		n.Local = append(n.Local, netip.AddrFrom4([4]byte{172, 31, 16, byte(10 + i)}))
	}
	for i := range instances {
		n.Instances = append(n.Instances, Instance{
			ID: fmt.Sprintf("i-%017x", i), Address: netip.AddrFrom4([4]byte{172, 31, 32, byte(10 + i)}), Resolver: addr("172.31.0.2"),
		})
	}
	return n
}

// One more address in a network of a hundred, and one less.
func BenchmarkOneAddress(b *testing.B) {
	r := newRig(b)
	l := r.open()
	less, more := grown(100, 0), grown(101, 0)
	r.apply(l, less)
	for b.Loop() {
		r.apply(l, more)
		r.apply(l, less)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(2*b.N), "µs/change")
}

// One more instance in a network of a hundred, and one less.
func BenchmarkOneInstance(b *testing.B) {
	r := newRig(b)
	l := r.open()
	less, more := grown(100, 100), grown(100, 101)
	r.apply(l, less)
	for b.Loop() {
		r.apply(l, more)
		b.StopTimer()
		r.apply(l, less)
		b.StartTimer()
	}
}

func BenchmarkNothingChanged(b *testing.B) {
	r := newRig(b)
	l := r.open()
	n := grown(100, 100)
	r.apply(l, n)
	r.apply(l, n)
	for b.Loop() {
		r.apply(l, n)
	}
}

// What a server does that is started again.
func BenchmarkFoundAgain(b *testing.B) {
	r := newRig(b)
	n := grown(100, 100)
	r.apply(r.open(), n)
	for b.Loop() {
		l, err := New(r.cfg)
		if err != nil {
			b.Fatal(err)
		}
		r.apply(l, n)
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHundredAddresses(b *testing.B) { benchmarkNew(b, grown(100, 0)) }

func BenchmarkHundredInstances(b *testing.B) { benchmarkNew(b, grown(0, 100)) }

// benchmarkNew makes a network from nothing.
func benchmarkNew(b *testing.B, n Network) {
	r := newRig(b)
	l := r.open()
	for b.Loop() {
		r.apply(l, n)
		b.StopTimer()
		if err := l.Remove(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
