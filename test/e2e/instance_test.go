package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/test/harness"
)

// launch runs an instance in groups and waits until it runs.
func (n *networks) launch(groups ...string) admin.Instance {
	n.t.Helper()
	images, err := n.ec2.DescribeImages(n.t.Context(), &ec2.DescribeImagesInput{})
	must(n.t, err)
	out, err := n.ec2.RunInstances(n.t.Context(), &ec2.RunInstancesInput{
		ImageId: images.Images[0].ImageId, InstanceType: ec2types.InstanceTypeT3Micro, MinCount: aws.Int32(1), MaxCount: aws.Int32(1), SecurityGroupIds: groups,
	})
	must(n.t, err)
	id := *out.Instances[0].InstanceId
	n.awaitInstance(id, ec2types.InstanceStateNameRunning)
	s, err := n.d.Status(n.t.Context())
	must(n.t, err)
	for _, i := range s.Instances {
		if i.ID == id {
			return i
		}
	}
	n.t.Fatalf("larder status does not show %s: %+v", id, s.Instances)
	return admin.Instance{}
}

func (n *networks) awaitInstance(id string, state ec2types.InstanceStateName) {
	n.t.Helper()
	harness.Eventually(n.t, id+" is "+string(state), func(ctx context.Context) error {
		out, err := n.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		if err != nil {
			return err
		}
		if got := out.Reservations[0].Instances[0].State.Name; got != state {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// TestInstances lets clients in that are members of a group: by their instance's
// address, as long as the instance runs and is in the group.
func TestInstances(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{Fabric: "userspace"})
	n := newNetworks(t, d)
	ctx, vpc := t.Context(), *n.vpc.VpcId
	apps, others, caches := n.group(vpc, "apps"), n.group(vpc, "others"), n.group(vpc, "caches")
	n.authorize(caches, apps)
	cache := n.cluster("cache", "", caches)
	app, other := n.launch(apps), n.launch(others)

	settled(t, "an instance of the group", app.Source, cache, true)
	keptOut(t, "an instance of another group", other.Source, cache)
	keptOut(t, "the host", "", cache)
	out, err := d.Larder(ctx, "explain", "--from", app.ID, "--to", "cache")
	must(t, err)
	if !strings.Contains(out, "may connect") || !strings.Contains(out, app.Address) || !strings.Contains(out, "must not use TLS") {
		t.Errorf("explain says\n%s", out)
	}
	_, err = d.Larder(ctx, "exec", "--data-dir", d.DataDir, app.ID, "--", "true")
	if err == nil || !strings.Contains(err.Error(), "have it bind "+app.Source) {
		t.Errorf("exec in the userspace fabric: %v", err)
	}

	_, err = n.ec2.ModifyInstanceAttribute(ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &other.ID, Groups: []string{apps}})
	must(t, err)
	settled(t, "an instance that has come into the group", other.Source, cache, true)
	_, err = n.ec2.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{app.ID}})
	must(t, err)
	n.awaitInstance(app.ID, ec2types.InstanceStateNameStopped)
	keptOut(t, "an instance that is stopped", app.Source, cache)
	n.authorize(caches, "172.31.0.0/16")
	settled(t, "an address of the range", neighbour(t, cache, 200, 9), cache, true)
	keptOut(t, "a stopped instance, whose address is in the range", app.Source, cache)

	// What was launched is there after a crash of the server, too.
	d.Kill()
	must(t, d.Start(ctx))
	n.ec2 = ec2Client(d)
	n.awaitInstance(app.ID, ec2types.InstanceStateNameStopped)
	_, err = n.ec2.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: []string{app.ID}})
	must(t, err)
	n.awaitInstance(app.ID, ec2types.InstanceStateNameRunning)
	letIn(t, "an instance that was started again", app.Source, cache)
	_, err = n.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{app.ID}})
	must(t, err)
	n.awaitInstance(app.ID, ec2types.InstanceStateNameTerminated)
	n.revoke(caches, "172.31.0.0/16")
	settled(t, "the address of an instance that has ended", app.Source, cache, false)
}
