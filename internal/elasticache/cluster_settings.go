package elasticache

import (
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/parameter"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const (
	redisPort     = 6379
	memcachedPort = 11211
	// onlyNode is the id of the one node of a Redis or Valkey cluster, onlyShard
	// that of the one node group of a replication group without cluster mode.
	onlyNode  = "0001"
	onlyShard = resource.OnlyShard

	defaultSubnetGroup = "default"
	clusterLandingPage = "https://console.aws.amazon.com/elasticache/home#client-download:"
)

// clusterSettings is what the creation of a cluster and that of a replication
// group have in common, as the caller sent it.
type clusterSettings struct {
	engine                            string
	version, nodeType                 *string
	parameterGroup, subnetGroup       *string
	securityGroups, cacheGroups       []string
	port                              *int
	maintenanceWindow, snapshotWindow *string
	autoMinor                         *bool
}

// spec checks the settings that need no look at the store and begins the spec of
// the cluster, or of the members, with them. uid spreads the default windows.
func (s *Service) spec(region, uid string, in clusterSettings) (resource.CacheClusterSpec, error) {
	spec := resource.CacheClusterSpec{Engine: in.engine, AutoMinorVersionUpgrade: in.autoMinor == nil || *in.autoMinor}
	version, err := s.catalog.Resolve(in.engine, core.Val(in.version))
	if err != nil {
		return spec, err
	}
	spec.EngineVersion = version.Full
	if core.Val(in.nodeType) == "" {
		return spec, errMissing("CacheNodeType")
	}
	nodeType, err := nodeTypeFor(*in.nodeType, version)
	if err != nil {
		return spec, err
	}
	spec.NodeType = nodeType.Name
	standard := redisPort
	if in.engine == catalog.Memcached {
		standard = memcachedPort
	}
	if spec.Port, err = port(in.port, standard); err != nil {
		return spec, err
	}
	spec.ParameterGroup = strings.ToLower(core.Val(in.parameterGroup))
	if spec.ParameterGroup == "" {
		spec.ParameterGroup = "default." + version.Family
	}
	if err := s.setPlatform(&spec, in); err != nil {
		return spec, err
	}
	spec.MaintenanceWindow, spec.SnapshotWindow, err = newWindows(region, uid, in.maintenanceWindow, in.snapshotWindow)
	if in.engine == catalog.Memcached {
		spec.SnapshotWindow = ""
	}
	return spec, err
}

// maxSecurityGroups is the quota of groups on one network interface.
const maxSecurityGroups = 5

// securityGroups checks the security groups that were asked for, which must be of
// the VPC of the subnet group; none means the VPC's default group.
func securityGroups(r store.Reader, vpc *resource.VPC, subnetGroup string, asked []string) ([]string, error) {
	var out []string
	for _, id := range asked {
		if id == "" || slices.Contains(out, id) {
			continue
		}
		g, ok := resource.SecurityGroups.Get(r, key(vpc.Region, id))
		if !ok {
			return nil, errUnknownSecurityGroup(id)
		}
		if g.VPCID != vpc.ID {
			return nil, errSecurityGroupVPC(subnetGroup, vpc.ID, g.VPCID)
		}
		out = append(out, id)
	}
	if len(out) > maxSecurityGroups {
		return nil, errTooManySecurityGroups()
	}
	if len(out) == 0 {
		out = []string{vpc.DefaultSecurityGroup}
	}
	return out, nil
}

// parameterGroupFor checks that a parameter group exists, is of the family of an
// engine version and has values that a node type can run with, and reports whether
// it asks for cluster mode.
func (s *Service) parameterGroupFor(r store.Reader, region, name string, version catalog.Version, nodeType string) (clusterMode bool, err error) {
	group, err := s.lookupParameterGroup(r, region, name)
	if err != nil {
		return false, err
	}
	if group.Family != version.Family {
		return false, errParameterGroupFamily(version.Family, group.Family)
	}
	return group.Values[parameter.ClusterEnabled] == "yes", checkParametersFit(group, nodeType)
}

// nodeTypeFor checks that a node type exists and runs an engine version.
func nodeTypeFor(name string, version catalog.Version) (catalog.NodeType, error) {
	t, ok := catalog.LookupNodeType(strings.ToLower(name))
	if !ok {
		return t, errUnknownNodeType(name)
	}
	if !t.Supports(version.Engine, version.Full) {
		return t, errNodeTypeEngine(name, version)
	}
	if t.DataTiering {
		return t, errNotServedValue("CacheNodeType", name)
	}
	return t, nil
}

// refusal is a parameter of a request that may be refused because Larder does
// not serve it yet.
type refusal struct {
	parameter string
	// given: it asks for something that would have no effect.
	given bool
}

// refuseUnserved refuses the first parameter that asks for what is not served.
func refuseUnserved(list []refusal) error {
	for _, r := range list {
		if r.given {
			return errNotServed(r.parameter)
		}
	}
	return nil
}

// set reports whether a text was sent and is not empty.
func set(p *string) bool { return core.Val(p) != "" }

// not reports whether a text was sent and says something else than the one
// value that is served.
func not(p *string, served string) bool { return set(p) && !strings.EqualFold(*p, served) }
