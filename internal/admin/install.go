package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// DNS asks for the names and who resolves them.
func (c *Client) DNS(ctx context.Context) (DNS, error) {
	var out DNS
	return out, c.call(ctx, http.MethodGet, "dns", nil, &out)
}

// InstallDNS tells the server what its host resolves names by, and returns once that is
// so. What cannot be is taken back; the error says why.
func (c *Client) InstallDNS(ctx context.Context, in InstallDNS) (DNS, error) {
	var out DNS
	if err := c.call(ctx, http.MethodPut, "dns", in, &out); err != nil {
		return out, err
	}
	out, err := c.awaitHost(ctx, out, HostInstalling)
	if err != nil || out.Host == nil || out.Host.State != HostFailed {
		return out, err
	}
	if err := c.call(ctx, http.MethodDelete, "dns", nil, &DNS{}); err != nil {
		return out, err
	}
	return out, core.Errorf("CannotInstall", "%s", out.Host.Trouble)
}

// RemoveDNS takes back what InstallDNS has done, and returns once that is so.
func (c *Client) RemoveDNS(ctx context.Context) (DNS, error) {
	var out DNS
	if err := c.call(ctx, http.MethodDelete, "dns", nil, &out); err != nil {
		return out, err
	}
	out, err := c.awaitHost(ctx, out, HostRemoving)
	if err == nil && out.Host != nil && out.Host.State == HostFailed {
		return out, core.Errorf("CannotRemove", "%s", out.Host.Trouble)
	}
	return out, err
}

const dnsPause = 10 * time.Millisecond

// awaitHost waits until the host has left a state.
func (c *Client) awaitHost(ctx context.Context, d DNS, state string) (DNS, error) {
	for d.Host != nil && d.Host.State == state {
		select {
		case <-ctx.Done():
			return d, ctx.Err()
		case <-c.clock.After(dnsPause):
		}
		var err error
		if d, err = c.DNS(ctx); err != nil {
			return d, err
		}
	}
	return d, nil
}
