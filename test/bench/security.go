package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/larder-cache/larder/test/harness"
)

// enforceRules measures from the answer to a call that admits clients to the first
// PONG, beside a hundred other nodes.
func enforceRules(ctx context.Context, b *bench) (lines []line, err error) {
	for _, fabric := range fabrics() {
		l, failed := enforceRulesIn(ctx, b, fabric)
		lines, err = append(lines, l), errors.Join(err, failed)
	}
	return lines, err
}

func enforceRulesIn(ctx context.Context, b *bench, fabric string) (line, error) {
	l := line{what: "security group rule, 100 nodes, " + fabric + " fabric: answered to first PONG", unit: "ms", bars: []bar{medianAtMost(10)}}
	err := deployedIn(ctx, fabric, func(d *harness.Deployment) error {
		if err := createHundred(ctx, d); err != nil {
			return err
		}
		groups := securityGroups(d)
		group, err := groups.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("guarded"), Description: aws.String("guarded")})
		if err != nil {
			return err
		}
		api := d.ElastiCache()
		in := groupOf("guarded", 1, false)
		in.SecurityGroupIds = []string{*group.GroupId}
		g, err := createReady(ctx, api, in)
		if err != nil {
			return err
		}
		addr := harness.Addr(g.NodeGroups[0].PrimaryEndpoint)
		rule := []types.IpPermission{{
			IpProtocol: aws.String("tcp"), FromPort: aws.Int32(6379), ToPort: aws.Int32(6379),
			IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
		}}
		for range b.rounds(20, 5) {
			if err := refused(ctx, addr); err != nil {
				return err
			}
			if _, err := groups.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: rule}); err != nil {
				return err
			}
			began := time.Now()
			if err := admitted(ctx, addr, wait); err != nil {
				return err
			}
			l.larder = append(l.larder, milliseconds(time.Since(began)))
			if _, err := groups.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: rule}); err != nil {
				return err
			}
		}
		return nil
	})
	return l, err
}

func securityGroups(d *harness.Deployment) *ec2.Client {
	return ec2.New(ec2.Options{
		Region: d.Credentials["AWS_REGION"], BaseEndpoint: aws.String(d.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(d.Credentials["AWS_ACCESS_KEY_ID"], d.Credentials["AWS_SECRET_ACCESS_KEY"], ""),
	})
}

// admitted waits for the first PONG. A client that no rule admits is connected all
// the same and waits in silence, so that another one has to try each millisecond.
func admitted(ctx context.Context, addr string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answered := make(chan struct{}, 1)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		go func() {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer stop()
			defer c.Close()
			if pingOn(c) == nil {
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		}()
		select {
		case <-answered:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// refused waits until nobody is admitted any more.
func refused(ctx context.Context, addr string) error {
	return until(ctx, wait, func() error {
		if admitted(ctx, addr, 200*time.Millisecond) == nil {
			return fmt.Errorf("%s still answers", addr)
		}
		return nil
	})
}
