package kernel

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/runtime/local"
)

// primary stands for a node.
func primary(of ...local.Endpoint) local.Endpoint {
	ep := local.Endpoint{
		ID: "primary g", Network: vpc, VPC: core.Endpoint{Address: "10.1.0.9", Port: 6379}, CutRemoved: true, Names: []string{"g.cache.test"},
	}
	for _, n := range of {
		ep.TLS = n.TLS
		ep.Backends = append(ep.Backends, n.Backends...)
	}
	return ep
}

// two starts two nodes, a and b.
func two(r *rig) (a, b local.Endpoint) {
	r.t.Helper()
	a, b = r.node("a", "10.1.0.5"), r.node("b", "10.1.0.6")
	r.apply(a, b)
	a, b = r.start(a), r.start(b)
	r.called(a)
	r.called(b)
	return a, b
}

// A primary that moves takes its idle clients along, by a reset; while there is none,
// clients are refused and not left hanging. Clients of a node's own address stay.
func TestPrimaryMoves(t *testing.T) {
	r := newRig(t, "moves")
	a, b := two(r)
	r.apply(a, b, primary(a))
	idle, own := r.letIn("the primary", "10.1.0.9:6379", "a"), r.letIn("the node", "10.1.0.5:6379", "a")
	r.apply(a, b, primary(b))
	r.reset("an idle client of the old primary", idle)
	r.answers("a client of the node's own", own, "a")
	idle = r.letIn("the new primary", "10.1.0.9:6379", "b")
	r.apply(a, b, primary())
	r.reset("an idle client when there is no primary", idle)
	if _, err := r.dial("10.1.0.9:6379"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("without a primary: %v", err)
	}
	// A fabric that was killed before it cut is followed by one that does.
	r.apply(a, b, primary(a))
	idle = r.letIn("the primary", "10.1.0.9:6379", "a")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.answers("a client when the fabric is let go of", idle, "a")
	r.open()
	r.apply(a, b, primary(a))
	r.answers("a client when the fabric is found again", idle, "a")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.apply(a, b, primary(b))
	r.reset("an idle client of a primary that moved meanwhile", idle)
}

// The primary of a replica that leaves knows that at once: the replica itself cannot say
// so, since its address may be gone before its process.
func TestReplicaLeaves(t *testing.T) {
	r := newRig(t, "leaves")
	a, b := r.node("a", "10.1.0.5"), r.node("b", "10.1.0.6")
	r.apply(a, b)
	a = r.start(a, "--repl-diskless-sync-delay", "0")
	for _, restarted := range []bool{false, true} {
		r.apply(a, b)
		replica := r.start(b, "--bind-source-addr", "10.1.0.6", "--replicaof", "10.1.0.5 6379")
		r.apply(a, replica)
		r.until("it replicates", func() bool { return r.replicas(a) == 1 })
		if restarted { // nothing is remembered of what was
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r.open()
		}
		r.apply(a)
		r.end(replica)
		r.until("the primary knows that its replica has left", func() bool { return r.replicas(a) == 0 })
	}
}

// The relay is put in front of a node and taken away again with no client noticing,
// until plaintext is forbidden.
func TestRelayComesAndGoes(t *testing.T) {
	r := newRig(t, "relay")
	a, b := two(r)
	r.apply(a, b, primary(a))
	plain := r.letIn("plaintext, direct", "10.1.0.9:6379", "a")
	stop, stopped := make(chan struct{}), make(chan int)
	go func() { // connects all the time
		n := 0
		for {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			c, err := r.dial("10.1.0.9:6379")
			if err != nil {
				t.Errorf("a client meanwhile: %v", err)
				continue
			}
			r.answers("a client meanwhile", c, "a")
			c.Close()
			n++
		}
	}()
	preferred := a
	preferred.TLS = selfSigned(t, "preferred")
	r.apply(preferred, b, primary(preferred))
	relayed := r.letIn("plaintext, through the relay", "10.1.0.9:6379", "a")
	secure := func(what, to string) net.Conn {
		t.Helper()
		c, err := r.dial(to)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		r.answers(what, s, "a")
		return s
	}
	encrypted := secure("TLS", "10.1.0.9:6379")
	secure("TLS at the node", "10.1.0.5:6379")
	r.answers("a plaintext client of before", plain, "a")
	r.apply(a, b, primary(a))
	r.answers("a client of the relay that was taken away", relayed, "a")
	r.answers("a TLS client of the relay that was taken away", encrypted, "a")
	r.letIn("plaintext, direct again", "10.1.0.5:6379", "a")
	close(stop)
	if n := <-stopped; n < 3 {
		t.Errorf("only %d clients connected meanwhile", n)
	}
	required := a
	required.TLS = runtime.TLS{Mode: "required", ChainPEM: preferred.TLS.ChainPEM, KeyPEM: preferred.TLS.KeyPEM}
	r.apply(required, b, primary(required))
	r.reset("a plaintext client that had the engine itself", plain)
	r.reset("a plaintext client of the relay", relayed)
	r.answers("a TLS client", encrypted, "a")
	secure("TLS", "10.1.0.9:6379")
	if c, err := r.dial("10.1.0.5:6379"); err == nil {
		_, _ = c.Write([]byte("PING\r\n"))
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Error("plaintext is answered where TLS is required")
		}
	}
	for _, hidden := range []int{runtime.RelayPort, runtime.ReplicationPort} {
		r.keptOut("a hidden port", fmt.Sprintf("10.1.0.5:%d", hidden))
	}
}

// Rules are in force once Apply returns, and untracked flows end with the rule that
// let them in.
func TestRulesChange(t *testing.T) {
	r := newRig(t, "rules")
	a, b := two(r)
	r.apply(a, b)
	untracked := r.letIn("everyone", "10.1.0.5:6379", "a")
	r.rules = []network.Rule{{ID: "range", Protocol: network.TCP, From: 6379, To: 6379, CIDR: netip.MustParsePrefix("10.1.8.0/24")}, out}
	r.apply(a, b)
	tracked := r.letIn("a range", "10.1.0.6:6379", "b")
	r.rules = []network.Rule{out}
	r.apply(a, b)
	r.reset("an untracked flow", untracked)
	r.answers("a tracked flow", tracked, "b")
	r.keptOut("nobody", "10.1.0.5:6379")
}

// Equal addresses in two networks are two places, each with a relay of its own.
func TestEqualAddresses(t *testing.T) {
	r := newRig(t, "equal")
	a := r.node("a", "10.1.0.5")
	far := r.node("far", "10.1.0.5")
	far.Network = "vpc-2"
	r.more = []network.VPC{{ID: "vpc-2", CIDR: cidr}}
	r.apply(a, far)
	a, far = r.start(a), r.start(far)
	r.called(a)
	r.called(far)
	r.apply(a, far)
	r.letIn("the one in its own network", "10.1.0.5:6379", "a")
	a.TLS = selfSigned(t, "preferred")
	far.TLS = selfSigned(t, "preferred")
	r.apply(a, far)
	r.letIn("through the relay", "10.1.0.5:6379", "a")
}

// Somebody who tears holes into the rules, or takes the namespace away, is found out
// and undone.
func TestDamageIsRepaired(t *testing.T) {
	r := newRig(t, "damage")
	a, b := two(r)
	r.rules = []network.Rule{out}
	r.apply(a, b)
	r.keptOut("nobody is let in", "10.1.0.5:6379")
	for _, damage := range [][]string{{"flush", "ruleset"}, {"delete", "table", "ip", "larder"}, {"flush", "chain", "ip", "larder", "arrive"}} {
		before := strings.Count(r.told(), "rules of network")
		r.nft(damage...)
		r.until("it is told: "+strings.Join(damage, " "), func() bool { return strings.Count(r.told(), "rules of network") > before })
		r.keptOut(strings.Join(damage, " ")+" was repaired", "10.1.0.5:6379")
	}
	r.rules = []network.Rule{everyone, out}
	r.apply(a, b)
	r.letIn("let in again", "10.1.0.5:6379", "a")
	name := "larder-" + r.deployment + "-" + vpc
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	r.until("the namespace is made anew", func() bool { return netns.Exists(name) && strings.Contains(r.told(), "made anew") })
	c := r.start(r.node("c", "10.1.0.5"))
	r.called(c)
	r.letIn("an engine in the new namespace", "10.1.0.5:6379", "c")
}

// seldom is a clock by which nobody looks now and then.
type seldom struct{ core.SystemClock }

func (c seldom) After(d time.Duration) <-chan time.Time {
	if d == resyncPeriod {
		return nil
	}
	return c.SystemClock.After(d)
}

// Rules that somebody throws away are in force again before anybody looks, and who came
// in meanwhile is cut.
func TestRulesAreRepairedAtOnce(t *testing.T) {
	r := newRig(t, "once")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.clock = seldom{}
	r.open()
	a, b := two(r)
	r.rules = []network.Rule{out, {ID: "b", Protocol: network.TCP, From: 6379, To: 6379, CIDR: netip.MustParsePrefix("10.1.8.0/24")}}
	r.apply(a, b)
	legal := r.letIn("a client", "10.1.0.5:6379", "a")
	r.rules = []network.Rule{out}
	r.apply(a, b)
	for range 3 {
		r.Fabric.mu.Lock()
		r.nft("flush", "ruleset")
		stranger := r.letIn("a stranger, without rules", "10.1.0.5:6379", "a")
		r.Fabric.mu.Unlock()
		r.reset("the stranger", stranger)
		r.keptOut("a stranger, with rules again", "10.1.0.5:6379")
		r.answers("the client", legal, "a")
	}
}

// The names of endpoints are answered inside of the network, at its third address.
func TestResolver(t *testing.T) {
	r := newRig(t, "names")
	r.apply(primary())
	var got []net.IP
	r.in(r.InstanceNamespace(runtime.Instance{ID: instance}), func() error {
		c, err := net.Dial("udp4", "10.1.0.2:53")
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		query := []byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'g', 5, 'c', 'a', 'c', 'h', 'e', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1}
		if _, err := c.Write(query); err != nil {
			return err
		}
		b := make([]byte, 512)
		n, err := c.Read(b)
		if err == nil && n > 4 {
			got = append(got, net.IP(b[n-4:n]))
		}
		return err
	})
	if len(got) != 1 || got[0].String() != "10.1.0.9" {
		t.Errorf("the name leads to %v", got)
	}
}

// With another boot an instance is another one: what ran in it ends.
func TestInstanceBoots(t *testing.T) {
	r := newRig(t, "boots")
	a, b := two(r)
	r.apply(a, b)
	r.letIn("the instance", "10.1.0.5:6379", "a")
	if !r.hasClient(a) {
		t.Fatal("the engine does not have the client")
	}
	n := r.wanted()
	n.Instances[0].Boots = 2
	if failed, err := r.Apply(t.Context(), n); err != nil || len(failed) > 0 {
		t.Fatal(failed, err)
	}
	if netns.Exists("larder-" + r.deployment + "-i-1") {
		t.Error("the namespace of before is still there")
	}
	if r.hasClient(a) {
		t.Error("the engine has the client of before")
	}
	r.in(r.InstanceNamespace(n.Instances[0]), func() error {
		c, err := net.DialTimeout("tcp4", "10.1.0.5:6379", 5*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	})
	n.Instances[0].Running = false
	if failed, err := r.Apply(t.Context(), n); err != nil || len(failed) > 0 {
		t.Fatal(failed, err)
	}
	if left, err := netns.List("larder-" + r.deployment + "-i-"); err != nil || len(left) > 0 {
		t.Errorf("left of an instance that does not run: %v, %v", left, err)
	}
}
