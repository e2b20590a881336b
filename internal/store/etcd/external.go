package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/larder-cache/larder/internal/store"
)

const (
	// leaseSeconds is how long after its last sign of life a leader is replaced.
	leaseSeconds = 5
	// dialTimeout bounds the first contact.
	dialTimeout = 10 * time.Second
	// A connection that is silent is probed, so that a dead one does not hold the
	// watch for minutes.
	keepAliveTime, keepAliveTimeout = 10 * time.Second, 3 * time.Second
)

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
	client, err := dial(ctx, cfg, log)
	if err != nil {
		return nil, fmt.Errorf("etcd: connecting to %s: %w", strings.Join(cfg.Endpoints, ", "), err)
	}
	prefix := cfg.Prefix
	if prefix == "" {
		prefix = defaultPrefix
	}
	e := &external{records: newRecords(client, prefix), prefix: prefix}
	first, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := e.Head(first); err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("etcd: connecting to %s: %w", strings.Join(cfg.Endpoints, ", "), err)
	}
	return e, nil
}

func dial(ctx context.Context, cfg Config, log *slog.Logger) (*clientv3.Client, error) {
	conf := clientv3.Config{
		Context:              context.WithoutCancel(ctx),
		Endpoints:            cfg.Endpoints,
		DialTimeout:          dialTimeout,
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		Username:             cfg.Username,
		Logger:               quietLogger(log),
	}
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("no endpoints")
	}
	var err error
	if conf.TLS, err = tlsConfig(cfg); err != nil {
		return nil, err
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
