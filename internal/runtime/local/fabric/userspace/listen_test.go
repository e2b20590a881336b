package userspace

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime/local"
)

func TestListenOn(t *testing.T) {
	t.Parallel()
	host := hostOf("127.0.0.1", "10.1.2.3", "::1")
	for _, tc := range []struct {
		name, address string
		want          string
	}{
		{"window", "127.10.0.5", "127.10.0.5:7000"},
		{"address of the host", "10.1.2.3", "10.1.2.3:7000"},
		{"address elsewhere", "192.0.2.1", "127.0.0.1:7000 10.1.2.3:7000 [::1]:7000"},
		{"name", "cache.example.com", "127.0.0.1:7000 10.1.2.3:7000 [::1]:7000"},
	} {
		if got := strings.Join(listenOn(core.Endpoint{Address: tc.address, Port: 7000}, host), " "); got != tc.want {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
}

func TestMissed(t *testing.T) {
	t.Parallel()
	at := func(addresses ...string) []place { return []place{addresses} }
	taken := map[string]error{"t:1": errors.New("taken"), "t:2": errors.New("taken")}
	for _, tc := range []struct {
		name   string
		places []place
		want   string
	}{
		{"all there", at("a:1"), ""},
		{"taken", at("t:1"), "taken"},
		{"one of several will do", at("t:1", "a:1"), ""},
		{"none of several", at("t:1", "t:2"), "taken"},
		{"each place is needed", []place{{"a:1"}, {"t:1"}}, "taken"},
		{"another's", at("b:1"), `address b:1 is that of "other"`},
		{"nowhere", at(), "this host has no address to listen on"},
	} {
		p := planFor(nil)
		p.places["x"] = tc.places
		p.listeners = append(p.listeners,
			listener("x", "a:1", "t:1", "t:2"), listener("other", "b:1"))
		got := ""
		if err := p.missed(taken)["x"]; err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
}

// Endpoints on a name do not collide with a loopback window of the same port.
func TestAdvertised(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.fabric("v1")
	socket, _ := r.engine("redis-server")
	port := freePort(t).Port
	ep := local.Endpoint{ID: "node a", Backends: []local.Backend{{Node: "a", Socket: socket}}, Listen: []core.Endpoint{
		{Address: "127.77.0.9", Port: freePort(t).Port}, {Address: "localhost", Port: port},
	}}
	same := local.Endpoint{ID: "node b", Backends: ep.Backends, Listen: []core.Endpoint{{Address: "127.77.0.10", Port: port}}}
	apply(t, f, ep, same)
	for _, at := range []string{ep.Listen[0].String(), ep.Listen[1].String(), same.Listen[0].String()} {
		c := redis.NewClient(&redis.Options{Addr: at, MaxRetries: -1})
		if err := ping(c); err != nil {
			t.Errorf("%s: %v", at, err)
		}
		c.Close()
	}
}
