package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/test/harness"
)

// TestHostsFile: a hosts file holds the names from install to remove, and nothing else
// in it is touched.
func TestHostsFile(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, hostsFile)
}

func hostsFile(t *testing.T, o harness.Options) {
	ctx := t.Context()
	o.Args = []string{"--listen", freeAddress(t)}
	d := harness.In(t, o)
	n := newNetworks(t, d)
	path := filepath.Join(t.TempDir(), "hosts")
	const others = "127.0.0.1 localhost\n# no newline at the end"
	must(t, os.WriteFile(path, []byte(others), 0o644))
	told := func(id string) string {
		c, err := d.Cluster(ctx, id)
		must(t, err)
		return aws.ToString(c.CacheNodes[0].Endpoint.Address)
	}
	holds := func(when string, want func(text string) bool) {
		t.Helper()
		harness.Eventually(t, when, func(context.Context) error {
			text, err := os.ReadFile(path)
			if err == nil && !want(string(text)) {
				err = fmt.Errorf("the file is\n%s", text)
			}
			return err
		})
	}
	line := func(address, name string) string { return address + "\t" + name + "\n" }

	n.cluster("one", "")
	ip := told("one")
	if net.ParseIP(ip) == nil {
		t.Fatalf("clients are told %s before names are installed", ip)
	}
	_, err := d.Larder(ctx, "dns", "install", "--via", "hosts", "--hosts-file", filepath.Join(t.TempDir(), "none"))
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("installing into a file that does not exist: %v", err)
	}
	if got := told("one"); got != ip {
		t.Errorf("after a failed installation clients are told %s", got)
	}
	for range 2 {
		_, err = d.Larder(ctx, "dns", "install", "--via", "hosts", "--hosts-file", path)
		must(t, err)
	}
	one := told("one")
	holds("at once", func(text string) bool {
		return strings.HasSuffix(text, others) && strings.Contains(text, line(ip, one)) && strings.Count(text, "BEGIN larder") == 1
	})
	status, err := d.Larder(ctx, "dns", "status")
	must(t, err)
	if !strings.Contains(status, "installed by hosts, "+path) || !strings.Contains(status, one) {
		t.Errorf("the status is\n%s", status)
	}
	_, err = d.Larder(ctx, "dns", "install", "--via", "hosts", "--hosts-file", path+"2")
	if err == nil || !strings.Contains(err.Error(), "remove that first") {
		t.Errorf("installing twice: %v", err)
	}

	n.cluster("two", "")
	two := told("two")
	holds("with another cache", func(text string) bool { return strings.Contains(text, two) && strings.Contains(text, one) })
	d.Kill()
	_, err = d.Larder(ctx, "dns", "remove")
	if err == nil || !strings.Contains(err.Error(), "no server answers") {
		t.Errorf("removing without a server: %v", err)
	}
	holds("without a server", func(text string) bool { return strings.Contains(text, two) })
	must(t, os.WriteFile(path, []byte(others), 0o644))
	must(t, d.Start(ctx))
	holds("written anew after a restart", func(text string) bool { return strings.Contains(text, line(ip, one)) && strings.Contains(text, two) })
	_, err = d.ElastiCache().DeleteCacheCluster(ctx, &elasticache.DeleteCacheClusterInput{CacheClusterId: aws.String("two")})
	must(t, err)
	holds("after a cache is gone", func(text string) bool { return !strings.Contains(text, two) && strings.Contains(text, one) })

	for range 2 {
		_, err = d.Larder(ctx, "dns", "remove")
		must(t, err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != others {
		t.Errorf("left is %q, %v", text, err)
	}
	if got := told("one"); got != ip {
		t.Errorf("after the removal clients are told %s", got)
	}
}

// TestEphemeralNames: a server that leaves nothing behind does not begin with it.
func TestEphemeralNames(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{Args: []string{"--ephemeral"}})
	newNetworks(t, d).cluster("c", "")
	path := filepath.Join(t.TempDir(), "hosts")
	must(t, os.WriteFile(path, nil, 0o644))
	_, err := d.Larder(t.Context(), "dns", "install", "--via", "hosts", "--hosts-file", path)
	if err == nil || !strings.Contains(err.Error(), "ephemeral") {
		t.Errorf("got %v", err)
	}
}
