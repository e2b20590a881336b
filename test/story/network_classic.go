package story

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// RunClassic tells the story of an account that has EC2-Classic too; its deployment
// is started with --platforms=ec2,vpc.
func (s *Networks) RunClassic(ctx context.Context) error {
	s.step("an account with both platforms")
	out, err := s.query(ctx, "join(' ', AccountAttributes[0].AttributeValues[].AttributeValue)",
		"ec2", "describe-account-attributes", "--attribute-names", "supported-platforms")
	if err != nil {
		return err
	}
	if !strings.Contains(out, "EC2") || !strings.Contains(out, "VPC") {
		return fmt.Errorf("the platforms are %q", out)
	}
	s.saw("%s", out)
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if _, err := s.aws(ctx, "ec2", "create-security-group", "--group-name", "web", "--description", "web"); err != nil {
		return err
	}
	c, err := s.launch(ctx, "C", "--security-groups", "web")
	if err != nil {
		return err
	}
	vpc, err := s.query(ctx, "Vpc.VpcId", "ec2", "create-vpc", "--cidr-block", "10.0.0.0/16")
	if err != nil {
		return err
	}
	subnet, err := s.query(ctx, "Subnet.SubnetId", "ec2", "create-subnet", "--vpc-id", vpc, "--cidr-block", "10.0.0.0/16")
	if err != nil {
		return err
	}
	v, err := s.launch(ctx, "V", "--subnet-id", subnet)
	if err != nil {
		return err
	}
	s.saw("C is in EC2-Classic, V in a VPC")
	return s.classicCache(ctx, c, v)
}

func (s *Networks) classicCache(ctx context.Context, c, v client) error {
	s.step("a cluster in EC2-Classic, in the default cache security group: nobody gets in")
	if _, err := s.aws(ctx, "elasticache", "create-cache-cluster", "--cache-cluster-id", "classic", "--engine", "redis",
		"--cache-node-type", "cache.t3.micro", "--num-cache-nodes", "1"); err != nil {
		return err
	}
	cluster, err := s.D.AwaitCluster(ctx, "classic", "available")
	if err != nil {
		return err
	}
	addr := nodeAddr(cluster)
	if err := s.keptOut(ctx, addr, c, v); err != nil {
		return err
	}
	account, err := s.query(ctx, "Account", "sts", "get-caller-identity")
	if err != nil {
		return err
	}
	change := func(action string) error {
		_, err := s.aws(ctx, "elasticache", action+"-cache-security-group-ingress", "--cache-security-group-name", "default",
			"--ec2-security-group-name", "web", "--ec2-security-group-owner-id", account)
		return err
	}
	s.step("C's group is authorized: C gets in, an instance of a VPC never does")
	if err := errors.Join(change("authorize"), s.connects(ctx, addr, c), s.keptOut(ctx, addr, v)); err != nil {
		return err
	}
	s.step("revoked")
	return errors.Join(change("revoke"), s.keptOut(ctx, addr, c))
}

// freeAddress is one of loopback that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
