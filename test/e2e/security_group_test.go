package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/test/harness"
)

// networks makes and changes VPCs and security groups of a deployment, and fails the
// test where that fails.
type networks struct {
	t   *testing.T
	d   *harness.Deployment
	ec2 *ec2.Client
	// vpc is the default one.
	vpc ec2types.Vpc
}

func newNetworks(t *testing.T, d *harness.Deployment) *networks {
	n := &networks{t: t, d: d, ec2: ec2Client(d)}
	out, err := n.ec2.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
	must(t, err)
	n.vpc = out.Vpcs[0]
	return n
}

// ec2Client is a client of the AWS SDK for a deployment.
func ec2Client(d *harness.Deployment) *ec2.Client {
	return ec2.New(ec2.Options{
		Region: d.Credentials["AWS_REGION"], BaseEndpoint: aws.String(d.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(d.Credentials["AWS_ACCESS_KEY_ID"], d.Credentials["AWS_SECRET_ACCESS_KEY"], ""),
	})
}

// group makes a security group without inbound rules.
func (n *networks) group(vpc, name string) string {
	n.t.Helper()
	out, err := n.ec2.CreateSecurityGroup(n.t.Context(), &ec2.CreateSecurityGroupInput{GroupName: &name, Description: &name, VpcId: &vpc})
	must(n.t, err)
	return *out.GroupId
}

// redisFrom lets in TCP 6379 from a range, or from the members of a group.
func redisFrom(source string) []ec2types.IpPermission {
	p := ec2types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(6379), ToPort: aws.Int32(6379)}
	if strings.HasPrefix(source, "sg-") {
		p.UserIdGroupPairs = []ec2types.UserIdGroupPair{{GroupId: &source}}
	} else {
		p.IpRanges = []ec2types.IpRange{{CidrIp: &source}}
	}
	return []ec2types.IpPermission{p}
}

func (n *networks) authorize(group, source string) {
	n.t.Helper()
	_, err := n.ec2.AuthorizeSecurityGroupIngress(n.t.Context(), &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &group, IpPermissions: redisFrom(source)})
	must(n.t, err)
}

func (n *networks) revoke(group, source string) {
	n.t.Helper()
	_, err := n.ec2.RevokeSecurityGroupIngress(n.t.Context(), &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, IpPermissions: redisFrom(source)})
	must(n.t, err)
}

// attach puts the host into groups of a VPC.
func (n *networks) attach(vpc string, groups ...string) {
	n.t.Helper()
	_, err := n.d.Larder(n.t.Context(), "attach", vpc, "--security-group", strings.Join(groups, ","))
	must(n.t, err)
}

// cluster creates a cluster in security groups and gives its address.
func (n *networks) cluster(id, subnets string, groups ...string) string {
	n.t.Helper()
	in := &elasticache.CreateCacheClusterInput{
		CacheClusterId: &id, Engine: aws.String("redis"), CacheNodeType: aws.String("cache.t3.micro"), NumCacheNodes: aws.Int32(1), SecurityGroupIds: groups,
	}
	if subnets != "" {
		in.CacheSubnetGroupName = &subnets
	}
	_, err := n.d.ElastiCache().CreateCacheCluster(n.t.Context(), in)
	must(n.t, err)
	c, err := n.d.AwaitCluster(n.t.Context(), id, "available")
	must(n.t, err)
	return harness.Addr(c.CacheNodes[0].Endpoint)
}

// explained expects what Larder says of the host's way to a cache to contain words.
func (n *networks) explained(to string, words ...string) {
	n.t.Helper()
	out, err := n.d.Larder(n.t.Context(), "explain", "--to", to)
	must(n.t, err)
	for _, w := range words {
		if !strings.Contains(out, w) {
			n.t.Errorf("the explanation lacks %q:\n%s", w, out)
		}
	}
}

// neighbour is another address of the window that addr is in, with the last two
// bytes given.
func neighbour(t *testing.T, addr string, c, d byte) string {
	t.Helper()
	a := netip.MustParseAddrPort(addr).Addr().As4()
	return netip.AddrFrom4([4]byte{a[0], a[1], c, d}).String()
}

// connect connects from a source address; "" is whichever the kernel takes.
func connect(ctx context.Context, from, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d.DialContext(ctx, "tcp", addr)
}

// pings expects a connection to answer.
func pings(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprint(c, "PING\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && line != "+PONG\r\n" {
		err = fmt.Errorf("answered %q", line)
	}
	return err
}

// letIn expects a new connection to answer.
func letIn(t *testing.T, what, from, addr string) net.Conn {
	t.Helper()
	c, err := connect(t.Context(), from, addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	if err := pings(c); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	return c
}

// keptOut expects a new connection to hear nothing for a while.
func keptOut(t *testing.T, what, from, addr string) {
	t.Helper()
	c, err := connect(t.Context(), from, addr)
	must(t, err)
	defer c.Close()
	_, err = fmt.Fprint(c, "PING\r\n")
	must(t, err)
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 10)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: got %d bytes, %v", what, n, err)
	}
}

// settled waits until what a rule says has become true: a change is answered
// before the relay has it, by some milliseconds.
func settled(t *testing.T, what, from, addr string, open bool) {
	t.Helper()
	harness.Eventually(t, what, func(ctx context.Context) error {
		c, err := connect(ctx, from, addr)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := fmt.Fprint(c, "PING\r\n"); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, _ := c.Read(make([]byte, 10))
		if open != (n > 0) {
			return fmt.Errorf("got %d bytes", n)
		}
		return nil
	})
}

// TestSecurityGroups tells what rules do to those who are at the door, and to
// those who are in.
func TestSecurityGroups(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{Fabric: "userspace"})
	n := newNetworks(t, d)
	vpc := *n.vpc.VpcId

	moved := n.cluster("moved", "", n.group(vpc, "without-rules"))
	keptOut(t, "the host, of a group without rules", "", moved)
	byDefault := n.cluster("plain", "")
	letIn(t, "the host, of the default group", "", byDefault)

	caches := n.group(vpc, "caches")
	cache := n.cluster("cache", "", caches)
	keptOut(t, "the host, before any rule", "", cache)
	keptOut(t, "an address of the VPC, before any rule", neighbour(t, cache, 200, 9), cache)

	n.explained("cache", "may not connect", "authorize-security-group-ingress --region us-east-1 --group-id "+caches)
	n.authorize(caches, "0.0.0.0/0")
	settled(t, "open to everyone", "", cache, true)
	n.explained(cache, "may connect", "sgr-")
	letIn(t, "an address of the VPC", neighbour(t, cache, 200, 9), cache)
	untracked := letIn(t, "held", "", cache)

	n.authorize(caches, "172.31.200.0/24")
	n.revoke(caches, "0.0.0.0/0")
	isCut(t, "what everyone's rule let in", untracked)
	keptOut(t, "the host, outside of the range", "", cache)
	tracked := letIn(t, "an address in the range", neighbour(t, cache, 200, 9), cache)
	keptOut(t, "an address beside the range", neighbour(t, cache, 201, 9), cache)

	n.revoke(caches, "172.31.200.0/24")
	settled(t, "the range is revoked", neighbour(t, cache, 200, 9), cache, false)
	if err := pings(tracked); err != nil {
		t.Error("what a range let in does not live on:", err)
	}

	apps := n.group(vpc, "apps")
	n.authorize(caches, apps)
	keptOut(t, "the host, not of the group", "", cache)
	n.attach(vpc, apps)
	settled(t, "the host is of the group", "", cache, true)
	keptOut(t, "an address that is of no group", neighbour(t, cache, 200, 9), cache)
	keptOut(t, "the host, not of the default group any more", "", byDefault)
	member := letIn(t, "a member", "", cache)
	n.attach(vpc, caches)
	settled(t, "the host has left the group", "", cache, false)
	if err := pings(member); err != nil {
		t.Error("what a group let in does not live on:", err)
	}

	_, err := n.ec2.DeleteSecurityGroup(t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &caches})
	if err := refusedWith(err, "DependencyViolation"); err != nil {
		t.Error(err)
	}
	_, err = d.ElastiCache().ModifyCacheCluster(t.Context(), &elasticache.ModifyCacheClusterInput{
		CacheClusterId: aws.String("moved"), SecurityGroupIds: []string{caches}, ApplyImmediately: aws.Bool(true),
	})
	must(t, err)
	n.authorize(caches, caches)
	settled(t, "a cluster that was moved to another group", "", moved, true)
}

// TestOtherVPC keeps networks with equal ranges apart, until the host is attached.
func TestOtherVPC(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{Fabric: "userspace", Args: []string{"--refuse-after", "300ms"}})
	n := newNetworks(t, d)
	made, err := n.ec2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: n.vpc.CidrBlock})
	must(t, err)
	vpc := *made.Vpc.VpcId
	subnet, err := n.ec2.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: &vpc, CidrBlock: aws.String("172.31.7.0/24")})
	must(t, err)
	_, err = d.ElastiCache().CreateCacheSubnetGroup(ctx, &elasticache.CreateCacheSubnetGroupInput{
		CacheSubnetGroupName: aws.String("far"), CacheSubnetGroupDescription: aws.String("far"), SubnetIds: []string{*subnet.Subnet.SubnetId},
	})
	must(t, err)
	open := n.group(vpc, "open")
	n.authorize(open, "0.0.0.0/0")
	far := n.cluster("far", "far", open)
	home := n.cluster("home", "")

	settled(t, "an address of its own VPC", neighbour(t, far, 7, 200), far, true)
	keptOut(t, "the host, which is not in the VPC", "", far)
	keptOut(t, "an address of another VPC", neighbour(t, home, 7, 200), far)
	c, err := connect(ctx, "", far)
	must(t, err)
	defer c.Close()
	isCut(t, "a client that is kept out", c)

	n.attach(vpc, open)
	settled(t, "the host is in the VPC", "", far, true)
	letIn(t, "the host, still in its own VPC", "", home)
	st, err := d.Status(ctx)
	must(t, err)
	if len(st.Attachments) != 2 {
		t.Errorf("the host is attached to %+v", st.Attachments)
	}
	_, err = d.Larder(ctx, "detach", vpc)
	must(t, err)
	settled(t, "the host has left the VPC", "", far, false)
	letIn(t, "the host, still in its own VPC", "", home)
}

// isCut expects a connection to be reset.
func isCut(t *testing.T, what string, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 10)); n > 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: got %d bytes, %v", what, n, err)
	}
}

// refusedWith expects an error of the API with a code.
func refusedWith(err error, code string) error {
	if err == nil || !strings.Contains(err.Error(), code) {
		return fmt.Errorf("expected %s, got: %v", code, err)
	}
	return nil
}
