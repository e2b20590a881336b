package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/test/harness"
)

// newReplica measures how soon a primary with much data has a replica in sync, beside
// an engine that is started and told REPLICAOF. Ours has TLS between the two.
func newReplica(ctx context.Context, b *bench) ([]line, error) {
	megabytes := b.dataset()
	l := line{
		what: fmt.Sprintf("a replica of %d MB: IncreaseReplicaCount to `available`; bare: exec, REPLICAOF, in sync, without TLS", megabytes),
		unit: "s", note: "reported",
	}
	keys := megabytes << 20 / valueSize
	for range b.rounds(3, 1) {
		ours, err := ourReplica(ctx, keys)
		if err != nil {
			return nil, err
		}
		bare, err := bareReplica(ctx, keys)
		if err != nil {
			return nil, err
		}
		l.larder, l.bare = append(l.larder, ours.Seconds()), append(l.bare, bare.Seconds())
	}
	return []line{l}, nil
}

func ourReplica(ctx context.Context, keys int) (took time.Duration, err error) {
	all := fabrics()
	err = deployedIn(ctx, all[len(all)-1], func(d *harness.Deployment) error {
		api := d.ElastiCache()
		in := groupOf("g", 1, false)
		in.Engine, in.EngineVersion, in.CacheNodeType = aws.String("valkey"), aws.String("8.0"), aws.String(bigNode)
		g, err := createReady(ctx, api, in)
		if err != nil {
			return err
		}
		c := harness.Redis(harness.Addr(g.NodeGroups[0].PrimaryEndpoint), "", nil)
		defer c.Close()
		if err := populate(ctx, c, keys); err != nil {
			return err
		}
		began := time.Now()
		_, err = api.IncreaseReplicaCount(ctx, &elasticache.IncreaseReplicaCountInput{
			ReplicationGroupId: aws.String("g"), NewReplicaCount: aws.Int32(1), ApplyImmediately: aws.Bool(true),
		})
		if err == nil {
			err = awaitChanged(ctx, d)
		}
		took = time.Since(began)
		info, infoErr := c.Info(ctx, "replication").Result()
		if err = errors.Join(err, infoErr); err == nil && !strings.Contains(info, "state=online") {
			err = fmt.Errorf("the group is available and its replica is not in sync: %s", info)
		}
		return err
	})
	return took, err
}

func bareReplica(ctx context.Context, keys int) (took time.Duration, err error) {
	err = withPeers(func(p *peers) error {
		primary, err := p.start(ctx, nil, append(engineSettings, "rdbcompression no")...)
		if err != nil {
			return err
		}
		c := harness.Redis(primary, "", nil)
		defer c.Close()
		if err := populate(ctx, c, keys); err != nil {
			return err
		}
		began := time.Now()
		replica, err := p.start(ctx, nil, append(engineSettings, "rdbcompression no", "repl-diskless-load swapdb")...)
		if err != nil {
			return err
		}
		host, port, _ := net.SplitHostPort(primary)
		if got := ask(replica, "REPLICAOF "+host+" "+port); got != "+OK\r\n" {
			return fmt.Errorf("REPLICAOF: %s", got)
		}
		err = until(ctx, longWait, func() error {
			time.Sleep(20 * time.Millisecond) // not to be in the way of what is waited for
			if !strings.Contains(ask(replica, "INFO replication"), "master_link_status:up") {
				return errors.New("the replica is not in sync")
			}
			return nil
		})
		took = time.Since(began)
		return err
	})
	return took, err
}
