package links

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/larder-cache/larder/internal/netns"
)

// attachInstance makes an instance's namespace and connects it. One that is
// connected is left alone: its inside is its owner's.
func (l *Links) attachInstance(v *vpc, n Network, i Instance, s *state, exists bool) error {
	name := l.spaceName(i.ID)
	if exists && s.connected(InterfaceName(i.ID), i.Address) {
		if slices.Contains(v.done.Instances, i) {
			return nil
		}
		return l.writeResolver(name, i)
	}
	if err := l.writeResolver(name, i); err != nil {
		return err
	}
	l.stepped()
	ns, _, err := netns.Create(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	l.stepped()
	inside, err := openSpace(ns)
	if err != nil {
		return err
	}
	defer inside.closeHandles()
	if err := inside.set(instanceSettings()...); err != nil {
		return err
	}
	l.stepped()
	if err := inside.LinkSetUp(byIndex(loopback)); err != nil {
		return fmt.Errorf("bring up lo of %s: %w", i.ID, err)
	}
	l.stepped()
	err = l.lay(v, inside, cable{
		network: n, outer: InterfaceName(i.ID), outerAlias: i.ID, inner: instanceInterface, innerAlias: n.ID, address: i.Address,
	})
	if err != nil {
		return err
	}
	l.cfg.Log.Info("instance attached", "instance", i.ID, "network", n.ID, "address", i.Address)
	return nil
}

// cutOff deletes the interfaces that lead out of a namespace of ours. Before, it ends
// what runs in that of an instance, which is known by its eth0.
func (l *Links) cutOff(name string) error {
	ns, err := netns.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer ns.Close()
	s, err := openSpace(ns)
	if err != nil {
		return err
	}
	defer s.closeHandles()
	links, err := s.links()
	if err != nil {
		return err
	}
	if links[instanceInterface] != nil {
		if err := ns.Kill(); err != nil {
			return err
		}
		l.stepped()
	}
	for link, attrs := range links {
		if !ours(link) && link != instanceInterface {
			continue
		}
		if err := s.deleteLink(attrs); err != nil {
			return err
		}
		l.stepped()
	}
	return nil
}

// ResolverFile is the resolv.conf of an instance. It does not exist if the
// instance has no resolver.
func (l *Links) ResolverFile(instance string) string {
	return filepath.Join(l.cfg.ResolverDir, l.spaceName(instance), "resolv.conf")
}

// writeResolver writes the resolv.conf where `ip netns exec` finds it.
func (l *Links) writeResolver(name string, i Instance) error {
	if !i.Resolver.IsValid() {
		return l.removeResolver(name)
	}
	text := "nameserver " + i.Resolver.String() + "\n"
	if i.Search != "" {
		text = "search " + i.Search + "\n" + text
	}
	path := l.ResolverFile(i.ID)
	if has, err := os.ReadFile(path); err == nil && string(has) == text {
		return nil
	}
	// Everybody in the instance may read it, whoever they are.
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("resolver of %s: %w", i.ID, err)
	}
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		return fmt.Errorf("resolver of %s: %w", i.ID, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("resolver of %s: %w", i.ID, err)
	}
	return nil
}

// removeResolver takes away what writeResolver has written.
func (l *Links) removeResolver(name string) error {
	dir := filepath.Join(l.cfg.ResolverDir, name)
	for _, path := range []string{filepath.Join(dir, "resolv.conf.next"), filepath.Join(dir, "resolv.conf"), dir} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove resolver: %w", err)
		}
	}
	return nil
}
