package network

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

// oracle decides by walking over the whole world, as one would by hand.
func oracle(w World, f Flow) bool {
	inVPC := slices.ContainsFunc(w.VPCs, func(v VPC) bool { return v.ID == f.VPC && v.CIDR.Contains(f.Source) })
	to := owner(w, f.VPC, f.Destination)
	if f.SourceVPC != f.VPC || !inVPC || to == nil {
		return false
	}
	from := owner(w, f.VPC, f.Source)
	return (from == nil || from.Passive || passes(w, from, true, f, f.Destination)) && passes(w, to, false, f, f.Source)
}

func owner(w World, vpc string, a netip.Addr) *Interface {
	for _, i := range w.Interfaces {
		if i.VPC == vpc && slices.Contains(i.Addresses, a) {
			return &i
		}
	}
	return nil
}

func passes(w World, i *Interface, egress bool, f Flow, peer netip.Addr) bool {
	for _, g := range w.Groups {
		if g.VPC != i.VPC || !slices.Contains(i.Groups, g.ID) {
			continue
		}
		for _, r := range g.Rules {
			ports := r.Protocol == AnyProtocol || r.Protocol == f.Protocol && r.From <= f.Port && f.Port <= r.To
			who := r.CIDR.IsValid() && r.CIDR.Contains(peer)
			if other := owner(w, i.VPC, peer); r.Group != "" {
				at := slices.IndexFunc(w.Groups, func(o Group) bool { return o.ID == r.Group && o.VPC == i.VPC })
				who = other != nil && at >= 0 && slices.Contains(other.Groups, r.Group)
			}
			if r.Egress == egress && ports && who {
				return true
			}
		}
	}
	return false
}

// draw makes a small world in which rules, groups and addresses often meet.
func draw(r *rand.Rand) World {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	w := World{VPCs: []VPC{{"vpc-a", prefix("10.0.0.0/28")}, {"vpc-b", prefix("10.0.0.0/27")}}}
	for n := range 6 {
		g := Group{ID: fmt.Sprintf("sg-%d", n), VPC: pick("vpc-a", "vpc-b")}
		for k := range r.IntN(5) {
			rule := Rule{ID: fmt.Sprintf("%s-%d", g.ID, k), Egress: r.IntN(2) == 0, Protocol: []Protocol{AnyProtocol, TCP, UDP}[r.IntN(3)]}
			rule.From = r.IntN(4)
			rule.To = rule.From + r.IntN(3)
			if r.IntN(2) == 0 {
				rule.Group = fmt.Sprintf("sg-%d", r.IntN(6))
			} else {
				rule.CIDR = prefix(pick("0.0.0.0/0", "10.0.0.0/29", "10.0.0.8/30", "10.0.0.3/32", "::/0", "192.0.2.0/24"))
			}
			g.Rules = append(g.Rules, rule)
		}
		w.Groups = append(w.Groups, g)
	}
	for n := range 10 {
		i := Interface{ID: fmt.Sprintf("eni-%d", n), VPC: pick("vpc-a", "vpc-b"), Passive: r.IntN(3) == 0}
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(n + r.IntN(2)*10)})
		i.Addresses = append(i.Addresses, a)
		for range r.IntN(4) {
			i.Groups = append(i.Groups, fmt.Sprintf("sg-%d", r.IntN(6)))
		}
		if w.VPCs[0].CIDR.Contains(a) || i.VPC == "vpc-b" {
			w.Interfaces = append(w.Interfaces, i)
		}
	}
	return w
}

// TestPolicyAgainstOracle holds both forms of a policy against the plain reading
// of the rules, for all flows of many small worlds.
func TestPolicyAgainstOracle(t *testing.T) {
	t.Parallel()
	var allowed, refused int
	for seed := range uint64(40) {
		w := draw(rand.New(rand.NewPCG(seed, 1)))
		p := Compile(w)
		for _, i := range w.Interfaces {
			for port := range 5 {
				for _, protocol := range []Protocol{TCP, UDP} {
					a, r := compare(t, w, p, i, protocol, port)
					allowed, refused = allowed+a, refused+r
				}
			}
		}
		if t.Failed() {
			t.Fatalf("world %d: %+v", seed, w)
		}
	}
	if allowed < 1000 || refused < 1000 {
		t.Errorf("the worlds are dull: %d flows allowed, %d refused", allowed, refused)
	}
}

func compare(t *testing.T, w World, p *Policy, i Interface, protocol Protocol, port int) (allowed, refused int) {
	t.Helper()
	filter := p.Ingress(i.VPC, i.Addresses[0], protocol, port)
	if protocol == TCP {
		shared, _ := guardOf(w, p, port).Filter(i.ID)
		if !reflect.DeepEqual(shared, filter) {
			t.Errorf("%s, port %d: the guard has %v, not %v", i.ID, port, shared, filter)
		}
	}
	for n := range 34 {
		f := Flow{Protocol: protocol, SourceVPC: i.VPC, Source: netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), VPC: i.VPC, Destination: i.Addresses[0], Port: port}
		want := oracle(w, f)
		if got, reason := p.Allows(f); got != want {
			t.Errorf("%+v: got %v (%v), want %v", f, got, reason, want)
		}
		if got := filter.Admits(f.Source); got != want {
			t.Errorf("%+v: the filter %v says %v, want %v", f, filter, got, want)
		}
		if want {
			allowed++
		} else {
			refused++
		}
	}
	return allowed, refused
}

// guardOf protects a port of every interface.
func guardOf(w World, p *Policy, port int) Guard {
	var targets []Target
	for _, i := range w.Interfaces {
		targets = append(targets, Target{Node: i.ID, VPC: i.VPC, Address: i.Addresses[0], Port: port})
	}
	return p.Guard(nil, targets)
}

// FuzzFilter holds the two forms of a policy against each other where worlds are
// not as small as those of the oracle.
func FuzzFilter(f *testing.F) {
	f.Add(uint64(1), byte(3), byte(2))
	f.Fuzz(func(t *testing.T, seed uint64, source, port byte) {
		w := draw(rand.New(rand.NewPCG(seed, 2)))
		p := Compile(w)
		for _, i := range w.Interfaces {
			flow := Flow{Protocol: TCP, SourceVPC: i.VPC, Source: netip.AddrFrom4([4]byte{10, 0, 0, source}), VPC: i.VPC, Destination: i.Addresses[0], Port: int(port)}
			got, reason := p.Allows(flow)
			if filter := p.Ingress(i.VPC, i.Addresses[0], TCP, int(port)); filter.Admits(flow.Source) != got {
				t.Errorf("%v: the filter %v says otherwise", reason, filter)
			}
		}
	})
}

// large is a world of 1,000 groups and 10,000 interfaces; each group lets in a
// range and the members of another one.
func large() World {
	w := World{}
	for v := range 10 {
		w.VPCs = append(w.VPCs, VPC{ID: fmt.Sprintf("vpc-%d", v), CIDR: prefix("10.0.0.0/16")})
	}
	for g := range 1000 {
		vpc := fmt.Sprintf("vpc-%d", g%10)
		group := Group{ID: fmt.Sprintf("sg-%d", g), VPC: vpc, Rules: []Rule{allOut("out")}}
		for k := range 9 {
			group.Rules = append(group.Rules, tcpFrom(fmt.Sprintf("in-%d", k), fmt.Sprintf("10.0.%d.0/24", k*7)))
		}
		group.Rules = append(group.Rules, tcpFrom("in-9", fmt.Sprintf("sg-%d", (g+10)%1000)))
		w.Groups = append(w.Groups, group)
	}
	for n := range 10000 {
		w.Interfaces = append(w.Interfaces, Interface{
			ID: fmt.Sprintf("eni-%d", n), VPC: fmt.Sprintf("vpc-%d", n%10), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(n / 2560), byte(n / 10)})},
			Groups: []string{fmt.Sprintf("sg-%d", n%1000), fmt.Sprintf("sg-%d", (n+500)%1000)},
		})
	}
	return w
}

func BenchmarkCompile(b *testing.B) {
	w := large()
	for b.Loop() {
		Compile(w)
	}
}

// BenchmarkIngress makes the filters of all 10,000 interfaces.
func BenchmarkIngress(b *testing.B) {
	w := large()
	p := Compile(w)
	for b.Loop() {
		for _, i := range w.Interfaces {
			p.Ingress(i.VPC, i.Addresses[0], TCP, redis)
		}
	}
}

func BenchmarkAllows(b *testing.B) {
	w := large()
	p := Compile(w)
	f := Flow{Protocol: TCP, SourceVPC: "vpc-0", Source: w.Interfaces[10].Addresses[0], VPC: "vpc-0", Destination: w.Interfaces[0].Addresses[0], Port: redis}
	if ok, reason := p.Allows(f); !ok {
		b.Fatal(reason)
	}
	for b.Loop() {
		p.Allows(f)
	}
}
