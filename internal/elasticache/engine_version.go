package elasticache

import (
	"cmp"
	"context"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
)

// DescribeCacheEngineVersions implements wire.Service: what the engines
// installed on this host can serve.
func (s *Service) DescribeCacheEngineVersions(_ context.Context, in *wire.DescribeCacheEngineVersionsMessage) (*wire.CacheEngineVersionMessage, error) {
	offers, err := s.findOffers(in)
	if err != nil {
		return nil, err
	}
	offers, next, err := page(offers, offerKey, "DescribeCacheEngineVersions", in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	out := &wire.CacheEngineVersionMessage{Marker: next, CacheEngineVersions: make([]*wire.CacheEngineVersion, 0, len(offers))}
	for _, o := range offers {
		out.CacheEngineVersions = append(out.CacheEngineVersions, &wire.CacheEngineVersion{
			Engine:                        core.Ptr(o.Engine),
			EngineVersion:                 core.Ptr(o.Name),
			CacheParameterGroupFamily:     core.Ptr(o.Family),
			CacheEngineDescription:        core.Ptr(o.EngineDescription()),
			CacheEngineVersionDescription: core.Ptr(o.Description()),
		})
	}
	return out, nil
}

// offerKey orders versions as texts, as AWS does.
func offerKey(o catalog.Offer) string { return o.Engine + "/" + o.Name }

// findOffers are the versions that match the filters; with DefaultOnly the
// newest of each engine.
func (s *Service) findOffers(in *wire.DescribeCacheEngineVersionsMessage) ([]catalog.Offer, error) {
	engine := strings.ToLower(core.Val(in.Engine))
	switch engine {
	case "", catalog.Redis, catalog.Valkey, catalog.Memcached:
	default:
		return nil, errUnknownEngine(*in.Engine)
	}
	family := ""
	if set(in.CacheParameterGroupFamily) {
		f, err := knownFamily(in.CacheParameterGroupFamily)
		if err != nil {
			return nil, err
		}
		family = f.Name
	}
	version := core.Val(in.EngineVersion)
	offers := slices.DeleteFunc(s.catalog.Offered(), func(o catalog.Offer) bool {
		return engine != "" && o.Engine != engine || family != "" && o.Family != family ||
			version != "" && o.Name != version && o.Full != version
	})
	if core.Val(in.DefaultOnly) {
		newest := map[string]catalog.Offer{} // offers of an engine go from old to new
		for _, o := range offers {
			newest[o.Engine] = o
		}
		offers = slices.DeleteFunc(offers, func(o catalog.Offer) bool { return newest[o.Engine].Full != o.Full })
	}
	slices.SortFunc(offers, func(a, b catalog.Offer) int { return cmp.Compare(offerKey(a), offerKey(b)) })
	return offers, nil
}
