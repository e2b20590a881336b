package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"github.com/larder-cache/larder/test/harness"
)

// TestTLSMigration takes a live group from plaintext to TLS the way AWS demands:
// to `preferred` first, to `required` when all clients have moved.
func TestTLSMigration(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, testTLSMigration)
}

func testTLSMigration(t *testing.T, o harness.Options) {
	ctx := t.Context()
	d := harness.In(t, o)
	g := group(t, d, "g", 2, nil)
	addr, secure := primaryAddr(g), trust(t, d)
	modify := func(edit func(*elasticache.ModifyReplicationGroupInput)) error {
		in := &elasticache.ModifyReplicationGroupInput{ReplicationGroupId: aws.String("g"), ApplyImmediately: aws.Bool(true)}
		edit(in)
		_, err := d.ElastiCache().ModifyReplicationGroup(ctx, in)
		return err
	}
	enable := func(in *elasticache.ModifyReplicationGroupInput) { in.TransitEncryptionEnabled = aws.Bool(true) }
	require := func(in *elasticache.ModifyReplicationGroupInput) {
		in.TransitEncryptionMode = types.TransitEncryptionModeRequired
	}
	prefer := func(in *elasticache.ModifyReplicationGroupInput) {
		in.TransitEncryptionMode = types.TransitEncryptionModePreferred
	}

	plain := client(t, addr, "", nil).Conn()
	defer plain.Close()
	must(t, plain.Set(ctx, "k", "v", 0).Err())
	// The engine waits for the rest of what it takes for a long command.
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if err := ping(short, addr, "", secure); err == nil {
		t.Error("a group without TLS speaks TLS")
	}
	if err := modify(func(in *elasticache.ModifyReplicationGroupInput) { enable(in); require(in) }); err == nil {
		t.Error("TLS became required while clients speak plaintext")
	}
	if err := modify(func(in *elasticache.ModifyReplicationGroupInput) {
		in.AuthToken, in.AuthTokenUpdateStrategy = aws.String(token), types.AuthTokenUpdateStrategyTypeRotate
	}); err == nil {
		t.Error("a group without TLS took a token")
	}

	must(t, modify(func(in *elasticache.ModifyReplicationGroupInput) { enable(in); prefer(in) }))
	if g = available(t, d, "g"); g.TransitEncryptionMode != types.TransitEncryptionModePreferred {
		t.Errorf("the mode is %q", g.TransitEncryptionMode)
	}
	tls := client(t, addr, "", secure).Conn()
	defer tls.Close()
	for name, err := range map[string]error{
		"held plaintext": plain.Ping(ctx).Err(), "new plaintext": ping(ctx, addr, "", nil),
		"new TLS": tls.Get(ctx, "k").Err(), "TLS at the reader": ping(ctx, readerAddr(g), "", secure),
	} {
		if err != nil {
			t.Errorf("preferred, %s: %v", name, err)
		}
	}

	must(t, modify(require))
	if g = available(t, d, "g"); g.TransitEncryptionMode != types.TransitEncryptionModeRequired {
		t.Errorf("the mode is %q", g.TransitEncryptionMode)
	}
	for name, addr := range map[string]string{"primary": addr, "reader": readerAddr(g), "node": memberAddr(g, "g-001")} {
		if err := ping(ctx, addr, "", nil); err == nil {
			t.Errorf("required: plaintext is let in at the %s endpoint", name)
		}
		must(t, ping(ctx, addr, "", secure))
	}
	must(t, tls.Ping(ctx).Err())

	must(t, modify(func(in *elasticache.ModifyReplicationGroupInput) {
		in.AuthToken, in.AuthTokenUpdateStrategy = aws.String(token), types.AuthTokenUpdateStrategyTypeSet
	}))
	available(t, d, "g")
	harness.Eventually(t, "the token", func(ctx context.Context) error {
		return refused(ping(ctx, addr, "", secure), "NOAUTH")
	})
	must(t, ping(ctx, addr, token, secure))
	must(t, tls.Ping(ctx).Err())
}
