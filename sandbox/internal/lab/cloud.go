package lab

// CloudOptions are the choices of what plays the cloud.
type CloudOptions struct {
	Kubeconfig string
	Plan       Plan
}

// Domain is the cluster's.
const Domain = "cluster.local"
