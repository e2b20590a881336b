// Package nodespec is the pure part that the controllers of clusters and of
// replication groups share: what the spec of a node shall be, what a node's
// report means for it, when a node that ended may start again, and what the
// status of a cluster is that has these nodes.
package nodespec

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// Want is what its owner wants of a node.
type Want struct {
	Engine, Version string
	// InPlace: the program that runs serves that version too, so that no new
	// process is needed for it.
	InPlace bool
	// Superseded: a newer program than the one that runs is asked for and there.
	Superseded bool
	Endpoint   resource.Endpoint
	TLS        resource.TLSMode
	// ReplicaOf is the key of the node to replicate from, if any.
	ReplicaOf string
	// Cluster is the node's place in a group in cluster mode, nil elsewhere.
	Cluster *resource.NodeCluster
	// HoldWrites makes writing clients wait.
	HoldWrites bool
	// Watched has a process that hangs ended.
	Watched    bool
	Directives Directives
	Auth       resource.NodeAuth
	// Reboots is how many reboots were asked for so far.
	Reboots int
}

// First is the spec of a node that does not exist yet.
func First(w Want) resource.NodeSpec {
	s := resource.NodeSpec{
		Generation:    1,
		Incarnation:   1,
		Engine:        w.Engine,
		Version:       w.Version,
		StartSettings: w.Directives.Start,
		Reboots:       w.Reboots,
	}
	apply(&s, w)
	return s
}

// Next is the spec that follows n's. With restart it asks for a new process,
// which takes over what a running one cannot.
func Next(n *resource.Node, w Want, restart bool) resource.NodeSpec {
	s := n.Spec
	if restart || w.InPlace {
		s.Engine, s.Version = w.Engine, w.Version
	} else if Outdated(n, w) {
		w.Directives.Live = s.Settings // those of another version are no good to this one
	}
	apply(&s, w)
	if restart {
		s.StartSettings, s.Reboots = w.Directives.Start, w.Reboots
		s.QuickExits = quickExits(n)
		s.Incarnation++
	}
	if len(Diff(n.Spec, s)) > 0 {
		s.Generation++
	}
	return s
}

// Outdated reports whether a node needs a new process for the version or the program
// that is wanted. Nobody starts one without seeing to the data first.
func Outdated(n *resource.Node, w Want) bool {
	return w.Superseded || !w.InPlace && (n.Spec.Engine != w.Engine || n.Spec.Version != w.Version)
}

// apply sets what a running process can take over.
func apply(s *resource.NodeSpec, w Want) {
	s.Endpoint, s.TLS = w.Endpoint, w.TLS
	s.ReplicaOf, s.HoldWrites, s.Watched = w.ReplicaOf, w.HoldWrites, w.Watched
	s.Settings, s.Auth, s.Cluster = w.Directives.Live, w.Auth, w.Cluster
}

// Removed is the spec of a node that shall go.
func Removed(n *resource.Node) resource.NodeSpec {
	s := n.Spec
	if !s.Deleted {
		s.Deleted = true
		s.Generation++
	}
	return s
}

// Diff names, in a fixed order, what differs between two specs apart from the
// generation. Two specs without differences are equal.
func Diff(a, b resource.NodeSpec) []string {
	var d []string
	add := func(differs bool, format string, args ...any) {
		if differs {
			d = append(d, fmt.Sprintf(format, args...))
		}
	}
	add(a.Deleted != b.Deleted, "deleted")
	add(a.Incarnation != b.Incarnation, "incarnation %d", b.Incarnation)
	switch {
	case a.ReplicaOf == b.ReplicaOf:
	case b.ReplicaOf == "":
		add(true, "primary")
	default:
		add(true, "replica of %s", b.ReplicaOf)
	}
	add(!EqualClusters(a.Cluster, b.Cluster), "cluster of other nodes")
	add(!a.HoldWrites && b.HoldWrites, "hold writes")
	add(a.HoldWrites && !b.HoldWrites, "let writes go on")
	add(!a.Watched && b.Watched, "watched")
	add(a.Watched && !b.Watched, "not watched")
	add(a.Engine != b.Engine || a.Version != b.Version, "%s %s", b.Engine, b.Version)
	add(!EqualEndpoints(a.Endpoint, b.Endpoint), "endpoint %s", b.Endpoint.Advertised)
	add(a.TLS != b.TLS, "tls %q", b.TLS)
	add(!EqualAuth(a.Auth, b.Auth), "auth")
	for _, name := range DifferentKeys(a.Settings, b.Settings) {
		add(true, "setting %s", name)
	}
	for _, name := range DifferentKeys(a.StartSettings, b.StartSettings) {
		add(true, "start setting %s", name)
	}
	add(a.Reboots != b.Reboots, "reboot %d", b.Reboots)
	add(a.QuickExits != b.QuickExits, "quick exits %d", b.QuickExits)
	return d
}

// DifferentKeys are the keys, sorted, that only one map has or that have another
// value in the other.
func DifferentKeys(a, b map[string]string) []string {
	var keys []string
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			keys = append(keys, k)
		}
	}
	for k := range maps.Keys(b) {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// EqualEndpoints compares two endpoints.
func EqualEndpoints(a, b resource.Endpoint) bool {
	return a.VPC == b.VPC && a.Bound == b.Bound && a.Advertised == b.Advertised && slices.Equal(a.Names, b.Names)
}

// EqualAuth compares who may use a node. A token that is sealed again differs.
func EqualAuth(a, b resource.NodeAuth) bool {
	equal := func(x, y core.Sealed) bool { return bytes.Equal(x, y) }
	return a.NoPassword == b.NoPassword && a.Login == b.Login && a.SecretsFrom == b.SecretsFrom &&
		slices.EqualFunc(a.Digests, b.Digests, equal)
}

// EqualClusters compares two places in a cluster.
func EqualClusters(a, b *resource.NodeCluster) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// Auth is the state of a group's tokens as a node has to enforce it.
func Auth(a resource.Auth, secretsFrom string) resource.NodeAuth {
	n := resource.NodeAuth{NoPassword: !a.Enabled(), Login: a.Optional(), SecretsFrom: secretsFrom}
	for _, c := range a.Credentials {
		if !c.None {
			n.Digests = append(n.Digests, c.Digest)
		}
	}
	return n
}

// Alive reports whether the process that the spec asks for answers.
func Alive(n *resource.Node) bool {
	return !n.Spec.Deleted && current(n) && n.Status.Phase == resource.NodeRunning
}

// Exited reports whether the process that the spec asks for has ended.
func Exited(n *resource.Node) bool {
	return !n.Spec.Deleted && current(n) && n.Status.Phase == resource.NodeExited
}

// Failed reports whether the process that the spec asks for cannot be started.
// The runtime tries again by itself.
func Failed(n *resource.Node) bool {
	return !n.Spec.Deleted && current(n) && n.Status.Phase == resource.NodeFailed
}

// Starting reports whether it is not known yet what became of the process that
// the spec asks for.
func Starting(n *resource.Node) bool {
	return !n.Spec.Deleted && !Alive(n) && !Exited(n) && !Failed(n)
}

// Gone reports whether nothing is left of a node but its record.
func Gone(n *resource.Node) bool {
	return n.Spec.Deleted && n.Status.Phase == resource.NodeGone
}

// CaughtUp reports whether the running process has all of the spec.
func CaughtUp(n *resource.Node) bool {
	return Alive(n) && n.Status.Generation >= n.Spec.Generation
}

// current: the report is about the incarnation that is wanted.
func current(n *resource.Node) bool { return n.Status.Incarnation == n.Spec.Incarnation }

// A process that ends within quickExit of its start is started again ever more
// slowly, from firstPause up to maxPause. The first restart is always at once.
const (
	quickExit  = 5 * time.Second
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

// quickExits counts the quick exits in a row, this one included.
func quickExits(n *resource.Node) int {
	s := n.Status
	if !Exited(n) || s.Started == nil || s.Ended == nil {
		return 0
	}
	// Of a life in which the clock was set back nobody knows how long it was.
	if life := s.Ended.Sub(*s.Started); life < 0 || life >= quickExit {
		return 0
	}
	return n.Spec.QuickExits + 1
}

// Restart reports whether a node needs a new process now: because its own ended,
// or because a reboot was asked for. Otherwise wait, if not 0, is when it may be
// started again.
func Restart(n *resource.Node, w Want, now time.Time) (restart bool, wait time.Duration) {
	if w.Reboots > n.Spec.Reboots {
		return true, 0
	}
	if !Exited(n) {
		return false, 0
	}
	wait = max(0, restartDelay(n, now))
	return wait == 0, wait
}

// Sooner is the shorter of two waits, where 0 means none.
func Sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// restartDelay is how long to wait before a node whose process ended is started
// again; 0 or less means now.
func restartDelay(n *resource.Node, now time.Time) time.Duration {
	exits := quickExits(n)
	if exits <= 1 {
		return 0
	}
	pause := maxPause
	if shift := exits - 2; shift < 5 {
		pause = min(maxPause, firstPause<<shift)
	}
	if now.Before(*n.Status.Ended) {
		return 0 // the clock was set back since
	}
	return pause - now.Sub(*n.Status.Ended)
}
