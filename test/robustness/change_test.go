package robustness

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"github.com/larder-cache/larder/test/harness"
)

// deaf drops the first answer, which the server has given.
type deaf struct{ heard bool }

func (d *deaf) Do(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultClient.Do(r)
	if err != nil || d.heard {
		return answer, err
	}
	d.heard = true
	answer.Body.Close()
	return nil, errors.New("the answer is lost")
}

// TestLostRotation: clients have a token that works after a rotation of which nobody knows
// whether it was done, and after the next one too.
func TestLostRotation(t *testing.T) {
	t.Parallel()
	g := newGroup(harness.In(t, harness.Options{}), "secret")
	check(t, g.create(t.Context(), func(in *elasticache.CreateReplicationGroupInput) {
		in.NumCacheClusters = aws.Int32(2)
		in.TransitEncryptionEnabled, in.AuthToken = aws.Bool(true), aws.String("token-0123456789abcdef")
	}))
	answered := g.api
	g.api = elasticache.New(answered.Options(), func(o *elasticache.Options) { o.HTTPClient = &deaf{} })
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		if name, ok := outcome(g.newToken(t.Context(), types.AuthTokenUpdateStrategyTypeRotate, r)); !ok {
			t.Errorf("a rotation: %s", name)
		}
		if _, err := g.settled(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
