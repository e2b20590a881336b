package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/test/harness"
)

// TestClosedFromTheFirstMoment makes a group with a token whose addresses are known
// beforehand, and asks for an answer without the token from before its creation
// on, through losses of a replica and of the primary, and for a replica that is added.
func TestClosedFromTheFirstMoment(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	create := func() {
		group(t, d, "g", 3, func(in *elasticache.CreateReplicationGroupInput) { secured(in); failover(in) })
		_, err := d.ElastiCache().CreateCacheCluster(ctx, &elasticache.CreateCacheClusterInput{
			CacheClusterId: aws.String("added"), ReplicationGroupId: aws.String("g"),
		})
		must(t, err)
		available(t, d, "g")
	}

	// The same names get the same addresses.
	create()
	before := addresses(t, d)
	deleteGroup(t, d, "g")

	h := newHammer(t)
	for a := range before {
		h.on(a)
	}
	create()
	if now := addresses(t, d); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Fatalf("the addresses are %v, those of the first group were %v", now, before)
	}
	h.awaitRefusals(t, before)

	g := available(t, d, "g")
	replica, primary := member(g, "replica"), member(g, "primary")
	pid := killNode(t, d, replica+"/0001")
	awaitRestart(t, d, replica+"/0001", pid)
	available(t, d, "g")

	pid = killNode(t, d, primary+"/0001")
	awaitRestart(t, d, primary+"/0001", pid)
	harness.Eventually(t, "failover", func(ctx context.Context) error {
		g, err := d.Group(ctx, "g")
		if err == nil && (aws.ToString(g.Status) != "available" || member(g, "primary") == primary) {
			err = errors.New("not yet")
		}
		return err
	})
	h.awaitRefusals(t, before)
	must(t, ping(ctx, primaryAddr(g), token, trust(t, d)))
	must(t, h.verdict())
}

// addresses are all on which something of the deployment listens: of clients, and
// those on which nodes replicate. true: clients are told of it.
func addresses(t testing.TB, d *harness.Deployment) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, a := range d.Listening() {
		all[a.String()] = false
	}
	st, err := d.Status(t.Context())
	must(t, err)
	for _, c := range st.Caches {
		for _, e := range c.Endpoints {
			all[e.Address] = true
		}
		for _, n := range c.Nodes {
			all[n.Address] = true
			if _, err := netip.ParseAddrPort(n.Address); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

// awaitRefusals waits until each address that clients are told of has refused
// once more.
func (h *hammer) awaitRefusals(t testing.TB, addresses map[string]bool) {
	t.Helper()
	for a, told := range addresses {
		before := h.refusals(a)
		harness.Eventually(t, "a refusal of "+a, func(context.Context) error {
			if told && h.refusals(a) == before {
				return errors.New("it never answers NOAUTH")
			}
			return nil
		})
	}
}

// awaitRestart waits until a node runs in another process.
func awaitRestart(t testing.TB, d *harness.Deployment, id string, pid int) {
	t.Helper()
	harness.Eventually(t, "restart of "+id, func(ctx context.Context) error {
		n, err := d.Node(ctx, id)
		if err == nil && (n.Phase != "running" || n.PID == pid || n.PID == 0) {
			err = fmt.Errorf("%s is %s in process %d", id, n.Phase, n.PID)
		}
		return err
	})
}

// TestHammerSeesAnOpenDoor shows that the hammer would notice.
func TestHammerSeesAnOpenDoor(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{})
	h := newHammer(t)
	h.on(primaryAddr(group(t, d, "open", 1, nil)))
	harness.Eventually(t, "an answer", func(context.Context) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.letIn) == 0 {
			return errors.New("none was seen")
		}
		return nil
	})
	if h.verdict() == nil {
		t.Error("the verdict is good")
	}
}
