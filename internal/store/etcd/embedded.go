package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/larder-cache/larder/internal/store"
)

const (
	// defaultPrefix is where records are kept unless configured otherwise.
	defaultPrefix = "larder/"
	// A lone member elects itself one to five ticks after its start, so short
	// ticks make it ready soon; but each costs CPU time for as long as it runs.
	tickMs, electionMs = 20, 5 * tickMs
	// retention is how many commits back a watch can resume.
	retention  = "10000"
	quotaBytes = 4 << 30
	maxTxnOps  = 16384
	// maxRequestBytes bounds one transaction.
	maxRequestBytes = 32 << 20
)

type embedded struct {
	records
	*store.Election // nobody shares a member within a process

	member *embed.Etcd
	lock   *os.File
}

// OpenEmbedded starts an etcd of one member in this process, with its data in
// dir (made with mode 0700). It listens nowhere. It is refused while another
// process uses dir.
func OpenEmbedded(ctx context.Context, dir string, log *slog.Logger) (store.Backend, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	member, err := startMember(ctx, embeddedConfig(dir, log))
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("etcd: starting the embedded member: %w", err)
	}
	return &embedded{
		records:  newRecords(v3client.New(member.Server), defaultPrefix),
		Election: store.NewElection(),
		member:   member,
		lock:     lock,
	}, nil
}

func embeddedConfig(dir string, log *slog.Logger) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name = "larder"
	cfg.Dir = filepath.Join(dir, "member-data")
	// Membership wants an address; with nothing listening it is only a name.
	name := url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	cfg.ListenPeerUrls, cfg.ListenClientUrls = nil, nil
	cfg.AdvertisePeerUrls, cfg.AdvertiseClientUrls = []url.URL{name}, []url.URL{name}
	cfg.InitialCluster = cfg.Name + "=" + name.String()
	cfg.TickMs, cfg.ElectionMs = tickMs, electionMs
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModeRevision, retention
	cfg.QuotaBackendBytes = quotaBytes
	cfg.MaxTxnOps, cfg.MaxRequestBytes = maxTxnOps, maxRequestBytes
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(quietLogger(log))
	return cfg
}

// startMember waits until the member can commit.
func startMember(ctx context.Context, cfg *embed.Config) (*embed.Etcd, error) {
	member, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-member.Server.ReadyNotify():
		return member, nil
	case <-member.Server.StopNotify():
		err = errors.New("it stopped before it was ready")
	case <-ctx.Done():
		err = ctx.Err()
	}
	member.Close()
	return nil, err
}

// lockDir keeps other processes from a data directory until the file is closed
// or the process ends. Without it etcd would wait for the other one silently.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s is in use by another process: %w", dir, err)
	}
	return f, nil
}

// Close implements store.Backend.
func (e *embedded) Close() error {
	err := e.client.Close()
	if errors.Is(err, context.Canceled) { // what a client without a connection says
		err = nil
	}
	e.member.Close()
	return errors.Join(err, e.lock.Close())
}
