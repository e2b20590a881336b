package rules

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func intact(t *testing.T, c *Conn) bool {
	t.Helper()
	ok, err := c.Verify()
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// After each of many steps, the kernel has what the step asked for, although only
// differences were sent.
func TestApplyDifferences(t *testing.T) {
	t.Parallel()
	c := open(t, namespace(t, "diff"))
	r := rand.New(rand.NewPCG(3, 3))
	var compiler Compiler
	w, in := draw(r)
	for step := range 150 {
		next, nextIn := draw(r)
		switch r.IntN(4) {
		case 0:
			w, in = next, nextIn
		case 1:
			w.Groups = next.Groups
		case 2:
			w.Interfaces = next.Interfaces
		case 3:
			in = nextIn
		}
		table := compiler.Compile(w, "vpc", in)
		apply(t, c, table)
		if ok, err := c.same(table); err != nil || !ok {
			t.Fatalf("step %d: the kernel has another table (%v)\n%s\nwanted\n%s", step, err, run(t, c.ns, "nft", "list", "ruleset"), table)
		}
		if !intact(t, c) {
			t.Fatalf("step %d: it counts as altered", step)
		}
	}
}

func TestVerifyNoticesChanges(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "verify")
	c := open(t, ns)
	w, in := small()
	table := Compile(w, "vpc", in)
	if intact(t, c) {
		t.Error("intact before anything was applied")
	}
	const foreign = "add table ip other; add chain ip other x; add rule ip other x ip saddr 10.9.9.9 counter packets 0 bytes 0 drop"
	run(t, ns, "nft", foreign)
	before := run(t, ns, "nft", "list", "table", "ip", "other")
	apply(t, c, table)
	listed := run(t, ns, "nft", "list", "table", "ip", "larder")
	for _, change := range []string{
		"flush ruleset",
		"delete table ip larder",
		"delete table ip6 larder",
		"flush chain ip larder arrive",
		"add rule ip larder legal accept",
		"insert rule ip larder ingress accept",
		"add element ip larder members-sg-app { 10.1.8.9 }",
		"delete element ip larder members-sg-app { 10.1.8.4 }",
		"add element ip larder sources { lo . 10.1.8.4 }",
		"delete element ip larder led { 10.1.0.9 . 6379 }; add element ip larder led { 10.1.0.9 . 6379 : 0x40000006 }",
		"delete element ip larder spread { 10.1.0.10 . 6379 }; add element ip larder spread { 10.1.0.10 . 6379 : accept }",
		"add chain ip larder arrive { policy accept; }",
		"add chain ip larder more { type filter hook input priority -5; }",
		"add set ip larder more { type ipv4_addr; }",
		"delete rule ip larder in-sg-cache handle " + handle(t, run(t, ns, "nft", "-a", "list", "chain", "ip", "larder", "in-sg-cache")),
	} {
		if !intact(t, c) {
			t.Fatalf("before %q it was altered already", change)
		}
		run(t, ns, "nft", change)
		if intact(t, c) {
			t.Errorf("%q went unnoticed", change)
		}
		apply(t, c, table)
		if got := run(t, ns, "nft", "list", "table", "ip", "larder"); got != listed {
			t.Errorf("after %q and repair:\n%s", change, got)
		}
		if change == "flush ruleset" { // the other table has gone by that
			run(t, ns, "nft", foreign)
		}
	}
	run(t, ns, "nft", "add rule ip other x accept; delete chain ip other x; add chain ip other x; add rule ip other x ip saddr 10.9.9.9 counter packets 0 bytes 0 drop")
	if !intact(t, c) {
		t.Error("a change of another table counts as one of ours")
	}
	if got := run(t, ns, "nft", "list", "table", "ip", "other"); got != before {
		t.Errorf("the other table was\n%s\nand is\n%s", before, got)
	}
}

// handle is the one of the last rule of a listing.
func handle(t *testing.T, listing string) string {
	t.Helper()
	const mark = "# handle "
	at := strings.LastIndex(listing, mark)
	if at < 0 {
		t.Fatalf("no handle in %s", listing)
	}
	number, _, _ := strings.Cut(listing[at+len(mark):], "\n")
	return number
}

// A change that somebody makes just before ours is never mistaken for ours: the
// kernel refuses the difference, and all is replaced.
func TestApplyAfterOthers(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "others")
	c := open(t, ns)
	w, in := small()
	var compiler Compiler
	apply(t, c, compiler.Compile(w, "vpc", in))
	for _, change := range []string{"flush chain ip larder arrive", "delete table ip larder", "add table ip other"} {
		run(t, ns, "nft", change)
		w.Groups[1].Rules = append(w.Groups[1].Rules, rule4(false, 6, 1, len(w.Groups[1].Rules), "10.1.0.0/16"))
		table := compiler.Compile(w, "vpc", in)
		apply(t, c, table)
		if ok, err := c.same(table); err != nil || !ok {
			t.Errorf("after %q the kernel has another table (%v)", change, err)
		}
	}
}

// A new Conn, as of a server that has restarted, takes over what it finds.
func TestApplyTakesOver(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "over")
	w, in := small()
	apply(t, open(t, ns), Compile(w, "vpc", in))
	second := open(t, ns)
	w.Interfaces = w.Interfaces[1:]
	table := Compile(w, "vpc", in)
	apply(t, second, table)
	if ok, err := second.same(table); err != nil || !ok {
		t.Errorf("the kernel has another table (%v)", err)
	}
}

// What the kernel refuses is told by name, leaves the old table in force, and is
// no hindrance later.
func TestApplyFails(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "fails")
	c := open(t, ns)
	w, in := small()
	good := Compile(w, "vpc", in)
	apply(t, c, good)
	bad := Compile(w, "vpc", in)
	bad.chains["in-sg-app"].rules = append(bad.chains["in-sg-app"].rules, when().jump("nowhere"))
	if err := c.Apply(bad); err == nil || !strings.Contains(err.Error(), "add rule to in-sg-app: no such file or directory") {
		t.Errorf("got %v", err)
	}
	if ok, err := c.same(good); err != nil || !ok {
		t.Errorf("the old table is no longer in force (%v)", err)
	}
	apply(t, c, good)
	if !intact(t, c) {
		t.Error("it counts as altered")
	}
}
