package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/valkey-io/valkey-go"

	"github.com/larder-cache/larder/test/harness"
)

// TestValkeyGo: the library of Valkey's makers, which goes by what an engine says of its
// version, finds its way by TLS, also after a failover.
func TestValkeyGo(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		d := harness.In(t, o)
		g := shardedGroup(t, d, "g", 2, 1, func(in *elasticache.CreateReplicationGroupInput) {
			secured(in)
			in.EngineVersion = aws.String("8.0")
		})
		c, err := valkey.NewClient(valkey.ClientOption{
			InitAddress: []string{harness.Addr(g.ConfigurationEndpoint)}, Password: token, TLSConfig: trust(t, d),
		})
		must(t, err)
		defer c.Close()
		use := func(ctx context.Context, value string) error {
			for i := range 100 {
				key := fmt.Sprintf("k%d", i)
				if err := c.Do(ctx, c.B().Set().Key(key).Value(value).Build()).Error(); err != nil {
					return err
				}
				if got, err := c.Do(ctx, c.B().Get().Key(key).Build()).ToString(); err != nil || got != value {
					return fmt.Errorf("%s is %q, %w", key, got, err)
				}
			}
			return nil
		}
		must(t, use(t.Context(), "before"))
		_, err = d.ElastiCache().TestFailover(t.Context(), &elasticache.TestFailoverInput{ReplicationGroupId: aws.String("g"), NodeGroupId: aws.String("0002")})
		must(t, err)
		awaitEvent(t, d, "g", "Failover from primary node g-0002-001 to replica node g-0002-002 completed")
		harness.Eventually(t, "all keys", func(ctx context.Context) error { return use(ctx, "after") })
	})
}
