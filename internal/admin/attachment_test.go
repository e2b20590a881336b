package admin

import (
	"net/http"
	"slices"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func TestAttach(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	err := d.store.Update(t.Context(), func(tx *store.Tx) error {
		for region, id := range map[string]string{"us-east-1": "vpc-a", "eu-west-1": "vpc-b"} {
			resource.VPCs.Put(tx, region+"/"+id, &resource.VPC{
				Region: region, ID: id, CIDR: "172.31.0.0/16", IsDefault: id == "vpc-a", DefaultSecurityGroup: "sg-default-" + id,
				Subnets: []resource.Subnet{{ID: "subnet-" + id, CIDR: "172.31.0.0/28"}},
			})
			for _, g := range []string{"sg-1-", "sg-2-", "sg-3-", "sg-4-", "sg-5-", "sg-6-"} {
				resource.SecurityGroups.Put(tx, region+"/"+g+id, &resource.SecurityGroup{Region: region, ID: g + id, VPCID: id})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := d.client(t)
	attached := func(want ...string) {
		t.Helper()
		st, err := c.Status(t.Context())
		var got []string
		for _, a := range st.Attachments {
			got = append(got, a.VPC)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("attached to %v, %v; want %v", got, err, want)
		}
	}
	attached()
	for name, tc := range map[string]struct {
		vpc    string
		groups []string
		code   string
		status int
	}{
		"no such VPC":             {"vpc-x", nil, "InvalidVpcID.NotFound", http.StatusNotFound},
		"no such group":           {"vpc-a", []string{"sg-1-vpc-a", "sg-x"}, "InvalidGroup.NotFound", http.StatusBadRequest},
		"a group of another VPC":  {"vpc-a", []string{"sg-1-vpc-b"}, "InvalidGroup.NotFound", http.StatusBadRequest},
		"more than an ENI can be": {"vpc-a", []string{"sg-1-vpc-a", "sg-2-vpc-a", "sg-3-vpc-a", "sg-4-vpc-a", "sg-5-vpc-a", "sg-6-vpc-a"}, "SecurityGroupsPerInterfaceLimitExceeded", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Attach(t.Context(), tc.vpc, tc.groups)
			refused(t, err, tc.code, tc.status)
		})
	}
	refused(t, c.Detach(t.Context(), "vpc-a"), "NotAttached", http.StatusBadRequest)
	attached()

	a, err := c.Attach(t.Context(), "vpc-a", nil)
	if err != nil || a.Region != "us-east-1" || !slices.Equal(a.SecurityGroups, []string{"sg-default-vpc-a"}) {
		t.Errorf("attached %+v, %v", a, err)
	}
	b, err := c.Attach(t.Context(), "vpc-b", []string{"sg-2-vpc-b", "sg-1-vpc-b", "sg-2-vpc-b"})
	if err != nil || b.Region != "eu-west-1" || !slices.Equal(b.SecurityGroups, []string{"sg-2-vpc-b", "sg-1-vpc-b"}) {
		t.Errorf("attached %+v, %v", b, err)
	}
	again, err := c.Attach(t.Context(), "vpc-a", []string{"sg-1-vpc-a"})
	if err != nil || again.Address != a.Address || !slices.Equal(again.SecurityGroups, []string{"sg-1-vpc-a"}) {
		t.Errorf("attached again %+v, %v", again, err)
	}
	attached("vpc-b", "vpc-a")
	if err := c.Detach(t.Context(), "vpc-a"); err != nil {
		t.Error(err)
	}
	attached("vpc-b")
	refused(t, c.Detach(t.Context(), "vpc-a"), "NotAttached", http.StatusBadRequest)

	key, err := c.CreateKey(t.Context(), "someone")
	if err != nil {
		t.Fatal(err)
	}
	other := d.clientOf(t, key.ID, core.NewSecret(key.Secret))
	_, err = other.Attach(t.Context(), "vpc-a", nil)
	refused(t, err, "AccessDenied", http.StatusForbidden)
	refused(t, other.Detach(t.Context(), "vpc-b"), "AccessDenied", http.StatusForbidden)
}
