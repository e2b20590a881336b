package admin

import (
	"net/http"
	"testing"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func TestInstancesOnThisHost(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	err := d.store.Update(t.Context(), func(tx *store.Tx) error {
		resource.VPCs.Put(tx, "us-east-1/vpc-a", &resource.VPC{Region: "us-east-1", ID: "vpc-a", CIDR: "10.1.0.0/16", Window: 12})
		for id, power := range map[string]string{"i-1": resource.PowerRunning, "i-9": resource.PowerStopped, "i-2": resource.PowerTerminated} {
			i := &resource.Instance{Region: "us-east-1", ID: id, Spec: resource.InstanceSpec{Power: power, Boots: 1, VPCID: "vpc-a", Address: "10.1.2.3"}}
			if id != "i-1" {
				i.Status = resource.InstanceStatus{Power: power, Boots: 1}
			}
			resource.Instances.Put(tx, i.Key(), i)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := d.client(t)
	want := map[string]Instance{
		"i-1": {Region: "us-east-1", ID: "i-1", State: "running", VPC: "vpc-a", Address: "10.1.2.3", Source: "127.12.2.3"},
		"i-9": {
			Region: "us-east-1", ID: "i-9", State: "stopped", Reached: true, VPC: "vpc-a", Address: "10.1.2.3",
			Namespace: "/run/netns/i-9", Resolver: "/etc/netns/resolv.conf",
		},
	}
	for id, w := range want {
		if got, err := c.Instance(t.Context(), id); err != nil || got != w {
			t.Errorf("%+v, %v, want %+v", got, err, w)
		}
	}
	_, err = c.Instance(t.Context(), "i-2")
	refused(t, err, "InvalidInstanceID.NotFound", http.StatusNotFound)
	s, err := c.Status(t.Context())
	if err != nil || len(s.Instances) != 2 || s.Instances[0] != want["i-1"] || s.Instances[1] != want["i-9"] {
		t.Errorf("status has %+v, %v", s.Instances, err)
	}
}
