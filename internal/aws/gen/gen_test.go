package gen_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/aws/api"
	"github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/aws/gen/sts"
)

// The codes of ElastiCache as its public model gives them; a number is the HTTP
// status where it is not 400. Most lose the Fault of the exception's name.
const elasticacheCodes = `
APICallRateForCustomerExceeded AuthorizationAlreadyExists AuthorizationNotFound:404
CacheClusterAlreadyExists CacheClusterNotFound:404 CacheParameterGroupAlreadyExists
CacheParameterGroupNotFound:404 CacheParameterGroupQuotaExceeded CacheSecurityGroupAlreadyExists
CacheSecurityGroupNotFound:404 CacheSubnetGroupAlreadyExists CacheSubnetGroupQuotaExceeded
ClusterQuotaForCustomerExceeded DefaultUserAssociatedToUserGroup DuplicateUserName
InsufficientCacheClusterCapacity InvalidARN InvalidCacheClusterState InvalidCacheParameterGroupState
InvalidCacheSecurityGroupState InvalidGlobalReplicationGroupState InvalidReplicationGroupState
InvalidSnapshotState InvalidUserGroupState InvalidUserState NodeGroupsPerReplicationGroupQuotaExceeded
NodeQuotaForClusterExceeded NodeQuotaForCustomerExceeded ReplicationGroupAlreadyExists
ReservedCacheNodeAlreadyExists:404 ReservedCacheNodeNotFound:404 ReservedCacheNodeQuotaExceeded
ReservedCacheNodesOfferingNotFound:404 TagNotFound:404 UserAlreadyExists UserGroupAlreadyExists
UserGroupNotFound:404 UserGroupQuotaExceeded UserNotFound:404 UserQuotaExceeded
CacheSubnetGroupInUse CacheSubnetGroupNotFoundFault CacheSubnetQuotaExceededFault DefaultUserRequired
GlobalReplicationGroupAlreadyExistsFault GlobalReplicationGroupNotFoundFault:404
InvalidCredentialsException:408 InvalidKMSKeyFault InvalidServerlessCacheSnapshotStateFault
InvalidServerlessCacheStateFault InvalidSubnet InvalidVPCNetworkStateFault NoOperationFault
NodeGroupNotFoundFault:404 ReplicationGroupAlreadyUnderMigrationFault ReplicationGroupNotFoundFault:404
ReplicationGroupNotUnderMigrationFault ServerlessCacheAlreadyExistsFault ServerlessCacheNotFoundFault:404
ServerlessCacheQuotaForCustomerExceededFault ServerlessCacheSnapshotAlreadyExistsFault
ServerlessCacheSnapshotNotFoundFault:404 ServerlessCacheSnapshotQuotaExceededFault
ServiceLinkedRoleNotFoundFault ServiceUpdateNotFoundFault:404 SnapshotAlreadyExistsFault
SnapshotFeatureNotSupportedFault SnapshotNotFoundFault:404 SnapshotQuotaExceededFault SubnetInUse
SubnetNotAllowedFault TagQuotaPerResourceExceeded TestFailoverNotAvailableFault
QuotaExceeded.CacheSecurityGroup InvalidParameterCombination InvalidParameterValue
`

func TestElastiCacheCodes(t *testing.T) {
	t.Parallel()
	want := map[string]int{}
	for _, f := range strings.Fields(elasticacheCodes) {
		code, status, _ := strings.Cut(f, ":")
		want[code] = map[string]int{"": 400, "404": 404, "408": 408}[status]
	}
	svc := elasticache.Describe(nopElastiCache{})
	if d := cmp.Diff(want, svc.Faults); d != "" {
		t.Fatal(d)
	}
	if svc.FaultStatus("CacheClusterNotFound") != 404 || svc.FaultStatus("NeverHeardOf") != 400 {
		t.Fatal("the status of a code is not the model's")
	}
}

type (
	nopElastiCache struct{ elasticache.Service }
	nopEC2         struct{ ec2.Service }
	nopSTS         struct{ sts.Service }
)

// TestDescriptions holds each description together: the actions are those that were
// asked for, they are known and have plans, declared errors have a status.
func TestDescriptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		svc                 api.Service
		known               int
		namespace, protocol any
	}{
		"elasticache": {elasticache.Describe(nopElastiCache{}), 75, "http://elasticache.amazonaws.com/doc/2015-02-02/", api.Query},
		"ec2":         {ec2.Describe(nopEC2{}), 600, "http://ec2.amazonaws.com/doc/2016-11-15/", api.EC2},
		"sts":         {sts.Describe(nopSTS{}), 8, "https://sts.amazonaws.com/doc/2011-06-15/", api.Query},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.svc.Name != name || c.svc.Namespace != c.namespace || c.svc.Protocol != c.protocol {
				t.Errorf("described as %s, %s, %v", c.svc.Name, c.svc.Namespace, c.svc.Protocol)
			}
			if len(c.svc.Known) < c.known {
				t.Errorf("%d actions known", len(c.svc.Known))
			}
			var served []string
			for _, op := range c.svc.Operations {
				served = append(served, op.Name)
				checkOperation(t, &c.svc, &op)
			}
			slices.Sort(served)
			if d := cmp.Diff(askedFor(t, name), served); d != "" {
				t.Errorf("actions that were asked for (-) and that are served (+):\n%s", d)
			}
		})
	}
}

// askedFor are the actions of a service for which code shall be generated.
func askedFor(t *testing.T, service string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../tools/awsgen/actions/" + service + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(text))
	slices.Sort(names)
	return names
}

func checkOperation(t *testing.T, svc *api.Service, op *api.Operation) {
	t.Helper()
	if !strings.Contains(" "+strings.Join(svc.Known, " ")+" ", " "+op.Name+" ") {
		t.Errorf("%s is not known", op.Name)
	}
	void := []string{
		"DeleteCacheParameterGroup", "DeleteCacheSecurityGroup", "DeleteCacheSubnetGroup", "CreateTags", "DeleteTags", "DeleteSubnet", "DeleteVpc", "ModifyVpcAttribute", "ModifyInstanceAttribute", "ModifyNetworkInterfaceAttribute", "RebootInstances",
	}
	if op.Input == nil || (op.Output == nil) != slices.Contains(void, op.Name) {
		t.Errorf("%s: a plan is missing", op.Name)
	}
	wrapper := op.Name + "Result"
	if svc.Protocol == api.EC2 || op.Output == nil {
		wrapper = ""
	}
	if op.Wrapper != wrapper {
		t.Errorf("%s is wrapped in %q", op.Name, op.Wrapper)
	}
	for _, code := range op.Errors {
		if _, ok := svc.Faults[code]; !ok {
			t.Errorf("%s declares %s, which has no status", op.Name, code)
		}
	}
}
