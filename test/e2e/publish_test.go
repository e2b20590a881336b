package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/test/harness"
)

// publications as the server's status has them.
func publications(t *testing.T, d *harness.Deployment) []admin.Publication {
	t.Helper()
	out, err := d.Larder(t.Context(), "status", "--output", "json")
	must(t, err)
	var st admin.Status
	must(t, json.Unmarshal([]byte(out), &st))
	return st.Publications
}

// closed waits until nobody listens at an address.
func closed(t *testing.T, what, at string) {
	t.Helper()
	harness.Eventually(t, what, func(context.Context) error {
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("connecting gave %v", err)
		}
		return nil
	})
}

// TestPublish is the story of a cache that somebody outside of the VPC needs.
func TestPublish(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, publish)
}

func publish(t *testing.T, o harness.Options) {
	ctx := t.Context()
	o.Args = []string{"--listen", freeAddress(t)}
	d := harness.In(t, o)
	n := newNetworks(t, d)
	vpc := *n.vpc.VpcId
	caches, proxies := n.group(vpc, "caches"), n.group(vpc, "proxies")
	cache := n.cluster("cache", "", caches)
	at := freeAddress(t)

	out, err := d.Larder(ctx, "publish", "cache", "--listen", at, "--security-group", proxies)
	must(t, err)
	if !strings.Contains(out, "no rule lets it in yet") || !strings.Contains(out, "authorize-security-group-ingress") {
		t.Errorf("publish says nothing of the missing rule:\n%s", out)
	}
	p := publications(t, d)[0]
	if p.State != admin.PublicationOpen || p.Listen != at || p.SecurityGroups[0] != proxies || p.Endpoint != "node us-east-1/cache/0001" {
		t.Errorf("shown as %+v", p)
	}
	faces, err := n.ec2.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: []ec2types.Filter{{Name: aws.String("group-id"), Values: []string{proxies}}}})
	must(t, err)
	if len(faces.NetworkInterfaces) != 1 || *faces.NetworkInterfaces[0].PrivateIpAddress != p.Address || *faces.NetworkInterfaces[0].VpcId != vpc {
		t.Errorf("its interface is %+v", faces.NetworkInterfaces)
	}

	explained := func(verdict string) {
		t.Helper()
		out, err := d.Larder(ctx, "explain", "--from", p.ID)
		must(t, err)
		if !strings.Contains(out, p.ID+" ("+p.Address+") "+verdict+" to cache/0001, port 6379, in "+vpc) {
			t.Errorf("explained as\n%s", out)
		}
	}

	keptOut(t, "before any rule", "", at)
	explained("may not connect")
	// A rule for the host does not help: it is the publication that knocks.
	n.authorize(caches, "127.0.0.1/32")
	n.attach(vpc, caches)
	n.authorize(caches, caches)
	settled(t, "the host is let in by itself", "", cache, true)
	keptOut(t, "the host is let in, the publication is not", "", at)
	n.authorize(caches, proxies)
	settled(t, "the group of the publication is let in", "", at, true)
	held := letIn(t, "held", "", at)
	explained("may connect")

	d.Kill()
	letIn(t, "while the server is dead", "", at)
	if err := pings(held); err != nil {
		t.Error("a connection, while the server is dead:", err)
	}
	must(t, d.Start(ctx))
	letIn(t, "after its restart", "", at)

	n.revoke(caches, proxies)
	settled(t, "the rule is revoked", "", at, false)
	n.authorize(caches, p.Address+"/32")
	settled(t, "its address is let in", "", at, true)
	if err := pings(held); err != nil {
		t.Error("a tracked connection:", err)
	}
	_, err = n.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &proxies})
	if err := refusedWith(err, "DependencyViolation"); err != nil {
		t.Error(err)
	}

	_, err = d.Larder(ctx, "unpublish", p.ID)
	must(t, err)
	isCut(t, "a connection through what was published", held)
	closed(t, "the publication is gone", at)
	_, err = n.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &proxies})
	must(t, err)

	_, err = d.Larder(ctx, "publish", "cache", "--listen", at, "--security-group", caches)
	must(t, err)
	letIn(t, "published again", "", at)
	_, err = d.ElastiCache().DeleteCacheCluster(ctx, &elasticache.DeleteCacheClusterInput{CacheClusterId: aws.String("cache")})
	must(t, err)
	closed(t, "a publication ends with its cache", at)
	harness.Eventually(t, "nothing is left of it", func(context.Context) error {
		if left := publications(t, d); len(left) > 0 {
			return fmt.Errorf("there are %+v", left)
		}
		return nil
	})
}

// TestPublishRefusals: what cannot be is said at once, and leaves nothing behind.
func TestPublishRefusals(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	n := newNetworks(t, d)
	n.cluster("cache", "")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	free := freeAddress(t)
	_, err = d.Larder(ctx, "publish", "cache", "--listen", free)
	must(t, err)
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"a port that is taken", []string{"cache", "--listen", taken.Addr().String()}, "is taken by another process"},
		{"the address of another publication", []string{"cache", "--listen", free}, "already listens on"},
		{"the same port everywhere", []string{"cache", "--listen", strings.Replace(free, "127.0.0.1", "0.0.0.0", 1)}, "already listens on"},
		{"an address of another machine", []string{"cache", "--listen", "192.0.2.1:6379"}, "none of this host's"},
		{"an address kept for caches", []string{"cache", "--listen", "127.10.0.4:6379"}, "kept for caches"},
		{"no port", []string{"cache", "--listen", "127.0.0.1"}, "is not IP:PORT"},
		{"nowhere", []string{"cache"}, "needs --listen"},
		{"no such cache", []string{"none", "--listen", "127.0.0.1:6379"}, "no replication group or cache cluster"},
		{"no such node", []string{"cache/0002", "--listen", "127.0.0.1:6379"}, "no node"},
		{"a reader of a cluster", []string{"cache", "--reader", "--listen", "127.0.0.1:6379"}, "reader endpoint"},
		{"no such group", []string{"cache", "--listen", "127.0.0.1:6379", "--security-group", "sg-0"}, "does not exist"},
		{"plaintext for plaintext", []string{"cache", "--listen", "127.0.0.1:6379", "--plaintext"}, "speaks plaintext itself"},
		{"plaintext for all the world", []string{"cache", "--listen", "0.0.0.0:6379", "--plaintext"}, "could read"},
	} {
		_, err := d.Larder(ctx, append([]string{"publish"}, tt.args...)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if left := publications(t, d); len(left) != 1 {
		t.Errorf("left are %+v", left)
	}
	_, err = d.Larder(ctx, "unpublish", "pub-0")
	if err == nil || !strings.Contains(err.Error(), "no publication") {
		t.Errorf("unpublishing what is not: %v", err)
	}
}

// TestPublishGroup: TLS and tokens are the group's own, its primary is followed, and
// TLS can be ended at the publication.
func TestPublishGroup(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, publishGroup)
}

func publishGroup(t *testing.T, o harness.Options) {
	ctx := t.Context()
	d := harness.In(t, o)
	const token = "a-token-of-the-group"
	_, err := d.ElastiCache().CreateReplicationGroup(ctx, &elasticache.CreateReplicationGroupInput{
		ReplicationGroupId: aws.String("rg"), ReplicationGroupDescription: aws.String("rg"), Engine: aws.String("redis"), CacheNodeType: aws.String("cache.t3.micro"),
		NumCacheClusters: aws.Int32(2), AutomaticFailoverEnabled: aws.Bool(true), TransitEncryptionEnabled: aws.Bool(true), AuthToken: aws.String(token),
	})
	must(t, err)
	g, err := d.AwaitGroup(ctx, "rg", "available")
	must(t, err)
	primary, reader, plain := freeAddress(t), freeAddress(t), freeAddress(t)
	for _, args := range [][]string{{"--listen", primary}, {"--listen", reader, "--reader"}, {"--listen", plain, "--plaintext"}} {
		_, err := d.Larder(ctx, append([]string{"publish", "rg"}, args...)...)
		must(t, err)
	}
	config, err := d.TLS()
	must(t, err)
	config.ServerName = aws.ToString(g.NodeGroups[0].PrimaryEndpoint.Address)
	for _, tt := range []struct {
		at     string
		config *tls.Config
		role   string
	}{{primary, config, "master"}, {reader, config, "slave"}, {plain, nil, "master"}} {
		c := harness.Redis(tt.at, token, tt.config)
		defer c.Close()
		role, err := c.Do(ctx, "ROLE").Slice()
		if err != nil || role[0] != tt.role {
			t.Errorf("%s: %v, %v, want %s", tt.at, role, err, tt.role)
		}
		without := harness.Redis(tt.at, "", tt.config)
		defer without.Close()
		if err := without.Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
			t.Errorf("%s without the token: %v", tt.at, err)
		}
	}
	raw, err := net.Dial("tcp", primary)
	must(t, err)
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = fmt.Fprint(raw, "PING\r\n")
	must(t, err)
	if line, err := bufio.NewReader(raw).ReadString('\n'); err == nil {
		t.Errorf("plaintext is answered %q where TLS is required", line)
	}

	before := aws.ToString(g.NodeGroups[0].NodeGroupMembers[0].CacheClusterId)
	_, err = d.ElastiCache().TestFailover(ctx, &elasticache.TestFailoverInput{ReplicationGroupId: aws.String("rg"), NodeGroupId: g.NodeGroups[0].NodeGroupId})
	must(t, err)
	harness.Eventually(t, "the publication follows the primary", func(ctx context.Context) error {
		g, err := d.Group(ctx, "rg")
		if err != nil {
			return err
		}
		for _, m := range g.NodeGroups[0].NodeGroupMembers {
			if aws.ToString(m.CacheClusterId) == before && aws.ToString(m.CurrentRole) == "primary" {
				return errors.New("it is the old one still")
			}
		}
		c := harness.Redis(plain, token, nil)
		defer c.Close()
		return c.Set(ctx, "after", "failover", 0).Err()
	})
}

// TestPublishMemcached: nodes of a cluster are published one by one.
func TestPublishMemcached(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, publishMemcached)
}

func publishMemcached(t *testing.T, o harness.Options) {
	ctx := t.Context()
	d := harness.In(t, o)
	_, err := d.ElastiCache().CreateCacheCluster(ctx, &elasticache.CreateCacheClusterInput{
		CacheClusterId: aws.String("mc"), Engine: aws.String("memcached"), CacheNodeType: aws.String("cache.t3.micro"), NumCacheNodes: aws.Int32(2),
	})
	must(t, err)
	_, err = d.AwaitCluster(ctx, "mc", "available")
	must(t, err)
	at := freeAddress(t)
	_, err = d.Larder(ctx, "publish", "mc", "--listen", at)
	if err == nil || !strings.Contains(err.Error(), "name one, like mc/0001") {
		t.Errorf("publishing two nodes at one address: %v", err)
	}
	_, err = d.Larder(ctx, "publish", "mc/0002", "--listen", at)
	must(t, err)
	c, err := net.Dial("tcp", at)
	must(t, err)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = fmt.Fprint(c, "version\r\n")
	must(t, err)
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "VERSION ") {
		t.Errorf("the node answers %q, %v", line, err)
	}
}
