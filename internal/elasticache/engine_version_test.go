package elasticache

import (
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

func TestDescribeCacheEngineVersions(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	for _, tc := range []struct {
		name             string
		in               wire.DescribeCacheEngineVersionsMessage
		code, text, want string
	}{
		{name: "an engine", in: wire.DescribeCacheEngineVersionsMessage{Engine: core.Ptr("redis")}, want: "redis/4.0.10 redis/5.0.6 redis/6.0 redis/6.2 redis/7.0 redis/7.1"},
		{name: "in order of texts", in: wire.DescribeCacheEngineVersionsMessage{CacheParameterGroupFamily: core.Ptr("memcached1.6")}, want: "memcached/1.6.12 memcached/1.6.17 memcached/1.6.22 memcached/1.6.6"},
		{name: "a family", in: wire.DescribeCacheEngineVersionsMessage{CacheParameterGroupFamily: core.Ptr("Redis6.x")}, want: "redis/6.0 redis/6.2"},
		{name: "a version", in: wire.DescribeCacheEngineVersionsMessage{Engine: core.Ptr("Redis"), EngineVersion: core.Ptr("7.0")}, want: "redis/7.0"},
		{name: "a full version", in: wire.DescribeCacheEngineVersionsMessage{EngineVersion: core.Ptr("7.0.7")}, want: "redis/7.0"},
		{name: "an unknown version", in: wire.DescribeCacheEngineVersionsMessage{Engine: core.Ptr("redis"), EngineVersion: core.Ptr("9.9")}},
		{name: "defaults", in: wire.DescribeCacheEngineVersionsMessage{DefaultOnly: core.Ptr(true)}, want: "memcached/1.6.22 redis/7.1 valkey/8.0"},
		{name: "the default of an engine", in: wire.DescribeCacheEngineVersionsMessage{Engine: core.Ptr("redis"), DefaultOnly: core.Ptr(true)}, want: "redis/7.1"},
		{name: "the default of a family", in: wire.DescribeCacheEngineVersionsMessage{CacheParameterGroupFamily: core.Ptr("redis6.x"), DefaultOnly: core.Ptr(true)}, want: "redis/6.2"},
		{
			name: "an unknown engine", in: wire.DescribeCacheEngineVersionsMessage{Engine: core.Ptr("keydb")},
			code: "InvalidParameterValue", text: "The parameter Engine has the unknown value keydb.",
		},
		{
			name: "an unknown family", in: wire.DescribeCacheEngineVersionsMessage{CacheParameterGroupFamily: core.Ptr("redis99")},
			code: "InvalidParameterValue", text: "CacheParameterGroupFamily redis99 is not a valid parameter group family.",
		},
		{
			name: "a small page", in: wire.DescribeCacheEngineVersionsMessage{MaxRecords: core.Ptr(1)},
			code: "InvalidParameterValue", text: "The parameter MaxRecords must be between 20 and 100.",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out, err := f.DescribeCacheEngineVersions(f.ctx, &tc.in)
			if tc.code != "" {
				wantError(t, err, tc.code, tc.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range out.CacheEngineVersions {
				got = append(got, *v.Engine+"/"+*v.EngineVersion)
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %q", got)
			}
		})
	}
	out, err := f.DescribeCacheEngineVersions(f.ctx, &wire.DescribeCacheEngineVersionsMessage{Engine: core.Ptr("redis"), DefaultOnly: core.Ptr(true)})
	if err != nil {
		t.Fatal(err)
	}
	v := out.CacheEngineVersions[0]
	if *v.CacheParameterGroupFamily != "redis7" || *v.CacheEngineDescription != "Redis" || *v.CacheEngineVersionDescription != "redis version 7.1.0 (served by redis-server 7.0.15)" {
		t.Errorf("got %s, %s, %s", *v.CacheParameterGroupFamily, *v.CacheEngineDescription, *v.CacheEngineVersionDescription)
	}
}
