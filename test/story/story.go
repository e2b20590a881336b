// Package story tells what Larder is for, step by step, and observes each step
// with a real client: the AWS CLI for the API, a Redis client for the caches. The
// demonstration prints it, and a test runs it.
package story

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"github.com/larder-cache/larder/test/harness"
)

// Teller runs the story against one deployment.
type Teller struct {
	D *harness.Deployment
	// Say is called with each step and each observation.
	Say func(line string)

	tls *tls.Config
}

// The sample group of the story and its tokens.
const (
	Group  = "sample-replication-group"
	open   = "open-replication-group"
	first  = "first-token-0123456789"
	second = "second-token-0123456789"
)

// Run tells the whole story.
func (s *Teller) Run(ctx context.Context) (err error) {
	if s.tls, err = s.D.TLS(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		s.foundations, s.create, s.closedFromTheStart, s.writeAndRead, s.rotateUnderLoad, s.openGroup, s.failover, s.remove, s.reshard,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Teller) step(format string, args ...any) { s.Say("\n== " + fmt.Sprintf(format, args...)) }
func (s *Teller) saw(format string, args ...any)  { s.Say("   " + fmt.Sprintf(format, args...)) }

// aws runs the AWS CLI and shows the command.
func (s *Teller) aws(ctx context.Context, args ...string) (string, error) {
	s.Say("   $ aws " + strings.Join(args, " "))
	return s.D.AWS(ctx, args...)
}

func (s *Teller) foundations(ctx context.Context) error {
	s.step("a subnet group over the default VPC and a parameter group")
	out, err := s.aws(ctx, "ec2", "describe-subnets", "--query", "Subnets[].SubnetId")
	if err != nil {
		return err
	}
	var subnets []string
	if err := json.Unmarshal([]byte(out), &subnets); err != nil {
		return fmt.Errorf("subnets: %w", err)
	}
	s.saw("the default VPC has %d subnets", len(subnets))
	args := append([]string{"elasticache", "create-cache-subnet-group", "--cache-subnet-group-name", "sample-subnets",
		"--cache-subnet-group-description", "sample", "--subnet-ids"}, subnets...)
	if _, err := s.aws(ctx, args...); err != nil {
		return err
	}
	if _, err := s.aws(ctx, "elasticache", "create-cache-parameter-group", "--cache-parameter-group-name", "sample-parameters",
		"--cache-parameter-group-family", "redis7", "--description", "sample"); err != nil {
		return err
	}
	_, err = s.aws(ctx, "elasticache", "modify-cache-parameter-group", "--cache-parameter-group-name", "sample-parameters",
		"--parameter-name-values", "ParameterName=maxmemory-policy,ParameterValue=allkeys-lru")
	return err
}

func (s *Teller) create(ctx context.Context) error {
	s.step("three nodes over three zones, with failover, TLS and a token")
	if _, err := s.aws(ctx, "elasticache", "create-replication-group", "--replication-group-id", Group,
		"--replication-group-description", "sample", "--engine", "redis", "--cache-node-type", "cache.t4g.micro",
		"--num-cache-clusters", "3", "--automatic-failover-enabled", "--multi-az-enabled", "--port", "6379",
		"--cache-subnet-group-name", "sample-subnets", "--cache-parameter-group-name", "sample-parameters",
		"--transit-encryption-enabled", "--auth-token", first); err != nil {
		return err
	}
	began := time.Now()
	g, err := s.D.AwaitGroup(ctx, Group, "available")
	if err != nil {
		return err
	}
	s.saw("available after %d ms", time.Since(began).Milliseconds())
	for _, m := range g.NodeGroups[0].NodeGroupMembers {
		s.saw("%s is %s in %s at %s", *m.CacheClusterId, *m.CurrentRole, *m.PreferredAvailabilityZone, harness.Addr(m.ReadEndpoint))
	}
	return nil
}

// addresses are all places where a client can reach a group.
func addresses(g types.ReplicationGroup) map[string]string {
	ng := g.NodeGroups[0]
	all := map[string]string{"primary endpoint": harness.Addr(ng.PrimaryEndpoint), "reader endpoint": harness.Addr(ng.ReaderEndpoint)}
	for _, m := range ng.NodeGroupMembers {
		all["node "+*m.CacheClusterId] = harness.Addr(m.ReadEndpoint)
	}
	return all
}

// ping says what an endpoint answers to PING with a token, or none if empty.
func (s *Teller) ping(ctx context.Context, addr, token string) error {
	c := harness.Redis(addr, token, s.tls)
	defer c.Close()
	return c.Ping(ctx).Err()
}

// refused expects an error that begins with code.
func refused(err error, code string) error {
	if err == nil {
		return fmt.Errorf("was let in, expected %s", code)
	}
	if !strings.HasPrefix(err.Error(), code) {
		return fmt.Errorf("expected %s, got: %w", code, err)
	}
	return nil
}

func (s *Teller) closedFromTheStart(ctx context.Context) error {
	s.step("no endpoint has a moment without the token")
	g, err := s.D.Group(ctx, Group)
	if err != nil {
		return err
	}
	for name, addr := range addresses(g) {
		if err := refused(s.ping(ctx, addr, ""), "NOAUTH"); err != nil {
			return fmt.Errorf("%s without token: %w", name, err)
		}
		if err := s.ping(ctx, addr, first); err != nil {
			return fmt.Errorf("%s with token: %w", name, err)
		}
		s.saw("%-34s NOAUTH without, PONG with the token, over verified TLS", name)
	}
	return nil
}

func (s *Teller) writeAndRead(ctx context.Context) error {
	s.step("written at the primary endpoint, read at the reader endpoint")
	g, err := s.D.Group(ctx, Group)
	if err != nil {
		return err
	}
	ng := g.NodeGroups[0]
	primary, reader := harness.Redis(harness.Addr(ng.PrimaryEndpoint), first, s.tls), harness.Redis(harness.Addr(ng.ReaderEndpoint), first, s.tls)
	defer primary.Close()
	defer reader.Close()
	if err := primary.Set(ctx, "greeting", "hello", 0).Err(); err != nil {
		return err
	}
	if err := harness.Await(ctx, 5*time.Second, func(ctx context.Context) error {
		v, err := reader.Get(ctx, "greeting").Result()
		if err == nil && v != "hello" {
			err = errors.New("reads " + v)
		}
		return err
	}); err != nil {
		return fmt.Errorf("reader endpoint: %w", err)
	}
	s.saw("SET greeting hello at the primary endpoint, GET greeting gives hello at the reader endpoint")
	policy, err := primary.Info(ctx, "memory").Result()
	if err != nil {
		return err
	}
	if !strings.Contains(policy, "maxmemory_policy:allkeys-lru") {
		return errors.New("the parameter group's maxmemory-policy did not reach the engine")
	}
	s.saw("INFO memory shows maxmemory_policy:allkeys-lru from the parameter group")
	return nil
}

// rotate runs modify-replication-group with a token and waits.
func (s *Teller) rotate(ctx context.Context, group, token, strategy string) error {
	if _, err := s.aws(ctx, "elasticache", "modify-replication-group", "--replication-group-id", group,
		"--auth-token", token, "--auth-token-update-strategy", strategy, "--apply-immediately"); err != nil {
		return err
	}
	_, err := s.D.AwaitGroup(ctx, group, "available")
	return err
}

func (s *Teller) remove(ctx context.Context) error {
	s.step("everything is deleted, and gone")
	for _, id := range []string{Group, open} {
		if _, err := s.aws(ctx, "elasticache", "delete-replication-group", "--replication-group-id", id); err != nil {
			return err
		}
		if err := harness.Await(ctx, 30*time.Second, func(ctx context.Context) error {
			_, err := s.D.Group(ctx, id)
			var gone *types.ReplicationGroupNotFoundFault
			if errors.As(err, &gone) {
				return nil
			}
			return errors.Join(err, errors.New("still there"))
		}); err != nil {
			return fmt.Errorf("deleting %s: %w", id, err)
		}
		s.saw("%s is gone", id)
	}
	for _, args := range [][]string{
		{"elasticache", "delete-cache-subnet-group", "--cache-subnet-group-name", "sample-subnets"},
		{"elasticache", "delete-cache-parameter-group", "--cache-parameter-group-name", "sample-parameters"},
	} {
		if _, err := s.aws(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}
