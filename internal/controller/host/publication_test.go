package host_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
)

// A publication leads where its endpoint does, speaks what that speaks unless told
// otherwise, and is nothing once its cache is another one.
func TestComposePublications(t *testing.T) {
	t.Parallel()
	l, _ := newHost(t, true)
	doc := compose(t, l, func(tx *store.Tx, _ *resource.ReplicationGroup, nodes []*resource.Node) {
		key, err := l.Seal.Seal(l.Seal.Derive("test", "key"))
		if err != nil {
			t.Fatal(err)
		}
		resource.Certificates.Put(tx, "us-east-1/rg-uid", &resource.Certificate{ChainPEM: "chain", KeyPEM: key})
		for _, n := range nodes {
			n.Spec.TLS = resource.TLSRequired
		}
		for _, p := range []resource.Publication{
			{ID: "pub-primary", Endpoint: "primary us-east-1/rg", OwnerUID: "rg-uid", Listen: "192.0.2.1:7000"},
			{ID: "pub-plain", Endpoint: "reader us-east-1/rg", OwnerUID: "rg-uid", Listen: "0.0.0.0:7001", Plaintext: true},
			{ID: "pub-node", Endpoint: "node us-east-1/rg-002/0001", OwnerUID: "rg-002-uid", Listen: "[::1]:7002"},
			{ID: "pub-older", Endpoint: "primary us-east-1/rg", OwnerUID: "older-uid", Listen: "192.0.2.1:7003"},
			{ID: "pub-nowhere", Endpoint: "node us-east-1/rg-002/0002", OwnerUID: "rg-002-uid", Listen: "192.0.2.1:7004"},
		} {
			p.Region, p.VPCID, p.Address = "us-east-1", "vpc-1", "172.31.9.9"
			resource.Publications.Put(tx, p.Key(), &p)
		}
	})
	var got []string
	for _, e := range doc.Endpoints {
		if e.Source.IsValid() {
			got = append(got, fmt.Sprintf("%s %s %s from %s to %d, %q %v", e.ID, e.Network, e.Bound, e.Source, len(e.Nodes), e.TLS.Mode, e.Primary))
		} else if len(e.Names) == 0 {
			t.Errorf("%s has no names", e.ID)
		}
	}
	want := []string{
		`publication us-east-1/pub-node vpc-1 [::1]:7002 from 172.31.9.9 to 1, "required" false`,
		`publication us-east-1/pub-plain vpc-1 0.0.0.0:7001 from 172.31.9.9 to 2, "" false`,
		`publication us-east-1/pub-primary vpc-1 192.0.2.1:7000 from 172.31.9.9 to 1, "required" true`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if !slices.IsSortedFunc(doc.Endpoints, func(a, b runtime.Endpoint) int { return cmp.Compare(a.ID, b.ID) }) {
		t.Error("endpoints are not sorted")
	}
}
