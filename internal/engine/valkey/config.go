package valkey

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

const (
	// reservedClients are connections beyond the customer's: the administrator, two
	// moves of slots, replicas, and room to get in when customers have taken all of
	// theirs.
	reservedClients = 2*lanes + 32
	// engineFiles are the descriptors that the engine keeps for itself on top of
	// its connections (its own constant), and as many again for what it inherits.
	engineFiles = 64
	// maxClientsSetting is the one setting that is live and also said at the start:
	// an engine makes room for its connections then.
	maxClientsSetting = "maxclients"
	// maxSocketPath is what fits into a unix socket's address.
	maxSocketPath = 107
)

// Driver implements engine.Driver.
type Driver struct{}

var _ engine.Driver = Driver{}

// Launch implements engine.Driver.
func (Driver) Launch(b engine.Binary, n *runtime.Node, p engine.Place) (engine.Launch, error) {
	text, err := Config(b, n, p)
	if err != nil {
		return engine.Launch{}, err
	}
	l := engine.Launch{Args: []string{"-"}, Stdin: []byte(text)}
	if n.Cluster != nil {
		l.Local = map[string][]byte{nodesFile: firstNodes(b, n.Cluster)}
	}
	if p.Certificate != (engine.Certificate{}) {
		l.Files = [][]byte{
			[]byte(p.Certificate.ChainPEM), []byte(p.Certificate.KeyPEM.Reveal()), []byte(p.Certificate.CAPEM),
		}
	}
	return l, nil
}

// config collects lines of an engine's configuration.
type config struct{ strings.Builder }

func (c *config) set(name string, values ...string) {
	c.WriteString(name)
	for _, v := range values {
		c.WriteByte(' ')
		c.WriteString(quote(v))
	}
	c.WriteByte('\n')
}

// quote writes a value so that the engine reads it as one word whatever it
// holds: no value can end its line.
func quote(v string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(v) {
		switch c := v[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Config renders the configuration that a process starts with. Settings that
// can change while it runs are not in it; they have one way in, Converge. Users and
// role are, because they have to be right before the first connection.
func Config(b engine.Binary, n *runtime.Node, p engine.Place) (string, error) {
	if len(p.Socket) > maxSocketPath {
		return "", fmt.Errorf("valkey: socket path %q is longer than %d bytes", p.Socket, maxSocketPath)
	}
	var c config
	for _, name := range slices.Sorted(maps.Keys(n.StartSettings)) {
		if name != maxClientsSetting {
			c.set(name, n.StartSettings[name])
		}
	}
	maxClients, err := wantedClients(n.Settings[maxClientsSetting], p.Descriptors)
	if err != nil {
		return "", err
	}
	c.set(maxClientsSetting, strconv.Itoa(maxClients+reservedClients))
	c.set("port", strconv.Itoa(n.Direct.Port))
	c.set("unixsocket", p.Socket)
	c.set("unixsocketperm", "600")
	c.set("tcp-backlog", "4096")
	// Redis takes every address but 127.0.0.1 for a remote one.
	c.set("protected-mode", "no")
	for _, line := range fixed {
		c.WriteString(line + "\n")
	}
	if err := replicationConfig(&c, b, n, p); err != nil {
		return "", err
	}
	us, err := users(n)
	if err != nil {
		return "", err
	}
	for _, u := range append(us, administrator(n.Auth.Admin)) {
		c.WriteString(u.line() + "\n")
	}
	return c.String(), nil
}

// fixed is the same for all: nothing of a dataset touches a disk, not even in a
// crash report, and an idle engine costs next to nothing.
var fixed = []string{
	"daemonize no",
	`pidfile ""`,
	`logfile ""`,
	"always-show-logo no",
	`save ""`,
	"appendonly no",
	"stop-writes-on-bgsave-error no",
	"rdbcompression no",
	"crash-log-enabled no",
	"crash-memcheck-enabled no",
	"enable-debug-command no",
	"enable-module-command no",
	"jemalloc-bg-thread no",
	"hz " + rates[engine.Hurried],
	"dynamic-hz yes",
	"shutdown-timeout 0",
	"repl-diskless-sync yes",
	"repl-diskless-sync-delay 0",
	// The other diskless way, on-empty-db, goes over a file when there is data.
	"repl-diskless-load swapdb",
	"replica-read-only yes",
	"replica-serve-stale-data yes",
	"client-output-buffer-limit replica 0 0 0",
}

func replicationConfig(c *config, b engine.Binary, n *runtime.Node, p engine.Place) error {
	c.set("masteruser", replicationUser)
	c.set("masterauth", n.Auth.Replication.Reveal())
	if !n.Advertised.IsZero() {
		at := n.Announced()
		c.set("replica-announce-ip", at.Address)
		c.set("replica-announce-port", strconv.Itoa(at.Port))
	}
	if !b.Capabilities.TLS {
		if n.Primary != nil || n.Cluster != nil {
			return fmt.Errorf("valkey: %s is built without TLS and cannot replicate", b.Path)
		}
		c.bind(n.Direct.Address)
		return nil
	}
	if n.Replication.IsZero() {
		c.bind(n.Direct.Address)
		return nil
	}
	if p.Certificate == (engine.Certificate{}) {
		return errors.New("valkey: no certificate for replication")
	}
	file := func(i int) string { return fmt.Sprintf("/proc/self/fd/%d", engine.FirstFile+i) }
	// Clients, if the engine listens for them, are on the same address.
	c.bind(n.Replication.Address)
	// Else all replicas of this host would have the same address at the primary.
	c.set("bind-source-addr", n.Replication.Address)
	c.set("tls-port", strconv.Itoa(n.Replication.Port))
	c.set("tls-cert-file", file(0))
	c.set("tls-key-file", file(1))
	c.set("tls-ca-cert-file", file(2))
	c.set("tls-auth-clients", "yes")
	c.set("tls-replication", "yes")
	c.set("tls-cluster", "yes")
	switch {
	case n.Cluster != nil:
		clusterConfig(c, n, p)
	case n.Primary != nil:
		c.set("replicaof", n.Primary.Address, strconv.Itoa(n.Primary.Port))
	}
	return nil
}

// bind makes an address that of all listeners, now and later; without one there
// shall be none that could be reached from elsewhere.
func (c *config) bind(address string) {
	if address == "" {
		address = "127.0.0.1"
	}
	c.set("bind", address)
}

// wantedClients is how many connections of customers there can be with so many
// descriptors; an engine that is asked for more than it can have chooses
// itself and tells only its log.
func wantedClients(setting string, descriptors int) (int, error) {
	want := 65000
	if setting != "" {
		v, err := strconv.Atoi(setting)
		if err != nil || v < 1 {
			return 0, fmt.Errorf("valkey: maxclients %q is not a number above 0", setting)
		}
		want = v
	}
	most := descriptors - engineFiles - reservedClients
	if most < 1 {
		return 0, fmt.Errorf("valkey: a limit of %d open files leaves none for clients", descriptors)
	}
	return min(want, most), nil
}
