package admin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// explained stores a group of two in sg-cache, a cluster in the default group, which is
// open to everyone, and a host in sg-host.
func explained(tx *store.Tx) error {
	const region = "us-east-1"
	resource.VPCs.Put(tx, region+"/vpc-a", &resource.VPC{
		Region: region, ID: "vpc-a", CIDR: "172.31.0.0/16", IsDefault: true, Window: 10, DefaultSecurityGroup: "sg-default",
		Subnets: []resource.Subnet{{ID: "subnet-a", CIDR: "172.31.0.0/20"}},
	})
	rule := func(id string, egress bool, port int, cidr, group string) resource.SecurityGroupRule {
		return resource.SecurityGroupRule{ID: id, Egress: egress, Protocol: "tcp", FromPort: port, ToPort: port, CIDR: cidr, GroupID: group}
	}
	for id, rules := range map[string][]resource.SecurityGroupRule{
		"sg-default": {rule("sgr-all", false, 11211, "0.0.0.0/0", "")},
		"sg-cache":   {rule("sgr-range", false, 6379, "172.31.9.0/24", ""), rule("sgr-host", false, 6379, "", "sg-host")},
		"sg-host":    {rule("sgr-out", true, 6379, "0.0.0.0/0", "")},
	} {
		resource.SecurityGroups.Put(tx, region+"/"+id, &resource.SecurityGroup{Region: region, ID: id, VPCID: "vpc-a", Rules: rules})
	}
	resource.Attachments.Put(tx, region+"/vpc-a", &resource.Attachment{Region: region, VPCID: "vpc-a", Address: "172.31.0.4", SecurityGroupIDs: []string{"sg-host"}})
	at := func(n, port int) resource.Endpoint {
		bound := core.Endpoint{Address: fmt.Sprintf("127.10.0.%d", n), Port: port}
		return resource.Endpoint{VPC: core.Endpoint{Address: fmt.Sprintf("172.31.0.%d", n), Port: port}, Bound: bound, Advertised: bound}
	}
	put := func(id, group, sg string, n, port int) {
		resource.CacheClusters.Put(tx, region+"/"+id, &resource.CacheCluster{Region: region, ID: id, Spec: resource.CacheClusterSpec{
			ReplicationGroupID: group, Port: port, SecurityGroupIDs: []string{sg}, TLS: resource.TLSRequired,
			Nodes: []resource.NodeSlot{{ID: "0001", SubnetID: "subnet-a", Endpoint: at(n, port)}},
		}})
	}
	put("g-001", "g", "sg-cache", 11, 6379)
	put("g-002", "g", "sg-cache", 12, 6379)
	put("m", "", "sg-default", 13, 11211)
	resource.ReplicationGroups.Put(tx, region+"/g", &resource.ReplicationGroup{Region: region, ID: "g",
		Spec:   resource.ReplicationGroupSpec{Members: []string{"g-001", "g-002"}, PrimaryEndpoint: at(21, 6379), ReaderEndpoint: at(22, 6379)},
		Status: resource.ReplicationGroupStatus{Primary: "g-001"},
	})
	for id, i := range map[string]resource.InstanceSpec{
		"i-app": {Power: resource.PowerRunning, VPCID: "vpc-a", Address: "172.31.0.30", SecurityGroupIDs: []string{"sg-host"}},
		"i-off": {Power: resource.PowerStopped, VPCID: "vpc-a", Address: "172.31.0.31", SecurityGroupIDs: []string{"sg-host"}},
		"i-far": {Power: resource.PowerRunning, VPCID: "vpc-b", Address: "172.31.9.9", SecurityGroupIDs: []string{"sg-host"}},
	} {
		resource.Instances.Put(tx, region+"/"+id, &resource.Instance{Region: region, ID: id, Spec: i})
	}
	for id, p := range map[string]resource.Publication{
		"pub-1": {Endpoint: "primary us-east-1/g", Plaintext: true, Address: "172.31.0.40"},
		"pub-2": {Endpoint: "reader us-east-1/g", Address: "172.31.9.41"},
		"pub-3": {Endpoint: "node us-east-1/m/0001", Address: "172.31.0.42"},
		"pub-4": {Endpoint: "primary us-east-1/deleted", Address: "172.31.0.43"},
	} {
		p.Region, p.ID, p.VPCID, p.SubnetID, p.SecurityGroupIDs = region, id, "vpc-a", "subnet-a", []string{"sg-host"}
		resource.Publications.Put(tx, p.Key(), &p)
	}
	return nil
}

func TestExplain(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	if err := d.store.Update(t.Context(), explained); err != nil {
		t.Fatal(err)
	}
	c := d.client(t)
	for _, tc := range []struct {
		name, from, to string
		port           int
		nodes          string
		// gates are those of the first node; the last one refuses unless allowed.
		gates   string
		allowed bool
		open    string
	}{
		{"host to a group", "127.0.0.1", "g", 0, "g-001/0001 g-002/0001", "route egress[sgr-out] ingress[sgr-host] port tls auth", true, ""},
		{"host to a primary endpoint", "127.0.0.1", "127.10.0.21:6379", 0, "g-001/0001", "route egress[sgr-out] ingress[sgr-host] port tls auth", true, ""},
		{"host to a reader endpoint", "127.0.0.1", "127.10.0.22", 0, "g-002/0001", "route egress[sgr-out] ingress[sgr-host] port tls auth", true, ""},
		{"an address in the range", "172.31.9.9", "g-002", 0, "g-002/0001", "route egress ingress[sgr-range] port tls auth", true, ""},
		{"the same, as it connects", "127.10.9.9", "g-002", 0, "g-002/0001", "route egress ingress[sgr-range] port tls auth", true, ""},
		{"an address beside it", "172.31.8.9", "g-002", 0, "g-002/0001", "route egress ingress", false,
			"aws ec2 authorize-security-group-ingress --region us-east-1 --group-id sg-cache --ip-permissions IpProtocol=tcp,FromPort=6379,ToPort=6379,IpRanges='[{CidrIp=172.31.8.9/32}]'"},
		{"not let out", "127.0.0.1", "m", 0, "m/0001", "route egress", false,
			"aws ec2 authorize-security-group-egress --region us-east-1 --group-id sg-host --ip-permissions IpProtocol=tcp,FromPort=11211,ToPort=11211,IpRanges='[{CidrIp=172.31.0.13/32}]'"},
		{"an instance in the group", "i-app", "g-001", 0, "g-001/0001", "route egress[sgr-out] ingress[sgr-host] port tls auth", true, ""},
		{"an instance that does not run", "i-off", "g-001", 0, "g-001/0001", "instance", false, ""},
		{"an instance of another VPC", "i-far", "g-001", 0, "g-001/0001", "route", false, ""},
		{"another VPC", "127.12.0.9", "g-001", 0, "g-001/0001", "route", false, ""},
		{"a port where nothing listens", "172.31.9.9", "127.10.0.13", 11212, "m/0001", "route egress ingress", false,
			"aws ec2 authorize-security-group-ingress --region us-east-1 --group-id sg-default --ip-permissions IpProtocol=tcp,FromPort=11212,ToPort=11212,IpRanges='[{CidrIp=172.31.9.9/32}]'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, err := c.Explain(t.Context(), tc.from, tc.to, tc.port)
			if err != nil {
				t.Fatal(err)
			}
			var nodes, gates []string
			for _, n := range e.Nodes {
				nodes = append(nodes, n.Node)
			}
			first := e.Nodes[0]
			for i, g := range first.Gates {
				text := g.Name
				if len(g.Rules) > 0 {
					text += fmt.Sprint(g.Rules)
				}
				gates = append(gates, text)
				if want := tc.allowed || i < len(first.Gates)-1; g.Pass != want || g.Text == "" {
					t.Errorf("gate %+v, want %v", g, want)
				}
			}
			if strings.Join(nodes, " ") != tc.nodes || strings.Join(gates, " ") != tc.gates || first.Allowed != tc.allowed || first.Open != tc.open {
				t.Errorf("nodes %q, gates %q, %+v", nodes, gates, first)
			}
			if e.VPC != "vpc-a" || e.TLS != "required" || e.Auth != "off" {
				t.Errorf("%+v", e)
			}
			if warned := len(e.Warnings) == 1; warned != strings.HasPrefix(tc.nodes, "m/") {
				t.Errorf("warnings %q", e.Warnings)
			}
		})
	}
	err := d.store.Update(t.Context(), func(tx *store.Tx) error { resource.Attachments.Delete(tx, "us-east-1/vpc-a"); return nil })
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Explain(t.Context(), "127.0.0.1", "g-001", 0)
	if err != nil || e.Source != "" || e.Nodes[0].Allowed || e.Nodes[0].Open != "larder attach vpc-a" {
		t.Errorf("a host that is not in the VPC: %+v, %v", e, err)
	}
	for _, tc := range []struct {
		from, to, code string
		status         int
	}{
		{"somewhere", "g", "ValidationError", http.StatusBadRequest},
		{"i-none", "g", "InvalidInstanceID.NotFound", http.StatusNotFound},
		{"127.0.0.1", "nothing", "NotFound", http.StatusNotFound},
	} {
		_, err := c.Explain(t.Context(), tc.from, tc.to, 0)
		refused(t, err, tc.code, tc.status)
	}
}

// In EC2-Classic cache security groups decide, and the host has no part in it.
func TestExplainClassic(t *testing.T) {
	t.Parallel()
	const region = "us-east-1"
	network := resource.ClassicID("1")
	d := deploy(t, engines{})
	err := d.store.Update(t.Context(), func(tx *store.Tx) error {
		resource.VPCs.Put(tx, region+"/"+network, &resource.VPC{
			Region: region, ID: network, CIDR: "10.20.0.0/16", Window: 20, Subnets: []resource.Subnet{{ID: "pool", CIDR: "10.20.0.0/20"}},
		})
		resource.SecurityGroups.Put(tx, region+"/sg-web", &resource.SecurityGroup{Region: region, ID: "sg-web", VPCID: network, Name: "web"})
		slot := resource.NodeSlot{ID: "0001", SubnetID: "pool"}
		slot.Endpoint.VPC = core.Endpoint{Address: "10.20.0.9", Port: 6379}
		resource.CacheClusters.Put(tx, region+"/c", &resource.CacheCluster{Region: region, ID: "c", Spec: resource.CacheClusterSpec{
			Port: 6379, CacheSecurityGroups: []string{"caches"}, Nodes: []resource.NodeSlot{slot},
		}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, from, gate, text string }{
		{"the host", "127.0.0.1", "route", "the client has no address in EC2-Classic"},
		{"an address of no instance", "10.20.0.77", "ingress", "10.20.0.77 is no instance of EC2-Classic, and the cache security groups caches let in nothing else"},
	} {
		e, err := d.client(t).Explain(t.Context(), tc.from, "c", 0)
		if err != nil {
			t.Fatal(err)
		}
		v := e.Nodes[0]
		last := v.Gates[len(v.Gates)-1]
		if e.VPC != "EC2-Classic" || v.Allowed || v.Open != "" || last.Name != tc.gate || last.Text != tc.text {
			t.Errorf("%s: %+v", tc.name, e)
		}
	}
	if _, err := d.client(t).Attach(t.Context(), network, nil); err == nil {
		t.Error("the host was attached to EC2-Classic")
	}
}

func TestExplainTellsWhatToSpeak(t *testing.T) {
	t.Parallel()
	none, token := resource.Credential{None: true}, resource.Credential{}
	for name, tc := range map[string]struct {
		gate Gate
		says string
	}{
		"no TLS":         {tlsGate(resource.TLSOff), "must not use TLS"},
		"TLS or not":     {tlsGate(resource.TLSPreferred), "may use TLS or not"},
		"TLS":            {tlsGate(resource.TLSRequired), "must use TLS"},
		"no token":       {authGate(resource.Auth{}), "needs no token"},
		"token or none":  {authGate(resource.Auth{Credentials: []resource.Credential{none, token}}), "or none"},
		"token":          {authGate(resource.Auth{Credentials: []resource.Credential{token}}), "must send a valid token"},
		"one of a token": {authGate(resource.Auth{Credentials: []resource.Credential{token, token}}), "must send a valid token"},
	} {
		if !tc.gate.Unchecked || !tc.gate.Pass || !strings.Contains(tc.gate.Text, tc.says) {
			t.Errorf("%s: %+v", name, tc.gate)
		}
	}
}

// A publication leads to what it was made for, and its address is what rules see.
func TestExplainPublication(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	if err := d.store.Update(t.Context(), explained); err != nil {
		t.Fatal(err)
	}
	c := d.client(t)
	for _, tc := range []struct {
		name, from, to, want string
	}{
		{"to its primary", "pub-1", "", "g 172.31.0.40 tls=off: g-001/0001 ingress[sgr-host] allowed"},
		{"to its replicas", "pub-2", "", "g 172.31.9.41 tls=required: g-002/0001 ingress[sgr-host sgr-range] allowed"},
		{"to a group of which it reaches the replicas", "pub-2", "g", "g 172.31.9.41 tls=required: " +
			"g-001/0001 route: pub-2 leads to reader us-east-1/g and nowhere else; g-002/0001 ingress[sgr-host sgr-range] allowed"},
		{"not let out", "pub-3", "", "m/0001 172.31.0.42 tls=required: m/0001 egress"},
		{"to another cache", "pub-3", "g-001", "g-001 172.31.0.42 tls=required: g-001/0001 route: pub-3 leads to node us-east-1/m/0001 and nowhere else"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, err := c.Explain(t.Context(), tc.from, tc.to, 0)
			if err != nil {
				t.Fatal(err)
			}
			var nodes []string
			for _, n := range e.Nodes {
				text := n.Node
				switch last := n.Gates[len(n.Gates)-1]; {
				case n.Allowed:
					text += fmt.Sprint(" ingress", n.Gates[2].Rules, " allowed")
				case last.Name == "route":
					text += " route: " + last.Text
				default:
					text += " " + last.Name
				}
				nodes = append(nodes, text)
			}
			if got := fmt.Sprintf("%s %s tls=%s: %s", e.To, e.Source, e.TLS, strings.Join(nodes, "; ")); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
	for _, tc := range []struct {
		from   string
		port   int
		code   string
		status int
	}{
		{"pub-0", 0, "NotFound", http.StatusNotFound},
		{"pub-1", 6380, "InvalidParameterCombination", http.StatusBadRequest},
		{"pub-4", 0, "NotFound", http.StatusNotFound},
	} {
		_, err := c.Explain(t.Context(), tc.from, "", tc.port)
		refused(t, err, tc.code, tc.status)
	}
}
