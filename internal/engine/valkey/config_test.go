package valkey

import (
	"reflect"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

var (
	withTLS = engine.Binary{Engine: "redis", Version: "7.0.15", Path: "/usr/bin/redis-server", Capabilities: engine.Capabilities{TLS: true}}
	place   = engine.Place{
		Socket: "/run/larder/u1.sock", Scratch: "/run/larder/u1.d", Descriptors: 20000,
		Certificate: engine.Certificate{ChainPEM: "chain", KeyPEM: core.NewSecret("key"), CAPEM: "ca"},
	}
	digest = core.NewSecret("token").SHA256()
)

func someNode() *runtime.Node {
	return &runtime.Node{
		Replication: core.Endpoint{Address: "127.2.0.7", Port: 6379},
		Advertised:  core.Endpoint{Address: "127.1.0.7", Port: 6379},
		Auth: runtime.Auth{
			Digests: []string{digest}, Admin: core.NewSecret("admin-pw"), Replication: core.NewSecret("repl-pw"),
		},
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	n := someNode()
	n.Primary = &core.Endpoint{Address: "127.2.0.8", Port: 6379}
	n.StartSettings = map[string]string{"databases": "16", "port": "6379"}
	n.Settings = map[string]string{"maxclients": "65000"}
	text, err := Config(withTLS, n, place)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text, "\n")
	last := make(map[string]string)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, " ")
		last[name] = value
	}
	for name, want := range map[string]string{
		"port": `"0"`, "tls-port": `"6379"`, "bind": `"127.2.0.7"`, "bind-source-addr": `"127.2.0.7"`,
		"maxclients": `"19936"`, "databases": `"16"`, "protected-mode": `"no"`, "save": `""`, "appendonly": "no",
		"replicaof": `"127.2.0.8" "6379"`, "replica-announce-ip": `"127.1.0.7"`, "tls-auth-clients": `"yes"`,
		"tls-cert-file": `"/proc/self/fd/4"`, "tls-key-file": `"/proc/self/fd/5"`, "tls-ca-cert-file": `"/proc/self/fd/6"`,
	} {
		if last[name] != want {
			t.Errorf("%s is %s, not %s", name, last[name], want)
		}
	}
	for _, want := range []string{"user default on #" + digest + " ~* &* +@all -bgrewriteaof ", "user larder-admin on #", "user larder-replication on #"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the configuration", want)
		}
	}
	if strings.Contains(text, "admin-pw") {
		t.Error("the administrator's password is in the configuration where its digest does")
	}
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	plain := withTLS
	plain.Capabilities.TLS = false
	for _, c := range []struct {
		name   string
		binary engine.Binary
		change func(*runtime.Node, *engine.Place)
		words  string
	}{
		{"long socket path", withTLS, func(_ *runtime.Node, p *engine.Place) { p.Socket = strings.Repeat("x", 108) }, "longer than"},
		{"replica without TLS", plain, func(n *runtime.Node, _ *engine.Place) { n.Primary = &core.Endpoint{} }, "without TLS"},
		{"no certificate", withTLS, func(_ *runtime.Node, p *engine.Place) { p.Certificate = engine.Certificate{} }, "no certificate"},
		{"digest that is none", withTLS, func(n *runtime.Node, _ *engine.Place) { n.Auth.Digests = []string{"x +@all"} }, "digest"},
		{"digest in capitals", withTLS, func(n *runtime.Node, _ *engine.Place) { n.Auth.Digests = []string{strings.ToUpper(digest)} }, "digest"},
		{"no room for clients", withTLS, func(_ *runtime.Node, p *engine.Place) { p.Descriptors = 64 }, "open files"},
		{"odd maxclients", withTLS, func(n *runtime.Node, _ *engine.Place) { n.Settings = map[string]string{"maxclients": "-1"} }, "maxclients"},
	} {
		n, p := someNode(), place
		c.change(n, &p)
		if _, err := Config(c.binary, n, p); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if text, err := Config(plain, someNode(), engine.Place{Socket: "/s", Descriptors: 1000}); err != nil || strings.Contains(text, "tls-") {
		t.Errorf("a primary without TLS: %v\n%s", err, text)
	}
}

func TestNoValueEndsItsLine(t *testing.T) {
	t.Parallel()
	n := someNode()
	n.StartSettings = map[string]string{"databases": "16\nuser default on nopass +@all\r\x00\" \\"}
	text, err := Config(withTLS, n, place)
	if err != nil {
		t.Fatal(err)
	}
	if want := `databases "16\x0auser default on nopass +@all\x0d\x00\" \\"` + "\n"; !strings.HasPrefix(text, want) {
		t.Errorf("got %q", strings.SplitN(text, "\n", 2)[0])
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	login := core.NewSecret("login")
	for _, c := range []struct {
		name string
		auth runtime.Auth
		want string
	}{
		{"open", runtime.Auth{NoPassword: true}, "reset on nopass ~*"},
		{"open with digests left over", runtime.Auth{NoPassword: true, Digests: []string{digest}, Login: login}, "reset on nopass ~*"},
		{"a token", runtime.Auth{Digests: []string{digest}}, "reset on #" + digest + " ~*"},
		{"a token or none", runtime.Auth{Digests: []string{digest}, Login: login}, "reset on #" + digest + " #" + login.SHA256() + " ~*"},
		{"nobody", runtime.Auth{}, "reset on ~*"},
	} {
		us, err := users(&runtime.Node{Auth: c.auth})
		if err != nil || us[0].name != "default" {
			t.Fatalf("%s: %v %v", c.name, us, err)
		}
		if got := strings.Join(us[0].rules(), " "); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestUserReadBack(t *testing.T) {
	t.Parallel()
	list := func(words ...string) reply {
		var r reply
		for _, w := range words {
			r.array = append(r.array, reply{text: w})
		}
		return r
	}
	answer := func(flags, passwords reply) reply {
		return reply{array: []reply{{text: "flags"}, flags, {text: "passwords"}, passwords, {text: "commands"}, {text: "+@all"}}}
	}
	u := user{name: "default", digests: []string{"b", "a"}}
	for _, c := range []struct {
		name string
		r    reply
		want bool
	}{
		{"in any order", answer(list("on", "sanitize-payload"), list("a", "b")), true},
		{"one missing", answer(list("on"), list("a")), false},
		{"one too many", answer(list("on"), list("a", "b", "c")), false},
		{"off", answer(list("off"), list("a", "b")), false},
		{"open", answer(list("on", "nopass"), list()), false},
		{"no answer", reply{}, false},
	} {
		if got := u.in(c.r); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestSameSetting(t *testing.T) {
	t.Parallel()
	const have = "normal 0 0 0 slave 0 0 0 pubsub 33554432 8388608 60"
	for _, c := range []struct {
		name, have, want string
		same             bool
	}{
		{"timeout", "0", "0", true},
		{"timeout", "0", "20", false},
		{bufferLimits, have, "normal 0 0 0 pubsub 33554432 8388608 60", true},
		{bufferLimits, have, "pubsub 33554432 8388608 60", true},
		{bufferLimits, have, "replica 0 0 0", true},
		{bufferLimits, have, "normal 1 0 0", false},
		{bufferLimits, have, "pubsub 33554432 8388608 61", false},
	} {
		if got := sameSetting(c.name, c.have, c.want); got != c.same {
			t.Errorf("%s %q %q: %v", c.name, c.have, c.want, got)
		}
	}
}

func TestParseState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, info string
		want       engine.State
	}{
		{
			"primary", "# Clients\r\nconnected_clients:6\r\nmaxclients:10096\r\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\n" +
				"slave0:ip=127.1.0.7,port=2,state=online,offset=0,lag=0\r\nslave1:ip=h,port=3,state=wait_bgsave,offset=0,lag=0\r\n" +
				"master_repl_offset:77\r\nused_memory:1000\r\n",
			engine.State{
				Role: "master", Offset: 77, UsedMemory: 1000, Clients: 5, MaxClients: 10000, Replicas: 2,
				Online: []core.Endpoint{{Address: "127.1.0.7", Port: 2}},
			},
		},
		{
			"primary of laggards", "role:master\r\nconnected_slaves:3\r\nslave0:ip=a,port=1,state=online,offset=100000000,lag=1\r\n" +
				"slave1:ip=b,port=1,state=online,offset=100000000,lag=6,type=replica\r\nslave2:ip=c,port=1,state=online,offset=9,lag=0\r\n" +
				"master_repl_offset:100000077\r\n",
			engine.State{
				Role: "master", Offset: 100000077, Replicas: 3,
				Online:  []core.Endpoint{{Address: "a", Port: 1}, {Address: "b", Port: 1}, {Address: "c", Port: 1}},
				Lagging: []core.Endpoint{{Address: "b", Port: 1}, {Address: "c", Port: 1}},
			},
		},
		{
			"replica in sync", "role:slave\r\nmaster_host:127.2.0.8\r\nmaster_port:6379\r\nmaster_link_status:up\r\n" +
				"master_sync_in_progress:0\r\nslave_repl_offset:70\r\nmaster_repl_offset:71\r\n",
			engine.State{Role: "slave", Primary: core.Endpoint{Address: "127.2.0.8", Port: 6379}, LinkUp: true, Offset: 70},
		},
		{
			"replica that loads", "role:slave\r\nmaster_host:h\r\nmaster_port:1\r\nmaster_link_status:down\r\nmaster_sync_in_progress:1",
			engine.State{Role: "slave", Primary: core.Endpoint{Address: "h", Port: 1}},
		},
		{"nothing", "", engine.State{}},
		{"nonsense", "role\r\n:::\r\nconnected_clients:x\r\nslave0:ip=\r\nslave1:ip=h,state=online\r\n", engine.State{}},
	} {
		if got := parseState(c.info); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
