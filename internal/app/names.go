package app

import (
	"fmt"
	"strings"

	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/controller/hostnames"
	"github.com/larder-cache/larder/internal/hostfile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// refuseOtherDomain keeps the domain while there are caches: their names, which are in
// certificates and in the configuration of clients, were made with it.
func (s *server) refuseOtherDomain() error {
	var other string
	s.store.Local(func(r store.Reader) {
		for _, c := range resource.CacheClusters.List(r, "") {
			for _, n := range c.Spec.Nodes {
				for _, name := range n.Endpoint.Names {
					if !strings.HasSuffix(name, "."+s.cfg.DNSDomain) {
						other = name
					}
				}
			}
		}
	})
	if other == "" {
		return nil
	}
	return fmt.Errorf("there are caches with names of another domain than %s, such as %s: give that one as --dns-domain, or delete them first", s.cfg.DNSDomain, other)
}

// endpointNames is the form of endpoints in answers. Names are of no use while nobody
// answers those that systemd-resolved was told to ask for here.
func (s *server) endpointNames() string {
	if s.cfg.EndpointNames != config.NamesAuto || s.cfg.DNSListen.IsValid() {
		return s.cfg.EndpointNames
	}
	form := s.cfg.EndpointNames
	s.store.Local(func(r store.Reader) {
		if h, ok := resource.HostResolvers.Get(r, resource.HostResolverKey); ok && h.Via == resource.ViaResolved {
			s.io.Log.Warn("this host asks for names where none are answered: start the server with --dns-listen, or run larder dns remove; clients are told addresses")
			form = config.NamesIP
		}
	})
	return form
}

// hostBlock is this deployment's part of a hosts file.
func (s *server) hostBlock(path string) hostnames.Block {
	return hostfile.Block{Path: path, Owner: s.cfg.DataDir}
}
