package elasticache

import (
	"context"
	"maps"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/parameter"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// AddTagsToResource implements wire.Service.
func (s *Service) AddTagsToResource(ctx context.Context, in *wire.AddTagsToResourceMessage) (*wire.TagListMessage, error) {
	add, err := validateTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return s.changeTags(ctx, in.ResourceName, func(tags map[string]string) error {
		maps.Copy(tags, add)
		if len(tags) > maxTags {
			return errTagQuota()
		}
		return nil
	})
}

// RemoveTagsFromResource implements wire.Service.
func (s *Service) RemoveTagsFromResource(ctx context.Context, in *wire.RemoveTagsFromResourceMessage) (*wire.TagListMessage, error) {
	if len(in.TagKeys) == 0 {
		return nil, errMissing("TagKeys")
	}
	return s.changeTags(ctx, in.ResourceName, func(tags map[string]string) error {
		for _, k := range in.TagKeys {
			if _, ok := tags[k]; !ok {
				return errTagNotFound(k)
			}
		}
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
		return nil
	})
}

// ListTagsForResource implements wire.Service.
func (s *Service) ListTagsForResource(ctx context.Context, in *wire.ListTagsForResourceMessage) (*wire.TagListMessage, error) {
	arn, err := s.ownARN(ctx, in.ResourceName)
	if err != nil {
		return nil, err
	}
	var out *wire.TagListMessage
	err = s.store.View(ctx, func(r store.Reader) error {
		t, err := s.findTagged(r, arn)
		if err != nil {
			return err
		}
		out = &wire.TagListMessage{TagList: tagList(t.tags)}
		return nil
	})
	return out, err
}

// changeTags applies edit to the tags of a resource in one transaction and
// answers all that it then has. What is done to a replication group is done to
// its members.
func (s *Service) changeTags(ctx context.Context, name *string, edit func(tags map[string]string) error) (*wire.TagListMessage, error) {
	arn, err := s.ownARN(ctx, name)
	if err != nil {
		return nil, err
	}
	var out *wire.TagListMessage
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		t, err := s.findTagged(tx, arn)
		if err != nil {
			return err
		}
		if t.locked != nil {
			return t.locked
		}
		tags := maps.Clone(t.tags)
		if tags == nil {
			tags = map[string]string{}
		}
		if err := edit(tags); err != nil {
			return err
		}
		t.put(tx, tags)
		out = &wire.TagListMessage{TagList: tagList(tags)}
		return nil
	})
	return out, err
}

// ownARN parses an ARN and checks that it is of this account and of the region
// that was called.
func (s *Service) ownARN(ctx context.Context, name *string) (core.ARN, error) {
	if !set(name) {
		return core.ARN{}, errMissing("ResourceName")
	}
	arn, err := core.ParseARN(*name)
	if err != nil {
		return arn, err
	}
	if arn.Region != region(ctx) || arn.Account != s.account {
		return arn, errForeignARN()
	}
	arn.Name = strings.ToLower(arn.Name)
	return arn, nil
}

// tagged is a resource seen as something that has tags.
type tagged struct {
	tags map[string]string
	// locked says why the tags cannot be changed now.
	locked error
	// put stores other tags.
	put func(tx *store.Tx, tags map[string]string)
}

// findTagged finds the resource that an ARN names.
func (s *Service) findTagged(r store.Reader, arn core.ARN) (tagged, error) {
	k := key(arn.Region, arn.Name)
	switch arn.Type {
	case arnCluster:
		c, ok := resource.CacheClusters.Get(r, k)
		if !ok {
			return tagged{}, errClusterNotFound(arn.Name)
		}
		return tagged{tags: c.Tags, put: func(tx *store.Tx, tags map[string]string) {
			c.Tags = tags
			resource.CacheClusters.Put(tx, k, c)
		}}, nil
	case arnReplicationGroup:
		g, ok := resource.ReplicationGroups.Get(r, k)
		if !ok {
			return tagged{}, errReplicationGroupNotFound(arn.Name)
		}
		t := tagged{tags: g.Tags, put: func(tx *store.Tx, tags map[string]string) { putGroupTags(tx, g, tags) }}
		if groupStatus(g) != statusAvailable {
			t.locked = errTagGroupState()
		}
		return t, nil
	case arnParameterGroup:
		if _, isDefault := parameter.DefaultGroup(arn.Name); isDefault {
			return tagged{locked: errNotTaggable(arn.Name)}, nil
		}
		g, ok := resource.ParameterGroups.Get(r, k)
		if !ok {
			return tagged{}, errParameterGroupAbsent(arn.Name)
		}
		return tagged{tags: g.Tags, put: func(tx *store.Tx, tags map[string]string) {
			g.Tags = tags
			resource.ParameterGroups.Put(tx, k, g)
		}}, nil
	case arnSecurityGroup:
		return s.findTaggedCacheGroup(r, k, arn.Name)
	case arnSubnetGroup:
		if arn.Name == defaultSubnetGroup {
			return tagged{locked: errNotTaggable(arn.Name)}, nil
		}
		g, ok := resource.SubnetGroups.Get(r, k)
		if !ok {
			return tagged{}, errSubnetGroupNotFound(arn.Name)
		}
		return tagged{tags: g.Tags, put: func(tx *store.Tx, tags map[string]string) {
			g.Tags = tags
			resource.SubnetGroups.Put(tx, k, g)
		}}, nil
	}
	return tagged{}, errARN(arn.String())
}

// putGroupTags stores the tags of a replication group, and on every member the
// difference: what was added or changed, and without what was removed.
func putGroupTags(tx *store.Tx, g *resource.ReplicationGroup, tags map[string]string) {
	for _, id := range g.Spec.Members {
		c, ok := resource.CacheClusters.Get(tx, key(g.Region, id))
		if !ok {
			continue
		}
		if c.Tags == nil {
			c.Tags = map[string]string{}
		}
		for k := range g.Tags {
			if _, kept := tags[k]; !kept {
				delete(c.Tags, k)
			}
		}
		maps.Copy(c.Tags, tags)
		resource.CacheClusters.Put(tx, key(g.Region, id), c)
	}
	g.Tags = tags
	resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
}
