package admin

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// Attachment says of which VPC the host is an instance.
type Attachment struct {
	Region string `json:"region"`
	VPC    string `json:"vpc"`
	// Address is the host's in the VPC, which rules see.
	Address        string   `json:"address"`
	SecurityGroups []string `json:"securityGroups"`
}

func wireAttachment(a *resource.Attachment) Attachment {
	return Attachment{Region: a.Region, VPC: a.VPCID, Address: a.Address, SecurityGroups: a.SecurityGroupIDs}
}

// attachments are all VPCs that the host is in, sorted by region and id.
func attachments(r store.Reader) []Attachment {
	out := []Attachment{}
	for _, a := range resource.Attachments.List(r, "") {
		if !a.Detached {
			out = append(out, wireAttachment(a))
		}
	}
	return out
}

// Attach is the body of the request that makes the host an instance of a VPC.
type Attach struct {
	// SecurityGroups are ids of groups of the VPC; none means its default one.
	SecurityGroups []string `json:"securityGroups"`
}

// maxGroups is how many groups an interface may be in.
const maxGroups = 5

func (s *Server) attach(r *http.Request) (any, error) {
	if err := requireRoot(r.Context()); err != nil {
		return nil, err
	}
	var in Attach
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, core.Errorf("ValidationError", "The body must be a JSON object with the member securityGroups.")
	}
	var out Attachment
	err := s.cfg.Store.Update(r.Context(), func(tx *store.Tx) error {
		vpc, err := findVPC(tx, r.PathValue("vpc"))
		if err != nil {
			return err
		}
		groups, err := groupsFor(tx, vpc, in.SecurityGroups)
		if err != nil {
			return err
		}
		a, err := topology.Attach(tx, vpc, groups)
		if err != nil {
			return core.Errorf("InsufficientAddressCapacity", "No subnet of %s has a free address for the host.", vpc.ID)
		}
		out = wireAttachment(a)
		return nil
	})
	return out, err
}

func (s *Server) detach(r *http.Request) (any, error) {
	if err := requireRoot(r.Context()); err != nil {
		return nil, err
	}
	return struct{}{}, s.cfg.Store.Update(r.Context(), func(tx *store.Tx) error {
		vpc, err := findVPC(tx, r.PathValue("vpc"))
		if err != nil {
			return err
		}
		a, ok := resource.Attachments.Get(tx, vpc.Region+"/"+vpc.ID)
		if !ok || a.Detached {
			return core.Errorf("NotAttached", "The host is not attached to %s.", vpc.ID)
		}
		topology.Detach(tx, a, vpc.IsDefault)
		return nil
	})
}

// findVPC looks in every region: ids are unique.
func findVPC(r store.Reader, id string) (*resource.VPC, error) {
	for _, v := range resource.VPCs.List(r, "") {
		if v.ID == id && !resource.IsClassic(v.ID) {
			return v, nil
		}
	}
	return nil, core.Errorf("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", id).WithStatus(http.StatusNotFound)
}

func groupsFor(r store.Reader, vpc *resource.VPC, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return []string{vpc.DefaultSecurityGroup}, nil
	}
	var out []string
	for _, id := range asked {
		g, ok := resource.SecurityGroups.Get(r, vpc.Region+"/"+id)
		if !ok || g.VPCID != vpc.ID {
			return nil, core.Errorf("InvalidGroup.NotFound", "The security group '%s' does not exist in VPC '%s'", id, vpc.ID)
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	if len(out) > maxGroups {
		return nil, core.Errorf("SecurityGroupsPerInterfaceLimitExceeded", "The maximum number of security groups per interface is %d.", maxGroups)
	}
	return out, nil
}
