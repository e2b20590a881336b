package resource

// SubnetGroup is a cache subnet group. The group "default" of a default VPC is
// not stored. Key: REGION/NAME.
type SubnetGroup struct {
	Region, Name, Description string
	VPCID                     string
	SubnetIDs                 []string
	Tags                      map[string]string
}
