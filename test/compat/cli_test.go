package compat

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
)

// aws runs the CLI and decodes what it prints.
func awsCLI(t *testing.T, into any, args ...string) {
	t.Helper()
	out, err := deployment.AWS(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(out), into); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
	}
}

func TestCLI(t *testing.T) {
	t.Parallel()
	need(t, "aws")
	var identity struct{ Account, Arn string }
	awsCLI(t, &identity, "sts", "get-caller-identity")
	if len(identity.Account) != 12 {
		t.Errorf("identity: %+v", identity)
	}
	var platforms []string
	awsCLI(t, &platforms, "ec2", "describe-account-attributes", "--attribute-names", "supported-platforms",
		"--query", "AccountAttributes[].AttributeValues[].AttributeValue")
	if len(platforms) != 1 || platforms[0] != "VPC" {
		t.Errorf("platforms: %v", platforms)
	}
	const id = "cli-group"
	awsCLI(t, nil, "elasticache", "create-replication-group", "--replication-group-id", id, "--replication-group-description", "cli",
		"--engine", "redis", "--engine-version", "7.0", "--cache-node-type", "cache.t4g.micro", "--num-cache-clusters", "2",
		"--transit-encryption-enabled", "--auth-token", "cli-token-0123456789", "--tags", "Key=team,Value=a")
	awsCLI(t, nil, "elasticache", "wait", "replication-group-available", "--replication-group-id", id)
	var version string
	awsCLI(t, &version, "elasticache", "describe-cache-clusters", "--cache-cluster-id", id+"-001", "--query", "CacheClusters[0].EngineVersion")
	if !strings.HasPrefix(version, "7.0.") {
		t.Errorf("version: %s", version)
	}
	var status string
	awsCLI(t, &status, "elasticache", "modify-replication-group", "--replication-group-id", id, "--auth-token", "cli-token-9876543210",
		"--auth-token-update-strategy", "ROTATE", "--apply-immediately", "--query", "ReplicationGroup.PendingModifiedValues.AuthTokenStatus")
	if status != "ROTATING" {
		t.Errorf("AuthTokenStatus: %s", status)
	}
	awsCLI(t, nil, "elasticache", "wait", "replication-group-available", "--replication-group-id", id)
	var pending string
	awsCLI(t, nil, "elasticache", "modify-replication-group", "--replication-group-id", id, "--cache-node-type", "cache.m7g.large")
	awsCLI(t, &pending, "elasticache", "describe-cache-clusters", "--cache-cluster-id", id+"-002", "--query", "CacheClusters[0].PendingModifiedValues.CacheNodeType")
	if pending != "cache.m7g.large" {
		t.Errorf("pending node type: %s", pending)
	}
	// Versions of the CLI that have no --engine here take it for --engine-version.
	_, err := deployment.ElastiCache().ModifyReplicationGroup(t.Context(), &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: aws.String(id), CacheNodeType: aws.String("cache.m7g.large"),
		Engine: aws.String("valkey"), EngineVersion: aws.String("8.0"), ApplyImmediately: aws.Bool(true),
	})
	must(t, err)
	awsCLI(t, nil, "elasticache", "wait", "replication-group-available", "--replication-group-id", id)
	var changed []string
	awsCLI(t, &changed, "elasticache", "describe-replication-groups", "--replication-group-id", id, "--query", "ReplicationGroups[0].[Engine,CacheNodeType]")
	if len(changed) != 2 || changed[0] != "valkey" || changed[1] != "cache.m7g.large" {
		t.Errorf("changed to %v", changed)
	}
	awsCLI(t, nil, "elasticache", "delete-replication-group", "--replication-group-id", id)
	awsCLI(t, nil, "elasticache", "wait", "replication-group-deleted", "--replication-group-id", id)
}

func TestCLICluster(t *testing.T) {
	t.Parallel()
	need(t, "aws")
	const id = "cli-cluster"
	var arn string
	awsCLI(t, &arn, "elasticache", "create-cache-cluster", "--cache-cluster-id", id, "--engine", "memcached",
		"--cache-node-type", "cache.t3.micro", "--num-cache-nodes", "2", "--query", "CacheCluster.ARN")
	awsCLI(t, nil, "elasticache", "wait", "cache-cluster-available", "--cache-cluster-id", id)
	awsCLI(t, nil, "elasticache", "add-tags-to-resource", "--resource-name", arn, "--tags", "Key=team,Value=a")
	var tags []struct{ Key, Value string }
	awsCLI(t, &tags, "elasticache", "list-tags-for-resource", "--resource-name", arn, "--query", "TagList")
	if len(tags) != 1 || tags[0].Key != "team" || tags[0].Value != "a" {
		t.Errorf("tags: %v", tags)
	}
	awsCLI(t, nil, "elasticache", "modify-cache-cluster", "--cache-cluster-id", id, "--num-cache-nodes", "1",
		"--cache-node-ids-to-remove", "0002", "--apply-immediately")
	awsCLI(t, nil, "elasticache", "wait", "cache-cluster-available", "--cache-cluster-id", id)
	var nodes []string
	awsCLI(t, &nodes, "elasticache", "describe-cache-clusters", "--cache-cluster-id", id, "--show-cache-node-info",
		"--query", "CacheClusters[0].CacheNodes[].CacheNodeId")
	if len(nodes) != 1 || nodes[0] != "0001" {
		t.Errorf("nodes: %v", nodes)
	}
	awsCLI(t, nil, "elasticache", "reboot-cache-cluster", "--cache-cluster-id", id, "--cache-node-ids-to-reboot", "0001")
	awsCLI(t, nil, "elasticache", "wait", "cache-cluster-available", "--cache-cluster-id", id)
	awsCLI(t, nil, "elasticache", "delete-cache-cluster", "--cache-cluster-id", id)
	awsCLI(t, nil, "elasticache", "wait", "cache-cluster-deleted", "--cache-cluster-id", id)
}

func TestCLIRefusals(t *testing.T) {
	t.Parallel()
	need(t, "aws")
	for name, row := range map[string]struct {
		args []string
		code string
	}{
		"unserved action": {[]string{"elasticache", "describe-users"}, "InvalidAction"},
		"valkey cluster":  {[]string{"elasticache", "create-cache-cluster", "--cache-cluster-id", "v", "--engine", "valkey", "--cache-node-type", "cache.t3.micro", "--num-cache-nodes", "1"}, "InvalidParameterValue"},
		"token, no TLS":   {[]string{"elasticache", "create-replication-group", "--replication-group-id", "x", "--replication-group-description", "x", "--cache-node-type", "cache.t3.micro", "--auth-token", "cli-token-0123456789"}, "InvalidParameterCombination"},
		"at rest":         {[]string{"elasticache", "create-replication-group", "--replication-group-id", "x", "--replication-group-description", "x", "--cache-node-type", "cache.t3.micro", "--at-rest-encryption-enabled"}, "InvalidParameterCombination"},
		"shards":          {[]string{"elasticache", "create-replication-group", "--replication-group-id", "x", "--replication-group-description", "x", "--cache-node-type", "cache.t3.micro", "--num-node-groups", "2"}, "InvalidParameterCombination"},
		"unknown group":   {[]string{"elasticache", "describe-replication-groups", "--replication-group-id", "nope"}, "ReplicationGroupNotFoundFault"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := deployment.AWS(t.Context(), row.args...)
			if err == nil || !strings.Contains(err.Error(), row.code) {
				t.Errorf("expected %s, got %v", row.code, err)
			}
		})
	}
}
