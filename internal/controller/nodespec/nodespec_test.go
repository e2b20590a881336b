package nodespec_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

func want() nodespec.Want {
	return nodespec.Want{
		Engine: "redis", Version: "7.1.0",
		Endpoint: resource.Endpoint{Bound: core.Endpoint{Address: "127.10.0.1", Port: 6379}},
		Directives: nodespec.Directives{
			Live:  map[string]string{"timeout": "0"},
			Start: map[string]string{"databases": "16"},
		},
		Auth: resource.NodeAuth{NoPassword: true, SecretsFrom: "uid"},
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		edit    func(w *nodespec.Want)
		restart bool
		want    string
	}{
		{"the same", func(*nodespec.Want) {}, false, ""},
		{"live setting", func(w *nodespec.Want) { w.Directives.Live = map[string]string{"timeout": "20", "hz": "1"} }, false, "setting hz, setting timeout"},
		{"start setting waits", func(w *nodespec.Want) { w.Directives.Start = nil }, false, ""},
		{"start setting with a restart", func(w *nodespec.Want) { w.Directives.Start = nil }, true, "incarnation 2, start setting databases"},
		{"version waits", func(w *nodespec.Want) { w.Version = "7.2.0" }, false, ""},
		{"role", func(w *nodespec.Want) { w.ReplicaOf = "r/c/0001" }, false, "replica of r/c/0001"},
		{"token", func(w *nodespec.Want) { w.Auth = resource.NodeAuth{Digests: []core.Sealed{{1}}, SecretsFrom: "uid"} }, false, "auth"},
		{"TLS", func(w *nodespec.Want) { w.TLS = resource.TLSRequired }, false, `tls "required"`},
		{"reboot", func(w *nodespec.Want) { w.Reboots = 1 }, true, "incarnation 2, reboot 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := want()
			n := &resource.Node{Spec: nodespec.First(w)}
			tt.edit(&w)
			next := nodespec.Next(n, w, tt.restart)
			if got := strings.Join(nodespec.Diff(n.Spec, next), ", "); got != tt.want {
				t.Errorf("changes are %q, want %q", got, tt.want)
			}
			generation := int64(1)
			if tt.want != "" {
				generation = 2
			}
			if next.Generation != generation {
				t.Errorf("generation is %d, want %d", next.Generation, generation)
			}
		})
	}
}

func TestAuth(t *testing.T) {
	t.Parallel()
	none := resource.Credential{None: true}
	a, b := resource.Credential{Digest: core.Sealed("a")}, resource.Credential{Digest: core.Sealed("b")}
	for name, tt := range map[string]struct {
		credentials []resource.Credential
		want        resource.NodeAuth
	}{
		"never any": {nil, resource.NodeAuth{NoPassword: true}},
		"none":      {[]resource.Credential{none}, resource.NodeAuth{NoPassword: true}},
		"required":  {[]resource.Credential{a}, resource.NodeAuth{Digests: []core.Sealed{a.Digest}}},
		"two":       {[]resource.Credential{a, b}, resource.NodeAuth{Digests: []core.Sealed{a.Digest, b.Digest}}},
		"optional":  {[]resource.Credential{none, a}, resource.NodeAuth{Digests: []core.Sealed{a.Digest}, Login: true}},
	} {
		tt.want.SecretsFrom = "group"
		if got := nodespec.Auth(resource.Auth{Credentials: tt.credentials}, "group"); !nodespec.EqualAuth(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	exited := func(lived time.Duration, exits int) *resource.Node {
		n := &resource.Node{Spec: nodespec.First(want())}
		n.Spec.QuickExits = exits
		n.Status = resource.NodeStatus{
			Phase: resource.NodeExited, Incarnation: 1, Started: core.Ptr(start), Ended: core.Ptr(start.Add(lived)),
		}
		return n
	}
	for _, tt := range []struct {
		name    string
		node    *resource.Node
		after   time.Duration // since the end
		reboots int
		restart bool
		wait    time.Duration
	}{
		{"first time", exited(time.Second, 0), 0, 0, true, 0},
		{"second time", exited(time.Second, 1), 0, 0, false, time.Second},
		{"second time, later", exited(time.Second, 1), 400 * time.Millisecond, 0, false, 600 * time.Millisecond},
		{"second time, in time", exited(time.Second, 1), time.Second, 0, true, 0},
		{"many times", exited(time.Second, 100), 0, 0, false, 30 * time.Second},
		{"after a long life", exited(time.Minute, 100), 0, 0, true, 0},
		{"a reboot does not wait", exited(time.Second, 100), 0, 1, true, 0},
		{"running", &resource.Node{Spec: nodespec.First(want()), Status: resource.NodeStatus{Phase: resource.NodeRunning, Incarnation: 1}}, 0, 0, false, 0},
		{"an earlier one has exited", &resource.Node{Spec: nodespec.First(want()), Status: resource.NodeStatus{Phase: resource.NodeExited}}, 0, 0, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := want()
			w.Reboots = tt.reboots
			now := start.Add(tt.after)
			if tt.node.Status.Ended != nil {
				now = tt.node.Status.Ended.Add(tt.after)
			}
			restart, wait := nodespec.Restart(tt.node, w, now)
			if restart != tt.restart || wait != tt.wait {
				t.Errorf("restart %v, wait %v; want %v, %v", restart, wait, tt.restart, tt.wait)
			}
		})
	}
}

func TestSooner(t *testing.T) {
	t.Parallel()
	for _, tt := range [][3]time.Duration{{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {3, 5, 3}, {5, 3, 3}} {
		if got := nodespec.Sooner(tt[0], tt[1]); got != tt[2] {
			t.Errorf("Sooner(%d, %d) = %d, want %d", tt[0], tt[1], got, tt[2])
		}
	}
}

func TestCertificateNames(t *testing.T) {
	t.Parallel()
	at := func(a string) core.Endpoint { return core.Endpoint{Address: a, Port: 1} }
	got := nodespec.CertificateNames([]resource.Endpoint{
		{},
		{VPC: at("172.31.0.9"), Bound: at("127.10.0.9"), Advertised: at("cache.example"), Names: []string{"b.test", "a.test"}},
		{VPC: at("172.31.0.8"), Bound: at("127.10.0.8"), Advertised: at("cache.example")},
	})
	want := []string{"127.10.0.8", "127.10.0.9", "172.31.0.8", "172.31.0.9", "a.test", "b.test", "cache.example"}
	if !slices.Equal(got, want) {
		t.Errorf("names are %q, want %q", got, want)
	}
}

func TestInstalled(t *testing.T) {
	t.Parallel()
	i := nodespec.Installed{Catalog: catalog.New([]catalog.Binary{{Engine: "redis", Version: "7.0.15", Path: "/bin/redis"}}, false)}
	d, err := i.Directives("redis", "7.1.0", "cache.t3.micro", map[string]string{"timeout": "20"})
	if err != nil || d.Live["timeout"] != "20" || d.Live["maxmemory"] == "" || d.Live["maxclients"] == "" {
		t.Errorf("directives are %v, %v", d, err)
	}
	if got := i.Default("redis", "7.1.0", "timeout"); got != "0" {
		t.Errorf("the default is %q", got)
	}
	for name, args := range map[string][3]string{
		"unknown version":   {"redis", "99.0.0", "cache.t3.micro"},
		"not installed":     {"memcached", "1.6.17", "cache.t3.micro"},
		"unknown node type": {"redis", "7.1.0", "cache.none"},
	} {
		if _, err := i.Directives(args[0], args[1], args[2], nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
