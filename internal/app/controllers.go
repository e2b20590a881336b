package app

import (
	"context"
	"log/slog"

	"github.com/larder-cache/larder/internal/controller/attachment"
	"github.com/larder-cache/larder/internal/controller/cachecluster"
	"github.com/larder-cache/larder/internal/controller/certificate"
	"github.com/larder-cache/larder/internal/controller/event"
	"github.com/larder-cache/larder/internal/controller/hostnames"
	"github.com/larder-cache/larder/internal/controller/instance"
	"github.com/larder-cache/larder/internal/controller/maintenance"
	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/publication"
	"github.com/larder-cache/larder/internal/controller/replicationgroup"
	"github.com/larder-cache/larder/internal/controller/resharding"
	"github.com/larder-cache/larder/internal/controller/serviceupdate"
	"github.com/larder-cache/larder/internal/reconcile"
)

// controllers is the one table of all controllers. What wakes each, how often it
// looks at everything, and how many keys it works on at once is said by its
// constructor; what it reads and writes:
//
//	name               reads                                        writes
//	cache-cluster      cache-clusters nodes parameter-groups        nodes(spec) cache-clusters(status) events
//	replication-group  the same, replication-groups, offsets        the same, replication-groups(status)
//	resharding         the same, memory in use                      replication-groups(shards), cache-clusters(deleting), events
//	maintenance        cache-clusters replication-groups            the same (what is pending becomes wanted), events
//	service-update     cache-clusters nodes                         service-updates update-actions events
//	certificate        cache-clusters replication-groups            certificates
//	attachment         vpcs                                         attachments addresses
//	publication        cache-clusters replication-groups            publications addresses
//	host-names         host-resolvers, endpoints of all caches      the hosts file; host-resolvers(status)
//	host               all of these, instances                      the runtime; nodes(status), instances(status) by Follow; cache-security-groups(status)
//	event              events                                       events (removes old ones)
//	instance           instances                                    instances (removes ended ones)
func (s *server) controllers() []reconcile.Controller {
	engines := nodespec.Installed{Catalog: s.engines.catalog}
	all := []reconcile.Controller{
		cachecluster.New(cachecluster.Config{Store: s.store, Engines: engines, Prober: s.runtime, Clock: s.clock, NewUID: newID, Log: s.io.Log}),
		replicationgroup.New(replicationgroup.Config{Store: s.store, Engines: engines, Prober: s.runtime, Clock: s.clock, NewUID: newID, Log: s.io.Log}),
		resharding.New(resharding.Config{Store: s.store, Mover: s.runtime, Clock: s.clock, NewUID: newID, Log: s.io.Log}),
		maintenance.New(maintenance.Config{Store: s.store, Clock: s.clock, NewUID: newID, Log: s.io.Log}),
		serviceupdate.New(serviceupdate.Config{Store: s.store, Engines: engines, Changed: s.engines.changed, Clock: s.clock, NewUID: newID, Log: s.io.Log}),
		certificate.New(certificate.Config{Store: s.store, Seal: s.seal, Clock: s.clock, Log: s.io.Log, Authority: s.authority}),
		attachment.New(attachment.Config{Store: s.store, Region: s.cfg.Region}),
		publication.New(publication.Config{Store: s.store}),
		hostnames.New(hostnames.Config{Store: s.store, Block: s.hostBlock}),
		s.host.Controller(),
		event.New(event.Config{Store: s.store, Clock: s.clock, Log: s.io.Log}),
		instance.New(instance.Config{Store: s.store, Clock: s.clock, Log: s.io.Log}),
	}
	for i := range all {
		all[i].OnError = logFailure(s.io.Log, all[i].Name)
	}
	return all
}

func logFailure(log *slog.Logger, name string) func(context.Context, string, error) {
	return func(_ context.Context, key string, err error) {
		log.Warn("a controller will try again", "controller", name, "key", key, "error", err)
	}
}
