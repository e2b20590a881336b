// Package elasticache is the ElastiCache service: one file per resource. A
// handler validates its input, commits one transaction that records what is
// wanted, and answers from what it committed. It starts no process, dials
// nothing and never waits; the controllers carry the records out.
package elasticache

import (
	"context"
	"log/slog"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store"
)

// Networks is what the service needs to know of VPCs. Package ec2 implements it.
type Networks interface {
	// DefaultVPC is the region's default VPC, made in tx when it is missing.
	DefaultVPC(tx *store.Tx, region string) (*resource.VPC, error)
	// PeekDefaultVPC is the default VPC if it exists already.
	PeekDefaultVPC(r store.Reader, region string) (*resource.VPC, bool)
	// ClassicNetwork is the region's EC2-Classic network, made in tx when it is
	// missing. Only an account that has EC2-Classic may ask for it.
	ClassicNetwork(tx *store.Tx, region string) (*resource.VPC, error)
}

// Advertise makes every endpoint one port of a range on one host, for clients
// that cannot reach the bound addresses. The zero value turns it off.
type Advertise struct {
	Host string
	// PortFrom and PortTo are the first and the last port of the range.
	PortFrom, PortTo int
}

// Config is what a Service needs. All fields but Advertise and
// Classic are required.
type Config struct {
	Store   *store.Store
	Seal    *seal.Ring
	Clock   core.Clock
	Account string
	Catalog *catalog.Catalog
	// Networks knows the VPCs.
	Networks Networks
	// Classic: the account has EC2-Classic, where clusters are that name no subnet
	// group.
	Classic bool
	// GroupNodes is the quota of nodes, and so of shards, of a group in cluster mode.
	GroupNodes int
	// NewID returns a fresh random identifier; it is called outside transactions.
	NewID     func() string
	Advertise Advertise
	// Domain is the DNS zone of endpoint names, e.g. "cache.larder.internal".
	Domain string
	// EndpointNames is EndpointNamesAuto, EndpointNamesIP or EndpointNamesDNS; empty
	// is EndpointNamesIP.
	EndpointNames string
	Log           *slog.Logger
}

// Service implements the operations of ElastiCache.
type Service struct {
	store    *store.Store
	seal     *seal.Ring
	clock    core.Clock
	account  string
	catalog  *catalog.Catalog
	networks Networks
	classic  bool
	// groupNodes is the quota of nodes of a group in cluster mode.
	groupNodes int
	newID      func() string
	advertise  Advertise
	domain     string
	// endpointNames is the form of endpoints in answers.
	endpointNames string
	log           *slog.Logger
}

var _ wire.Service = (*Service)(nil)

// New returns a Service.
func New(c Config) *Service {
	return &Service{
		store:         c.Store,
		seal:          c.Seal,
		clock:         c.Clock,
		account:       c.Account,
		catalog:       c.Catalog,
		networks:      c.Networks,
		classic:       c.Classic,
		groupNodes:    c.GroupNodes,
		newID:         c.NewID,
		advertise:     c.Advertise,
		domain:        c.Domain,
		endpointNames: c.EndpointNames,
		log:           c.Log,
	}
}

// The types of ElastiCache ARNs that are served.
const (
	arnCluster          = "cluster"
	arnReplicationGroup = "replicationgroup"
	arnParameterGroup   = "parametergroup"
	arnSubnetGroup      = "subnetgroup"
	arnSecurityGroup    = "securitygroup"
)

// arn is the ARN of a resource of this account, as answers carry it.
func (s *Service) arn(region, kind, name string) *string {
	return core.Ptr(core.ElastiCacheARN(region, s.account, kind, name).String())
}

// key is the store key of a regional resource.
func key(region, name string) string { return region + "/" + name }

// region is the region a request was made in.
func region(ctx context.Context) string { return core.RequestFrom(ctx).Region }
