package kernel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel/links"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel/rules"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/relays"
)

// Usable says what this host or process lacks for the fabric. It tries: it makes a
// namespace with rules and takes it away again.
func Usable(deployment string) error {
	if os.Geteuid() != 0 {
		return errors.New("the kernel fabric needs root, since it makes network namespaces and nftables rules")
	}
	name := probe(deployment)
	ns, _, err := netns.Create(name)
	if err != nil {
		return fmt.Errorf("the kernel fabric needs network namespaces: %w", err)
	}
	defer func() { _ = errors.Join(ns.Close(), netns.Delete(name)) }()
	if err := ns.Do(links.Settable); err != nil {
		return fmt.Errorf("the kernel fabric needs Linux 5.10 or newer and a writable /proc/sys/net: %w", err)
	}
	conn, err := rules.Open(ns.Path())
	if err == nil {
		err = errors.Join(conn.Apply(rules.Compile(network.World{}, "", rules.Inputs{})), conn.Close())
	}
	if err != nil {
		return fmt.Errorf("the kernel fabric needs nftables with connection tracking and transparent proxying (nft_ct, nft_tproxy, nft_reject, nft_numgen): %w", err)
	}
	fd, err := rules.Duplicate(os.Getpid(), ns.FD())
	if err != nil {
		return fmt.Errorf("the kernel fabric needs to duplicate sockets of engines (CAP_SYS_PTRACE where a security profile asks for it): %w", err)
	}
	return unix.Close(fd)
}

// probe is the name of the namespace that Usable makes.
func probe(deployment string) string { return "larder-" + deployment + ".probe" }

// Clash says why the host cannot be attached to a network of that range, if so.
func Clash(deployment string, cidr netip.Prefix) error {
	l, err := links.New(links.Config{Deployment: deployment, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return errors.Join(l.Clash(cidr), l.Close())
}

// Stop ends every relay in runDir and takes the deployment's namespaces away, with no
// fabric needed: for a server that is not running.
func Stop(ctx context.Context, runDir, deployment string) error {
	err := relays.Stop(ctx, runDir)
	if os.Geteuid() != 0 {
		return err
	}
	l, e := links.New(links.Config{Deployment: deployment, Log: slog.New(slog.DiscardHandler)})
	if e != nil {
		return errors.Join(err, e)
	}
	return errors.Join(err, l.Remove(), l.Close(), netns.Delete(probe(deployment)))
}
