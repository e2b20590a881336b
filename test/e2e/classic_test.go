package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/test/harness"
)

// TestWithoutClassic: a deployment gives EC2-Classic up only when nothing is left
// there, and says what is.
func TestWithoutClassic(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{Args: []string{"--platforms=ec2,vpc"}})
	caches, networks := d.ElastiCache(), ec2Client(d)
	_, err := caches.CreateCacheSecurityGroup(ctx, &elasticache.CreateCacheSecurityGroupInput{CacheSecurityGroupName: aws.String("caches"), Description: aws.String("x")})
	must(t, err)
	_, err = networks.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("web"), Description: aws.String("x")})
	must(t, err)
	d.Stop()
	_, err = d.Larder(ctx, "serve", "--run-dir", d.RunDir, "--listen", "127.0.0.1:0", "--platforms=vpc")
	const want = "start with --platforms=ec2,vpc and delete the cache security groups caches in us-east-1; the EC2 security groups web in us-east-1"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("without EC2-Classic it says: %v", err)
	}
	must(t, d.Start(ctx))
	caches, networks = d.ElastiCache(), ec2Client(d)
	_, err = caches.DeleteCacheSecurityGroup(ctx, &elasticache.DeleteCacheSecurityGroupInput{CacheSecurityGroupName: aws.String("caches")})
	must(t, err)
	_, err = networks.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupName: aws.String("web")})
	must(t, err)
	d.Stop()
	d.Reconfigure("--platforms=vpc")
	must(t, d.Start(ctx))
	vpcs, err := ec2Client(d).DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
	must(t, err)
	if len(vpcs.Vpcs) != 1 || !aws.ToBool(vpcs.Vpcs[0].IsDefault) {
		t.Errorf("the VPCs are %+v", vpcs.Vpcs)
	}
}

// classic is a deployment of an account that has EC2-Classic.
type classic struct {
	t *testing.T
	d *harness.Deployment
}

func newClassic(t *testing.T) classic {
	return classic{t, harness.In(t, harness.Options{Fabric: "userspace", Args: []string{"--platforms=ec2,vpc"}})}
}

// group makes an EC2 security group of EC2-Classic.
func (c classic) group(name string) {
	c.t.Helper()
	_, err := ec2Client(c.d).CreateSecurityGroup(c.t.Context(), &ec2.CreateSecurityGroupInput{GroupName: &name, Description: &name})
	must(c.t, err)
}

// instance launches an instance of EC2-Classic and gives the address that a client
// on this host binds to be that instance.
func (c classic) instance(groups ...string) string {
	c.t.Helper()
	client := ec2Client(c.d)
	images, err := client.DescribeImages(c.t.Context(), &ec2.DescribeImagesInput{})
	must(c.t, err)
	out, err := client.RunInstances(c.t.Context(), &ec2.RunInstancesInput{
		ImageId: images.Images[0].ImageId, InstanceType: ec2types.InstanceTypeT3Micro, MinCount: aws.Int32(1), MaxCount: aws.Int32(1), SecurityGroups: groups,
	})
	must(c.t, err)
	if i := out.Instances[0]; i.VpcId != nil || i.SubnetId != nil || len(i.NetworkInterfaces) > 0 {
		c.t.Errorf("the instance is in a VPC: %+v", i)
	}
	a := netip.MustParseAddr(*out.Instances[0].PrivateIpAddress).As4()
	if a[0] != 10 {
		c.t.Errorf("the instance has the address %v", a)
	}
	return netip.AddrFrom4([4]byte{127, a[1], a[2], a[3]}).String()
}

// cluster creates a cluster in cache security groups and gives its address.
func (c classic) cluster(id string, caches ...string) string {
	c.t.Helper()
	_, err := c.d.ElastiCache().CreateCacheCluster(c.t.Context(), &elasticache.CreateCacheClusterInput{
		CacheClusterId: &id, Engine: aws.String("redis"), CacheNodeType: aws.String("cache.t3.micro"), NumCacheNodes: aws.Int32(1), CacheSecurityGroupNames: caches,
	})
	must(c.t, err)
	made, err := c.d.AwaitCluster(c.t.Context(), id, "available")
	must(c.t, err)
	return harness.Addr(made.CacheNodes[0].Endpoint)
}

func (c classic) authorize(caches, from string) {
	c.t.Helper()
	out, err := c.d.ElastiCache().AuthorizeCacheSecurityGroupIngress(c.t.Context(), &elasticache.AuthorizeCacheSecurityGroupIngressInput{
		CacheSecurityGroupName: &caches, EC2SecurityGroupName: &from, EC2SecurityGroupOwnerId: aws.String("000000000000"),
	})
	must(c.t, err)
	entries := out.CacheSecurityGroup.EC2SecurityGroups
	if got := aws.ToString(entries[len(entries)-1].Status); got != "authorizing" {
		c.t.Errorf("authorizing answers %q", got)
	}
}

func (c classic) revoke(caches, from string) {
	c.t.Helper()
	_, err := c.d.ElastiCache().RevokeCacheSecurityGroupIngress(c.t.Context(), &elasticache.RevokeCacheSecurityGroupIngressInput{
		CacheSecurityGroupName: &caches, EC2SecurityGroupName: &from, EC2SecurityGroupOwnerId: aws.String("000000000000"),
	})
	must(c.t, err)
}

// becomes waits until a cache security group has this ingress: "NAME=STATUS ...".
func (c classic) becomes(caches, want string) {
	c.t.Helper()
	harness.Eventually(c.t, caches+" becomes "+want, func(ctx context.Context) error {
		out, err := c.d.ElastiCache().DescribeCacheSecurityGroups(ctx, &elasticache.DescribeCacheSecurityGroupsInput{CacheSecurityGroupName: &caches})
		if err != nil {
			return err
		}
		var got []string
		for _, e := range out.CacheSecurityGroups[0].EC2SecurityGroups {
			got = append(got, *e.EC2SecurityGroupName+"="+*e.Status)
		}
		if s := strings.Join(got, " "); s != want {
			return fmt.Errorf("it is %q", s)
		}
		return nil
	})
}

// TestCacheSecurityGroups tells what ingress does to instances of EC2-Classic, and
// to everybody else. What a group says is authorized, or has gone, is in force at
// that moment: nothing is waited for after it.
func TestCacheSecurityGroups(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newClassic(t)
	c.group("web")
	c.group("batch")
	web, batch, both := c.instance("web"), c.instance("batch"), c.instance("web", "batch")
	_, err := c.d.ElastiCache().CreateCacheSecurityGroup(ctx, &elasticache.CreateCacheSecurityGroupInput{CacheSecurityGroupName: aws.String("extra"), Description: aws.String("x")})
	must(t, err)
	cache := c.cluster("cache")
	other := c.cluster("other", "default", "extra")
	keptOut(t, "an instance, before any ingress", web, cache)
	keptOut(t, "the host", "", cache)

	c.authorize("default", "web")
	c.becomes("default", "web=authorized")
	held := letIn(t, "a member", web, cache)
	letIn(t, "a member of two groups", both, cache)
	letIn(t, "a member, to the other cluster of the group", web, other)
	keptOut(t, "an instance of another group", batch, cache)
	keptOut(t, "an address of no instance", neighbour(t, cache, 47, 250), cache)
	keptOut(t, "the host", "", cache)
	c.explained(web, "cache", "may connect")
	c.explained(batch, "cache", "may not connect", "authorize-cache-security-group-ingress --region us-east-1 --cache-security-group-name default --ec2-security-group-name 'batch'")

	c.authorize("extra", "batch")
	c.becomes("extra", "batch=authorized")
	letIn(t, "a member of the other cache group's", batch, other)
	keptOut(t, "the same, where that is not named", batch, cache)
	_, err = c.d.ElastiCache().ModifyCacheCluster(ctx, &elasticache.ModifyCacheClusterInput{CacheClusterId: aws.String("cache"), CacheSecurityGroupNames: []string{"extra"}})
	must(t, err)
	settled(t, "the cluster names the other cache group", batch, cache, true)
	keptOut(t, "a member of the group that it has left", web, cache)
	if err := pings(held); err != nil {
		t.Error("a connection did not outlive the move:", err)
	}

	live := letIn(t, "a member", web, other)
	c.revoke("default", "web")
	c.becomes("default", "")
	keptOut(t, "a member that was revoked", web, other)
	letIn(t, "the member of another, after that", both, other)
	if err := pings(live); err != nil {
		t.Error("what was let in does not live on:", err)
	}
}

// explained expects what Larder says of a client's way to a cache to contain words.
func (c classic) explained(from, to string, words ...string) {
	c.t.Helper()
	out, err := c.d.Larder(c.t.Context(), "explain", "--from", from, "--to", to)
	must(c.t, err)
	for _, w := range words {
		if !strings.Contains(out, w) {
			c.t.Errorf("the explanation lacks %q:\n%s", w, out)
		}
	}
}

// TestVPCsAndClassicAreApart: instances of one platform do not reach clusters of the
// other, whatever groups have the same name and let in everyone.
func TestVPCsAndClassicAreApart(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newClassic(t)
	c.group("web")
	web := c.instance("web")
	client := ec2Client(c.d)
	vpc, err := client.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16")})
	must(t, err)
	subnet, err := client.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: vpc.Vpc.VpcId, CidrBlock: aws.String("10.0.1.0/24")})
	must(t, err)
	n := &networks{t: t, d: c.d, ec2: client, vpc: *vpc.Vpc}
	open := n.group(*vpc.Vpc.VpcId, "web")
	n.authorize(open, "0.0.0.0/0")
	_, err = c.d.ElastiCache().CreateCacheSubnetGroup(ctx, &elasticache.CreateCacheSubnetGroupInput{
		CacheSubnetGroupName: aws.String("vpc"), CacheSubnetGroupDescription: aws.String("x"), SubnetIds: []string{*subnet.Subnet.SubnetId},
	})
	must(t, err)
	inVPC, inClassic := n.cluster("in-vpc", "vpc", open), c.cluster("in-classic")
	c.authorize("default", "web")
	c.becomes("default", "web=authorized")
	letIn(t, "an instance of EC2-Classic", web, inClassic)
	inside := neighbour(t, inVPC, 1, 200)
	settled(t, "an address of the VPC", inside, inVPC, true)
	keptOut(t, "an instance of EC2-Classic, to the VPC", web, inVPC)
	keptOut(t, "an address of the VPC, to EC2-Classic", inside, inClassic)
	n.attach(*vpc.Vpc.VpcId, open)
	settled(t, "the host in the VPC", "", inVPC, true)
	keptOut(t, "the host, to EC2-Classic", "", inClassic)
}

// TestIngressSurvivesAKilledServer: what was answered becomes true, and says so,
// though the server is killed right after the answer; and what is true stays so while
// there is no server.
func TestIngressSurvivesAKilledServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newClassic(t)
	c.group("web")
	web := c.instance("web")
	cache := c.cluster("cache")
	c.authorize("default", "web")
	c.d.Kill()
	must(t, c.d.Start(ctx))
	c.becomes("default", "web=authorized")
	letIn(t, "a member", web, cache)
	c.d.Kill()
	letIn(t, "a member, without a server", web, cache)
	keptOut(t, "the host, without a server", "", cache)
	must(t, c.d.Start(ctx))
	c.revoke("default", "web")
	c.d.Kill()
	must(t, c.d.Start(ctx))
	c.becomes("default", "")
	keptOut(t, "a member that was revoked", web, cache)
}

// TestGroupInClassic: the endpoints of a replication group lead there as they do
// in a VPC, before and after a failover.
func TestGroupInClassic(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newClassic(t)
	web := c.instance()
	c.authorize("default", "default")
	g := group(t, c.d, "g", 2, func(in *elasticache.CreateReplicationGroupInput) { in.AutomaticFailoverEnabled = aws.Bool(true) })
	settled(t, "the primary endpoint", web, primaryAddr(g), true)
	settled(t, "the reader endpoint", web, readerAddr(g), true)
	keptOut(t, "the host", "", primaryAddr(g))
	_, err := c.d.ElastiCache().TestFailover(ctx, &elasticache.TestFailoverInput{ReplicationGroupId: aws.String("g"), NodeGroupId: aws.String("0001")})
	must(t, err)
	g = available(t, c.d, "g")
	if g.NodeGroups[0].NodeGroupMembers[0].CurrentRole != nil && *g.NodeGroups[0].NodeGroupMembers[0].CurrentRole == "primary" {
		t.Error("the first member is still the primary")
	}
	settled(t, "the primary endpoint after the failover", web, primaryAddr(g), true)
	keptOut(t, "the host, after the failover", "", primaryAddr(g))
}
