package compat

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
)

// TestGoSDKParameters calls every action for versions of engines and for groups of
// parameters.
func TestGoSDKParameters(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), deployment.ElastiCache()
	versions, err := c.DescribeCacheEngineVersions(ctx, &elasticache.DescribeCacheEngineVersionsInput{Engine: aws.String("redis"), DefaultOnly: aws.Bool(true)})
	must(t, err)
	family := versions.CacheEngineVersions[0].CacheParameterGroupFamily
	defaults, err := c.DescribeEngineDefaultParameters(ctx, &elasticache.DescribeEngineDefaultParametersInput{CacheParameterGroupFamily: family, MaxRecords: aws.Int32(20)})
	must(t, err)
	expect(t, "a page of defaults", len(defaults.EngineDefaults.Parameters), 20)
	expect(t, "their family", aws.ToString(defaults.EngineDefaults.CacheParameterGroupFamily), *family)
	name := aws.String("go-parameters")
	_, err = c.CreateCacheParameterGroup(ctx, &elasticache.CreateCacheParameterGroupInput{CacheParameterGroupName: name, CacheParameterGroupFamily: family, Description: aws.String("go")})
	must(t, err)
	groups, err := c.DescribeCacheParameterGroups(ctx, &elasticache.DescribeCacheParameterGroupsInput{CacheParameterGroupName: name})
	must(t, err)
	expect(t, "family", aws.ToString(groups.CacheParameterGroups[0].CacheParameterGroupFamily), *family)
	lfu := []types.ParameterNameValue{{ParameterName: aws.String("maxmemory-policy"), ParameterValue: aws.String("allkeys-lfu")}}
	must(t, first(c.ModifyCacheParameterGroup(ctx, &elasticache.ModifyCacheParameterGroupInput{CacheParameterGroupName: name, ParameterNameValues: lfu})))
	user := func() int {
		out, err := c.DescribeCacheParameters(ctx, &elasticache.DescribeCacheParametersInput{CacheParameterGroupName: name, Source: aws.String("user")})
		must(t, err)
		return len(out.Parameters)
	}
	expect(t, "parameters changed", user(), 1)
	must(t, first(c.ResetCacheParameterGroup(ctx, &elasticache.ResetCacheParameterGroupInput{CacheParameterGroupName: name, ResetAllParameters: aws.Bool(true)})))
	expect(t, "parameters changed after all were reset", user(), 0)
	must(t, first(c.DeleteCacheParameterGroup(ctx, &elasticache.DeleteCacheParameterGroupInput{CacheParameterGroupName: name})))
	var gone *types.CacheParameterGroupNotFoundFault
	_, err = c.DescribeCacheParameterGroups(ctx, &elasticache.DescribeCacheParameterGroupsInput{CacheParameterGroupName: name})
	expect(t, "not found once it is deleted", errors.As(err, &gone), true)
}

// TestGoSDKSubnetGroups calls every action for groups of subnets, and for their tags.
func TestGoSDKSubnetGroups(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), deployment.ElastiCache()
	subnets, err := ec2Client().DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: by("default-for-az", "true")})
	must(t, err)
	name, one := aws.String("go-subnets"), []string{*subnets.Subnets[0].SubnetId}
	made, err := c.CreateCacheSubnetGroup(ctx, &elasticache.CreateCacheSubnetGroupInput{CacheSubnetGroupName: name, CacheSubnetGroupDescription: aws.String("go"), SubnetIds: one})
	must(t, err)
	expect(t, "VPC", aws.ToString(made.CacheSubnetGroup.VpcId), *subnets.Subnets[0].VpcId)
	must(t, first(c.ModifyCacheSubnetGroup(ctx, &elasticache.ModifyCacheSubnetGroupInput{CacheSubnetGroupName: name, SubnetIds: append(one, *subnets.Subnets[1].SubnetId)})))
	groups, err := c.DescribeCacheSubnetGroups(ctx, &elasticache.DescribeCacheSubnetGroupsInput{CacheSubnetGroupName: name})
	must(t, err)
	expect(t, "subnets", len(groups.CacheSubnetGroups[0].Subnets), 2)
	arn := made.CacheSubnetGroup.ARN
	must(t, first(c.AddTagsToResource(ctx, &elasticache.AddTagsToResourceInput{ResourceName: arn, Tags: []types.Tag{{Key: aws.String("a")}, {Key: aws.String("b")}}})))
	must(t, first(c.RemoveTagsFromResource(ctx, &elasticache.RemoveTagsFromResourceInput{ResourceName: arn, TagKeys: []string{"a"}})))
	tags, err := c.ListTagsForResource(ctx, &elasticache.ListTagsForResourceInput{ResourceName: arn})
	must(t, err)
	expect(t, "tags left", len(tags.TagList), 1)
	must(t, first(c.DeleteCacheSubnetGroup(ctx, &elasticache.DeleteCacheSubnetGroupInput{CacheSubnetGroupName: name})))
}
