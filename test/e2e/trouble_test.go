package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/test/harness"
)

// trouble is a deployment with a group that is well and in use, and a cause of
// trouble for whatever is made with Valkey from now on.
type trouble struct {
	*harness.Deployment
	held *held
}

func newTrouble(t *testing.T, opts harness.Options) trouble {
	d := harness.In(t, opts)
	g := group(t, d, "well", 2, secured)
	h := hold(t)
	h.redis(t.Context(), "well", client(t, primaryAddr(g), token, trust(t, d)))
	return trouble{d, h}
}

// told waits until a cache has a status, and `larder status` says why.
func (d trouble) told(t testing.TB, id, status, reason string) {
	t.Helper()
	harness.Eventually(t, id+" in trouble", func(ctx context.Context) error {
		c, err := d.cache(ctx, id)
		if err != nil {
			return err
		}
		if c.Status != status || !strings.Contains(c.Notice, reason) {
			return fmt.Errorf("%s is %s: %q, want %s: %q", id, c.Status, c.Notice, status, reason)
		}
		return nil
	})
}

func (d trouble) cache(ctx context.Context, id string) (admin.Cache, error) {
	st, err := d.Status(ctx)
	if err != nil {
		return admin.Cache{}, err
	}
	for _, c := range st.Caches {
		if c.ID == id {
			return c, nil
		}
	}
	return admin.Cache{}, fmt.Errorf("there is no %s", id)
}

// healed waits until the group works, and wants the other one never to have suffered.
func (d trouble) healed(t testing.TB, id string) {
	t.Helper()
	g := available(t, d.Deployment, id)
	must(t, client(t, primaryAddr(g), "", nil).Set(t.Context(), "k", "v", 0).Err())
	if c, err := d.cache(t.Context(), id); err != nil || c.Notice != "" {
		t.Errorf("the notice is still %q, %v", c.Notice, err)
	}
	available(t, d.Deployment, "well")
	must(t, d.held.end())
	tidy(t, d.Deployment)
}

// TestEngineVanishes: without its binary a group cannot be made, and a node that
// ends does not come back; both do once it is there again.
func TestEngineVanishes(t *testing.T) {
	t.Parallel()
	engine := wrapper(t)
	d := newTrouble(t, harness.Options{Args: []string{"--engine-dirs", filepath.Dir(engine)}})
	group(t, d.Deployment, "old", 1, nil)
	must(t, os.Rename(engine, engine+".away"))
	createGroup(t, d.Deployment, "new", 2, nil)
	d.told(t, "new", "create-failed", "the engine's program is gone")
	killNode(t, d.Deployment, "old-001/0001")
	awaitEvent(t, d.Deployment, "old-001", "Recovering cache nodes 0001")
	d.told(t, "old", "available", "the engine's program is gone")

	must(t, os.Rename(engine+".away", engine))
	awaitEvent(t, d.Deployment, "old-001", "Finished recovery for cache nodes 0001")
	d.healed(t, "new")
}

// TestEngineCrashesAtStart: its last words are shown.
func TestEngineCrashesAtStart(t *testing.T) {
	t.Parallel()
	engine := wrapper(t)
	d := newTrouble(t, harness.Options{Args: []string{"--engine-dirs", filepath.Dir(engine)}})
	must(t, os.WriteFile(engine+".broken", nil, 0o600))
	createGroup(t, d.Deployment, "new", 2, nil)
	d.told(t, "new", "create-failed", "broken on purpose")
	must(t, os.Remove(engine+".broken"))
	d.healed(t, "new")
}

// wrapper is a Valkey in a directory of its own that ends at once if a file
// NAME.broken is beside it.
func wrapper(t *testing.T) (path string) {
	t.Helper()
	program, err := exec.LookPath("valkey-server")
	must(t, err)
	path = filepath.Join(t.TempDir(), "valkey-server")
	script := fmt.Sprintf("#!/bin/sh\nif [ -e %s.broken ]; then echo broken on purpose; exit 3; fi\nexec %s \"$@\"\n", path, program)
	must(t, os.WriteFile(path, []byte(script), 0o700))
	return path
}

// TestAddressTaken: somebody listens where clients, or replicas, shall come to.
func TestAddressTaken(t *testing.T) {
	t.Parallel()
	for name, reason := range map[string]string{"client": "taken by another process", "replication": "Address already in use"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newTrouble(t, harness.Options{Fabric: "userspace"})
			// The same name gets the same address.
			group(t, d.Deployment, "new", 1, nil)
			address := node(t, d.Deployment, "new-001/0001").Address
			deleteGroup(t, d.Deployment, "new")
			if name == "replication" {
				address = besides(netip.MustParseAddrPort(address)).String()
			}
			l, err := net.Listen("tcp", address)
			must(t, err)
			defer l.Close()
			createGroup(t, d.Deployment, "new", 1, nil)
			harness.Eventually(t, "a reason", func(ctx context.Context) error {
				n, err := d.Node(ctx, "new-001/0001")
				if err == nil && !strings.Contains(n.Message, reason) {
					err = fmt.Errorf("the node is %s: %q", n.Phase, n.Message)
				}
				return err
			})
			if c, err := d.cache(t.Context(), "new"); err != nil || c.Status == "available" {
				t.Errorf("a group that nobody reaches is %s, %v", c.Status, err)
			}
			must(t, l.Close())
			d.healed(t, "new")
		})
	}
}

// TestDiskFull fills the place of the nodes' records and logs.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir, nodes := smallDisk(t)
	d := newTrouble(t, harness.Options{Dir: dir})
	filler := filepath.Join(nodes, "filler")
	fill(t, filler)
	createGroup(t, d.Deployment, "new", 2, nil)
	d.told(t, "new", "create-failed", "no space left on device")
	must(t, os.Remove(filler))
	d.healed(t, "new")
}

// smallDisk is a directory for a deployment with little room for the records and logs
// of nodes.
func smallDisk(t *testing.T) (dir, nodes string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "larder-full-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	nodes = filepath.Join(dir, "data", "nodes")
	must(t, os.MkdirAll(nodes, 0o700))
	if err := unix.Mount("none", nodes, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no small file system can be mounted: %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(nodes, unix.MNT_DETACH)) })
	return dir, nodes
}

// TestDiskFullInClusterMode: engines of a group in cluster mode write down what they
// know of each other, and end if they cannot. A full disk must not end them all.
func TestDiskFullInClusterMode(t *testing.T) {
	t.Parallel()
	dir, nodes := smallDisk(t)
	d := harness.In(t, harness.Options{Dir: dir})
	g := shardedGroup(t, d, "g", 2, 1, nil)
	before, err := d.Nodes(t.Context())
	must(t, err)
	c := clusterClient(t, g, "", nil)
	must(t, c.Set(t.Context(), "k", "v", 0).Err())
	filler := filepath.Join(nodes, "filler")
	fill(t, filler)
	_, err = d.ElastiCache().TestFailover(t.Context(), &elasticache.TestFailoverInput{ReplicationGroupId: aws.String("g"), NodeGroupId: aws.String("0001")})
	must(t, err)
	awaitEvent(t, d, "g", "Failover from primary node g-0001-001 to replica node g-0001-002 completed")
	must(t, os.Remove(filler))
	available(t, d, "g")
	after, err := d.Nodes(t.Context())
	must(t, err)
	for id, n := range before {
		if after[id].PID != n.PID {
			t.Errorf("node %s ran in process %d, now in %d", id, n.PID, after[id].PID)
		}
	}
	if v, err := c.Get(t.Context(), "k").Result(); v != "v" || err != nil {
		t.Errorf("k is %q, %v", v, err)
	}
	tidy(t, d)
}

// fill writes until nothing more fits.
func fill(t testing.TB, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
