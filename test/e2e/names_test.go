package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/miekg/dns"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// resolver asks one server for names and nobody else.
func resolver(at string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, protocol, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, protocol, at)
	}}
}

// query asks as dig does, and gives the code with the addresses.
func query(t *testing.T, protocol, at, name string, qtype uint16) string {
	t.Helper()
	c := dns.Client{Net: protocol}
	m, _, err := c.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype), at)
	must(t, err)
	out := dns.RcodeToString[m.Rcode]
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			out += " " + a.A.String()
		}
	}
	return out
}

// TestNames: clients are told names, a resolver that knows nothing else answers for
// them, and goes on when the server is killed.
func TestNames(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, names)
}

func names(t *testing.T, o harness.Options) {
	ctx := t.Context()
	at := freeAddress(t)
	o.Args = []string{"--dns-listen", at, "--dns-domain", "cache.e2e.test", "--endpoint-names", "dns"}
	d := harness.In(t, o)
	_, err := d.ElastiCache().CreateReplicationGroup(ctx, &elasticache.CreateReplicationGroupInput{
		ReplicationGroupId: aws.String("named"), ReplicationGroupDescription: aws.String("named"), Engine: aws.String("valkey"),
		CacheNodeType: aws.String("cache.t3.micro"), NumCacheClusters: aws.Int32(2), TransitEncryptionEnabled: aws.Bool(true),
	})
	must(t, err)
	g, err := d.AwaitGroup(ctx, "named", "available")
	must(t, err)
	primary, reader := g.NodeGroups[0].PrimaryEndpoint, g.NodeGroups[0].ReaderEndpoint
	name := aws.ToString(primary.Address)
	if !strings.HasPrefix(name, "master.named.") || !strings.HasSuffix(name, ".use1.cache.e2e.test") || !strings.HasPrefix(aws.ToString(reader.Address), "replica.named.") {
		t.Fatalf("clients are told %s and %s", name, aws.ToString(reader.Address))
	}
	member := g.NodeGroups[0].NodeGroupMembers[1]
	if got := aws.ToString(member.ReadEndpoint.Address); !strings.HasPrefix(got, "named-002.named.") {
		t.Errorf("a member is %s", got)
	}

	config, err := d.TLS()
	must(t, err)
	connected := redisByName(at, primary.Address, *primary.Port, config)
	defer connected.Close()
	found := map[string]string{"userspace": "NOERROR 127.", "kernel": "NOERROR 10."}[o.Fabric]
	check := func(when string) {
		t.Helper()
		var first string
		for _, protocol := range []string{"udp", "tcp"} {
			got := query(t, protocol, at, strings.ToUpper(name), dns.TypeA)
			if !strings.HasPrefix(got, found) {
				t.Errorf("%s: %s over %s is %q", when, name, protocol, got)
			}
			first = got
		}
		plain := strings.Replace(strings.TrimPrefix(name, "master."), ".use1.", ".ng.0001.use1.", 1)
		if got := query(t, "udp", at, plain, dns.TypeA); got != first {
			t.Errorf("%s: the name of the other form, %s, is %q", when, plain, got)
		}
		for _, c := range []struct {
			name, want string
			qtype      uint16
		}{
			{name, "NOERROR", dns.TypeAAAA}, {"no-" + name, "NXDOMAIN", dns.TypeA}, {"www.example.com", "REFUSED", dns.TypeA},
		} {
			if got := query(t, "udp", at, c.name, c.qtype); got != c.want {
				t.Errorf("%s: %s is %q, want %q", when, c.name, got, c.want)
			}
		}
		// By its name, over TLS that is verified: what an application does.
		fresh := redisByName(at, primary.Address, *primary.Port, config)
		defer fresh.Close()
		for _, c := range []*redis.Client{connected, fresh} {
			if err := c.Set(ctx, when, "x", 0).Err(); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	check("while the server runs")
	d.Kill()
	check("while the server is dead")
	must(t, d.Start(ctx))
	check("after its restart")

	_, err = d.ElastiCache().DeleteReplicationGroup(ctx, &elasticache.DeleteReplicationGroupInput{ReplicationGroupId: aws.String("named")})
	must(t, err)
	harness.Eventually(t, "the name is gone", func(context.Context) error {
		if got := query(t, "udp", at, name, dns.TypeA); got != "NXDOMAIN" {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// redisByName is a client that finds its server through a resolver.
func redisByName(at string, host *string, port int32, config *tls.Config) *redis.Client {
	config = config.Clone()
	config.ServerName = *host
	return redis.NewClient(&redis.Options{
		Addr: net.JoinHostPort(*host, fmt.Sprint(port)), MaxRetries: -1, DisableIdentity: true, Protocol: 2,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			d := tls.Dialer{NetDialer: &net.Dialer{Resolver: resolver(at)}, Config: config}
			return d.DialContext(ctx, network, addr)
		},
	})
}

// TestOtherDomain: caches keep their names, so a server with another domain does not
// start while there are any.
func TestOtherDomain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	args := []string{"--dns-domain", "one.e2e.test"}
	d := harness.In(t, harness.Options{Args: args})
	newNetworks(t, d).cluster("c", "")
	d.Stop()
	args[1] = "two.e2e.test"
	if err := d.Start(ctx); err == nil || !strings.Contains(err.Error(), "give that one as --dns-domain") {
		t.Errorf("with another domain: %v", err)
	}
	args[1] = "one.e2e.test"
	must(t, d.Start(ctx))
	c, err := d.Cluster(ctx, "c")
	must(t, err)
	if ip := aws.ToString(c.CacheNodes[0].Endpoint.Address); net.ParseIP(ip) == nil {
		t.Errorf("clients are told %s without having asked for names", ip)
	}
}
