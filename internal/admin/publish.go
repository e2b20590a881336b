package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// Publications lists the publications.
func (c *Client) Publications(ctx context.Context) ([]Publication, error) {
	var out []Publication
	return out, c.call(ctx, http.MethodGet, "publications", nil, &out)
}

// Unpublish removes a publication.
func (c *Client) Unpublish(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "publications/"+url.PathEscape(id), nil, &struct{}{})
}

// publishPause is between two looks at a publication that is being opened.
const publishPause = 10 * time.Millisecond

// Publish makes a publication and returns once clients reach it. One that cannot be
// opened is removed again; the error says why it cannot.
func (c *Client) Publish(ctx context.Context, in Publish) (Publication, error) {
	var out Publication
	if err := c.call(ctx, http.MethodPost, "publications", in, &out); err != nil {
		return out, err
	}
	for out.State == PublicationOpening {
		select {
		case <-ctx.Done():
			return out, ctx.Err()
		case <-c.clock.After(publishPause):
		}
		all, err := c.Publications(ctx)
		if err != nil {
			return out, err
		}
		at := slices.IndexFunc(all, func(p Publication) bool { return p.ID == out.ID })
		if at < 0 {
			return out, core.Errorf("NotFound", "The cache of publication %s has been deleted.", out.ID)
		}
		out = all[at]
	}
	if out.State == PublicationFailed {
		if err := c.Unpublish(ctx, out.ID); err != nil {
			return out, err
		}
		return out, core.Errorf("CannotListen", "%s", out.Trouble)
	}
	return out, nil
}
