// Package sts is the slice of STS by which clients ask who they are.
package sts

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/sts"
	"github.com/larder-cache/larder/internal/core"
)

// Service implements the served actions of STS.
type Service struct{}

var _ wire.Service = Service{}

// GetCallerIdentity names the account and the principal whose key signed.
func (Service) GetCallerIdentity(ctx context.Context, _ *wire.GetCallerIdentityRequest) (*wire.GetCallerIdentityResponse, error) {
	r := core.RequestFrom(ctx)
	return &wire.GetCallerIdentityResponse{
		UserId:  core.Ptr(userID(r)),
		Account: core.Ptr(r.Account),
		Arn:     core.Ptr(r.PrincipalARN),
	}, nil
}

// userID is the account for its root, and for a user an id that stays the same
// while the ARN does.
func userID(r core.Request) string {
	if strings.HasSuffix(r.PrincipalARN, ":root") {
		return r.Account
	}
	sum := sha256.Sum256([]byte(r.PrincipalARN))
	return "AIDA" + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
