package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/aws/smithy-go"

	"github.com/larder-cache/larder/test/harness"
)

// TestClassic has the clients of AWS use an account with EC2-Classic, which is a
// deployment of its own.
func TestClassic(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{Args: []string{"--platforms=ec2,vpc"}})
	t.Run("CLI", func(t *testing.T) { t.Parallel(); classicCLI(t, d) })
	t.Run("Boto3", func(t *testing.T) {
		t.Parallel()
		cmd := exec.CommandContext(t.Context(), need(t, "python3"), "python/classic.py")
		cmd.Env = d.Env()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
	t.Run("GoSDK", func(t *testing.T) { t.Parallel(); classicGoSDK(t, d) })
}

// classicCLI goes the way of the guides: which platforms there are, an EC2 group into
// the default cache security group, a cluster, and everything away again.
func classicCLI(t *testing.T, d *harness.Deployment) {
	need(t, "aws")
	ask := func(args ...string) string {
		t.Helper()
		out, err := d.AWS(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		var answer any
		if out != "" {
			must(t, json.Unmarshal([]byte(out), &answer))
		}
		return fmt.Sprint(answer)
	}
	expect := func(want string, args ...string) {
		t.Helper()
		if got := ask(args...); got != want {
			t.Errorf("%s: %s, want %s", strings.Join(args, " "), got, want)
		}
	}
	refused := func(words string, args ...string) {
		t.Helper()
		if _, err := d.AWS(t.Context(), args...); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", strings.Join(args, " "), err)
		}
	}
	account := ask("sts", "get-caller-identity", "--query", "Account")
	expect("[EC2 VPC]", "ec2", "describe-account-attributes", "--attribute-names", "supported-platforms", "--query", "sort(AccountAttributes[0].AttributeValues[].AttributeValue)")
	expect("[none]", "ec2", "describe-account-attributes", "--attribute-names", "default-vpc", "--query", "AccountAttributes[0].AttributeValues[].AttributeValue")
	expect("[[default default []]]", "elasticache", "describe-cache-security-groups", "--cache-security-group-name", "default",
		"--query", "CacheSecurityGroups[].[CacheSecurityGroupName,Description,EC2SecurityGroups]")
	ask("ec2", "create-security-group", "--group-name", "cli web", "--description", "cli")
	ingress := []string{"--cache-security-group-name", "default", "--ec2-security-group-name", "cli web", "--ec2-security-group-owner-id", account}
	expect("[[authorizing cli web]]", append([]string{"elasticache", "authorize-cache-security-group-ingress",
		"--query", "CacheSecurityGroup.EC2SecurityGroups[].[Status,EC2SecurityGroupName]"}, ingress...)...)
	harness.Eventually(t, "authorized", func(context.Context) error {
		if got := ask("elasticache", "describe-cache-security-groups", "--query", "CacheSecurityGroups[0].EC2SecurityGroups[].Status"); got != "[authorized]" {
			return errors.New(got)
		}
		return nil
	})
	refused("AuthorizationAlreadyExists", append([]string{"elasticache", "authorize-cache-security-group-ingress"}, ingress...)...)
	ask("elasticache", "create-replication-group", "--replication-group-id", "cli-classic", "--replication-group-description", "cli",
		"--cache-node-type", "cache.t3.micro", "--num-cache-clusters", "2", "--engine", "redis")
	ask("elasticache", "wait", "replication-group-available", "--replication-group-id", "cli-classic")
	expect("[[<nil> [[default active]] []]]", "elasticache", "describe-cache-clusters", "--cache-cluster-id", "cli-classic-002",
		"--query", "CacheClusters[].[CacheSubnetGroupName,CacheSecurityGroups[].[CacheSecurityGroupName,Status],SecurityGroups]")
	const along = "Use of cache security groups is not permitted along with cache subnet group and/or security group Ids."
	refused(along, "elasticache", "create-cache-cluster", "--cache-cluster-id", "x", "--engine", "memcached", "--cache-node-type", "cache.t3.micro",
		"--num-cache-nodes", "1", "--cache-security-group-names", "default", "--cache-subnet-group-name", "any")
	ask("elasticache", "create-cache-security-group", "--cache-security-group-name", "cli-other", "--description", "cli")
	ask("elasticache", "modify-replication-group", "--replication-group-id", "cli-classic", "--cache-security-group-names", "cli-other")
	ask("elasticache", "wait", "replication-group-available", "--replication-group-id", "cli-classic")
	expect("[cli-other]", "elasticache", "describe-cache-clusters", "--cache-cluster-id", "cli-classic-001", "--query", "CacheClusters[0].CacheSecurityGroups[].CacheSecurityGroupName")
	refused("InvalidCacheSecurityGroupState", "elasticache", "delete-cache-security-group", "--cache-security-group-name", "cli-other")
	ask("elasticache", "delete-replication-group", "--replication-group-id", "cli-classic")
	ask("elasticache", "wait", "replication-group-deleted", "--replication-group-id", "cli-classic")
	ask("elasticache", "delete-cache-security-group", "--cache-security-group-name", "cli-other")
	expect("[revoking]", append([]string{"elasticache", "revoke-cache-security-group-ingress", "--query", "CacheSecurityGroup.EC2SecurityGroups[].Status"}, ingress...)...)
	refused("AuthorizationNotFound", append([]string{"elasticache", "revoke-cache-security-group-ingress"}, ingress...)...)
	ask("ec2", "delete-security-group", "--group-name", "cli web")
}

// classicGoSDK reads the errors as the types that the SDK has for them.
func classicGoSDK(t *testing.T, d *harness.Deployment) {
	ctx, client := t.Context(), d.ElastiCache()
	name := aws.String("go-caches")
	made, err := client.CreateCacheSecurityGroup(ctx, &elasticache.CreateCacheSecurityGroupInput{CacheSecurityGroupName: name, Description: aws.String("go")})
	must(t, err)
	if got := aws.ToString(made.CacheSecurityGroup.ARN); !strings.HasSuffix(got, ":securitygroup:go-caches") {
		t.Errorf("the ARN is %s", got)
	}
	account := made.CacheSecurityGroup.OwnerId
	authorize := &elasticache.AuthorizeCacheSecurityGroupIngressInput{
		CacheSecurityGroupName: name, EC2SecurityGroupName: aws.String("default"), EC2SecurityGroupOwnerId: account,
	}
	_, err = client.AuthorizeCacheSecurityGroupIngress(ctx, authorize)
	must(t, err)
	_, err = client.AuthorizeCacheSecurityGroupIngress(ctx, authorize)
	var exists *types.AuthorizationAlreadyExistsFault
	if !errors.As(err, &exists) {
		t.Errorf("authorized again: %v", err)
	}
	revoke := &elasticache.RevokeCacheSecurityGroupIngressInput{
		CacheSecurityGroupName: name, EC2SecurityGroupName: aws.String("default"), EC2SecurityGroupOwnerId: account,
	}
	_, err = client.RevokeCacheSecurityGroupIngress(ctx, revoke)
	must(t, err)
	_, err = client.RevokeCacheSecurityGroupIngress(ctx, revoke)
	var absent *types.AuthorizationNotFoundFault
	if !errors.As(err, &absent) {
		t.Errorf("revoked again: %v", err)
	}
	_, err = client.DeleteCacheSecurityGroup(ctx, &elasticache.DeleteCacheSecurityGroupInput{CacheSecurityGroupName: name})
	must(t, err)
	_, err = client.DescribeCacheSecurityGroups(ctx, &elasticache.DescribeCacheSecurityGroupsInput{CacheSecurityGroupName: name})
	var gone *types.CacheSecurityGroupNotFoundFault
	if !errors.As(err, &gone) {
		t.Errorf("describing what is gone: %v", err)
	}
}

// TestCacheSecurityGroupsOfAVPCAccount is what tools tell an account without
// EC2-Classic by.
func TestCacheSecurityGroupsOfAVPCAccount(t *testing.T) {
	t.Parallel()
	_, err := deployment.ElastiCache().DescribeCacheSecurityGroups(t.Context(), &elasticache.DescribeCacheSecurityGroupsInput{})
	var refusal smithy.APIError
	if !errors.As(err, &refusal) || refusal.ErrorCode() != "InvalidParameterValue" ||
		refusal.ErrorMessage() != "Use of cache security groups is not permitted in this API version for your account." {
		t.Errorf("got %v", err)
	}
}
