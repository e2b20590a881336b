package local

import (
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

const (
	tokenA = "token-a-0123456789"
	tokenB = "token-b-0123456789"
	hidden = "hidden-login-of-the-relay"
)

func tokens(ts ...string) runtime.Auth {
	var a runtime.Auth
	for _, t := range ts {
		a.Digests = append(a.Digests, core.NewSecret(t).SHA256())
	}
	a.NoPassword = len(ts) == 0
	return a
}

// session runs commands on one connection and gives the last answer.
func (r *rig) session(n runtime.Node, cmds ...string) string {
	r.t.Helper()
	conn := r.dial(n)
	defer conn.Close()
	var last string
	for _, c := range cmds {
		last = exchange(r.t, conn, strings.Fields(c)...)
	}
	return last
}

func TestTokens(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		n := makeNode(kind)
		hiddenUsers := n.Auth
		withLogin := tokens(tokenA)
		withLogin.Login = core.NewSecret(hidden)
		refused := func(token string) [2]string { return [2]string{"AUTH default " + token, "-WRONGPASS"} }
		accepted := func(token string) [2]string { return [2]string{"AUTH " + token, "+OK"} }
		for _, state := range []struct {
			name   string
			auth   runtime.Auth
			silent string // the answer without authentication
			expect [][2]string
		}{
			{"none", tokens(), "+PONG", nil},
			{"none and A", withLogin, "-NOAUTH", [][2]string{accepted(tokenA), refused(tokenB), {"AUTH default " + hidden, "+OK"}}},
			{"A", tokens(tokenA), "-NOAUTH", [][2]string{accepted(tokenA), refused(tokenB), refused(hidden)}},
			{"A and B", tokens(tokenA, tokenB), "-NOAUTH", [][2]string{accepted(tokenA), accepted(tokenB), refused(hidden)}},
			{"B", tokens(tokenB), "-NOAUTH", [][2]string{refused(tokenA), accepted(tokenB)}},
			{"nobody", runtime.Auth{}, "-NOAUTH", [][2]string{refused(tokenA), refused(tokenB)}},
			{"none again", tokens(), "+PONG", nil},
		} {
			state.auth.Admin, state.auth.Replication = hiddenUsers.Admin, hiddenUsers.Replication
			n = next(n, func(n *runtime.Node) { n.Auth = state.auth })
			r.apply(n)
			if rep := r.settled(n); rep.LoginServed == state.auth.Login.IsZero() {
				t.Errorf("%s: login served: %v", state.name, rep.LoginServed)
			}
			if got := r.session(n, "PING"); !strings.HasPrefix(got, state.silent) {
				t.Errorf("%s: without a token: %s", state.name, got)
			}
			for _, e := range state.expect {
				if got := r.session(n, e[0]); !strings.HasPrefix(got, e[1]) {
					t.Errorf("%s: %s: %s", state.name, e[0], got)
				}
			}
		}
	})
}

func TestTokenChangeKeepsConnections(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		n := r.lone(kind)
		conn := r.dial(n)
		subscriber := r.dial(n)
		exchange(t, subscriber, "SUBSCRIBE", "news")
		if got := exchange(t, conn, "SET", "k", "v"); got != "+OK" {
			t.Fatal(got)
		}
		for _, ts := range [][]string{{tokenA}, {tokenA, tokenB}, {tokenB}} {
			n = next(n, func(n *runtime.Node) { n.Auth.NoPassword, n.Auth.Digests = false, tokens(ts...).Digests })
			r.apply(n)
			r.settled(n)
			if got := exchange(t, conn, "GET", "k"); got != "$1\r\nv" {
				t.Errorf("%v: %s", ts, got)
			}
			if got := exchange(t, subscriber, "PING"); !strings.Contains(strings.ToLower(got), "pong") {
				t.Errorf("%v: subscriber: %s", ts, got)
			}
		}
	})
}

// While a login is introduced or taken away, the fabric must serve it whenever the
// engine asks for it.
func TestLoginIsServedBeforeItIsAskedFor(t *testing.T) {
	t.Parallel()
	needs(t, engine.Valkey)
	r := newRig(t)
	n := r.lone(engine.Valkey)
	var seen []string
	r.fabric.set(func(f *notes) {
		f.hook = func(eps map[string]Endpoint) {
			served := "silent"
			if b := eps["node "+n.ID].Backends; len(b) == 1 && !b[0].Login.IsZero() {
				served = "login"
			}
			asked := "open"
			if strings.HasPrefix(r.session(n, "PING"), "-NOAUTH") {
				asked = "asked"
				if r.session(n, "AUTH default "+hidden) == "+OK" {
					asked = "asked for login"
				}
			}
			seen = append(seen, served+", "+asked)
		}
	})
	// Entering: the fabric serves the login while the engine is still open.
	n = next(n, func(n *runtime.Node) {
		n.Auth.NoPassword, n.Auth.Digests = false, tokens(tokenA).Digests
		n.Auth.Login = core.NewSecret(hidden)
	})
	r.apply(n)
	if rep := r.settled(n); !rep.LoginServed {
		t.Error("login is not served")
	}
	// Leaving: the engine asks for the token before the fabric goes silent.
	n = next(n, func(n *runtime.Node) { n.Auth.Login = core.Secret{} })
	r.apply(n)
	r.settled(n)
	r.fabric.set(func(f *notes) { f.hook = nil })
	if got := strings.Join(seen, "; "); got != "login, open; silent, asked" {
		t.Errorf("the fabric was given: %s", got)
	}
}

// A new Larder takes over a login that is served, and one that is being introduced
// or taken away, without a moment in which silent clients are refused.
func TestAdoptionKeepsTheLogin(t *testing.T) {
	t.Parallel()
	needs(t, engine.Redis)
	r := newRig(t)
	n := makeNode(engine.Redis)
	n.Auth.NoPassword, n.Auth.Digests, n.Auth.Login = false, tokens(tokenA).Digests, core.NewSecret(hidden)
	r.apply(n)
	r.settled(n)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.reader.Wait()
	clear(r.reports)
	r.fabric.set(func(f *notes) {
		f.hook = func(eps map[string]Endpoint) {
			if b := eps["node "+n.ID].Backends; len(b) != 1 || b[0].Login.IsZero() {
				t.Errorf("the fabric was given %v", b)
			}
		}
	})
	r.open()
	r.apply(n)
	if rep := r.settled(n); !rep.LoginServed {
		t.Errorf("report: %+v", rep)
	}
	r.fabric.set(func(f *notes) { f.hook = nil })
	if got := r.session(n, "AUTH default "+hidden); got != "+OK" {
		t.Errorf("the login: %s", got)
	}
}

func TestCommandsKeptFromCustomers(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		n := r.lone(kind)
		for _, cmd := range []string{
			"CONFIG GET maxmemory", "CONFIG SET maxmemory 1", "SHUTDOWN NOSAVE", "REPLICAOF NO ONE", "SLAVEOF NO ONE",
			"SAVE", "BGSAVE", "BGREWRITEAOF", "MIGRATE h 1 k 0 1", "SYNC", "PSYNC ? -1", "REPLCONF listening-port 1",
			"FAILOVER", "MODULE LIST", "DEBUG SLEEP 0",
			"ACL LIST", "ACL USERS", "ACL GETUSER default", "ACL SETUSER x", "ACL DELUSER x", "ACL LOAD", "ACL SAVE",
			"ACL DRYRUN larder-admin GET k",
			"CLUSTER ADDSLOTS 1", "CLUSTER FAILOVER", "CLUSTER FLUSHSLOTS", "CLUSTER FORGET x", "CLUSTER MEET 127.0.0.1 1",
			"CLUSTER RESET", "CLUSTER SETSLOT 1 STABLE", "CLUSTER REPLICATE x", "CLUSTER BUMPEPOCH", "CLUSTER SAVECONFIG",
		} {
			if got := r.session(n, cmd); !strings.HasPrefix(got, "-NOPERM") && !strings.Contains(got, "not allowed") {
				t.Errorf("%s: %s", cmd, got)
			}
			args := strings.Fields(strings.ToLower(cmd))
			script := "return redis.call('" + strings.Join(args, "','") + "')"
			if got := r.client(n, "EVAL", script, "0"); !strings.HasPrefix(got, "-") {
				t.Errorf("EVAL %s: %s", script, got)
			}
		}
		for _, cmd := range []string{
			"SET k v", "GET k", "ACL WHOAMI", "ACL CAT", "ACL GENPASS", "ACL LOG", "CLIENT LIST", "INFO", "SLOWLOG GET",
			"SUBSCRIBE c", "HELLO 3", "COMMAND COUNT", "MEMORY USAGE k", "FUNCTION LIST", "LATENCY LATEST", "WAIT 0 1",
			"FLUSHALL", "SWAPDB 0 1", "SELECT 1", "CLUSTER KEYSLOT k",
		} {
			got := r.session(n, cmd)
			if strings.HasPrefix(got, "-") && !strings.Contains(got, "cluster support disabled") {
				t.Errorf("%s: %s", cmd, got)
			}
		}
		if rep := r.settled(n); rep.PID == 0 {
			t.Error("a customer ended the engine")
		}
	})
}
