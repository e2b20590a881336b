package ec2query

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/aws/api"
	"github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/aws/query"
	"github.com/larder-cache/larder/internal/aws/shape"
	"github.com/larder-cache/larder/internal/core"
)

func TestDecodeFlatLists(t *testing.T) {
	t.Parallel()
	f, err := query.Parse("", "Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Filter.1.Value.2=vpc-2&SubnetId.2=b&SubnetId.1=a&MaxResults=5&dryRun=x")
	if err != nil {
		t.Fatal(err)
	}
	var got ec2.DescribeSubnetsRequest
	if err := query.Decode(f, shape.Of[ec2.DescribeSubnetsRequest](), &got); err != nil {
		t.Fatal(err)
	}
	want := ec2.DescribeSubnetsRequest{
		Filters:    []*ec2.Filter{{Name: core.Ptr("vpc-id"), Values: []string{"vpc-1", "vpc-2"}}},
		SubnetIds:  []string{"a", "b"},
		MaxResults: core.Ptr(5),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

func TestEnvelopes(t *testing.T) {
	t.Parallel()
	svc := &api.Service{Namespace: "http://ec2.amazonaws.com/doc/2016-11-15/"}
	op := &api.Operation{Name: "DescribeSubnets", Output: shape.Of[ec2.DescribeSubnetsResult]()}
	out := &ec2.DescribeSubnetsResult{Subnets: []*ec2.Subnet{{SubnetId: core.Ptr("subnet-1"), Tags: []*ec2.Tag{}}}}
	for name, c := range map[string]struct{ got, want string }{
		"result": {string(Response(svc, op, out, "id-1")), declaration +
			`<DescribeSubnetsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>id-1</requestId>` +
			`<subnetSet><item><subnetId>subnet-1</subnetId><tagSet/></item></subnetSet></DescribeSubnetsResponse>`},
		"no result": {string(Response(svc, &api.Operation{Name: "DeleteVpc"}, nil, "id-2")), declaration +
			`<DeleteVpcResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>id-2</requestId><return>true</return></DeleteVpcResponse>`},
		"error": {string(Error("InvalidSubnetID.NotFound", "no <x>", "id-3")), declaration +
			`<Response><Errors><Error><Code>InvalidSubnetID.NotFound</Code><Message>no &lt;x&gt;</Message></Error></Errors><RequestID>id-3</RequestID></Response>`},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	missing := Refusal(&shape.Violation{Parameter: "VpcId", Missing: true, Rule: "must be provided."})
	if missing.Code != "MissingParameter" || missing.Message != "The request must contain the parameter VpcId" {
		t.Errorf("missing: %v", missing)
	}
	invalid := Refusal(&shape.Violation{Parameter: "MaxResults", Rule: "must be at least 5."})
	if invalid.Code != "InvalidParameterValue" || invalid.Message != "The value for parameter MaxResults is invalid: it must be at least 5." {
		t.Errorf("invalid: %v", invalid)
	}
}
