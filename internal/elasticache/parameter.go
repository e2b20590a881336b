package elasticache

import (
	"context"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/parameter"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Sources of parameter values.
const (
	sourceUser          = "user"
	sourceSystem        = "system"
	sourceEngineDefault = "engine-default"
)

// DescribeCacheParameters implements wire.Service.
func (s *Service) DescribeCacheParameters(ctx context.Context, in *wire.DescribeCacheParametersMessage) (*wire.CacheParameterGroupDetails, error) {
	if !set(in.CacheParameterGroupName) {
		return nil, errMissing("CacheParameterGroupName")
	}
	source := core.Val(in.Source)
	switch source {
	case "", sourceUser, sourceSystem, sourceEngineDefault:
	default:
		return nil, errInvalidValue("The parameter Source has the unknown value %s.", source)
	}
	out := &wire.CacheParameterGroupDetails{}
	err := s.store.View(ctx, func(r store.Reader) error {
		g, err := s.lookupParameterGroup(r, region(ctx), strings.ToLower(*in.CacheParameterGroupName))
		if err != nil {
			return err
		}
		family, _ := parameter.Lookup(g.Family)
		parameters, next, err := page(wireParameters(family, g, source), func(p *wire.Parameter) string { return *p.ParameterName },
			"DescribeCacheParameters", in.MaxRecords, in.Marker)
		if err != nil {
			return err
		}
		out.Parameters, out.Marker = parameters, next
		// They are few and come with the first page.
		if source != sourceUser && !set(in.Marker) {
			out.CacheNodeTypeSpecificParameters = wireNodeTypeParameters(family)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DescribeEngineDefaultParameters implements wire.Service.
func (s *Service) DescribeEngineDefaultParameters(_ context.Context, in *wire.DescribeEngineDefaultParametersMessage) (*wire.DescribeEngineDefaultParametersResult, error) {
	family, err := knownFamily(in.CacheParameterGroupFamily)
	if err != nil {
		return nil, err
	}
	parameters, next, err := page(wireParameters(family, &resource.ParameterGroup{}, ""), func(p *wire.Parameter) string { return *p.ParameterName },
		"DescribeEngineDefaultParameters", in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	defaults := &wire.EngineDefaults{CacheParameterGroupFamily: core.Ptr(family.Name), Marker: next, Parameters: parameters}
	if !set(in.Marker) {
		defaults.CacheNodeTypeSpecificParameters = wireNodeTypeParameters(family)
	}
	return &wire.DescribeEngineDefaultParametersResult{EngineDefaults: defaults}, nil
}

// wireParameters are the parameters of a group that come from a source; an empty
// source means all.
func wireParameters(family parameter.Family, g *resource.ParameterGroup, source string) []*wire.Parameter {
	_, isDefault := parameter.DefaultGroup(g.Name)
	out := []*wire.Parameter{}
	for _, p := range family.Parameters {
		if p.PerNodeType {
			continue
		}
		from := sourceSystem
		if _, changed := g.Values[p.Name]; changed && !isDefault {
			from = sourceUser
		}
		if source != "" && (source == sourceUser) != (from == sourceUser) {
			continue
		}
		out = append(out, &wire.Parameter{
			ParameterName:        core.Ptr(p.Name),
			ParameterValue:       nonEmpty(family.Value(g.Values, p.Name)),
			Description:          core.Ptr(p.Description),
			Source:               core.Ptr(from),
			DataType:             core.Ptr(p.DataType),
			AllowedValues:        nonEmpty(p.Allowed),
			IsModifiable:         core.Ptr(p.Modifiable),
			MinimumEngineVersion: core.Ptr(p.MinimumEngineVersion),
			ChangeType:           core.Ptr(p.ChangeType),
		})
	}
	return out
}

func wireNodeTypeParameters(family parameter.Family) []*wire.CacheNodeTypeSpecificParameter {
	out := []*wire.CacheNodeTypeSpecificParameter{}
	for _, p := range family.Parameters {
		if !p.PerNodeType {
			continue
		}
		values := []*wire.CacheNodeTypeSpecificValue{}
		for _, t := range catalog.NodeTypes() {
			if v, ok := family.NodeTypeValue(p.Name, t); ok {
				values = append(values, &wire.CacheNodeTypeSpecificValue{CacheNodeType: core.Ptr(t.Name), Value: core.Ptr(v)})
			}
		}
		out = append(out, &wire.CacheNodeTypeSpecificParameter{
			ParameterName:               core.Ptr(p.Name),
			Description:                 core.Ptr(p.Description),
			Source:                      core.Ptr(sourceSystem),
			DataType:                    core.Ptr(p.DataType),
			AllowedValues:               nonEmpty(p.Allowed),
			IsModifiable:                core.Ptr(p.Modifiable),
			MinimumEngineVersion:        core.Ptr(p.MinimumEngineVersion),
			ChangeType:                  core.Ptr(p.ChangeType),
			CacheNodeTypeSpecificValues: values,
		})
	}
	return out
}
