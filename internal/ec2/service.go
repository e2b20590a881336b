// Package ec2 is the slice of EC2 that users of ElastiCache touch: the regions,
// zones and default VPCs of the account, with their subnets and default security
// groups. Every region has its own default VPC, made when it is first looked at.
package ec2

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/store"
)

// Config is what a Service needs. All fields are required.
type Config struct {
	Store *store.Store
	// Account is the 12-digit owner of everything.
	Account string
	// Windows are the first and the last N of 127.N.0.0/16 that VPCs may be mapped
	// to, each to an even one and the next.
	Windows [2]int
}

// Service implements the served actions of EC2.
type Service struct {
	store   *store.Store
	account string
	windows [2]int
}

var _ wire.Service = (*Service)(nil)

// New returns a Service.
func New(c Config) *Service { return &Service{store: c.Store, account: c.Account, windows: c.Windows} }

// id is an identifier of AWS's form that is the same whenever the same thing is
// made again, so that configuration naming it outlives the state.
func (s *Service) id(prefix, region, what string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{prefix, s.account, region, what}, "/")))
	return prefix + "-" + hex.EncodeToString(sum[:])[:17]
}

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

func wireTags(tags map[string]string) []*wire.Tag {
	var out []*wire.Tag
	for _, k := range sortedKeys(tags) {
		out = append(out, &wire.Tag{Key: core.Ptr(k), Value: core.Ptr(tags[k])})
	}
	return out
}

// paginate cuts a page. items are sorted by id; EC2 pages only when asked to,
// and never a list of named ids.
func paginate[T any](items []T, id func(T) string, scope, idParam string, ids []string, max *int, token *string) ([]T, *string, error) {
	if max == nil && token == nil {
		return items, nil, nil
	}
	if len(ids) > 0 {
		return nil, nil, errCombination(idParam, "maxResults")
	}
	limit := 1000
	if max != nil {
		limit = *max
	}
	page, next, err := core.Page(items, id, scope, core.Val(token), limit)
	if err != nil {
		return nil, nil, errNextToken()
	}
	if next == "" {
		return page, nil, nil
	}
	return page, &next, nil
}
