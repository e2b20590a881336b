package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/internal/controller/certificate"
	"github.com/larder-cache/larder/internal/pki"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/etcd"
	"github.com/larder-cache/larder/internal/topology"
)

// state is what a server knows before it reads the store: its directories, its
// sealing key and the engines of the host.
type state struct {
	seal    *seal.Ring
	engines *engines
	keys    *admin.Keys
	rootKey *resource.AccessKey
	// authority signs what clients connect to.
	authority pki.Authority
}

// openState makes and locks the directories, and looks for engines.
func (s *server) openState(ctx context.Context, undo *undo) error {
	if s.cfg.Ephemeral {
		if err := refuseState(s.cfg.DataDir); err != nil {
			return err
		}
	}
	if err := s.cfg.MakeDirs(); err != nil {
		return err
	}
	l, err := awaitLock(ctx, s.clock, s.cfg.DataDir)
	if err != nil {
		return err
	}
	undo.add(l.release)
	if s.cfg.Ephemeral {
		undo.add(func() error { return errors.Join(os.RemoveAll(s.cfg.DataDir), os.RemoveAll(s.cfg.RunDir)) })
	}
	if err := keepRunDir(s.cfg.DataDir, s.cfg.RunDir); err != nil {
		return err
	}
	if s.seal, err = seal.Open(s.cfg.DataDir); err != nil {
		return err
	}
	s.engines = findEngines(ctx, s.cfg, s.io.Log)
	return nil
}

// refuseState keeps an ephemeral server, which removes its directory at the end,
// away from one that holds anything.
func refuseState(dir string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty, and --ephemeral would remove it at the end: choose another --data-dir", dir)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("looking into the data directory: %w", err)
	}
	return nil
}

// openStore opens the records and makes what every deployment has: the root key
// and the certificate authorities.
func (s *server) openStore(ctx context.Context, undo *undo) error {
	backend, err := s.backend(ctx)
	if err != nil {
		return err
	}
	if s.store, err = store.Open(ctx, backend, s.io.Log); err != nil {
		return errors.Join(err, backend.Close())
	}
	undo.add(s.store.Close)
	if err := s.refuseClassicLeft(ctx); err != nil {
		return err
	}
	s.keys = admin.NewKeys(s.store, s.seal, s.clock, s.cfg.Account)
	if s.rootKey, err = s.keys.EnsureRoot(ctx); err != nil {
		return fmt.Errorf("making the root access key: %w", err)
	}
	if err := certificate.EnsureAuthorities(ctx, s.store, s.seal, s.clock); err != nil {
		return err
	}
	if s.authority, err = certificate.Load(ctx, s.store, s.seal, certificate.ClientAuthority); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.cfg.DataDir, admin.AuthorityFile), []byte(s.authority.CertPEM), 0o600); err != nil {
		return fmt.Errorf("writing the authority's certificate: %w", err)
	}
	return nil
}

func (s *server) backend(ctx context.Context) (store.Backend, error) {
	e := s.cfg.Etcd
	if len(e.Endpoints) == 0 {
		return etcd.OpenEmbedded(ctx, filepath.Join(s.cfg.DataDir, "etcd"), s.io.Log)
	}
	return etcd.OpenExternal(ctx, etcd.Config{
		Endpoints: e.Endpoints, CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile,
		Username: e.Username, PasswordFile: e.PasswordFile,
	}, s.io.Log)
}

// writeClientFile tells the commands of the same user where the server is.
func (s *server) writeClientFile(endpoint string) error {
	return admin.ClientFile{
		Endpoint: endpoint, Region: s.cfg.Region, AccessKeyID: s.rootKey.ID, Secret: s.rootKey.Secret,
	}.Write(s.cfg.DataDir)
}

// refuseClassicLeft keeps an account that has things in EC2-Classic from losing
// it: nobody could see or delete them any more.
func (s *server) refuseClassicLeft(ctx context.Context) error {
	if s.cfg.Classic() {
		return nil
	}
	var left []string
	err := s.store.View(ctx, func(r store.Reader) error {
		left = topology.InClassic(r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking for what is in EC2-Classic: %w", err)
	}
	if len(left) > 0 {
		return fmt.Errorf("this deployment has things in EC2-Classic, which --platforms=vpc has not: "+
			"start with --platforms=ec2,vpc and delete %s", strings.Join(left, "; "))
	}
	return nil
}

// nodeCount is how many nodes the store says are running.
func (s *server) nodeCount() (n int) {
	s.store.Local(func(r store.Reader) {
		for _, node := range resource.Nodes.List(r, "") {
			if node.Status.Phase == resource.NodeRunning {
				n++
			}
		}
	})
	return n
}

// newID is a random identifier that is never used again.
func newID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
