package e2e

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
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
