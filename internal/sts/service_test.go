package sts

import (
	"regexp"
	"testing"

	"github.com/larder-cache/larder/internal/core"
)

func TestGetCallerIdentity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, principal, userID string }{
		{"root", "arn:aws:iam::123456789012:root", `^123456789012$`},
		{"user", "arn:aws:iam::123456789012:user/ci", `^AIDA[A-Z2-7]{17}$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := core.WithRequest(t.Context(), core.Request{Account: "123456789012", PrincipalARN: c.principal})
			out, err := Service{}.GetCallerIdentity(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			if *out.Arn != c.principal || *out.Account != "123456789012" {
				t.Errorf("got %s of %s", *out.Arn, *out.Account)
			}
			if !regexp.MustCompile(c.userID).MatchString(*out.UserId) {
				t.Errorf("user id %s does not match %s", *out.UserId, c.userID)
			}
			again, _ := Service{}.GetCallerIdentity(ctx, nil)
			if *again.UserId != *out.UserId {
				t.Error("the user id changes between calls")
			}
		})
	}
}
