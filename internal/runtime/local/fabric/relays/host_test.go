package relays

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/larder-cache/larder/internal/core"
)

func TestPublishAt(t *testing.T) {
	t.Parallel()
	host := func() []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.1.2.3")}
	}
	for _, tc := range []struct{ address, want string }{
		{"0.0.0.0", "[127.0.0.1:7000 10.1.2.3:7000]"},
		{"10.1.2.3", "[10.1.2.3:7000]"},
		{"192.0.2.1", "[192.0.2.1:7000]"},
		{"a name", "[]"},
	} {
		if got := fmt.Sprint(PublishAt(core.Endpoint{Address: tc.address, Port: 7000}, host)); got != tc.want {
			t.Errorf("%s: %s", tc.address, got)
		}
	}
}
