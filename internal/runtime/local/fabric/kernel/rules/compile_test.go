package rules

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/network"
)

var update = flag.Bool("update", false, "write the golden files")

func TestCompileGolden(t *testing.T) {
	t.Parallel()
	w, in := small()
	got := Compile(w, "vpc", in).String()
	const file = "testdata/small.nft"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the table differs from %s (write it with -update):\n%s", file, got)
	}
}

// The order of a world has no meaning, and a table takes nothing of another VPC.
func TestCompileIsIndifferent(t *testing.T) {
	t.Parallel()
	w, in := small()
	want := Compile(w, "vpc", in).String()
	r := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		r.Shuffle(len(w.Groups), func(a, b int) { w.Groups[a], w.Groups[b] = w.Groups[b], w.Groups[a] })
		r.Shuffle(len(w.Interfaces), func(a, b int) { w.Interfaces[a], w.Interfaces[b] = w.Interfaces[b], w.Interfaces[a] })
		r.Shuffle(len(in.Endpoints), func(a, b int) { in.Endpoints[a], in.Endpoints[b] = in.Endpoints[b], in.Endpoints[a] })
		other := w
		other.VPCs = append([]network.VPC{{ID: "other", CIDR: prefix("10.1.0.0/16")}}, w.VPCs...)
		other.Groups = append([]network.Group{{ID: "sg-other", VPC: "other", Rules: []network.Rule{allOut()}}}, w.Groups...)
		other.Interfaces = append(other.Interfaces, network.Interface{VPC: "other", Addresses: []netip.Addr{addr("10.1.0.5")}, Groups: []string{"sg-other"}})
		if got := Compile(other, "vpc", in).String(); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// A compiler that has seen other worlds says what a new one would.
func TestCompilerKeepsNothing(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 2))
	var c Compiler
	w, in := draw(r)
	for range 300 {
		next, nextIn := draw(r)
		switch r.IntN(4) {
		case 0:
			w, in = next, nextIn
		case 1: // one interface more, less, other, or in two places
			n, k := r.IntN(len(w.Interfaces)), r.IntN(len(next.Interfaces))
			w.Interfaces = slices.Concat(w.Interfaces[:n], next.Interfaces[k:min(k+r.IntN(3), len(next.Interfaces))], w.Interfaces[min(n+r.IntN(3), len(w.Interfaces)):])
			if len(w.Interfaces) == 0 {
				w.Interfaces = next.Interfaces
			}
		case 2:
			w.Groups = next.Groups
		case 3:
			in = nextIn
		}
		if got, want := c.Compile(w, "vpc", in).String(), Compile(w, "vpc", in).String(); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// What has not changed is shared, so that it costs nothing to compare and send.
func TestCompilerShares(t *testing.T) {
	t.Parallel()
	w, in := small()
	var c Compiler
	before := c.Compile(w, "vpc", in)
	w.Groups[1].Rules = append(w.Groups[1].Rules, rule4(false, network.UDP, 5, 5, "10.1.0.0/16"))
	after := c.Compile(w, "vpc", in)
	for name, chain := range after.chains {
		if shared := chain == before.chains[name]; shared == (name == "in-sg-app") {
			t.Errorf("chain %s: shared is %v", name, shared)
		}
	}
	for _, name := range []string{setSources, setLocal, mapEgress, mapIngress, "members-sg-app"} {
		if after.sets[name] != before.sets[name] {
			t.Errorf("set %s is not shared", name)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, id := range []string{"sg-0123456789abcdef0", "a b", "a_b", "a.b", "a\nb", strings.Repeat("x", 500), strings.Repeat("x", 501), ""} {
		name := chainName("in-", id)
		if other, ok := seen[name]; ok || len(name) > 100 || strings.ContainsAny(name, " \n\x00") {
			t.Errorf("%q is %q, as is %q", id, name, other)
		}
		seen[name] = id
	}
}
