package valkey

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime"
)

// The users that customers do not see. CLIENT LIST shows the replication user
// of connected replicas.
const (
	adminUser       = "larder-admin"
	replicationUser = "larder-replication"
	customerUser    = "default"
)

// denied are the commands that ElastiCache keeps from customers, and those that
// would undo Larder's work or show its users. Scripts run with the rights of
// their caller, so this holds for them too.
var denied = []string{
	"bgrewriteaof", "bgsave", "config", "debug", "failover", "migrate", "module", "psync", "replconf",
	"replicaof", "save", "shutdown", "slaveof", "sync",
}

// allowedOf are the subcommands left of commands that are closed as a whole, so
// that what a later engine adds to them is closed until somebody looks at it.
var allowedOf = map[string][]string{
	"acl": {"cat", "genpass", "help", "log", "whoami"},
	"cluster": {
		"count-failure-reports", "countkeysinslot", "getkeysinslot", "help", "info", "keyslot", "myid", "nodes",
		"replicas", "shards", "slaves", "slots",
	},
}

// customerRights are the rules of the default user apart from its passwords.
func customerRights() []string {
	rules := []string{"~*", "&*", "+@all"}
	for _, c := range denied {
		rules = append(rules, "-"+c)
	}
	for _, c := range []string{"acl", "cluster"} {
		rules = append(rules, "-"+c)
		for _, sub := range allowedOf[c] {
			rules = append(rules, "+"+c+"|"+sub)
		}
	}
	return rules
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// user is one user of the engine, whole.
type user struct {
	name       string
	noPassword bool
	digests    []string
	rights     []string
}

// users are all but the administrator, who is made at the start and stays.
func users(n *runtime.Node) ([]user, error) {
	a := n.Auth
	customer := user{name: customerUser, noPassword: a.NoPassword, rights: customerRights()}
	if !a.NoPassword {
		customer.digests = slices.Clone(a.Digests)
		if !a.Login.IsZero() {
			customer.digests = append(customer.digests, a.Login.SHA256())
		}
	}
	for _, d := range customer.digests {
		if !digestForm.MatchString(d) {
			return nil, errors.New("valkey: a password digest is not a SHA-256 in hexadecimal")
		}
	}
	peer := replication(a.Replication)
	if n.Cluster != nil {
		peer.rights = append(peer.rights, movingRights...)
	}
	return []user{customer, peer}, nil
}

func administrator(password core.Secret) user {
	return user{name: adminUser, digests: []string{password.SHA256()}, rights: []string{"~*", "&*", "+@all"}}
}

func replication(password core.Secret) user {
	return user{
		name: replicationUser, digests: []string{password.SHA256()},
		rights: []string{"resetkeys", "resetchannels", "-@all", "+psync", "+replconf", "+ping"},
	}
}

// movingRights are what the replication user needs besides for one engine to hand
// keys on to another.
var movingRights = []string{"~*", "+select", "+restore-asking"}

// rules make the user what it is whatever it was, in one step: `reset` is part
// of the same command, and connections that are logged in stay so.
func (u user) rules() []string {
	rules := []string{"reset", "on"}
	if u.noPassword {
		rules = append(rules, "nopass")
	}
	for _, d := range u.digests {
		rules = append(rules, "#"+d)
	}
	return append(rules, u.rights...)
}

// line is the user in a configuration file.
func (u user) line() string { return "user " + u.name + " " + strings.Join(u.rules()[1:], " ") }

// setUsers makes the users and reads back that they are in force.
func (s *session) setUsers(ctx context.Context, us []user) error {
	var cmds [][]string
	for _, u := range us {
		cmds = append(cmds,
			append([]string{"ACL", "SETUSER", u.name}, u.rules()...),
			[]string{"ACL", "GETUSER", u.name})
	}
	replies, err := s.conn.pipeline(ctx, cmds...)
	if err != nil {
		return err
	}
	for i, u := range us {
		if err := replies[2*i].failure(); err != nil {
			return fmt.Errorf("valkey: user %s: %w", u.name, err)
		}
		if err := replies[2*i+1].failure(); err != nil {
			return fmt.Errorf("valkey: read back user %s: %w", u.name, err)
		}
		if !u.in(replies[2*i+1]) {
			return fmt.Errorf("valkey: user %s is not as it was set", u.name)
		}
	}
	return nil
}

// in reports whether an answer of ACL GETUSER shows this user with exactly
// these passwords.
func (u user) in(r reply) bool {
	var enabled, noPassword bool
	var digests []string
	for i := 0; i+1 < len(r.array); i += 2 {
		switch r.array[i].text {
		case "flags":
			for _, f := range r.array[i+1].array {
				enabled = enabled || f.text == "on"
				noPassword = noPassword || f.text == "nopass"
			}
		case "passwords":
			for _, d := range r.array[i+1].array {
				digests = append(digests, d.text)
			}
		}
	}
	want := slices.Clone(u.digests)
	slices.Sort(want)
	slices.Sort(digests)
	return enabled && noPassword == u.noPassword && slices.Equal(slices.Compact(want), slices.Compact(digests))
}
