package resource

// Deployment is what is decided once for all of a deployment, by its first start. Key:
// DeploymentKey.
type Deployment struct {
	// Fabric is "kernel" or "userspace"; it stays while there are caches.
	Fabric string
}

// DeploymentKey is the one key of the table.
const DeploymentKey = "deployment"
