// Package survey checks an existing cluster before anything is installed, and reports why a stack cannot run there, or not well.
// Temporary shortages are not reported as blocking: a node that is down must not prevent an update.
package survey

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/live"
	"ha-iris/internal/problems"
)

// Needs is what a stack asks of its cluster.
type Needs struct {
	Storage  Storage
	Database Database
}

// Storage is what the storage of the database's volume asks for.
type Storage struct {
	// Install says that a driver and the class are installed; otherwise the class must be there.
	Install   bool
	ClassName string
	// Driver is what is installed, as messages call it.
	Driver string
	// Replicas is the number of replicas of a volume, each on a node of its own.
	Replicas int
	// FewerNodes says that a volume can be created on fewer nodes than it has replicas.
	FewerNodes bool
	// TaintedNodes says that the driver was told to run on nodes that keep other pods away.
	TaintedNodes bool
	// NodeLabel is the label without which a node gets no replica, NodeLabelValues are the values that count; empty: any node does.
	NodeLabel       string
	NodeLabelValues []string
	// Objects are what the installation makes in its Namespace, ClusterObjects what outside of any; RESOURCE or RESOURCE.GROUP.
	Namespace               string
	Objects, ClusterObjects []string
	// Applied are resources in Namespace that the program itself makes and changes, and Changed those that it reads and changes only.
	Applied, Changed []string
	// Signs are objects outside of any namespace by which another installation is known, and Tidied what the program lists and
	// deletes in Namespace after an installation that was interrupted.
	Signs, Tidied []string
	// SnapshotClasses says that VolumeSnapshotClasses are made.
	SnapshotClasses bool
	// Asks are what the program itself asks the API server for beside all that, such as to restore.
	Asks []Right
}

// Database is what the database asks for.
type Database struct {
	Namespace string
	// Deployment and Claim are the names of the objects whose existence says that this is no first installation.
	Deployment, Claim string
	// Service and DaemonSet are the names of the other objects that quotas count.
	Service, DaemonSet string
	PriorityClass      string
	// Pod is the database's pod as the API server gets it, but for what refers to objects that do not exist yet.
	Pod map[string]any
	// GuardRoles are the namespaces in which the guard gets roles; none: there is no guard, nor its admission policy.
	GuardRoles []string
	// BackupRoles are those in which `agent backup` gets roles; none: there is no such thing, nor its admission policy.
	BackupRoles []string
	// VerifyRoles are those in which `agent verify` gets roles, beside one for the whole cluster.
	VerifyRoles []string
	// GuardMark is the annotation of nodes with which the guard says what it has set there. Empty: the guard acts, and takes it away itself.
	GuardMark string
	// PerNode are the pods beside it that run on every node, Beside those that run once.
	PerNode, Beside []map[string]any
	// ServiceMonitor says that the Prometheus Operator's object is made.
	ServiceMonitor bool
	// PrometheusRule says that the Prometheus Operator's object with alerts is made.
	PrometheusRule bool
	// VolumeBytes is the volume's size.
	VolumeBytes int64
	// OncePerPod says that the volume admits one pod in the whole cluster (ReadWriteOncePod).
	OncePerPod bool
	// MaxCores is the largest number of cores of a node on which the database starts; 0: any.
	MaxCores int
	// LoadBalancers and NodePorts are how many its Service takes.
	LoadBalancers, NodePorts int
	// Asks are what the program itself asks the API server for beside making the objects, such as to wait for a pod.
	Asks []Right
}

// Findings is what a survey found.
type Findings struct {
	// Blocking are the reasons why the stack can never work on this cluster as it is configured.
	Blocking []error
	// Warnings are the reasons why it works worse than it should, or why that could not be found out.
	Warnings []error
}

// Look reads everything from the cluster at once and checks the answers. It returns an error when nothing can be read: the
// credentials are refused, or the credential plugin fails.
func Look(ctx context.Context, cluster *live.Cluster, needs Needs) (Findings, error) {
	var found findings
	err := cluster.Login(ctx)
	switch {
	case errors.Is(err, kubeconfig.ErrRenew), errors.Is(err, context.DeadlineExceeded):
		found.warnings.Merge(fmt.Errorf("the cluster was not looked at: %w", err))
		return found.all(), nil
	case err != nil:
		return Findings{}, fmt.Errorf("its kubeconfig cannot be used: %w", err)
	}
	facts := readFacts(ctx, cluster, needs)
	if facts.refused() {
		return Findings{}, errors.New("refuses the credentials (401 Unauthorized) that the kubeconfig's plugin or provider brings")
	}
	judge(facts, needs, &found)
	return found.all(), nil
}

// judge runs all checks.
func judge(facts *facts, needs Needs, found *findings) {
	checkVersion(facts, needs.Database, found)
	checkNodes(facts, needs.Database, found)
	checkMarks(facts, needs.Database, found)
	checkReplicas(facts, needs.Storage, found)
	checkClass(facts, needs, found)
	checkQuotas(facts, needs, found)
	checkLimits(facts, needs.Database, found)
	checkPod(facts, needs.Database, found)
	checkKinds(facts, needs, found)
	checkEnforced(facts, needs, found)
	checkRights(facts, needs, found)
	found.warnings.Merge(facts.unread())
}

// findings collects both kinds.
type findings struct {
	blocking, warnings problems.List
}

// list returns the list of blocking problems or that of warnings.
func (f *findings) list(blocks bool) *problems.List {
	if blocks {
		return &f.blocking
	}
	return &f.warnings
}

func (f *findings) all() Findings {
	return Findings{Blocking: f.blocking.All(), Warnings: f.warnings.All()}
}

// isStatus reports whether the API server answered with a status.
func isStatus(err error, code int) bool {
	var answered *live.StatusError
	return errors.As(err, &answered) && answered.Code == code
}

// isForbidden reports whether the user may not ask.
func isForbidden(err error) bool { return isStatus(err, http.StatusForbidden) }
