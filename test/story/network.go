package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/test/harness"
)

// Networks tells who may connect: by the security groups of a VPC, by cache
// security groups in EC2-Classic, and from outside through a proxy host. Each step
// is observed by a client inside an instance.
type Networks struct {
	// D has both platforms: ClassicArgs.
	D *harness.Deployment
	// Kernel: instances are network namespaces, and clients run inside. Otherwise an
	// instance is an address that a client of the host binds.
	Kernel bool
	// Say is called with each step and each observation.
	Say func(line string)

	image     string
	instances map[string]netip.Addr // by id
}

// the seconds that a client waits for an answer before it gives up.
const patience = "1"

// RunVPC tells the story of a deployment that has VPCs only.
func (s *Networks) RunVPC(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.platform, s.rules, s.proxyHost} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare finds the image that instances are launched from.
func (s *Networks) prepare(ctx context.Context) (err error) {
	s.instances = map[string]netip.Addr{}
	s.image, err = s.query(ctx, "Images[0].ImageId", "ec2", "describe-images")
	return err
}

func (s *Networks) step(format string, args ...any) { s.Say("\n== " + fmt.Sprintf(format, args...)) }
func (s *Networks) saw(format string, args ...any)  { s.Say("   " + fmt.Sprintf(format, args...)) }

// aws runs the AWS CLI, shows the command and gives what it printed.
func (s *Networks) aws(ctx context.Context, args ...string) (string, error) {
	s.Say("   $ aws " + strings.Join(args, " "))
	return s.D.AWS(ctx, args...)
}

// query is aws with a query for one string.
func (s *Networks) query(ctx context.Context, query string, args ...string) (string, error) {
	out, err := s.aws(ctx, append(args, "--query", query)...)
	if err != nil {
		return "", err
	}
	var text string
	if err := json.Unmarshal([]byte(out), &text); err != nil {
		return "", fmt.Errorf("aws %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return text, nil
}

// client is somebody who tries to connect.
type client struct {
	name string
	// instance is the id; "" is the host.
	instance string
}

var theHost = client{name: "the host"}

// tries asks an address for a sign of life from where the client is: "" is none.
func (s *Networks) tries(ctx context.Context, c client, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	// Both a Redis and a Memcached answer to an unknown word, or to PING.
	const ask = `exec 3<>"/dev/tcp/$0/$1" && printf 'PING\r\n' >&3 && head -n 1 <&3`
	args := []string{"timeout", patience, "bash", "-c", ask, host, port}
	switch {
	case c.instance == "":
	case s.Kernel:
		out, _ := s.D.Exec(ctx, c.instance, args...)
		return strings.TrimSpace(out), nil
	default:
		return s.from(ctx, c, addr)
	}
	out, _ := exec.CommandContext(ctx, args[0], args[1:]...).Output() // silence ends in an error
	return strings.TrimSpace(string(out)), nil
}

// from connects with the source address by which an instance is known where it is
// no more than that.
func (s *Networks) from(ctx context.Context, c client, addr string) (string, error) {
	st, err := s.D.Status(ctx)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(st.Instances, func(i admin.Instance) bool { return i.ID == c.instance })
	if at < 0 {
		return "", fmt.Errorf("%s is not among the instances", c.instance)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(st.Instances[at].Source)}, Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
		return "", err
	}
	answer := make([]byte, 64)
	n, _ := conn.Read(answer)
	return strings.TrimSpace(string(answer[:n])), nil
}

// connects expects clients to get an answer, soon: a rule is in force some
// milliseconds after it was answered.
func (s *Networks) connects(ctx context.Context, addr string, clients ...client) error {
	for _, c := range clients {
		if err := harness.Await(ctx, 10*time.Second, func(ctx context.Context) error {
			got, err := s.tries(ctx, c, addr)
			if err == nil && got == "" {
				err = errors.New("no answer")
			}
			return err
		}); err != nil {
			return fmt.Errorf("%s cannot connect to %s: %w", c.name, addr, err)
		}
		s.saw("%s connects", c.name)
	}
	return nil
}

// keptOut expects clients to get none.
func (s *Networks) keptOut(ctx context.Context, addr string, clients ...client) error {
	for _, c := range clients {
		if err := harness.Await(ctx, 10*time.Second, func(ctx context.Context) error {
			got, err := s.tries(ctx, c, addr)
			if err == nil && got != "" {
				err = fmt.Errorf("got %q", got)
			}
			return err
		}); err != nil {
			return fmt.Errorf("%s connects to %s: %w", c.name, addr, err)
		}
		s.saw("%s does not connect: silence for %s s", c.name, patience)
	}
	return nil
}

// launch runs an instance and gives it as a client.
func (s *Networks) launch(ctx context.Context, name string, args ...string) (client, error) {
	out, err := s.aws(ctx, append([]string{"ec2", "run-instances", "--image-id", s.image, "--instance-type", "t3.micro"}, args...)...)
	if err != nil {
		return client{}, err
	}
	var ran struct {
		Instances []struct {
			InstanceID       string `json:"InstanceId"`
			PrivateIPAddress string `json:"PrivateIpAddress"`
		}
	}
	if err := json.Unmarshal([]byte(out), &ran); err != nil || len(ran.Instances) != 1 {
		return client{}, fmt.Errorf("run-instances: %w: %s", err, out)
	}
	i := ran.Instances[0]
	if _, err := s.aws(ctx, "ec2", "wait", "instance-running", "--instance-ids", i.InstanceID); err != nil {
		return client{}, err
	}
	s.instances[i.InstanceID], err = netip.ParseAddr(i.PrivateIPAddress)
	s.saw("%s is %s at %s", name, i.InstanceID, i.PrivateIPAddress)
	return client{name, i.InstanceID}, err
}

func (s *Networks) platform(ctx context.Context) error {
	s.step("which platforms this account has")
	out, err := s.query(ctx, "join(' ', AccountAttributes[0].AttributeValues[].AttributeValue)",
		"ec2", "describe-account-attributes", "--attribute-names", "supported-platforms")
	if err != nil {
		return err
	}
	if out != "VPC" {
		return fmt.Errorf("the platforms are %q, not VPC", out)
	}
	s.saw("VPC only")
	return s.prepare(ctx)
}

// cacheIn creates a cluster of one node in a security group and gives its address.
func (s *Networks) cacheIn(ctx context.Context, id, engine, group string) (string, error) {
	if _, err := s.aws(ctx, "elasticache", "create-cache-cluster", "--cache-cluster-id", id, "--engine", engine,
		"--cache-node-type", "cache.t4g.micro", "--num-cache-nodes", "1", "--security-group-ids", group); err != nil {
		return "", err
	}
	c, err := s.D.AwaitCluster(ctx, id, "available")
	if err != nil {
		return "", err
	}
	return nodeAddr(c), nil
}

func nodeAddr(c types.CacheCluster) string { return harness.Addr(c.CacheNodes[0].Endpoint) }
