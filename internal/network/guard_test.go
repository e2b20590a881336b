package network

import (
	"net/netip"
	"testing"
)

func TestWindowSource(t *testing.T) {
	t.Parallel()
	address := netip.MustParseAddr
	attached := Window{Loopback: prefix("127.20.0.0/16"), CIDR: prefix("10.7.4.0/22"), Host: address("10.7.4.9")}
	detached := attached
	detached.Host = netip.Addr{}
	for name, tc := range map[string]struct {
		window Window
		peer   string
		want   string
	}{
		"no source chosen":           {attached, "127.0.0.1", "10.7.4.9"},
		"no source chosen, IPv6":     {attached, "::1", "10.7.4.9"},
		"from outside":               {attached, "192.0.2.7", "10.7.4.9"},
		"from outside, mapped":       {attached, "::ffff:192.0.2.7", "10.7.4.9"},
		"an address of the window":   {attached, "127.20.5.77", "10.7.5.77"},
		"the same, mapped":           {attached, "::ffff:127.20.5.77", "10.7.5.77"},
		"another VPC's window":       {attached, "127.22.5.77", ""},
		"another VPC's, mapped":      {attached, "::ffff:127.22.5.77", ""},
		"detached: host":             {detached, "127.0.0.1", ""},
		"detached: from outside":     {detached, "192.0.2.7", ""},
		"detached: of the window":    {detached, "127.20.5.77", "10.7.5.77"},
		"nothing known of the VPC":   {Window{}, "127.20.5.77", ""},
		"nothing known, from inside": {Window{}, "127.0.0.1", ""},
	} {
		var want netip.Addr
		if tc.want != "" {
			want = address(tc.want)
		}
		if got := tc.window.Source(address(tc.peer)); got != want {
			t.Errorf("%s: %s is %v, want %v", name, tc.peer, got, want)
		}
	}
}

func TestGuardAdmitsNobodyUnknown(t *testing.T) {
	t.Parallel()
	a := netip.MustParseAddr("10.0.0.1")
	g := Guard{Filters: map[string]Filter{"n": {Allow: []netip.Prefix{prefix("10.0.0.0/24")}}}}
	for name, tc := range map[string]struct {
		node   string
		source netip.Addr
		want   bool
	}{
		"let in": {"n", a, true}, "another node": {"m", a, false}, "nobody": {"n", netip.Addr{}, false},
	} {
		if got := g.Admits(tc.node, tc.source); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
