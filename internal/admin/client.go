package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/larder-cache/larder/internal/aws/gateway"
	"github.com/larder-cache/larder/internal/core"
)

// Access is how a client reaches a server.
type Access struct {
	// Endpoint is the URL of the API, Region what requests are signed for.
	Endpoint, Region string
	AccessKeyID      string
	Secret           core.Secret
	// AuthorityPEM are certificates to trust besides the system's; may be empty.
	AuthorityPEM []byte
}

// Client calls the API of a server.
type Client struct {
	access Access
	clock  core.Clock
	http   *http.Client
}

// requestTimeout is for a whole request; the server itself waits at most
// liveTimeout for its engines.
const requestTimeout = 15 * time.Second

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// NewClient returns a client.
func NewClient(a Access, clock core.Clock) (*Client, error) {
	u, err := url.Parse(a.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not an http or https URL", a.Endpoint)
	}
	transport := &http.Transport{}
	if len(a.AuthorityPEM) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(a.AuthorityPEM) {
			return nil, errors.New("the certificate of the authority is not PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	a.Endpoint = strings.TrimSuffix(a.Endpoint, "/")
	return &Client{access: a, clock: clock, http: &http.Client{Transport: transport, Timeout: requestTimeout}}, nil
}

// Status asks for everything that runs.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var out Status
	return out, c.call(ctx, http.MethodGet, "status", nil, &out)
}

// Authority asks for the certificate of the authority.
func (c *Client) Authority(ctx context.Context) (Authority, error) {
	var out Authority
	return out, c.call(ctx, http.MethodGet, "ca", nil, &out)
}

// Keys lists the access keys.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	var out []Key
	return out, c.call(ctx, http.MethodGet, "keys", nil, &out)
}

// CreateKey makes an access key; the answer is the only one with its secret.
func (c *Client) CreateKey(ctx context.Context, name string) (Key, error) {
	var out Key
	return out, c.call(ctx, http.MethodPost, "keys", CreateKey{Name: name}, &out)
}

// RevokeKey removes an access key.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "keys/"+url.PathEscape(id), nil, &struct{}{})
}

// Attach makes the host an instance of a VPC, in these security groups; without any
// in the VPC's default one.
func (c *Client) Attach(ctx context.Context, vpc string, groups []string) (Attachment, error) {
	var out Attachment
	return out, c.call(ctx, http.MethodPut, "attachments/"+url.PathEscape(vpc), Attach{SecurityGroups: groups}, &out)
}

// Detach takes the host out of a VPC.
func (c *Client) Detach(ctx context.Context, vpc string) error {
	return c.call(ctx, http.MethodDelete, "attachments/"+url.PathEscape(vpc), nil, &struct{}{})
}

// Instance asks where an instance is on the host of the server.
func (c *Client) Instance(ctx context.Context, id string) (Instance, error) {
	var out Instance
	return out, c.call(ctx, http.MethodGet, "instances/"+url.PathEscape(id), nil, &out)
}

// Explain asks whether a client may connect to a cache. Port 0 is the cache's.
func (c *Client) Explain(ctx context.Context, from, to string, port int) (Explanation, error) {
	q := url.Values{"from": {from}, "to": {to}}
	if port != 0 {
		q.Set("port", strconv.Itoa(port))
	}
	var out Explanation
	return out, c.call(ctx, http.MethodGet, "explain?"+q.Encode(), nil, &out)
}

// call sends one signed request. An error of the server is a *core.Error.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.access.Endpoint+gateway.AdminPrefix+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256(body)
	creds := aws.Credentials{AccessKeyID: c.access.AccessKeyID, SecretAccessKey: c.access.Secret.Reveal()}
	err = v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), gateway.AdminService, c.access.Region, c.clock.Now())
	if err != nil {
		return fmt.Errorf("sign request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp, data)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("the answer of %s is not that of a Larder server: %w", c.access.Endpoint, err)
	}
	return nil
}

// refusal is the error in an answer.
func refusal(resp *http.Response, data []byte) error {
	var f failure
	if json.Unmarshal(data, &f) != nil || f.Type == "" {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return (&core.Error{Code: f.Type, Message: f.Message}).WithStatus(resp.StatusCode)
}
