package host_test

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// A change of a rule, of a cluster's groups or of the host's place reaches the
// runtime, and changes nothing in the document but who may connect.
func TestRulesReachTheRuntime(t *testing.T) {
	t.Parallel()
	l, h := newHost(t, true)
	l.Record, l.Controllers = h.Record, []reconcile.Controller{h.Controller()}
	const key = "us-east-1/rg-001/0001"
	compose(t, l, nil)
	l.Settle(t)
	admitted := func() bool {
		doc := l.Runtime.Document()
		for _, n := range doc.Nodes {
			if n.ID == key {
				ok, _ := network.Compile(doc.World).Allows(network.Flow{
					Protocol: network.TCP, SourceVPC: "vpc-1", Source: doc.Windows["vpc-1"].Source(netip.MustParseAddr("127.0.0.1")),
					VPC: "vpc-1", Destination: netip.MustParseAddr(n.VPC.Address), Port: n.VPC.Port,
				})
				return ok
			}
		}
		return false
	}
	if admitted() {
		t.Error("the host is let in before any rule")
	}
	before := l.Runtime.Document()
	group := func(id string, rules ...resource.SecurityGroupRule) func(tx *store.Tx) {
		return func(tx *store.Tx) {
			resource.SecurityGroups.Put(tx, "us-east-1/"+id, &resource.SecurityGroup{Region: "us-east-1", ID: id, VPCID: "vpc-1", Rules: rules})
		}
	}
	in := func(g resource.SecurityGroupRule) resource.SecurityGroupRule {
		g.ID, g.Protocol, g.FromPort, g.ToPort = "sgr-in", "tcp", 6379, 6379
		return g
	}
	out := resource.SecurityGroupRule{ID: "sgr-out", Egress: true, Protocol: "-1", FromPort: -1, ToPort: -1, CIDR: "0.0.0.0/0"}
	for _, step := range []struct {
		name string
		do   func(tx *store.Tx)
		want bool
	}{
		{"the cluster is in a group that lets in a range", func(tx *store.Tx) {
			for _, id := range []string{"rg-001", "rg-002", "rg-003"} {
				c, _ := resource.CacheClusters.Get(tx, "us-east-1/"+id)
				c.Spec.SecurityGroupIDs = []string{"sg-a"}
				resource.CacheClusters.Put(tx, "us-east-1/"+id, c)
			}
			group("sg-a", out, in(resource.SecurityGroupRule{CIDR: "172.31.0.0/16"}))(tx)
		}, false},
		{"the host is in the VPC, in a group that lets it out", func(tx *store.Tx) {
			group("sg-b", out)(tx)
			resource.Attachments.Put(tx, "us-east-1/vpc-1", &resource.Attachment{Region: "us-east-1", VPCID: "vpc-1", Address: "172.31.1.1", SecurityGroupIDs: []string{"sg-b"}})
		}, true},
		{"its group lets nothing out", group("sg-b"), false},
		{"and again", group("sg-b", out), true},
		{"the rule is for members of another group", group("sg-a", out, in(resource.SecurityGroupRule{GroupID: "sg-c"})), false},
		{"the rule is for members of its group", group("sg-a", out, in(resource.SecurityGroupRule{GroupID: "sg-b"})), true},
		{"the rule is gone", group("sg-a", out), false},
	} {
		l.Update(t, step.do)
		l.Settle(t)
		if got := admitted(); got != step.want {
			t.Errorf("%s: let in: %v", step.name, got)
		}
	}
	after := l.Runtime.Document()
	if w := after.Windows["vpc-1"]; w.Loopback.String() != "127.10.0.0/16" || w.CIDR.String() != "172.31.0.0/16" {
		t.Errorf("the window is %+v", w)
	}
	for _, e := range after.Endpoints {
		if e.Network != "vpc-1" {
			t.Errorf("%s is in %q", e.ID, e.Network)
		}
	}
	after.World, after.Windows, after.Revision = before.World, before.Windows, before.Revision
	if !reflect.DeepEqual(after, before) {
		t.Errorf("the document changed from\n%+v to\n%+v", before, after)
	}
}
