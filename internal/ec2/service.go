// Package ec2 is the slice of EC2 that users of ElastiCache touch: the regions and
// zones of the account, its VPCs with their subnets, the instances from which
// clients connect, and the security groups that decide who may. Every region has its
// own default VPC, made when it is first looked at; an account that has EC2-Classic has
// that instead. Handlers store what is wanted; what enforces it reads that.
package ec2

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"runtime"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/store"
)

// Config is what a Service needs. All fields but Classic are required.
type Config struct {
	Store *store.Store
	// Account is the 12-digit owner of everything.
	Account string
	// Windows are the first and the last N of 127.N.0.0/16 that VPCs may be mapped
	// to, each to an even one and the next. Zero where VPCs are networks of their
	// own, and mapped to none.
	Windows [2]int
	// DefaultCIDR is the range of every default VPC; the zero one is AWS's.
	DefaultCIDR netip.Prefix
	// Classic: the account has EC2-Classic, and no default VPCs.
	Classic bool
	Clock   core.Clock
	// NewID returns a fresh random identifier of at least 17 hexadecimal digits; it
	// is called outside transactions.
	NewID func() string
}

// Service implements the served actions of EC2.
type Service struct {
	store       *store.Store
	defaultCIDR netip.Prefix
	account     string
	windows     [2]int
	classic     bool
	clock       core.Clock
	newID       func() string
	// architecture is that of the host, and so of every instance.
	architecture string
}

var _ wire.Service = (*Service)(nil)

// New returns a Service.
func New(c Config) *Service {
	if !c.DefaultCIDR.IsValid() {
		c.DefaultCIDR = netip.MustParsePrefix(defaultCIDR)
	}
	return &Service{
		defaultCIDR: c.DefaultCIDR,
		store:       c.Store, account: c.Account, windows: c.Windows, classic: c.Classic, clock: c.Clock, newID: c.NewID, architecture: hostArchitecture(),
	}
}

// hostArchitecture is this program's in EC2's words.
func hostArchitecture() string {
	if runtime.GOARCH == "arm64" {
		return arm
	}
	return intel
}

// fresh is an identifier that nothing had before.
func (s *Service) fresh(prefix string) string { return prefix + "-" + s.newID()[:17] }

// id is an identifier of AWS's form that is the same whenever the same thing is
// made again, so that configuration naming it outlives the state.
func (s *Service) id(prefix, region, what string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{prefix, s.account, region, what}, "/")))
	return prefix + "-" + hex.EncodeToString(sum[:])[:17]
}

func key(region, id string) string { return region + "/" + id }

func (s *Service) arn(region, kind, id string) string {
	return strings.Join([]string{"arn", "aws", "ec2", region, s.account, kind + "/" + id}, ":")
}

func region(ctx context.Context) string { return core.RequestFrom(ctx).Region }

// dryRun is what EC2 answers to a permitted request that must not be carried out.
func dryRun(asked *bool) error {
	if core.Val(asked) {
		return errDryRun()
	}
	return nil
}
