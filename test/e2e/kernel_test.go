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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/test/harness"
)

// kernel is a deployment in the kernel fabric.
func kernel(t *testing.T, args ...string) *harness.Deployment {
	t.Helper()
	return harness.In(t, harness.Options{Fabric: "kernel", Args: args})
}

// instance runs an instance in security groups and gives its namespace.
func (n *networks) instance(groups ...string) *netns.Namespace {
	n.t.Helper()
	images, err := n.ec2.DescribeImages(n.t.Context(), &ec2.DescribeImagesInput{})
	must(n.t, err)
	out, err := n.ec2.RunInstances(n.t.Context(), &ec2.RunInstancesInput{
		ImageId: images.Images[0].ImageId, InstanceType: "t3.micro", MinCount: aws.Int32(1), MaxCount: aws.Int32(1), SecurityGroupIds: groups,
	})
	must(n.t, err)
	name := "larder-" + n.d.Name() + "-" + *out.Instances[0].InstanceId
	var ns *netns.Namespace
	harness.Eventually(n.t, "the instance has a namespace", func(context.Context) (err error) {
		ns, err = netns.Open(name)
		return err
	})
	n.t.Cleanup(func() { ns.Close() })
	return ns
}

// dialIn connects from within a namespace; nil is the host's.
func dialIn(ns *netns.Namespace, addr string, limit time.Duration) (c net.Conn, err error) {
	dial := func() (err error) {
		c, err = net.DialTimeout("tcp4", addr, limit)
		return err
	}
	if ns == nil {
		return c, dial()
	}
	return c, ns.Do(dial)
}

// reaches expects an answer from within a namespace, in the end.
func reaches(t *testing.T, what string, ns *netns.Namespace, addr string) net.Conn {
	t.Helper()
	var c net.Conn
	harness.Eventually(t, what, func(context.Context) (err error) {
		c, err = dialIn(ns, addr, 200*time.Millisecond)
		return err
	})
	t.Cleanup(func() { c.Close() })
	if err := pings(c); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	return c
}

// isDropped expects silence from within a namespace: no packet at all comes back.
func isDropped(t *testing.T, what string, ns *netns.Namespace, addr string) {
	t.Helper()
	c, err := dialIn(ns, addr, 300*time.Millisecond)
	if err == nil {
		c.Close()
	}
	if late := net.Error(nil); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("%s: %v", what, err)
	}
}

func shut(ns *netns.Namespace, addr string) error {
	c, err := dialIn(ns, addr, 100*time.Millisecond)
	if err == nil {
		c.Close()
		return errors.New("still let in")
	}
	return nil
}

// TestKernelSecurityGroups tells in the kernel fabric what rules do to instances, and
// that they are in force with no server running.
func TestKernelSecurityGroups(t *testing.T) {
	t.Parallel()
	d := kernel(t)
	n := newNetworks(t, d)
	vpc := *n.vpc.VpcId
	caches, apps := n.group(vpc, "caches"), n.group(vpc, "apps")
	cache := n.cluster("cache", "", caches)
	app, other := n.instance(apps), n.instance(n.group(vpc, "others"))
	isDropped(t, "an instance, before any rule", app, cache)
	isDropped(t, "the host, before any rule", nil, cache)

	n.authorize(caches, apps)
	tracked := reaches(t, "an instance of the group", app, cache)
	isDropped(t, "an instance of another group", other, cache)
	isDropped(t, "the host, not of the group", nil, cache)
	at := netip.MustParseAddrPort(cache)
	isDropped(t, "the port of replication", app, netip.AddrPortFrom(at.Addr(), 61002).String())

	d.Kill()
	reaches(t, "an instance of the group, without a server", app, cache)
	isDropped(t, "an instance of another group, without a server", other, cache)
	if err := pings(tracked); err != nil {
		t.Error("a connection, without a server:", err)
	}
	must(t, d.Start(t.Context()))
	n.ec2 = ec2Client(d)

	n.authorize(caches, "0.0.0.0/0")
	untracked := reaches(t, "everyone", other, cache)
	reaches(t, "the host, of everyone", nil, cache)
	n.revoke(caches, "0.0.0.0/0")
	isCut(t, "what everyone's rule let in", untracked)
	n.revoke(caches, apps)
	harness.Eventually(t, "the group's rule is revoked", func(context.Context) error { return shut(app, cache) })
	if err := pings(tracked); err != nil {
		t.Error("what a group let in does not live on:", err)
	}
}

// TestKernelFailsClosed: whoever may not connect does not, at any moment of the life of
// a server that is killed again and again, nor after somebody removed the rules.
func TestKernelFailsClosed(t *testing.T) {
	t.Parallel()
	d := kernel(t)
	n := newNetworks(t, d)
	vpc := *n.vpc.VpcId
	caches, apps := n.group(vpc, "caches"), n.group(vpc, "apps")
	outsider := n.instance(apps)
	// Addresses are known before anything is there: the first cluster's next.
	first := n.cluster("first", "", caches)
	stop := make(chan struct{})
	var tries int
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if c, err := dialIn(outsider, first, 30*time.Millisecond); err == nil {
				t.Error("an outsider was let in")
				c.Close()
				return
			}
			tries++
		}
	})
	for i := range 5 {
		d.Kill()
		killAtStart(t.Context(), d, time.Duration(20*i)*time.Millisecond)
		if d.Pid() == 0 {
			must(t, d.Start(t.Context()))
		}
		_, err := d.AwaitCluster(t.Context(), "first", "available")
		must(t, err)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d tries", tries)
	if tries < 10 {
		t.Errorf("only %d tries", tries)
	}

	ns, err := netns.Open("larder-" + d.Name() + "-" + vpc)
	must(t, err)
	defer ns.Close()
	must(t, ns.Do(func() error { return exec.Command("nft", "flush", "ruleset").Run() }))
	harness.Eventually(t, "the rules are in force again", func(ctx context.Context) error {
		st, err := d.Status(ctx)
		if err == nil && len(st.Troubles) == 0 {
			err = errors.New("no trouble is told")
		}
		return err
	})
	isDropped(t, "an outsider, after the repair", outsider, first)
}

// TestKernelLosesEverything is what a reboot of the host leaves: state on disk, and
// neither processes nor namespaces.
func TestKernelLosesEverything(t *testing.T) {
	t.Parallel()
	d := kernel(t)
	g := group(t, d, "g", 2, func(in *elasticache.CreateReplicationGroupInput) { secured(in); failover(in) })
	secure := trust(t, d)
	d.Kill()
	for _, pid := range d.Processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	names, err := netns.List("larder-" + d.Name() + "-")
	must(t, err)
	if len(names) == 0 {
		t.Error("there is no namespace to lose")
	}
	for _, name := range names {
		must(t, netns.Delete(name))
	}
	must(t, d.Start(t.Context()))
	harness.Eventually(t, "the group serves again", func(ctx context.Context) error {
		return ping(ctx, primaryAddr(g), token, secure)
	})
	available(t, d, "g")
}

// TestKernelNamespaceVanishes: an engine whose network was taken away is no use, and is
// replaced.
func TestKernelNamespaceVanishes(t *testing.T) {
	t.Parallel()
	d := kernel(t)
	g := group(t, d, "g", 2, failover)
	names, err := netns.List("larder-" + d.Name() + "-vpc-")
	must(t, err)
	before := node(t, d, "g-001/0001").PID
	must(t, netns.Delete(names[0]))
	harness.Eventually(t, "the group serves again", func(ctx context.Context) error {
		if now := node(t, d, "g-001/0001").PID; now == before || now == 0 {
			return fmt.Errorf("node g-001 is process %d", now)
		}
		return ping(ctx, primaryAddr(g), "", nil)
	})
}

// TestFabricIsKept: caches stay in the fabric that they were made in, and it can change
// when there are none.
func TestFabricIsKept(t *testing.T) {
	t.Parallel()
	d := kernel(t)
	group(t, d, "g", 1, nil)
	d.Stop()
	again := func(fabric string) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return d.StartWith(ctx, "--fabric", fabric)
	}
	if err := again("userspace"); err == nil || !strings.Contains(err.Error(), "start with --fabric=kernel") {
		t.Errorf("in the other fabric: %v", err)
	}
	must(t, again("auto"))
	st, err := d.Status(t.Context())
	must(t, err)
	if st.Fabric != "kernel" {
		t.Errorf("the fabric is %q", st.Fabric)
	}
	_, err = d.ElastiCache().DeleteReplicationGroup(t.Context(), &elasticache.DeleteReplicationGroupInput{ReplicationGroupId: aws.String("g")})
	must(t, err)
	harness.Eventually(t, "the group is gone", func(ctx context.Context) error {
		if _, err := d.Group(ctx, "g"); err == nil {
			return errors.New("it is there")
		}
		return nil
	})
	d.Stop()
	must(t, again("userspace"))
	g := group(t, d, "g", 1, nil)
	must(t, ping(t.Context(), primaryAddr(g), "", nil))
	if !strings.HasPrefix(primaryAddr(g), "127.") {
		t.Errorf("the endpoint is %s", primaryAddr(g))
	}
}

// TestKernelClash: a default VPC in a range that the host reaches elsewhere is refused
// with the flag that moves it, and avoided where nothing was asked for.
func TestKernelClash(t *testing.T) {
	t.Parallel()
	d := kernel(t)
	d.Stop()
	// Another deployment's range is one that the host reaches.
	other := kernel(t)
	group(t, other, "g", 1, nil)
	n := newNetworks(t, other)
	err := d.StartWith(t.Context(), "--default-vpc-cidr", *n.vpc.CidrBlock)
	if err == nil || !strings.Contains(err.Error(), "--default-vpc-cidr=") {
		t.Errorf("the same range twice: %v", err)
	}
	must(t, d.StartWith(t.Context(), "--default-vpc-cidr", *n.vpc.CidrBlock, "--fabric", "auto"))
	st, err := d.Status(t.Context())
	must(t, err)
	if st.Fabric != "userspace" || !strings.Contains(d.Output(), "no kernel fabric: the host cannot be attached") {
		t.Errorf("by default: %s\n%s", st.Fabric, d.Output())
	}
}

// TestKernelNeedsRoot: without privileges it is refused in words, and not chosen.
func TestKernelNeedsRoot(t *testing.T) {
	t.Parallel()
	binary, err := harness.Binary(t.Context())
	must(t, err)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || syscall.Geteuid() != 0 {
		t.Skip("needs root and setpriv to become somebody else")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "larder-nobody-") // t.TempDir is inside of one that only root may enter
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chown(dir, nobody, nobody))
	out, err := exec.Command(setpriv, fmt.Sprintf("--reuid=%d", nobody), fmt.Sprintf("--regid=%d", nobody), "--clear-groups", binary, "serve", "--fabric=kernel",
		"--data-dir", filepath.Join(dir, "data"), "--run-dir", filepath.Join(dir, "run"), "--listen", "127.0.0.1:0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "needs root") {
		t.Errorf("%v: %s", err, out)
	}
}
