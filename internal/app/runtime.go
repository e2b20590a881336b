package app

import (
	"context"

	"github.com/larder-cache/larder/internal/controller/certificate"
	"github.com/larder-cache/larder/internal/controller/host"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime/local"
)

// openRuntime adopts the engines and the relay that an earlier server left.
func (s *server) openRuntime(ctx context.Context, undo *undo) error {
	if err := s.refuseOtherDomain(); err != nil {
		return err
	}
	fabric, err := s.openFabric(ctx)
	if err != nil {
		return err
	}
	nodeCA, err := certificate.Load(ctx, s.store, s.seal, certificate.NodeAuthority)
	if err != nil {
		return err
	}
	carried, err := relay.Capacity()
	if err != nil {
		return err
	}
	s.runtime, err = local.New(ctx, local.Config{
		DataDir: s.cfg.DataDir, RunDir: s.cfg.RunDir,
		Choose: s.engines.choose, Fabric: fabric,
		NodeCA:     certificate.NodeIssuer{Authority: nodeCA, Clock: s.clock},
		MaxClients: carried,
		Clock:      s.clock, Log: s.io.Log, Ephemeral: s.cfg.Ephemeral,
	})
	if err != nil {
		_ = fabric.Close()
		return err
	}
	undo.add(s.runtime.Close)
	s.host = host.New(host.Config{Store: s.store, Seal: s.seal, Runtime: s.runtime, Clock: s.clock, Log: s.io.Log})
	return nil
}
