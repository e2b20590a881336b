package core

import "strings"

// ARN is an Amazon resource name of the seven-part form that ElastiCache uses:
// arn:aws:elasticache:REGION:ACCOUNT:TYPE:NAME.
type ARN struct {
	Partition, Service, Region, Account, Type, Name string
}

// String renders the ARN.
func (a ARN) String() string {
	p := a.Partition
	if p == "" {
		p = "aws"
	}
	return strings.Join([]string{"arn", p, a.Service, a.Region, a.Account, a.Type, a.Name}, ":")
}

// ElastiCacheARN names an ElastiCache resource; kind is "cluster",
// "replicationgroup", "parametergroup", "subnetgroup", ...
func ElastiCacheARN(region, account, kind, name string) ARN {
	return ARN{Service: "elasticache", Region: region, Account: account, Type: kind, Name: name}
}

// ParseARN splits a seven-part ElastiCache ARN. The errors carry AWS's code and
// wording; region and account are the caller's to check.
func ParseARN(s string) (ARN, error) {
	p := strings.Split(s, ":")
	if len(p) != 7 || p[0] != "arn" {
		return ARN{}, Errorf("InvalidARN", "Input ARN string does not have 7 components.")
	}
	if p[1] != "aws" {
		return ARN{}, Errorf("InvalidARN", "partition field is wrong. Expected value is aws")
	}
	if p[2] != "elasticache" {
		return ARN{}, Errorf("InvalidARN", "service field is wrong. Expected value is elasticache")
	}
	return ARN{Partition: p[1], Service: p[2], Region: p[3], Account: p[4], Type: p[5], Name: p[6]}, nil
}
