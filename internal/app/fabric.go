package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/ec2"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/relays"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/userspace"
	"github.com/larder-cache/larder/internal/store"
)

// openNetworks decides which fabric the deployment has, and prepares its VPCs for it.
func (s *server) openNetworks(ctx context.Context, _ *undo) error {
	of := func(windows config.Range) *ec2.Service {
		return ec2.New(ec2.Config{
			Store: s.store, Account: s.cfg.Account, Windows: [2]int{windows.From, windows.To}, DefaultCIDR: s.cfg.DefaultVPCCIDR,
			Classic: s.cfg.Classic(), Clock: s.clock, NewID: newID,
		})
	}
	s.networks = of(s.cfg.Windows)
	kept, inUse := s.keptFabric()
	fabric, note, err := pickFabric(s.cfg.Fabric, kept, inUse, s.kernelTrouble)
	if err != nil {
		return err
	}
	s.fabric = fabric
	if fabric == config.FabricKernel {
		s.networks = of(config.Range{})
	}
	s.io.Log.Info("fabric chosen", "fabric", fabric, "why", note)
	if fabric != kept {
		err := s.store.Update(ctx, func(tx *store.Tx) error {
			resource.Deployments.Put(tx, resource.DeploymentKey, &resource.Deployment{Fabric: fabric})
			return nil
		})
		if err != nil {
			return fmt.Errorf("recording the fabric: %w", err)
		}
	}
	if err := s.networks.Prepare(ctx); err != nil {
		return fmt.Errorf("preparing the networks: %w", err)
	}
	return nil
}

// keptFabric is the fabric of the last start, and whether there are caches in it.
func (s *server) keptFabric() (fabric string, inUse bool) {
	s.store.Local(func(r store.Reader) {
		inUse = len(resource.CacheClusters.Keys(r, ""))+len(resource.ReplicationGroups.Keys(r, ""))+len(resource.Nodes.Keys(r, "")) > 0
		if d, ok := resource.Deployments.Get(r, resource.DeploymentKey); ok {
			fabric = d.Fabric
		} else if inUse {
			fabric = config.FabricUserspace // of a version that had no other
		}
	})
	return fabric, inUse
}

// kernelTrouble says why the kernel fabric cannot be had here.
func (s *server) kernelTrouble() error {
	if s.cfg.Advertise != "" {
		return errors.New("--advertise is for the userspace fabric")
	}
	if err := kernel.Usable(s.cfg.Deployment()); err != nil {
		return err
	}
	var text string
	s.store.Local(func(r store.Reader) { text = s.networks.DefaultRange(r, s.cfg.Region) })
	cidr, err := netip.ParsePrefix(text)
	if err != nil || s.cfg.Classic() {
		return err
	}
	if err := kernel.Clash(s.cfg.Deployment(), cidr); err != nil {
		return fmt.Errorf("%w: choose another range for default VPCs with --default-vpc-cidr, for example --default-vpc-cidr=10.213.0.0/16", err)
	}
	return nil
}

// pickFabric chooses. kept is the fabric that the deployment has had so far; it cannot be
// left while caches are in it. trouble says why the kernel fabric cannot be had. The
// note is for the log.
func pickFabric(asked, kept string, inUse bool, trouble func() error) (fabric, note string, err error) {
	if inUse && asked == config.FabricAuto {
		asked, note = kept, "caches are in it; "
	}
	if inUse && asked != kept {
		return "", "", fmt.Errorf("there are caches in the %s fabric: start with --fabric=%s, or delete them there first", kept, kept)
	}
	if asked == config.FabricUserspace {
		return asked, note + "asked for", nil
	}
	why := trouble()
	switch {
	case why == nil:
		return config.FabricKernel, note + "it can be had", nil
	case asked == config.FabricKernel:
		return "", "", fmt.Errorf("kernel fabric: %w", why)
	}
	return config.FabricUserspace, "no kernel fabric: " + why.Error(), nil
}

// openFabric finds what an earlier server left of the fabric.
func (s *server) openFabric(ctx context.Context) (local.Fabric, error) {
	exe, err := executable()
	if err != nil {
		return nil, err
	}
	resolver := relays.Resolver{Listen: s.cfg.DNSListen, Domain: s.cfg.DNSDomain}
	args := []string{"relay"}
	if s.fabric == config.FabricKernel {
		return kernel.New(ctx, kernel.Config{
			Deployment: s.cfg.Deployment(), RunDir: s.cfg.RunDir, Exe: exe, Args: args, RefuseAfter: s.cfg.RefuseAfter,
			Resolver: resolver, Trouble: s.troubles.add, Clock: s.clock, Log: s.io.Log,
		})
	}
	return userspace.New(ctx, userspace.Config{
		RunDir: s.cfg.RunDir, Exe: exe, Args: args, RefuseAfter: s.cfg.RefuseAfter, Resolver: resolver, Clock: s.clock, Log: s.io.Log,
	})
}
