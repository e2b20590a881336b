package ec2

import (
	"context"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// CreateTags sets tags of resources; all of them or none.
func (s *Service) CreateTags(ctx context.Context, in *wire.CreateTagsRequest) error {
	return s.editTags(ctx, in.DryRun, in.Resources, func(tags map[string]string) (map[string]string, error) { return withTags(tags, in.Tags) })
}

// DeleteTags removes tags of resources.
func (s *Service) DeleteTags(ctx context.Context, in *wire.DeleteTagsRequest) error {
	return s.editTags(ctx, in.DryRun, in.Resources, func(tags map[string]string) (map[string]string, error) { return withoutTags(tags, in.Tags), nil })
}

func (s *Service) editTags(ctx context.Context, dry *bool, ids []string, edit func(map[string]string) (map[string]string, error)) error {
	if err := dryRun(dry); err != nil {
		return err
	}
	return s.update(ctx, func(tx *store.Tx) error {
		for _, id := range ids {
			if err := retag(tx, region(ctx), id, edit); err != nil {
				return err
			}
		}
		return nil
	})
}

// retag changes the tags of one resource, whose kind its id says.
func retag(tx *store.Tx, region, id string, edit func(map[string]string) (map[string]string, error)) error {
	kind, _, _ := strings.Cut(id, "-")
	switch kind {
	case "vpc":
		vpc, ok := resource.VPCs.Get(tx, key(region, id))
		if !ok {
			return errVPCNotFound(id)
		}
		return edited(&vpc.Tags, edit, func() { resource.VPCs.Put(tx, vpcKey(vpc), vpc) })
	case "subnet":
		vpc, at := findSubnet(tx, region, id)
		if vpc == nil {
			return errSubnetNotFound(id)
		}
		return edited(&vpc.Subnets[at].Tags, edit, func() { resource.VPCs.Put(tx, vpcKey(vpc), vpc) })
	case "sg":
		g, ok := resource.SecurityGroups.Get(tx, key(region, id))
		if !ok {
			return errGroupNotFound(id)
		}
		return edited(&g.Tags, edit, func() { resource.SecurityGroups.Put(tx, groupKey(g), g) })
	case "i":
		i, err := findInstance(tx, region, id)
		if err != nil {
			return err
		}
		return edited(&i.Tags, edit, func() { resource.Instances.Put(tx, i.Key(), i) })
	case "eni":
		for _, i := range resource.Instances.List(tx, key(region, "")) {
			if i.Spec.Interface.ID == id && i.Exists() {
				return edited(&i.Spec.Interface.Tags, edit, func() { resource.Instances.Put(tx, i.Key(), i) })
			}
		}
		return errInterfaceNotFound(id)
	case "sgr":
		for _, g := range resource.SecurityGroups.List(tx, key(region, "")) {
			for i := range g.Rules {
				if g.Rules[i].ID == id {
					return edited(&g.Rules[i].Tags, edit, func() { resource.SecurityGroups.Put(tx, groupKey(g), g) })
				}
			}
		}
		return errRuleIDNotFound(id)
	}
	return errTagID(id)
}

func edited(tags *map[string]string, edit func(map[string]string) (map[string]string, error), put func()) error {
	changed, err := edit(*tags)
	if err != nil {
		return err
	}
	*tags = changed
	put()
	return nil
}

// tag is one tag of one resource.
type tag struct{ resourceType, resourceID, key, value string }

// DescribeTags lists the tags of all resources of the region.
func (s *Service) DescribeTags(ctx context.Context, in *wire.DescribeTagsRequest) (*wire.DescribeTagsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	if in.MaxResults != nil && (*in.MaxResults < 5 || *in.MaxResults > maxPage) {
		return nil, errInvalid("Value ( %d ) for parameter maxResults is invalid. Expecting a value between 5 and %d.", *in.MaxResults, maxPage)
	}
	var all []tag
	err := s.view(ctx, func(r store.Reader) error {
		all = tagsOf(r, region(ctx))
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, next, err := answer(all, question[tag]{
		scope: "DescribeTags", id: func(t tag) string { return t.resourceID + "/" + t.key }, filters: in.Filters,
		attributes: tag.attributes, max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeTagsResult{Tags: []*wire.TagDescription{}, NextToken: next}
	for _, t := range page {
		out.Tags = append(out.Tags, &wire.TagDescription{
			Key: core.Ptr(t.key), Value: core.Ptr(t.value), ResourceId: core.Ptr(t.resourceID), ResourceType: core.Ptr(t.resourceType),
		})
	}
	return out, nil
}

func (t tag) attributes() attributes {
	return attributes{
		"key": {t.key}, "value": {t.value}, "resource-id": {t.resourceID}, "resource-type": {t.resourceType}, "tag:" + t.key: {t.value},
	}
}

// tagsOf are all tags of a region.
func tagsOf(r store.Reader, region string) []tag {
	var out []tag
	add := func(resourceType, id string, tags map[string]string) {
		for k, v := range tags {
			out = append(out, tag{resourceType, id, k, v})
		}
	}
	for _, v := range vpcsOf(r, region) {
		add("vpc", v.ID, v.Tags)
		for _, n := range v.Subnets {
			add("subnet", n.ID, n.Tags)
		}
	}
	for _, g := range resource.SecurityGroups.List(r, key(region, "")) {
		add("security-group", g.ID, g.Tags)
		for _, rule := range g.Rules {
			add("security-group-rule", rule.ID, rule.Tags)
		}
	}
	for _, i := range resource.Instances.List(r, key(region, "")) {
		add("instance", i.ID, i.Tags)
		if i.Exists() {
			add("network-interface", i.Spec.Interface.ID, i.Spec.Interface.Tags)
		}
	}
	return out
}
