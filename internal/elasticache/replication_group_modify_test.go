package elasticache

import (
	"fmt"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func tokenRequest(id, token, strategy string) *wire.ModifyReplicationGroupMessage {
	in := &wire.ModifyReplicationGroupMessage{ReplicationGroupId: &id, AuthToken: core.Ptr(core.NewSecret(token)), ApplyImmediately: core.Ptr(true)}
	if strategy != "" {
		in.AuthTokenUpdateStrategy = &strategy
	}
	return in
}

// tokens names the credentials of a group, by the tokens of the tests.
func (f *clusterFixture) tokens(id string) string {
	f.t.Helper()
	names := map[string]string{}
	for name, token := range map[string]string{"A": tokenA, "B": tokenB, "C": tokenC} {
		names[core.NewSecret(token).SHA256()] = name
	}
	out := resource.Auth{}
	for _, c := range f.group(id).Spec.Auth.Credentials {
		if !c.None {
			digest, err := f.Service.seal.Unseal(c.Digest)
			if err != nil {
				f.t.Fatal(err)
			}
			c.Digest = core.Sealed(names[digest.Reveal()])
		}
		out.Credentials = append(out.Credentials, c)
	}
	return stateOf(out)
}

// The life of a token through the API: created, rotated, set, and back to the
// optional state of an open group.
func TestTokenLifecycle(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(secureGroupRequest("a", 2, tokenA))
	f.createGroup(secureGroupRequest("open", 2, ""))
	f.settle()
	steps := []struct {
		id, token, strategy string
		want, change        string
		code                string
	}{
		{id: "a", token: tokenB, strategy: "SET", want: "[A]", code: "InvalidParameterCombination"},
		{id: "a", token: tokenA, strategy: "ROTATE", want: "[A]"},
		{id: "a", token: tokenB, strategy: "ROTATE", want: "[A,B]", change: "ROTATING"},
		{id: "a", token: tokenA, strategy: "SET", want: "[A,B]", code: "InvalidParameterCombination"},
		{id: "a", token: tokenC, strategy: "", want: "[B,C]", change: "ROTATING"},
		{id: "a", token: tokenC, strategy: "SET", want: "[C]", change: "SETTING"},
		{id: "a", token: tokenC, strategy: "SET", want: "[C]"},
		{id: "a", token: tokenA, strategy: "DELETE", want: "[C]", code: "InvalidParameterValue"},
		{id: "a", token: "short", strategy: "ROTATE", want: "[C]", code: "InvalidParameterValue"},
		{id: "open", token: tokenA, strategy: "ROTATE", want: "[NONE,A]", change: "ROTATING"},
		{id: "open", token: tokenB, strategy: "ROTATE", want: "[A,B]", change: "ROTATING"},
		{id: "open", token: tokenB, strategy: "SET", want: "[B]", change: "SETTING"},
	}
	for _, s := range steps {
		name := fmt.Sprintf("%s %s %s", s.id, s.strategy, s.token)
		out, err := f.ModifyReplicationGroup(f.ctx, tokenRequest(s.id, s.token, s.strategy))
		if s.code != "" {
			if e, ok := core.AsError(err); !ok || e.Code != s.code {
				t.Fatalf("%s: error %v, want %s", name, err, s.code)
			}
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		} else {
			g := out.ReplicationGroup
			status := "available"
			if s.change != "" {
				status = "modifying"
			}
			if *g.Status != status || core.Val(g.PendingModifiedValues.AuthTokenStatus) != s.change || !*g.AuthTokenEnabled {
				t.Errorf("%s: %s, pending %q", name, *g.Status, core.Val(g.PendingModifiedValues.AuthTokenStatus))
			}
			c := f.describeCluster(s.id + "-001")
			if *c.CacheClusterStatus != status || core.Val(c.PendingModifiedValues.AuthTokenStatus) != s.change || !*c.AuthTokenEnabled {
				t.Errorf("%s: member %s, pending %q", name, *c.CacheClusterStatus, core.Val(c.PendingModifiedValues.AuthTokenStatus))
			}
		}
		if got := f.tokens(s.id); got != s.want {
			t.Fatalf("%s: credentials %s, want %s", name, got, s.want)
		}
		if s.change != "" {
			_, err := f.ModifyReplicationGroup(f.ctx, tokenRequest(s.id, tokenA, "ROTATE"))
			wantError(t, err, "InvalidReplicationGroupState", "Replication group must be in available state to modify.")
		}
		f.settle()
		if g := f.describeGroup(s.id); *g.Status != "available" || g.PendingModifiedValues.AuthTokenStatus != nil {
			t.Errorf("%s: afterwards %s", name, *g.Status)
		}
	}
}

func TestTransitEncryptionLifecycle(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(groupRequest("rg", 2))
	f.settle()
	change := func(on *bool, mode string) *wire.ModifyReplicationGroupMessage {
		in := &wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), ApplyImmediately: core.Ptr(true), TransitEncryptionEnabled: on}
		if mode != "" {
			in.TransitEncryptionMode = &mode
		}
		return in
	}
	refused := func(in *wire.ModifyReplicationGroupMessage, code, text string) {
		t.Helper()
		before := f.dump()
		_, err := f.ModifyReplicationGroup(f.ctx, in)
		wantError(t, err, code, text)
		if f.dump() != before {
			t.Error("something was stored")
		}
	}
	// shows checks what is shown of a group or member: now, and pending.
	shows := func(on *bool, mode *string, pendingOn *bool, pendingMode *string, want string) {
		t.Helper()
		pending := "-"
		if pendingOn != nil {
			pending = fmt.Sprint(*pendingOn, " ", core.Val(pendingMode))
		}
		if got := fmt.Sprint(*on, " ", core.Val(mode), " / ", pending); got != want {
			t.Errorf("shows %q, want %q", got, want)
		}
	}
	accepted := func(in *wire.ModifyReplicationGroupMessage, during, after string, stored resource.TLSMode) {
		t.Helper()
		g := f.modifyGroup(in)
		if *g.Status != "modifying" {
			t.Errorf("status %s", *g.Status)
		}
		p := g.PendingModifiedValues
		shows(g.TransitEncryptionEnabled, g.TransitEncryptionMode, p.TransitEncryptionEnabled, p.TransitEncryptionMode, during)
		c := f.describeCluster("rg-002")
		shows(c.TransitEncryptionEnabled, c.TransitEncryptionMode, c.PendingModifiedValues.TransitEncryptionEnabled, c.PendingModifiedValues.TransitEncryptionMode, during)
		if f.group("rg").Spec.TLS != stored || f.cluster("rg-001").Spec.TLS != stored {
			t.Errorf("stored modes %q and %q", f.group("rg").Spec.TLS, f.cluster("rg-001").Spec.TLS)
		}
		f.settle()
		g = f.describeGroup("rg")
		p = g.PendingModifiedValues
		shows(g.TransitEncryptionEnabled, g.TransitEncryptionMode, p.TransitEncryptionEnabled, p.TransitEncryptionMode, after)
	}
	yes, no := core.Ptr(true), core.Ptr(false)
	const needsTLS = "The AUTH token modification is only supported when encryption-in-transit is enabled."
	refused(tokenRequest("rg", tokenA, "ROTATE"), "InvalidParameterValue", needsTLS)
	// Terraform sends an empty token with a group that it has imported.
	refused(tokenRequest("rg", "", "ROTATE"), "InvalidParameterValue", needsTLS)
	refused(change(yes, ""), "InvalidParameterCombination", "Direct transition from transit-encryption-disabled to transit-encryption-enabled is not allowed....")
	later := change(yes, "preferred")
	later.ApplyImmediately = nil
	refused(later, "InvalidParameterCombination", "Changes of TransitEncryptionEnabled and TransitEncryptionMode are made at once...")
	accepted(change(yes, "preferred"), "false  / true preferred", "true preferred / -", resource.TLSPreferred)
	refused(tokenRequest("rg", tokenA, "SET"), "InvalidParameterValue", needsTLS)
	both := tokenRequest("rg", tokenA, "ROTATE")
	both.TransitEncryptionMode = core.Ptr("required")
	refused(both, "InvalidParameterValue", needsTLS)
	refused(change(yes, "preferred"), "InvalidParameterCombination", "No modifications were requested.")
	accepted(change(nil, "required"), "true preferred / true required", "true required / -", resource.TLSRequired)
	refused(change(no, ""), "InvalidParameterCombination", "Direct transition from transit-encryption-mode required...")
	accepted(change(nil, "preferred"), "true required / true preferred", "true preferred / -", resource.TLSPreferred)
	accepted(change(no, ""), "true preferred / false ", "false  / -", resource.TLSOff)
	accepted(change(yes, "preferred"), "false  / true preferred", "true preferred / -", resource.TLSPreferred)
	accepted(change(yes, "required"), "true preferred / true required", "true required / -", resource.TLSRequired)
	refused(tokenRequest("rg", "", "ROTATE"), "InvalidParameterValue", "Invalid AuthToken provided.")
	f.modifyGroup(tokenRequest("rg", tokenA, "ROTATE"))
	f.settle()
	refused(change(yes, ""), "InvalidParameterCombination", "Modification of transit encryption is not supported for access control enabled clusters.")
}

func TestModifyGroupWithoutWork(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(groupRequest("rg", 2))
	f.settle()
	g := f.modifyGroup(&wire.ModifyReplicationGroupMessage{
		ReplicationGroupId: core.Ptr("RG"), ReplicationGroupDescription: core.Ptr("new"), AutoMinorVersionUpgrade: core.Ptr(false),
		PreferredMaintenanceWindow: core.Ptr("FRI:01:00-fri:02:00"), SnapshotWindow: core.Ptr("09:00-10:00"),
		AutomaticFailoverEnabled: core.Ptr(true), MultiAZEnabled: core.Ptr(true),
		// What is so already is no change, and no refusal.
		PrimaryClusterId: core.Ptr("rg-001"), Engine: core.Ptr("redis"), EngineVersion: core.Ptr("7.0"), CacheNodeType: core.Ptr("cache.t3.micro"),
		CacheParameterGroupName: core.Ptr("default.redis7"), SecurityGroupIds: []string{"sg-default"}, SnapshotRetentionLimit: core.Ptr(0),
		ClusterMode: core.Ptr("disabled"), RemoveUserGroups: core.Ptr(false), TransitEncryptionEnabled: core.Ptr(false),
	})
	got := words(*g.Status, *g.Description, *g.AutoMinorVersionUpgrade, *g.SnapshotWindow, *g.AutomaticFailover, *g.MultiAZ)
	if got != "available new false 09:00-10:00 enabled enabled" {
		t.Error(got)
	}
	if c := f.describeCluster("rg-002"); *c.CacheClusterStatus != "available" || *c.PreferredMaintenanceWindow != "fri:01:00-fri:02:00" {
		t.Errorf("member %s with window %s", *c.CacheClusterStatus, *c.PreferredMaintenanceWindow)
	}
	if f.group("rg").Generation != 1 {
		t.Error("the controllers were asked for work")
	}
}

func TestModifyGroupParameterGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.addGroups()
	f.createGroup(groupRequest("rg", 2))
	f.settle()
	g := f.modifyGroup(&wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), CacheParameterGroupName: core.Ptr("Mine")})
	if *g.Status != "modifying" || f.group("rg").Generation != 2 {
		t.Errorf("group %s", *g.Status)
	}
	for _, id := range []string{"rg-001", "rg-002"} {
		c := f.describeCluster(id)
		if *c.CacheClusterStatus != "modifying" || *c.CacheParameterGroup.CacheParameterGroupName != "mine" {
			t.Errorf("%s is %s with %s", id, *c.CacheClusterStatus, *c.CacheParameterGroup.CacheParameterGroupName)
		}
	}
}

func TestModifyGroupRefusals(t *testing.T) {
	t.Parallel()
	const value, combination = "InvalidParameterValue", "InvalidParameterCombination"
	type request = wire.ModifyReplicationGroupMessage
	tests := []struct {
		name       string
		id         string // "two" unless given
		change     func(in *request)
		code, text string
	}{
		{"unknown group", "nope", func(*request) {}, "ReplicationGroupNotFoundFault", "ReplicationGroup nope not found."},
		{"not available", "new", func(in *request) { in.ReplicationGroupDescription = core.Ptr("x") }, "InvalidReplicationGroupState", "Replication group must be in available state to modify."},
		{"nothing asked", "", func(*request) {}, combination, "No modifications were requested."},
		{"the same again", "", func(in *request) { in.ReplicationGroupDescription = core.Ptr("a group") }, combination, "No modifications were requested."},
		{"long description", "", func(in *request) { in.ReplicationGroupDescription = core.Ptr(fmt.Sprintf("%256d", 1)) }, value, "The parameter ReplicationGroupDescription must not be longer than 255 characters."},
		{"failover of one node", "one", func(in *request) { in.AutomaticFailoverEnabled = core.Ptr(true) }, combination, "Replication group must have at least one read replica to enable autofailover."},
		{"Multi-AZ without failover", "", func(in *request) { in.MultiAZEnabled = core.Ptr(true) }, combination, "The parameter MultiAZEnabled can be true only if AutomaticFailoverEnabled is."},
		{"Multi-AZ in one zone", "near", func(in *request) { in.MultiAZEnabled, in.AutomaticFailoverEnabled = core.Ptr(true), core.Ptr(true) }, combination, "The parameter MultiAZEnabled can be true only if there is a replica..."},
		{"failover off under Multi-AZ", "multi", func(in *request) { in.AutomaticFailoverEnabled = core.Ptr(false) }, combination, "The parameter MultiAZEnabled can be true only if AutomaticFailoverEnabled is."},
		{"windows overlap", "", func(in *request) {
			in.PreferredMaintenanceWindow, in.SnapshotWindow = core.Ptr("mon:05:00-mon:06:30"), core.Ptr("06:00-07:00")
		}, combination, "The snapshot window and maintenance window must not overlap."},
		{"no such parameter group", "", func(in *request) { in.CacheParameterGroupName = core.Ptr("nope") }, "CacheParameterGroupNotFound", "CacheParameterGroup not found: nope"},
		{"parameter group of cluster mode", "", func(in *request) { in.CacheParameterGroupName = core.Ptr("sharded") }, combination, "The parameter cluster-enabled has a different value in the requested parameter group than the current parameter group. This parameter value cannot be changed for a cache cluster"},
		{"parameter group of another family", "", func(in *request) { in.CacheParameterGroupName = core.Ptr("default.redis6.x") }, combination, "Expected a parameter group of family redis7 but found one of family redis6.x"},
		{"no such security group", "", func(in *request) { in.SecurityGroupIds = []string{"sg-1"} }, value, "The security group sg-1 in the parameter SecurityGroupIds does not exist."},
		{"other primary", "", func(in *request) { in.PrimaryClusterId = core.Ptr("x-002") }, "InvalidParameterValue", "The parameter PrimaryClusterId names x-002, which is not a member of replication group two."},
		{"unknown node type", "", func(in *request) { in.CacheNodeType = core.Ptr("cache.t3.huge") }, value, "The parameter CacheNodeType has the unknown value cache.t3.huge."},
		{"older version", "", func(in *request) { in.EngineVersion = core.Ptr("6.2") }, combination, "The engine version of redis cannot be downgraded from 7.0.7 to 6.2."},
		{"back from valkey", "vk", func(in *request) { in.Engine, in.EngineVersion = core.Ptr("redis"), core.Ptr("7.1") }, combination, "The engine cannot be changed from valkey to redis."},
		{"memcached", "", func(in *request) { in.Engine, in.EngineVersion = core.Ptr("memcached"), core.Ptr("1.6.6") }, combination, "The engine cannot be changed from redis to memcached."},
		{"own parameter group with another family", "own", func(in *request) { in.Engine, in.EngineVersion = core.Ptr("valkey"), core.Ptr("8.0") }, combination, "The parameter group mine cannot be used with the new engine version. The parameter CacheParameterGroupName must name a parameter group of family valkey8."},
		{"another family's parameter group", "", func(in *request) {
			in.Engine, in.EngineVersion, in.CacheParameterGroupName = core.Ptr("valkey"), core.Ptr("8.0"), core.Ptr("default.redis7")
		}, combination, "Expected a parameter group of family valkey8 but found one of family redis7"},
		{"unknown version", "", func(in *request) { in.EngineVersion = core.Ptr("9.9") }, combination, "Cannot find version 9.9 for redis"},
		{"other engine without version", "", func(in *request) { in.Engine = core.Ptr("valkey") }, value, "The parameter EngineVersion must be provided."},
		{"strategy without token", "", func(in *request) { in.AuthTokenUpdateStrategy = core.Ptr("ROTATE") }, combination, "The parameter AuthTokenUpdateStrategy needs the parameter AuthToken."},
		{"delete strategy", "", func(in *request) { in.AuthTokenUpdateStrategy = core.Ptr("DELETE") }, value, "Auth token update strategy delete is not supported currently"},
		{"TLS for old redis", "old", func(in *request) {
			in.TransitEncryptionEnabled, in.TransitEncryptionMode, in.ApplyImmediately = core.Ptr(true), core.Ptr("preferred"), core.Ptr(true)
		}, combination, "The transit encryption of redis 6.2.6 cannot be changed..."},
		{"one good and one bad change", "", func(in *request) {
			in.ReplicationGroupDescription, in.MultiAZEnabled = core.Ptr("new"), core.Ptr(true)
		}, combination, "The parameter MultiAZEnabled can be true only if AutomaticFailoverEnabled is."},
	}
	f := newClusterFixture(t)
	f.addGroups()
	f.createGroup(groupRequest("one", 1))
	f.createGroup(groupRequest("two", 2))
	near, multi, old := groupRequest("near", 2), groupRequest("multi", 2), groupRequest("old", 1)
	near.PreferredCacheClusterAZs = []string{"us-east-1a", "us-east-1a"}
	multi.AutomaticFailoverEnabled, multi.MultiAZEnabled = core.Ptr(true), core.Ptr(true)
	old.EngineVersion = core.Ptr("6.2")
	vk, own := groupRequest("vk", 2), groupRequest("own", 2)
	vk.Engine, vk.EngineVersion = core.Ptr("valkey"), core.Ptr("7.2")
	own.CacheParameterGroupName = core.Ptr("mine")
	for _, in := range []*wire.CreateReplicationGroupMessage{near, multi, old, vk, own} {
		f.createGroup(in)
	}
	f.settle()
	f.createGroup(groupRequest("new", 1))
	before := f.dump()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := tt.id
			if id == "" {
				id = "two"
			}
			in := &request{ReplicationGroupId: &id}
			tt.change(in)
			_, err := f.ModifyReplicationGroup(f.ctx, in)
			wantError(t, err, tt.code, tt.text)
			if f.dump() != before {
				t.Error("something was stored")
			}
		})
	}
}

// A token of a Redis that has one password at most cannot be changed.
func TestRotationNeedsVersion(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := secureGroupRequest("rg", 1, tokenA)
	in.EngineVersion, in.CacheNodeType = core.Ptr("4.0.10"), core.Ptr("cache.t3.micro")
	f.createGroup(in)
	f.settle()
	_, err := f.ModifyReplicationGroup(f.ctx, tokenRequest("rg", tokenB, "ROTATE"))
	wantError(t, err, "InvalidParameterCombination", "AUTH token modification is not supported for redis 4.0.10: it needs version 5.0.6 or later.")
}

// A member that is rebooted leaves its group available.
func TestRebootMember(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(groupRequest("rg", 2))
	f.settle()
	if _, err := f.RebootCacheCluster(f.ctx, &wire.RebootCacheClusterMessage{CacheClusterId: core.Ptr("rg-001"), CacheNodeIdsToReboot: []string{"0001"}}); err != nil {
		t.Fatal(err)
	}
	if c, g := f.describeCluster("rg-001"), f.describeGroup("rg"); *c.CacheClusterStatus != "rebooting cluster nodes" || *g.Status != "available" {
		t.Errorf("member %s, group %s", *c.CacheClusterStatus, *g.Status)
	}
	f.update(func(tx *store.Tx) error {
		c, _ := resource.CacheClusters.Get(tx, key(testRegion, "rg-001"))
		if c.Spec.Reboot["0001"] != 1 {
			t.Errorf("reboots %v", c.Spec.Reboot)
		}
		return nil
	})
}
