package admin

import (
	"net/http"
	"net/netip"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
)

// Instance says where an instance is on this host.
type Instance struct {
	Region string `json:"region"`
	ID     string `json:"id"`
	// State is "running", "stopped" or "terminated", and Reached whether it is that
	// already.
	State   string `json:"state"`
	Reached bool   `json:"reached"`
	VPC     string `json:"vpc"`
	// Address is the one in the VPC, which rules see.
	Address string `json:"address"`
	// Source is the address that a program on this host binds to be the instance, where
	// the instance has no namespace.
	Source string `json:"source,omitempty"`
	// Namespace is the path of the network namespace that the instance is, Resolver that
	// of the resolv.conf in it.
	Namespace string `json:"namespace,omitempty"`
	Resolver  string `json:"resolver,omitempty"`
}

// instances are those that have not ended, sorted by region and id.
func (s *Server) instances(r store.Reader) []Instance {
	out := []Instance{}
	for _, i := range resource.Instances.List(r, "") {
		if i.Exists() {
			out = append(out, s.wireInstance(r, i))
		}
	}
	return out
}

func (s *Server) wireInstance(r store.Reader, i *resource.Instance) Instance {
	out := Instance{Region: i.Region, ID: i.ID, State: i.Spec.Power, Reached: i.Reached(), VPC: i.Spec.VPCID, Address: i.Spec.Address}
	if out.Namespace, out.Resolver = s.cfg.Live.InstanceSpace(runtime.Instance{ID: i.Key(), Boots: i.Spec.Boots}); out.Namespace != "" {
		return out
	}
	if vpc, ok := resource.VPCs.Get(r, i.Region+"/"+i.Spec.VPCID); ok {
		out.Source = boundTo(vpc.Window, i.Spec.Address)
	}
	return out
}

// boundTo is where an address of a VPC is in its window.
func boundTo(window int, address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || !ip.Is4() || window == 0 {
		return ""
	}
	a := ip.As4()
	return netip.AddrFrom4([4]byte{127, byte(window), a[2], a[3]}).String()
}

func (s *Server) findInstance(r *http.Request) (any, error) {
	var out Instance
	err := s.cfg.Store.View(r.Context(), func(rd store.Reader) error {
		i, err := instanceNamed(rd, r.PathValue("id"))
		if err == nil {
			out = s.wireInstance(rd, i)
		}
		return err
	})
	return out, err
}

// instanceNamed looks in every region: ids are unique.
func instanceNamed(r store.Reader, id string) (*resource.Instance, error) {
	for _, i := range resource.Instances.List(r, "") {
		if i.ID == id && i.Exists() {
			return i, nil
		}
	}
	return nil, core.Errorf("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id).WithStatus(http.StatusNotFound)
}
