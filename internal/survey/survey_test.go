package survey_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/live"
	"ha-iris/internal/survey"
)

type object = map[string]any

// diskLabel is a driver's label of the nodes that it uses.
const diskLabel = "driver.example.com/disk"

// api is an API server that answers what it is told to.
type api struct {
	mu sync.Mutex
	// answers are objects, or errors, by method and path without query.
	answers map[string]any
	// denied are the rights that the user does not have, as "VERB RESOURCE.GROUP NAMESPACE".
	denied []string
	posted object
	asked  []string
}

// failure is an answer that is a Status.
type failure struct {
	code    int
	message string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := r.Method + " " + r.URL.Path
	a.asked = append(a.asked, key)
	body, _ := io.ReadAll(r.Body)
	if strings.HasSuffix(key, "selfsubjectaccessreviews") {
		a.review(w, body)
		return
	}
	if r.Method == http.MethodPost && r.URL.RawQuery != "dryRun=All" {
		a.answers[key] = failure{599, "something would have been made: " + key}
	}
	if r.Method == http.MethodPost {
		_ = json.Unmarshal(body, &a.posted)
	}
	answer, found := a.answers[key]
	if !found {
		answer = failure{404, "not found"}
	}
	if failed, is := answer.(failure); is {
		w.WriteHeader(failed.code)
		answer = object{"kind": "Status", "message": failed.message}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *api) review(w http.ResponseWriter, body []byte) {
	var review struct {
		Spec struct {
			ResourceAttributes struct{ Verb, Group, Resource, Namespace string }
		}
	}
	_ = json.Unmarshal(body, &review)
	r := review.Spec.ResourceAttributes
	name := strings.TrimSpace(strings.TrimSuffix(r.Verb+" "+r.Resource+"."+r.Group, ".") + " " + r.Namespace)
	if r.Group == "" && r.Namespace != "" {
		name = r.Verb + " " + r.Resource + " " + r.Namespace
	}
	allowed := !slices.Contains(a.denied, name) && (r.Verb != "*" || len(a.denied) == 0)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(object{"status": object{"allowed": allowed}})
}

const (
	nodes      = "GET /api/v1/nodes"
	classes    = "GET /apis/storage.k8s.io/v1/storageclasses"
	namespace  = "GET /api/v1/namespaces/iris"
	deployment = "GET /apis/apps/v1/namespaces/iris/deployments/iris"
	claim      = "GET /api/v1/namespaces/iris/persistentvolumeclaims/iris-pvc"
	quotas     = "GET /api/v1/namespaces/iris/resourcequotas"
	limits     = "GET /api/v1/namespaces/iris/limitranges"
	autoscaler = "GET /api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"
	trial      = "POST /api/v1/namespaces/iris/pods"
)

func node(name string, change ...func(object)) object {
	n := object{
		"metadata": object{"name": name, "labels": object{
			"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": "zone-" + name,
		}},
		"spec": object{},
		"status": object{
			"allocatable": object{"cpu": "3920m", "memory": "15Gi", "ephemeral-storage": "100Gi"}, "capacity": object{"cpu": "4"},
		},
	}
	for _, apply := range change {
		apply(n)
	}
	return n
}

func set(value any, path ...string) func(object) {
	return func(n object) {
		for _, key := range path[:len(path)-1] {
			n = n[key].(object)
		}
		n[path[len(path)-1]] = value
	}
}

func taint(key, effect string) func(object) {
	return set([]object{{"key": key, "effect": effect}}, "spec", "taints")
}

func items(all ...object) object { return object{"metadata": object{}, "items": all} }

func three(change ...func(object)) object {
	return items(node("a", change...), node("b", change...), node("c", change...))
}

// healthy is a cluster that the stack of needs can be installed on.
func healthy() *api {
	return &api{answers: map[string]any{
		"GET /version": object{"major": "1", "minor": "33", "gitVersion": "v1.33.2"},
		nodes:          three(), classes: items(class("fast", nil)), quotas: items(), limits: items(),
	}}
}

func class(name string, change func(object)) object {
	c := object{
		"metadata": object{"name": name}, "provisioner": "rook-ceph.rbd.csi.ceph.com", "reclaimPolicy": "Retain", "allowVolumeExpansion": true,
	}
	if change != nil {
		change(c)
	}
	return c
}

func needs() survey.Needs {
	resources := func(cpu, memory string) object {
		amounts := object{"cpu": cpu, "memory": memory, "ephemeral-storage": "1Gi"}
		return object{"resources": object{"requests": amounts, "limits": amounts}}
	}
	return survey.Needs{
		Storage: survey.Storage{
			Install: true, ClassName: "longhorn-iris", Driver: "Longhorn", Replicas: 3,
			Namespace: "longhorn-system", Objects: []string{"secrets", "jobs.batch", "daemonsets.apps"},
			ClusterObjects: []string{"customresourcedefinitions.apiextensions.k8s.io"},
			Signs:          []string{"csidrivers.storage.k8s.io"}, Tidied: []string{"secrets"},
		},
		Database: survey.Database{
			Namespace: "iris", GuardMark: "guard.ha-iris/iris", Deployment: "iris", Claim: "iris-pvc", PriorityClass: "ha-iris-iris", VolumeBytes: 20 << 30, OncePerPod: true,
			MaxCores: 20, LoadBalancers: 1, NodePorts: 2,
			Pod: object{"metadata": object{"labels": object{"app": "iris"}}, "spec": object{
				"initContainers": []object{resources("2", "64Mi")}, "containers": []object{resources("1", "4Gi"), resources("100m", "256Mi")},
			}},
			PerNode: []map[string]any{object{"spec": object{"containers": []object{resources("5m", "16Mi")}}}},
		},
	}
}

// withClass are the needs of a stack on storage that is there.
func withClass(n *survey.Needs) {
	n.Storage = survey.Storage{ClassName: "fast"}
}

func onArm(n *survey.Needs) {
	n.Database.Pod["spec"].(object)["nodeSelector"] = object{"kubernetes.io/arch": "arm64"}
}

func look(t *testing.T, a *api, n survey.Needs) (survey.Findings, error) {
	t.Helper()
	server := httptest.NewServer(a)
	defer server.Close()
	config := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL}, kubeconfig.User{Token: "hunter2"})
	client, err := config.Client()
	if err != nil {
		t.Fatal(err)
	}
	cluster := &live.Cluster{}
	cluster.Use("text", client)
	return survey.Look(t.Context(), cluster, n)
}

// exists is what a stack that runs has.
func exists(a *api) {
	a.answers[namespace], a.answers[deployment], a.answers[trial] = object{}, object{}, object{}
	a.answers[claim] = object{"status": object{"phase": "Bound"}}
}

// One case for each finding, in which it alone speaks, and one for each reason to be silent.
func TestEachFinding_SpeaksAlone(t *testing.T) {
	t.Parallel()
	answers := func(key string, answer any) func(*api) { return func(a *api) { a.answers[key] = answer } }
	both := func(changes ...func(*api)) func(*api) {
		return func(a *api) {
			for _, change := range changes {
				change(a)
			}
		}
	}
	quota := func(spec object, hard, used object) func(*api) {
		return answers(quotas, items(object{"metadata": object{"name": "team"}, "spec": spec, "status": object{"hard": hard, "used": used}}))
	}
	scoped := func(operator, class string) object {
		return object{"scopeSelector": object{"matchExpressions": []object{{"scopeName": "PriorityClass", "operator": operator, "values": []string{class}}}}}
	}
	limit := func(kind string, bounds object) func(*api) {
		bounds["type"] = kind
		return answers(limits, items(object{"metadata": object{"name": "bounds"}, "spec": object{"limits": []object{bounds}}}))
	}
	fast := func(change func(object)) func(*api) { return answers(classes, items(class("fast", change))) }
	refused := func(code int, message string) func(*api) {
		return both(answers(namespace, object{}), answers(trial, failure{code, message}))
	}
	few := items(node("a"), node("b"))
	marked := func(marks object) object {
		one := node("a")
		set(marks, "metadata", "annotations")(one)
		return items(one, node("b"), node("c"))
	}
	for name, test := range map[string]struct {
		cluster func(*api)
		needs   func(*survey.Needs)
		blocks  string // Empty: nothing does.
		warns   string
	}{
		"healthy":                {cluster: func(*api) {}},
		"healthy and running":    {cluster: exists},
		"healthy, own class":     {cluster: func(*api) {}, needs: withClass},
		"version":                {cluster: answers("GET /version", object{"major": "1", "minor": "28+", "gitVersion": "v1.28.9-gke.1"}), blocks: "got a cluster with Kubernetes v1.28.9-gke.1, want 1.29 or newer"},
		"version, just so":       {cluster: answers("GET /version", object{"major": "1", "minor": "29+", "gitVersion": "v1.29.0"})},
		"version of the future":  {cluster: answers("GET /version", object{"major": "2", "minor": "0", "gitVersion": "v2.0.0"})},
		"version without number": {cluster: answers("GET /version", object{"gitVersion": "fork"})},

		"no nodes":                {cluster: answers(nodes, items()), needs: withClass, blocks: "got a cluster without a Linux node, want three"},
		"windows":                 {cluster: answers(nodes, three(set("windows", "metadata", "labels", "kubernetes.io/os"))), needs: withClass, blocks: "without a Linux node"},
		"architecture":            {cluster: func(*api) {}, needs: onArm, blocks: "iris.architecture: got arm64, want that of the cluster's nodes: amd64"},
		"architecture, running":   {cluster: exists, needs: onArm, warns: "iris.architecture: got arm64"},
		"taints":                  {cluster: answers(nodes, three(taint("dedicated", "NoSchedule"))), needs: withClass, blocks: "got 3 nodes, all of which keep other pods away (taints dedicated)"},
		"nodes that are down":     {cluster: answers(nodes, three(taint("node.kubernetes.io/unreachable", "NoExecute")))},
		"nodes that are cordoned": {cluster: answers(nodes, three(taint("node.kubernetes.io/unschedulable", "NoSchedule")))},
		"taint, half-hearted":     {cluster: answers(nodes, three(taint("dedicated", "PreferNoSchedule")))},
		"taint, tolerated": {
			cluster: answers(nodes, three(taint("dedicated", "NoSchedule"))),
			needs: func(n *survey.Needs) {
				withClass(n)
				n.Database.Pod["spec"].(object)["tolerations"] = []object{{"key": "dedicated", "operator": "Exists"}}
			},
		},
		"marks of the guard": {
			cluster: answers(nodes, marked(object{"guard.ha-iris/iris": `{"tainted":true}`})),
			warns: "failover.mode: got no guard that acts, while node a has the marks of one, want guard until the node is back, or, once the node is in " +
				"order or its machine gone: kubectl taint node a node.kubernetes.io/out-of-service-; kubectl annotate node a guard.ha-iris/iris-",
		},
		"marks without a taint": {
			cluster: answers(nodes, marked(object{"guard.ha-iris/iris": `{"tainted":false}`})),
			warns:   "or its machine gone: kubectl annotate node a guard.ha-iris/iris-",
		},
		"marks, and the guard acts": {
			cluster: answers(nodes, marked(object{"guard.ha-iris/iris": `{}`})),
			needs:   func(n *survey.Needs) { n.Database.GuardMark = "" },
		},
		"marks of another stack's guard": {cluster: answers(nodes, marked(object{"guard.ha-iris/other": `{}`}))},
		"memory":                         {cluster: answers(nodes, three(set("4Gi", "status", "allocatable", "memory"))), blocks: "iris.memory: got 4.2Gi of memory for the whole pod, want at most 4Gi, which is all that the largest of 3 nodes (a)"},
		"cores":                          {cluster: answers(nodes, three(set("1900m", "status", "allocatable", "cpu"))), blocks: "iris.cpu: got 2 of cpu for the whole pod, want at most 1.9"},
		"temporary storage":              {cluster: answers(nodes, three(set("1Gi", "status", "allocatable", "ephemeral-storage"))), blocks: "got 2Gi of ephemeral-storage"},
		"memory, running":                {cluster: both(exists, answers(nodes, three(set("4Gi", "status", "allocatable", "memory")))), warns: "iris.memory: got 4.2Gi"},
		"memory, growing":                {cluster: both(answers(autoscaler, object{}), answers(nodes, three(set("4Gi", "status", "allocatable", "memory")))), warns: "iris.memory: got 4.2Gi"},
		"memory, karpenter":              {cluster: answers(nodes, three(set("4Gi", "status", "allocatable", "memory"), set("pool", "metadata", "labels", "karpenter.sh/nodepool"))), warns: "iris.memory: got 4.2Gi"},
		"many nodes":                     {cluster: answers(nodes, object{"metadata": object{"continue": "more"}, "items": []object{node("a")}})},
		"many nodes, small": {
			cluster: answers(nodes, object{"metadata": object{"continue": "more"}, "items": []object{node("a", set("4Gi", "status", "allocatable", "memory"))}}),
			warns:   "iris.memory: got 4.2Gi",
		},
		"community":           {cluster: answers(nodes, three(set("32", "status", "capacity", "cpu"))), blocks: "iris.edition: got community on nodes with more than 20 cores"},
		"community, running":  {cluster: both(exists, answers(nodes, three(set("32", "status", "capacity", "cpu")))), warns: "iris.edition: got community"},
		"community, just":     {cluster: answers(nodes, three(set("20", "status", "capacity", "cpu")))},
		"licensed":            {cluster: answers(nodes, three(set("32", "status", "capacity", "cpu"))), needs: func(n *survey.Needs) { n.Database.MaxCores = 0 }},
		"one large enough":    {cluster: answers(nodes, items(node("a"), node("b", set("4Gi", "status", "allocatable", "memory")), node("c", set("24", "status", "capacity", "cpu")))), warns: "got 1 of 3 nodes that the database can run on, want 3"},
		"two nodes":           {cluster: answers(nodes, few), needs: withClass, warns: "got 2 of 2 nodes that the database can run on"},
		"one zone":            {cluster: answers(nodes, three(set("z1", "metadata", "labels", "topology.kubernetes.io/zone"))), warns: "got nodes in one zone only (z1), want three"},
		"zones that none has": {cluster: answers(nodes, three(set("", "metadata", "labels", "topology.kubernetes.io/zone")))},

		"replicas": {
			cluster: func(*api) {}, needs: func(n *survey.Needs) { n.Storage.Replicas = 4 },
			blocks: "storage.replicas: got 4, want at most 3, the number of nodes that Longhorn can use, or more nodes",
		},
		"replicas, claim waits":   {cluster: both(exists, answers(claim, object{"status": object{"phase": "Pending"}})), needs: func(n *survey.Needs) { n.Storage.Replicas = 4 }, blocks: "storage.replicas: got 4"},
		"replicas, running":       {cluster: exists, needs: func(n *survey.Needs) { n.Storage.Replicas = 4 }, warns: "storage.replicas: got 4"},
		"replicas, growing":       {cluster: answers(autoscaler, object{}), needs: func(n *survey.Needs) { n.Storage.Replicas = 4 }, warns: "storage.replicas: got 4"},
		"replicas, degraded":      {cluster: func(*api) {}, needs: func(n *survey.Needs) { n.Storage.Replicas, n.Storage.FewerNodes = 4, true }, warns: "storage.replicas: got 4"},
		"replicas and labels":     {cluster: answers(nodes, items(node("a", set("true", "metadata", "labels", diskLabel)), node("b"), node("c"))), needs: func(n *survey.Needs) { n.Storage.NodeLabel, n.Storage.NodeLabelValues = diskLabel, []string{"true"} }, blocks: "at most 1, the number of nodes that Longhorn can use, or more nodes: each replica needs a node of its own, and Longhorn makes no volume with fewer replicas; it uses nodes with the label"},
		"replicas, tainted":       {cluster: answers(nodes, items(node("a"), node("b"), node("c"), node("d"), node("control", taint("node-role.kubernetes.io/control-plane", "NoSchedule")))), needs: func(n *survey.Needs) { n.Storage.Replicas = 5 }, blocks: "storage.replicas: got 5, want at most 4"},
		"replicas, taint allowed": {cluster: answers(nodes, items(node("a"), node("b"), node("c"), node("control", taint("control", "NoSchedule")))), needs: func(n *survey.Needs) { n.Storage.Replicas, n.Storage.TaintedNodes = 4, true }},
		"replicas elsewhere":      {cluster: func(*api) {}, needs: func(n *survey.Needs) { withClass(n); n.Storage.Replicas = 9 }},

		"class":                 {cluster: answers(classes, items(class("b", nil), class("a", nil))), needs: withClass, blocks: `storage.className: got "fast", want one of a, b`},
		"no class":              {cluster: answers(classes, items()), needs: withClass, blocks: "the cluster has none"},
		"class, running":        {cluster: both(exists, answers(classes, items())), needs: withClass, warns: `storage.className: got "fast"`},
		"class to come":         {cluster: answers(classes, items())},
		"class cannot grow":     {cluster: fast(func(c object) { delete(c, "allowVolumeExpansion") }), needs: withClass, warns: "got fast, whose volumes cannot grow"},
		"class deletes":         {cluster: fast(set("Delete", "reclaimPolicy")), needs: withClass, warns: "got fast, which deletes a volume with its claim"},
		"class on a node":       {cluster: fast(set("rancher.io/local-path", "provisioner")), needs: withClass, warns: "keeps a volume on one node (rancher.io/local-path), want replicated storage: the database starts on no other node, and is lost with this one; if the claim stays Pending"},
		"class on a node, once": {cluster: fast(set("topolvm.io", "provisioner")), needs: func(n *survey.Needs) { withClass(n); n.Database.OncePerPod = false }, warns: "and is lost with this one"},
		"class of files":        {cluster: fast(set("rook-ceph.cephfs.csi.ceph.com", "provisioner")), needs: withClass, warns: "which is a file share"},
		"class in the tree":     {cluster: fast(set("kubernetes.io/vsphere-volume", "provisioner")), needs: withClass, warns: "iris.accessMode: got ReadWriteOncePod with the provisioner kubernetes.io/vsphere-volume"},

		"quota": {
			cluster: quota(nil, object{"requests.memory": "6Gi"}, object{"requests.memory": "2Gi"}),
			blocks:  "iris.namespace: got iris, whose quota team leaves 4Gi of requests.memory (2Gi used of 6Gi), want 4.2Gi",
		},
		"quota that suffices":     {cluster: quota(nil, object{"memory": "5Gi", "limits.cpu": "3", "pods": "4", "requests.storage": "20Gi", "services.loadbalancers": "1"}, object{})},
		"quota of limits":         {cluster: quota(nil, object{"limits.memory": "4Gi"}, object{}), blocks: "leaves 4Gi of limits.memory"},
		"quota of pods":           {cluster: quota(nil, object{"pods": "3"}, object{}), blocks: "leaves 3 of pods (0 used of 3), want 4"},
		"quota of load balancers": {cluster: quota(nil, object{"services.loadbalancers": "0"}, object{}), blocks: "leaves 0 of services.loadbalancers"},
		"quota of storage":        {cluster: quota(nil, object{"longhorn-iris.storageclass.storage.k8s.io/requests.storage": "10Gi"}, object{}), blocks: "leaves 10Gi of longhorn-iris"},
		"quota, in use by us":     {cluster: both(exists, quota(nil, object{"memory": "5Gi", "requests.storage": "20Gi"}, object{"memory": "5Gi", "requests.storage": "20Gi"}))},
		"quota, too small ever":   {cluster: both(exists, quota(nil, object{"memory": "4Gi"}, object{"memory": "3Gi"})), blocks: "leaves 4Gi of memory (3Gi used of 4Gi)"},
		"quota, our volume":       {cluster: both(answers(claim, object{"status": object{"phase": "Bound"}}), quota(nil, object{"requests.storage": "20Gi"}, object{"requests.storage": "20Gi"}))},
		"quota of priority":       {cluster: quota(scoped("In", "ha-iris-iris"), object{"pods": "0"}, object{}), blocks: "leaves 0 of pods (0 used of 0), want 1"},
		"quota of another":        {cluster: quota(scoped("In", "other"), object{"pods": "0"}, object{})},
		"quota of all others":     {cluster: quota(scoped("NotIn", "ha-iris-iris"), object{"pods": "3"}, object{})},
		"quota of best effort":    {cluster: quota(object{"scopes": []string{"BestEffort"}}, object{"pods": "0"}, object{})},
		"quota of terminating":    {cluster: quota(object{"scopes": []string{"Terminating"}}, object{"cpu": "0"}, object{})},
		"quota of lasting pods":   {cluster: quota(object{"scopes": []string{"NotTerminating", "NotBestEffort"}}, object{"cpu": "1"}, object{}), blocks: "leaves 1 of cpu (0 used of 1), want 2.015"},

		"limit of a volume":  {cluster: limit("PersistentVolumeClaim", object{"max": object{"storage": "10Gi"}}), blocks: "iris.size: got 20Gi, want at most 10Gi, as the limit range bounds of namespace iris has it"},
		"least of a volume":  {cluster: limit("PersistentVolumeClaim", object{"min": object{"storage": "50Gi"}}), blocks: "iris.size: got 20Gi, want at least 50Gi"},
		"limit, our volume":  {cluster: both(exists, limit("PersistentVolumeClaim", object{"max": object{"storage": "10Gi"}}))},
		"limit of something": {cluster: limit("Container", object{"max": object{"memory": "1Gi"}})},

		"policy": {
			cluster: refused(403, `pods "ha-iris-survey" is forbidden: violates PodSecurity "restricted:latest": seccompProfile`),
			blocks:  `iris.namespace: got iris, which refuses the database's pod, want one that takes it: pods "ha-iris-survey" is forbidden: violates PodSecurity`,
		},
		"policy, running":        {cluster: both(exists, refused(422, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no")), warns: "denied request: no"},
		"webhook without trials": {cluster: refused(400, `admission webhook "w" does not support dry run`), warns: `got no answer to whether iris takes the database's pod, want one: admission webhook "w"`},
		"webhook that is down":   {cluster: refused(500, `failed calling webhook "w": connection refused`), warns: `failed calling webhook "w"`},
		"busy server":            {cluster: refused(429, "too many requests"), warns: "too many requests"},
		"no right to pods":       {cluster: refused(403, `pods is forbidden: User "u" cannot create resource "pods" in API group ""`)},
		"a new namespace":        {cluster: refused(403, `pods "x" is forbidden: error looking up service account iris/default: serviceaccount "default" not found`)},
		"quota of the pod":       {cluster: both(exists, refused(403, `pods "x" is forbidden: exceeded quota: team, requested: memory=4Gi`))},

		"rights": {cluster: func(a *api) {
			a.denied = []string{"create customresourcedefinitions.apiextensions.k8s.io", "patch secrets iris"}
		}, blocks: "got a user who may not create customresourcedefinitions.apiextensions.k8s.io, patch secrets in iris, want one who may"},
		"rights, running":      {cluster: func(a *api) { exists(a); a.denied = []string{"patch secrets iris"} }, warns: "got a user who may not patch secrets in iris"},
		"rights not needed":    {cluster: func(a *api) { a.denied = []string{"create clusterroles.rbac.authorization.k8s.io"} }, needs: withClass},
		"right to a namespace": {cluster: func(a *api) { a.denied = []string{"create namespaces"} }, needs: withClass, blocks: "may not create namespaces"},
		"namespace is there":   {cluster: func(a *api) { a.answers[namespace] = object{}; a.denied = []string{"create namespaces"} }, needs: withClass},

		"forbidden": {cluster: both(answers(nodes, failure{403, "nodes is forbidden"}), answers(quotas, failure{403, "no"})), warns: "could not look at nodes, resource quotas, and so did not check it: the kubeconfig's user may not"},
		"failing":   {cluster: both(answers(nodes, failure{403, "no"}), answers(classes, failure{503, "etcd is down"})), warns: "could not look at storage classes, nodes, and so did not check it: GET /apis/storage.k8s.io/v1/storageclasses: etcd is down"},
		// Whether the database runs is not known: nothing may keep it from an update.
		"unknown": {cluster: both(answers(deployment, failure{403, "no"}), answers(claim, failure{403, "no"})), needs: func(n *survey.Needs) { onArm(n) }, warns: "iris.architecture: got arm64\nits deployment, its claim"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, n := healthy(), needs()
			test.cluster(a)
			if test.needs != nil {
				test.needs(&n)
			}
			found, err := look(t, a, n)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "blocking", found.Blocking, test.blocks)
			expect(t, "warnings", found.Warnings, test.warns)
		})
	}
}

// expect checks that exactly the wanted findings were made, one a line.
func expect(t *testing.T, kind string, got []error, want string) {
	t.Helper()
	wanted := strings.Split(want, "\n")
	if want == "" {
		wanted = nil
	}
	if len(got) != len(wanted) {
		t.Errorf("%s: got %v, want %q", kind, got, wanted)
		return
	}
	for i, text := range wanted {
		if !strings.Contains(got[i].Error(), text) || strings.Contains(got[i].Error(), "\n") {
			t.Errorf("%s: got %v, want %q", kind, got[i], text)
		}
	}
}

func TestAllFindings_ComeAtOnce(t *testing.T) {
	t.Parallel()
	a, n := healthy(), needs()
	a.answers["GET /version"] = object{"major": "1", "minor": "27", "gitVersion": "v1.27.0"}
	a.answers[nodes] = items(node("a", set("1Gi", "status", "allocatable", "memory")))
	a.denied = []string{"create namespaces"}
	found, err := look(t, a, n)
	if err != nil || len(found.Blocking) != 4 {
		t.Errorf("got %v, %v", found.Blocking, err)
	}
}

// The trial must be the database's own pod, or a policy judges something else.
func TestTheTrial_IsTheDatabasesPod(t *testing.T) {
	t.Parallel()
	a, n := healthy(), needs()
	exists(a)
	if _, err := look(t, a, n); err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(n.Database.Pod["spec"])
	got, _ := json.Marshal(a.posted["spec"])
	meta, _ := a.posted["metadata"].(object)
	if string(got) != string(want) || meta["name"] != "ha-iris-survey" || meta["namespace"] != "iris" || fmt.Sprint(meta["labels"]) != "map[app:iris]" {
		t.Errorf("got %v", a.posted)
	}
}

// An administrator is asked one question about rights, everybody else one for each.
func TestRights_AreAskedSparingly(t *testing.T) {
	t.Parallel()
	a := healthy()
	if _, err := look(t, a, needs()); err != nil {
		t.Fatal(err)
	}
	reviews := 0
	for _, key := range a.asked {
		if strings.HasSuffix(key, "selfsubjectaccessreviews") {
			reviews++
		}
	}
	// A pod that is tried where there is no namespace costs 50 ms.
	if reviews != 1 || len(a.asked) != 10 || slices.Contains(a.asked, trial) {
		t.Errorf("asked %d times for rights, %d times in all: %q", reviews, len(a.asked), a.asked)
	}
}

func TestCredentialsThatAreRefused_AreAnError(t *testing.T) {
	t.Parallel()
	a := healthy()
	for key := range a.answers {
		a.answers[key] = failure{401, "Unauthorized"}
	}
	if _, err := look(t, a, needs()); err == nil || !strings.Contains(err.Error(), "refuses the credentials (401 Unauthorized)") {
		t.Errorf("got %v", err)
	}
}

func TestCredentialsThatNobodyBrings_AreSaid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		user        kubeconfig.User
		warns, fail string
	}{
		"renew": {
			user: kubeconfig.User{AuthProvider: &kubeconfig.AuthProvider{Name: "oidc", Config: map[string]string{
				"idp-issuer-url": "https://127.0.0.1:1", "client-id": "c", "refresh-token": "hunter2",
			}}},
			warns: "the cluster was not looked at: the id-token in the kubeconfig has expired, and only kubectl may renew it: run kubectl --context here version",
		},
		"plugin fails": {
			user: kubeconfig.User{Exec: &kubeconfig.Exec{Command: "false", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: "Never"}},
			fail: "its kubeconfig cannot be used: credential plugin false: exit status 1",
		},
	} {
		client, err := kubeconfig.New("here", kubeconfig.Cluster{Server: "http://127.0.0.1:1"}, test.user).Client()
		if err != nil {
			t.Fatal(err)
		}
		cluster := &live.Cluster{}
		cluster.Use("text", client)
		found, err := survey.Look(t.Context(), cluster, needs())
		if (test.fail == "") != (err == nil) || (err != nil && err.Error() != test.fail) {
			t.Errorf("%s: got %v", name, err)
		}
		expect(t, name, found.Warnings, test.warns)
	}
}
