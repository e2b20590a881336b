package resource

import "github.com/larder-cache/larder/internal/store"

// The tables of the store: the one list of everything that is kept.
var (
	VPCs                = store.NewTable[VPC]("vpcs")
	NetworkRegions      = store.NewTable[NetworkRegion]("network-regions")
	SecurityGroups      = store.NewTable[SecurityGroup]("security-groups")
	Addresses           = store.NewTable[Address]("addresses")
	Attachments         = store.NewTable[Attachment]("attachments")
	Instances           = store.NewTable[Instance]("instances")
	CacheClusters       = store.NewTable[CacheCluster]("cache-clusters")
	ReplicationGroups   = store.NewTable[ReplicationGroup]("replication-groups")
	Nodes               = store.NewTable[Node]("nodes")
	ParameterGroups     = store.NewTable[ParameterGroup]("parameter-groups")
	SubnetGroups        = store.NewTable[SubnetGroup]("subnet-groups")
	CacheSecurityGroups = store.NewTable[CacheSecurityGroup]("cache-security-groups")
	Events              = store.NewTable[Event]("events")
	ServiceUpdates      = store.NewTable[ServiceUpdate]("service-updates")
	UpdateActions       = store.NewTable[UpdateAction]("update-actions")
	AccessKeys          = store.NewTable[AccessKey]("access-keys")
	Publications        = store.NewTable[Publication]("publications")
	HostResolvers       = store.NewTable[HostResolver]("host-resolvers")
	Deployments         = store.NewTable[Deployment]("deployments")
	Certificates        = store.NewTable[Certificate]("certificates")
)
