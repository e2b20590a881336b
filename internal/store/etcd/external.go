package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/larder-cache/larder/internal/store"
)

const (
	// leaseSeconds is how long after its last sign of life a leader is replaced.
	leaseSeconds = 5
	// dialTimeout bounds the first contact.
	dialTimeout = 10 * time.Second
	// probeTimeout bounds each step of finding out why that failed.
	probeTimeout = 500 * time.Millisecond
	// A connection that is silent is probed, so that a dead one does not hold the
	// watch for minutes.
	keepAliveTime, keepAliveTimeout = 10 * time.Second, 3 * time.Second
)

// reconnect is how a lost connection is made again; gRPC's own pauses grow to
// two minutes.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// Config says where an external etcd is.
type Config struct {
	// Endpoints are http or https URLs.
	Endpoints []string
	// CAFile verifies the servers (default: the system's), CertFile and KeyFile
	// are the client's own certificate. All are PEM and read again when needed.
	CAFile, CertFile, KeyFile string
	// Username, with the password in the first line of PasswordFile.
	Username, PasswordFile string
	// Prefix is where all keys are kept; "larder/" if empty.
	Prefix string
}

type external struct {
	records
	prefix string
}

// OpenExternal connects to an etcd that others may share. Transactions are
// limited to what its --max-txn-ops says, 128 by default.
func OpenExternal(ctx context.Context, cfg Config, log *slog.Logger) (store.Backend, error) {
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("etcd: no endpoints are configured")
	}
	if cfg.Prefix == "" {
		cfg.Prefix = defaultPrefix
	}
	secure, err := tlsConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	first, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	e, err := connect(first, cfg, secure, log)
	if err != nil {
		return nil, fmt.Errorf("etcd: connecting to %s: %w", strings.Join(cfg.Endpoints, ", "), errors.Join(err, diagnose(ctx, cfg.Endpoints, secure)))
	}
	return e, nil
}

// connect returns once the server has answered.
func connect(ctx context.Context, cfg Config, secure *tls.Config, log *slog.Logger) (*external, error) {
	client, err := dial(ctx, cfg, secure, log)
	if err != nil {
		return nil, err
	}
	e := &external{records: newRecords(client, cfg.Prefix), prefix: cfg.Prefix}
	if _, err := e.Head(ctx); err != nil {
		_ = client.Close()
		return nil, err
	}
	return e, nil
}

func dial(ctx context.Context, cfg Config, secure *tls.Config, log *slog.Logger) (*clientv3.Client, error) {
	deadline, _ := ctx.Deadline()
	conf := clientv3.Config{
		Context:              context.WithoutCancel(ctx),
		Endpoints:            cfg.Endpoints,
		TLS:                  secure,
		DialTimeout:          time.Until(deadline),
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		DialOptions:          []grpc.DialOption{grpc.WithConnectParams(reconnect)},
		Username:             cfg.Username,
		Logger:               quietLogger(log),
	}
	if cfg.PasswordFile != "" {
		text, err := os.ReadFile(cfg.PasswordFile)
		if err != nil {
			return nil, err
		}
		conf.Password, _, _ = strings.Cut(string(text), "\n")
	}
	return clientv3.New(conf)
}

// tlsConfig is nil when every endpoint is plaintext and no file is given.
func tlsConfig(cfg Config) (*tls.Config, error) {
	if cfg.CAFile != "" || cfg.CertFile != "" {
		info := transport.TLSInfo{TrustedCAFile: cfg.CAFile, CertFile: cfg.CertFile, KeyFile: cfg.KeyFile}
		return info.ClientConfig()
	}
	for _, e := range cfg.Endpoints {
		if strings.HasPrefix(e, "https://") {
			return &tls.Config{MinVersion: tls.VersionTLS12}, nil
		}
	}
	return nil, nil
}

// diagnose finds out why no endpoint can be used, which etcd's client does not
// tell: it only says that the time is up. nil: it is not the connection.
func diagnose(ctx context.Context, endpoints []string, secure *tls.Config) error {
	var errs []error
	for _, e := range endpoints {
		if err := probe(ctx, e, secure); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func probe(ctx context.Context, endpoint string, secure *tls.Config) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	if u.Scheme != "https" {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	conn, err := (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	// A server refuses a client's certificate after the client's handshake.
	_ = conn.SetReadDeadline(time.Now().Add(probeTimeout))
	_, err = conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Campaign implements store.Backend.
func (e *external) Campaign(ctx context.Context, id string) (lost <-chan struct{}, resign func(), err error) {
	session, err := concurrency.NewSession(e.client, concurrency.WithTTL(leaseSeconds))
	if err != nil {
		return nil, nil, fmt.Errorf("etcd: taking a lease: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-session.Done():
			cancel(errors.New("the lease was lost"))
		case <-ctx.Done():
		}
	}()
	if err := concurrency.NewElection(session, e.prefix+"leader").Campaign(ctx, id); err != nil {
		_ = session.Close()
		return nil, nil, fmt.Errorf("etcd: waiting to lead: %w", errors.Join(err, context.Cause(ctx)))
	}
	// Closing a session revokes its lease, and with it the leader's key; where
	// that fails the lease runs out by itself.
	return session.Done(), func() { _ = session.Close() }, nil
}

// Close implements store.Backend.
func (e *external) Close() error { return e.client.Close() }
