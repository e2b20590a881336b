package compat

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestEC2Terraform builds a VPC with groups, rules in all their forms and a
// cluster, expects an empty plan, changes a port, and destroys everything.
func TestEC2Terraform(t *testing.T) {
	t.Parallel()
	makesVPC(t)
	tf := newTerraform(t, filepath.Join("terraform", "network.tf"))
	tf.run("apply", "-auto-approve", "-input=false")
	tf.emptyPlan("after apply")
	tf.env["TF_VAR_port"] = "6380"
	tf.run("apply", "-auto-approve", "-input=false", "-target=aws_security_group.cache", "-target=aws_vpc_security_group_ingress_rule.office")
	tf.emptyPlan("after the rules changed")
	tf.run("destroy", "-auto-approve", "-input=false")
}

func TestEC2Boto3(t *testing.T) {
	t.Parallel()
	makesVPC(t)
	script(t, deployment, "python3", "python/ec2.py")
}

// TestEC2CLI goes the way of the guides: a group, a rule, a cluster in it, and
// everything away again.
func TestEC2CLI(t *testing.T) {
	t.Parallel()
	makesVPC(t)
	need(t, "aws")
	ask := func(args ...string) string {
		t.Helper()
		var answer any
		awsCLI(t, &answer, args...)
		return fmt.Sprint(answer)
	}
	vpc := ask("ec2", "create-vpc", "--cidr-block", "10.30.0.0/16", "--tag-specifications", "ResourceType=vpc,Tags=[{Key=Name,Value=cli}]", "--query", "Vpc.VpcId")
	subnet := ask("ec2", "create-subnet", "--vpc-id", vpc, "--cidr-block", "10.30.1.0/24", "--availability-zone", "us-east-1b", "--query", "Subnet.SubnetId")
	group := ask("ec2", "create-security-group", "--group-name", "cli-cache", "--description", "cli", "--vpc-id", vpc, "--query", "GroupId")
	app := ask("ec2", "create-security-group", "--group-name", "cli-app", "--description", "cli", "--vpc-id", vpc, "--query", "GroupId")
	awsCLI(t, nil, "ec2", "authorize-security-group-ingress", "--group-id", group, "--protocol", "tcp", "--port", "6379", "--cidr", "10.30.0.0/16")
	awsCLI(t, nil, "ec2", "authorize-security-group-ingress", "--group-id", group, "--protocol", "tcp", "--port", "6379-6380", "--source-group", app)
	awsCLI(t, nil, "ec2", "authorize-security-group-egress", "--group-id", group, "--protocol", "udp", "--port", "53", "--cidr", "10.30.0.0/16")
	awsCLI(t, nil, "ec2", "authorize-security-group-ingress", "--group-id", group, "--protocol", "icmp", "--port", "-1", "--cidr", "0.0.0.0/0")
	rules := ask("ec2", "describe-security-group-rules", "--filters", "Name=group-id,Values="+group, "--query", "length(SecurityGroupRules)")
	if rules != "5" {
		t.Errorf("%s rules", rules)
	}
	ports := ask("ec2", "describe-security-groups", "--group-ids", group, "--query", "SecurityGroups[0].IpPermissions[].[IpProtocol,FromPort,ToPort]")
	if want := "[[tcp 6379 6379] [tcp 6379 6380] [icmp -1 -1]]"; ports != want {
		t.Errorf("ports\n%s\nwant\n%s", ports, want)
	}
	_, err := deployment.AWS(t.Context(), "ec2", "authorize-security-group-ingress", "--group-id", group, "--protocol", "tcp", "--port", "6379", "--cidr", "10.30.4.5/16")
	if err == nil || !strings.Contains(err.Error(), `InvalidPermission.Duplicate`) {
		t.Errorf("the same rule again: %v", err)
	}
	awsCLI(t, nil, "elasticache", "create-cache-subnet-group", "--cache-subnet-group-name", "cli-network", "--cache-subnet-group-description", "cli", "--subnet-ids", subnet)
	awsCLI(t, nil, "elasticache", "create-cache-cluster", "--cache-cluster-id", "cli-network", "--engine", "redis", "--cache-node-type", "cache.t3.micro",
		"--num-cache-nodes", "1", "--cache-subnet-group-name", "cli-network", "--security-group-ids", group)
	awsCLI(t, nil, "elasticache", "wait", "cache-cluster-available", "--cache-cluster-id", "cli-network")
	address := ask("ec2", "describe-network-interfaces", "--filters", "Name=group-id,Values="+group, "--query", "NetworkInterfaces[0].PrivateIpAddress")
	if !strings.HasPrefix(address, "10.30.1.") {
		t.Errorf("the node's interface has the address %q", address)
	}
	_, err = deployment.AWS(t.Context(), "ec2", "delete-security-group", "--group-id", group)
	if err == nil || !strings.Contains(err.Error(), "DependencyViolation") {
		t.Errorf("deleting a group in use: %v", err)
	}
	awsCLI(t, nil, "elasticache", "modify-cache-cluster", "--cache-cluster-id", "cli-network", "--security-group-ids", app, "--apply-immediately")
	awsCLI(t, nil, "elasticache", "wait", "cache-cluster-available", "--cache-cluster-id", "cli-network")
	awsCLI(t, nil, "elasticache", "delete-cache-cluster", "--cache-cluster-id", "cli-network")
	awsCLI(t, nil, "elasticache", "wait", "cache-cluster-deleted", "--cache-cluster-id", "cli-network")
	awsCLI(t, nil, "elasticache", "delete-cache-subnet-group", "--cache-subnet-group-name", "cli-network")
	for _, id := range []string{group, app} {
		awsCLI(t, nil, "ec2", "delete-security-group", "--group-id", id)
	}
	awsCLI(t, nil, "ec2", "delete-subnet", "--subnet-id", subnet)
	awsCLI(t, nil, "ec2", "delete-vpc", "--vpc-id", vpc)
}

// TestInstancesCLI launches an instance, takes it through its states, and changes it
// on the way.
func TestInstancesCLI(t *testing.T) {
	t.Parallel()
	need(t, "aws")
	ask := func(args ...string) string {
		t.Helper()
		var answer any
		awsCLI(t, &answer, append([]string{"ec2"}, args...)...)
		return fmt.Sprint(answer)
	}
	image := ask("describe-images", "--owners", "larder", "--query", "Images[0].ImageId")
	group := ask("create-security-group", "--group-name", "cli-instances", "--description", "cli", "--query", "GroupId")
	id := ask("run-instances", "--image-id", image, "--instance-type", "t3.micro", "--security-groups", "cli-instances",
		"--tag-specifications", "ResourceType=instance,Tags=[{Key=Name,Value=cli}]", "--query", "Instances[0].InstanceId")
	awsCLI(t, nil, "ec2", "wait", "instance-running", "--instance-ids", id)
	awsCLI(t, nil, "ec2", "wait", "instance-status-ok", "--instance-ids", id)
	state := "Reservations[].Instances[].[InstanceType,State.Name,SecurityGroups[0].GroupName]"
	if got := ask("describe-instances", "--filters", "Name=tag:Name,Values=cli", "--query", state); got != "[[t3.micro running cli-instances]]" {
		t.Errorf("running: %s", got)
	}
	_, err := deployment.AWS(t.Context(), "ec2", "delete-security-group", "--group-id", group)
	if err == nil || !strings.Contains(err.Error(), "DependencyViolation") {
		t.Errorf("deleting the group of an instance: %v", err)
	}
	if got := ask("stop-instances", "--instance-ids", id, "--query", "StoppingInstances[0].PreviousState.Name"); got != "running" {
		t.Errorf("stopped from %s", got)
	}
	awsCLI(t, nil, "ec2", "wait", "instance-stopped", "--instance-ids", id)
	awsCLI(t, nil, "ec2", "modify-instance-attribute", "--instance-id", id, "--instance-type", "Value=t4g.small")
	awsCLI(t, nil, "ec2", "modify-instance-attribute", "--instance-id", id, "--disable-api-termination")
	awsCLI(t, nil, "ec2", "start-instances", "--instance-ids", id)
	awsCLI(t, nil, "ec2", "reboot-instances", "--instance-ids", id)
	_, err = deployment.AWS(t.Context(), "ec2", "terminate-instances", "--instance-ids", id)
	if err == nil || !strings.Contains(err.Error(), "disableApiTermination") {
		t.Errorf("terminating a protected instance: %v", err)
	}
	awsCLI(t, nil, "ec2", "modify-instance-attribute", "--instance-id", id, "--no-disable-api-termination")
	awsCLI(t, nil, "ec2", "terminate-instances", "--instance-ids", id)
	awsCLI(t, nil, "ec2", "wait", "instance-terminated", "--instance-ids", id)
	ended := ask("describe-instances", "--instance-ids", id, "--query", "Reservations[].Instances[].[InstanceType,State.Name,StateReason.Code]")
	if ended != "[[t4g.small terminated Client.UserInitiatedShutdown]]" {
		t.Errorf("terminated: %s", ended)
	}
	awsCLI(t, nil, "ec2", "delete-security-group", "--group-id", group)
}
