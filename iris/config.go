package iris

import (
	"strings"
	"time"

	"ha-iris/internal/secret"
)

// Edition is which of the vendor's two kinds of image runs.
type Edition string

const (
	// Community is the free edition: pulled without login, 10 GB of data, 8 connections, no licence key.
	Community Edition = "community"
	// Licensed needs a login to the registry and a licence key, and brings no web server of its own.
	Licensed Edition = "licensed"
)

// AccessMode says how the volume may be mounted.
type AccessMode string

const (
	// ReadWriteOncePod admits one pod in the whole cluster.
	ReadWriteOncePod AccessMode = "ReadWriteOncePod"
	// ReadWriteOnce admits one node, and so two pods on it.
	ReadWriteOnce AccessMode = "ReadWriteOnce"
)

// ServiceType is how clients reach the database.
type ServiceType string

// The three types of Service that this program offers.
const (
	LoadBalancer ServiceType = "LoadBalancer"
	NodePort     ServiceType = "NodePort"
	ClusterIP    ServiceType = "ClusterIP"
)

// Metrics is how Prometheus finds the database.
type Metrics string

const (
	// NoMetrics leaves Prometheus out.
	NoMetrics Metrics = "none"
	// Annotations marks the Service with the prometheus.io annotations.
	Annotations Metrics = "annotations"
	// ServiceMonitor creates the object that the Prometheus Operator looks for.
	ServiceMonitor Metrics = "serviceMonitor"
)

// Config is the object ha-iris:iris of the stack's configuration.
type Config struct {
	// Size is the size of the data volume, as a Kubernetes quantity with a unit; it can grow and never shrink. Default:
	// 20Gi.
	Size string `json:"size" strict:"number"`
	// AccessMode says who may mount the volume: ReadWriteOncePod, or ReadWriteOnce for storage that does not know the
	// former and so cannot keep a second pod off the data. Default: ReadWriteOncePod.
	AccessMode AccessMode `json:"accessMode"`
	// ProtectData makes Pulumi refuse to delete or replace the volume and its namespace. Default: true.
	ProtectData bool `json:"protectData"`
	// Generation is which of its volumes the database runs on: 1 is the claim iris-pvc, 2 is iris-pvc-2 and so on. The next number
	// together with restoreFrom restores a backup; it never goes down. Default: 1.
	Generation int `json:"generation"`
	// OldestGeneration is the oldest volume that the stack keeps; a higher number gives those before it up. Default: 1.
	OldestGeneration int `json:"oldestGeneration"`
	// RestoreFrom is what the volume of the generation is filled from when it is made. Read only then.
	RestoreFrom RestoreFrom `json:"restoreFrom"`
	// Replicas is 1, or 0 to stop the database and keep everything else of it, the volume too. Default: 1.
	Replicas int `json:"replicas"`
	// Namespace is the Kubernetes namespace, created and owned by this stack. Default: iris.
	Namespace string `json:"namespace"`

	// Edition says which kind of image runs: community or licensed. Default: community.
	Edition Edition `json:"edition"`
	// Image is the IRIS image, pinned by digest or by a full build tag. Default: the Community image at a digest.
	Image string `json:"image"`
	// Architecture restricts the pod to nodes of amd64 or arm64; empty takes any node. Default: empty.
	Architecture string `json:"architecture"`
	// PrePullImage keeps the image on every node, so that failover never waits for a pull. Default: true.
	PrePullImage bool `json:"prePullImage"`
	// Registry is the login that a licensed image needs; its password is the secret irisRegistryPassword.
	Registry Registry `json:"registry"`

	// Memory is the pod's memory limit and request; IRIS is sized from it. Default: 4Gi.
	Memory string `json:"memory" strict:"number"`
	// CPU is the share of processor time that is always there, in cores. Default: 1.
	CPU string `json:"cpu" strict:"number"`
	// CPULimit is the most processor time that the pod may use, in cores. Default: 4.
	CPULimit string `json:"cpuLimit" strict:"number"`
	// GlobalsMiB is the database cache in MiB; 0 computes it from memory. Default: 0.
	GlobalsMiB int `json:"globalsMiB"`
	// RoutinesMiB is the routine cache in MiB; 0 computes it from memory. Default: 0.
	RoutinesMiB int `json:"routinesMiB"`
	// GmheapKiB is the shared memory heap in KiB; 0 computes it from memory. Default: 0.
	GmheapKiB int `json:"gmheapKiB"`
	// JournalBuffersMiB is the memory for journal records not yet on disk, in MiB; 0 is IRIS' own 64. Default: 0.
	JournalBuffersMiB int `json:"journalBuffersMiB"`

	// SynchronousCommit makes each commit wait for the disk, which ends the loss of the last seconds and costs latency.
	// Default: false.
	SynchronousCommit bool `json:"synchronousCommit"`
	// CPF are further settings for the CPF merge file, by section and key; they win over this program's own, except where
	// it builds on those.
	CPF map[string]map[string]string `json:"cpf"`
	// Actions are further lines for the merge file's [Actions] section, such as "CreateNamespace:Name=APP,Globals=APP".
	Actions []string `json:"actions"`
	// TimeZone is the instance's time zone, such as Europe/Madrid; empty is UTC. Default: empty.
	TimeZone string `json:"timeZone"`

	// TerminationGracePeriodSeconds is how long a stop may take before it is cut short; 0 is 180 with the guard, which frees the
	// database of a lost node without waiting it out, and 45 without, where it adds to the time to recover. Default: 0.
	TerminationGracePeriodSeconds int `json:"terminationGracePeriodSeconds"`
	// TolerationSeconds is how long the pod stays on a node that is not ready or unreachable. Default: 5.
	TolerationSeconds int `json:"tolerationSeconds"`
	// RecoveryBudgetSeconds is how long a start may take, recovery after a crash included. Default: 900.
	RecoveryBudgetSeconds int `json:"recoveryBudgetSeconds"`

	// Service is how clients reach the database.
	Service Service `json:"service"`
	// WebGateway is the web server beside the database; licensed images need one.
	WebGateway WebGateway `json:"webGateway"`
	// TLSSecret is the Secret (type kubernetes.io/tls) in the namespace with the portal's certificate; it brings the Web
	// Gateway. Default: empty, plain HTTP.
	TLSSecret string `json:"tlsSecret"`

	// Metrics says how Prometheus finds the database: none, annotations or serviceMonitor. Default: none.
	Metrics Metrics `json:"metrics"`
	// MonitoringNamespace is the namespace whose pods may read the metrics. Default: empty, nobody.
	MonitoringNamespace string `json:"monitoringNamespace"`
	// MonitoringLabels are labels of the objects for the Prometheus Operator, by which a Prometheus chooses its own, such as release:
	// kube-prometheus-stack.
	MonitoringLabels map[string]string `json:"monitoringLabels"`
	// Alerts makes a PrometheusRule with alerts on the database, its volume, its backups and the guard; needs iris.metrics
	// serviceMonitor. Default: false.
	Alerts bool `json:"alerts"`
	// Dashboard makes a ConfigMap with a dashboard that Grafana's sidecar finds by the label grafana_dashboard; needs iris.metrics
	// serviceMonitor. Default: false.
	Dashboard bool `json:"dashboard"`

	// Failover is the object ha-iris:failover.
	Failover Failover `json:"-"`
	// LonghornNamespace is the namespace in which this stack installs Longhorn; empty when it does not. It is no key.
	LonghornNamespace string `json:"-"`
	// Backups are what the storage is configured for. It is no key.
	Backups Backups `json:"-"`
	// Verifications are what the storage is configured for. It is no key.
	Verifications Verifications `json:"-"`
	// BackupInterval is the longest time between two backups of the volume that are due; 0 without backups. It is no key.
	BackupInterval time.Duration `json:"-"`
	// BackupIntervalSecret says that it comes from a secret value.
	BackupIntervalSecret bool `json:"-"`

	// Password is the password of every predefined account, from the secret ha-iris:irisPassword.
	Password secret.Value `json:"-" secret:"irisPassword"`
	// LicenseKey is the content of iris.key, from the secret ha-iris:irisLicenseKey. Licensed edition only.
	LicenseKey secret.Value `json:"-" secret:"irisLicenseKey"`
	// RegistryPassword is the password or token for the registry, from the secret ha-iris:irisRegistryPassword.
	RegistryPassword secret.Value `json:"-" secret:"irisRegistryPassword"`
}

// Registry is a login to a container registry.
type Registry struct {
	// Server is the registry's host name. Default: containers.intersystems.com.
	Server string `json:"server"`
	// Username is the account; empty means that no login is needed. Default: empty.
	Username string `json:"username"`
}

// RestoreFrom is what a new volume is filled from; at most one of the two.
type RestoreFrom struct {
	// Backup is the URL of a backup in the stack's backup target (docs/operations.md, "Restore"). Default: empty.
	Backup string `json:"backup"`
	// Snapshot is the name of a VolumeSnapshot in iris.namespace. Default: empty.
	Snapshot string `json:"snapshot"`
}

// Service is how clients reach the database.
type Service struct {
	// Type says from where the database can be reached: LoadBalancer, NodePort or ClusterIP. Default: ClusterIP.
	Type ServiceType `json:"type"`
	// Internal asks the platform for a load balancer without a public address. Default: false.
	Internal bool `json:"internal"`
	// SourceRanges are the networks (CIDR) that may connect from outside the cluster; needed for LoadBalancer and
	// NodePort, where 0.0.0.0/0 opens it to everybody.
	SourceRanges []string `json:"sourceRanges"`
	// ClientNamespaces are the namespaces of this cluster whose pods may connect.
	ClientNamespaces []string `json:"clientNamespaces"`
	// Superserver offers port 1972 (JDBC, ODBC, DB-API) beside the portal. Default: false.
	Superserver bool `json:"superserver"`
	// PortalNodePort fixes the port on the nodes for the portal, 30000-32767; 0 lets Kubernetes choose. Default: 0.
	PortalNodePort int `json:"portalNodePort"`
	// SuperserverNodePort fixes the port on the nodes for the superserver, 30000-32767; 0 lets Kubernetes choose.
	// Default: 0.
	SuperserverNodePort int `json:"superserverNodePort"`
	// Annotations are further annotations for the Service; they win over the platform's.
	Annotations map[string]string `json:"annotations"`
}

// WebGateway is the web server beside the database.
type WebGateway struct {
	// Enabled puts the Web Gateway beside a Community image too, instead of that image's own web server. Default: false.
	Enabled bool `json:"enabled"`
	// Image is the image webgateway-lockeddown, pinned by digest or by a full build tag, of the same release as IRIS.
	Image string `json:"image"`
}

// DefaultImage is Community Edition 2026.1, the extended maintenance release. The digest is that of the multi-architecture
// index (amd64 and arm64), as seen in three unrelated public builds; a tag alone moves and, after an unclean stop, a moved
// tag is an upgrade that IRIS refuses (ADOCK 5.7 and 6.5).
const DefaultImage = "intersystems/iris-community:2026.1" +
	"@sha256:c57b65b2b454494091e7b3e49f6a53b3335f40adf475bcfcee0866083f35a7c2"

// DefaultConfig returns the configuration of a stack that sets nothing.
func DefaultConfig() Config {
	return Config{
		// Community holds at most 10 GB of data, and the volume also carries the write image journal, two days of
		// journals and temporary files (ADOCK 5.4, GCDI).
		Size:             "20Gi",
		AccessMode:       ReadWriteOncePod,
		ProtectData:      true,
		Replicas:         1,
		Generation:       1,
		OldestGeneration: 1,
		Namespace:        "iris",
		Edition:          Community,
		Image:            DefaultImage,
		PrePullImage:     true,
		Failover:         defaultFailover(),
		Registry:         Registry{Server: "containers.intersystems.com"},
		Memory:           "4Gi",
		CPU:              "1",
		CPULimit:         "4",
		CPF:              map[string]map[string]string{},
		Actions:          []string{},
		// Kubernetes' own default is 300 s. Not 0: the pod would be deleted before Longhorn has seen the node fail, and the
		// volume then waits for Longhorn's next resync, up to 30 s (longhorn-manager kubernetes_pod_controller.go).
		TolerationSeconds: 5,
		// There is no formula for recovery time (GCDI); 15 min is generous for an 80 s write cycle and a small volume.
		RecoveryBudgetSeconds: 900,
		Service: Service{
			Type:             ClusterIP, // Nothing is reachable from outside unless asked for.
			SourceRanges:     []string{},
			ClientNamespaces: []string{},
			Annotations:      map[string]string{},
		},
		Metrics:          NoMetrics,
		MonitoringLabels: map[string]string{},
	}
}

// usesWebGateway says whether the sidecar serves the portal. Licensed images carry no web server since 2023.2 (ADOCK 5.5),
// and the Community image's own one does no TLS.
func (c Config) usesWebGateway() bool {
	return c.Edition == Licensed || c.WebGateway.Enabled || c.TLSSecret != ""
}

// scheme is how the portal's port is spoken to.
func (c Config) scheme() string {
	if c.TLSSecret != "" {
		return "https"
	}
	return "http"
}

// Watched says whether the storage's metrics are asked for too.
func (c Config) Watched() bool { return c.Alerts || c.Dashboard }

// needsLogin says whether images are pulled with credentials.
func (c Config) needsLogin() bool { return c.Registry.Username != "" }

// external says whether clients outside the cluster can reach the Service.
func (s Service) external() bool { return s.Type == LoadBalancer || s.Type == NodePort }

func names[T ~string](values []T) string {
	texts := make([]string, 0, len(values))
	for _, value := range values {
		texts = append(texts, string(value))
	}
	return strings.Join(texts, ", ")
}
