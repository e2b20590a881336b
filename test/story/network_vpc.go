package story

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// group creates a security group and gives its id.
func (s *Networks) group(ctx context.Context, name, vpc string) (string, error) {
	return s.query(ctx, "GroupId", "ec2", "create-security-group", "--group-name", name, "--description", name, "--vpc-id", vpc)
}

// rules tells what the rules of a cache's group do to instances of its own VPC, of
// another one, and to the host; for Redis and for Memcached.
func (s *Networks) rules(ctx context.Context) error {
	s.step("instance A in the group app, B in the default group, X in another VPC with the same addresses")
	vpc, err := s.query(ctx, "Vpcs[0].VpcId", "ec2", "describe-vpcs", "--filters", "Name=isDefault,Values=true")
	if err != nil {
		return err
	}
	app, err := s.group(ctx, "app", vpc)
	if err != nil {
		return err
	}
	a, err := s.launch(ctx, "A", "--security-group-ids", app)
	if err != nil {
		return err
	}
	b, err := s.launch(ctx, "B")
	if err != nil {
		return err
	}
	x, err := s.twin(ctx, vpc, a)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		engine string
		port   int
	}{{"redis", 6379}, {"memcached", 11211}} {
		if err := s.cache(ctx, c.engine, c.port, vpc, app, a, b, x); err != nil {
			return fmt.Errorf("%s: %w", c.engine, err)
		}
	}
	return nil
}

// twin launches an instance with the address of another one, in a VPC with the range
// of the default one.
func (s *Networks) twin(ctx context.Context, vpc string, of client) (client, error) {
	cidr, err := s.query(ctx, "Vpcs[0].CidrBlock", "ec2", "describe-vpcs", "--vpc-ids", vpc)
	if err != nil {
		return client{}, err
	}
	other, err := s.query(ctx, "Vpc.VpcId", "ec2", "create-vpc", "--cidr-block", cidr)
	if err != nil {
		return client{}, err
	}
	subnet, err := s.query(ctx, "Subnet.SubnetId", "ec2", "create-subnet", "--vpc-id", other, "--cidr-block", cidr)
	if err != nil {
		return client{}, err
	}
	return s.launch(ctx, "X", "--subnet-id", subnet, "--private-ip-address", s.instances[of.instance].String())
}

func (s *Networks) cache(ctx context.Context, engine string, port int, vpc, app string, a, b, x client) error {
	s.step("a %s cluster in a group of its own: nobody gets in, and Larder says why", engine)
	id := "sample-" + engine
	group, err := s.group(ctx, id, vpc)
	if err != nil {
		return err
	}
	addr, err := s.cacheIn(ctx, id, engine, group)
	if err != nil {
		return err
	}
	if err := s.keptOut(ctx, addr, a, theHost); err != nil {
		return err
	}
	if err := s.explained(ctx, a, id); err != nil {
		return err
	}
	rule := func(action string, source ...string) error {
		_, err := s.aws(ctx, append([]string{"ec2", action + "-security-group-ingress", "--group-id", group, "--protocol", "tcp", "--port", fmt.Sprint(port)}, source...)...)
		return err
	}

	s.step("the port is opened to anywhere: all that is in the VPC gets in, and the host, which is an instance of it")
	if err := errors.Join(rule("authorize", "--cidr", "0.0.0.0/0"), s.connects(ctx, addr, a, b, theHost), s.keptOut(ctx, addr, x)); err != nil {
		return err
	}
	s.step("narrowed to the group app")
	if err := errors.Join(rule("authorize", "--source-group", app), rule("revoke", "--cidr", "0.0.0.0/0")); err != nil {
		return err
	}
	if err := errors.Join(s.connects(ctx, addr, a), s.keptOut(ctx, addr, b, theHost, x)); err != nil {
		return err
	}
	s.step("revoked: no new connection")
	return errors.Join(rule("revoke", "--source-group", app), s.keptOut(ctx, addr, a, b, theHost))
}

// explained expects Larder to say what keeps a client out, and the command that would
// let it in.
func (s *Networks) explained(ctx context.Context, c client, cache string) error {
	s.Say("   $ larder explain --from " + c.instance + " --to " + cache)
	out, err := s.D.Larder(ctx, "explain", "--from", c.instance, "--to", cache)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		s.saw("  %s", strings.TrimRight(line, "\n"))
	}
	if !strings.Contains(out, "may not connect") || !strings.Contains(out, "aws ec2 authorize-security-group-ingress") {
		return errors.New("the explanation has no command that would let it in")
	}
	return nil
}

// proxyHost tells how a cache is published: an interface in the VPC that relays from
// outside, and needs a rule like any other client.
func (s *Networks) proxyHost(ctx context.Context) error {
	s.step("a proxy host makes the cluster reachable from outside, once its group is let in")
	vpc, err := s.query(ctx, "Vpcs[0].VpcId", "ec2", "describe-vpcs", "--filters", "Name=isDefault,Values=true")
	if err != nil {
		return err
	}
	proxy, err := s.group(ctx, "proxy", vpc)
	if err != nil {
		return err
	}
	group, err := s.query(ctx, "SecurityGroups[0].GroupId", "ec2", "describe-security-groups", "--filters", "Name=group-name,Values=sample-redis")
	if err != nil {
		return err
	}
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	s.Say("   $ larder publish sample-redis --listen " + addr + " --security-group " + proxy)
	if _, err := s.D.Larder(ctx, "publish", "sample-redis", "--listen", addr, "--security-group", proxy); err != nil {
		return err
	}
	outside := client{name: "a client outside"}
	if err := s.keptOut(ctx, addr, outside); err != nil {
		return err
	}
	if _, err := s.aws(ctx, "ec2", "authorize-security-group-ingress", "--group-id", group, "--protocol", "tcp", "--port", "6379", "--source-group", proxy); err != nil {
		return err
	}
	return s.connects(ctx, addr, outside)
}
