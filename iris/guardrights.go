package iris

import (
	"fmt"
	"slices"

	admissionv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/admissionregistration/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	rbacv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/rbac/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// nodeLeases is the namespace in which Kubernetes keeps the nodes' heartbeats.
const nodeLeases = "kube-node-lease"

// nodeEvents is the namespace of events of nodes, which are in none themselves.
const nodeEvents = "default"

// grant is what an account may do in a namespace; in an empty one, with objects that have none.
type grant struct {
	// account is the ServiceAccount's name, which is the role's too.
	account   string
	namespace string
	rules     []rule
}

type rule struct {
	group     string
	resources []string
	verbs     []string
	// names restrict it to the objects of these names; none: all.
	names []string
}

// grants are the rights of the guard and of the check in the pod, and no others: agent/README.md has what each is for.
func (c Config) grants() []grant {
	grants := []grant{
		{fenceName, c.Namespace, []rule{
			{"", []string{"pods"}, []string{"get"}, nil},
			{"discovery.k8s.io", []string{"endpointslices"}, []string{"list"}, nil},
		}},
		{guardName, c.Namespace, []rule{
			{"", []string{"pods"}, []string{"list", "delete"}, nil},
			{"", []string{"persistentvolumeclaims"}, []string{"get"}, c.claimNames()},
			{"", []string{"events"}, []string{"create", "patch"}, nil},
			{"coordination.k8s.io", []string{"leases"}, []string{"create"}, nil}, // Of what does not exist no name can be checked.
			{"coordination.k8s.io", []string{"leases"}, []string{"get", "update"}, []string{guardName}},
		}},
		{guardName, nodeLeases, []rule{{"coordination.k8s.io", []string{"leases"}, []string{"list"}, nil}}},
		{guardName, nodeEvents, []rule{{"", []string{"events"}, []string{"create", "patch"}, nil}}},
		{guardName, "", []rule{
			{"", []string{"nodes"}, []string{"get", "list", "patch"}, nil},
			{"", []string{"persistentvolumes"}, []string{"get"}, nil},
			{"storage.k8s.io", []string{"volumeattachments"}, []string{"list", "delete"}, nil},
		}},
	}
	if c.LonghornNamespace != "" {
		grants = append(grants, grant{guardName, c.LonghornNamespace, []rule{
			{"longhorn.io", []string{"nodes"}, []string{"list"}, nil},
			{"longhorn.io", []string{"replicas"}, []string{"list", "patch"}, nil},
			{"longhorn.io", []string{"orphans"}, []string{"list", "delete"}, nil},
		}})
	}
	return grants
}

// guardNamespaces are those in which the accounts have roles.
func (c Config) guardNamespaces() []string {
	if !c.Failover.guarded() {
		return nil
	}
	var namespaces []string
	for _, one := range c.grants() {
		if one.namespace != "" && !slices.Contains(namespaces, one.namespace) {
			namespaces = append(namespaces, one.namespace)
		}
	}
	return namespaces
}

// accountsOf says whose an account's objects are, and how those outside of its namespace are called.
type accountsOf struct {
	component component
	// outside is the name of objects in other namespaces and in none; the database's namespace in it keeps two stacks on a cluster apart.
	outside string
}

func (c Config) guardAccounts() accountsOf { return accountsOf{c.guardComponent(), c.clusterName()} }

// guardRights creates the accounts, what they may do, and the policy that narrows it.
func (s *scope) guardRights(in *namespace, after []pulumi.Resource) ([]pulumi.Resource, error) {
	var made []pulumi.Resource
	for _, name := range []string{fenceName, guardName} {
		account, err := corev1.NewServiceAccount(s.ctx, name, &corev1.ServiceAccountArgs{
			Metadata: in.metadata(s.cfg.guardComponent(), name, nil),
			// Pods that want a token say so.
			AutomountServiceAccountToken: pulumi.Bool(false),
		}, s.options()...)
		if err != nil {
			return nil, creating("ServiceAccount "+name, err)
		}
		made = append(made, account)
	}
	for _, one := range s.cfg.grants() {
		bound, err := s.bind(in, s.cfg.guardAccounts(), one, after)
		if err != nil {
			return nil, err
		}
		made = append(made, bound)
	}
	narrowed, err := s.guardPolicy(in)
	return append(made, narrowed...), err
}

// clusterName is the name of the guard's objects outside of its namespace; the namespace in it keeps two stacks on a cluster apart.
func (c Config) clusterName() string { return "ha-iris-guard-" + c.Namespace }

func (s *scope) bind(in *namespace, of accountsOf, what grant, after []pulumi.Resource) (pulumi.Resource, error) {
	var rules rbacv1.PolicyRuleArray
	for _, one := range what.rules {
		args := &rbacv1.PolicyRuleArgs{
			ApiGroups: pulumi.ToStringArray([]string{one.group}),
			Resources: pulumi.ToStringArray(one.resources),
			Verbs:     pulumi.ToStringArray(one.verbs),
		}
		if one.names != nil {
			args.ResourceNames = pulumi.ToStringArray(one.names)
		}
		rules = append(rules, args)
	}
	subjects := rbacv1.SubjectArray{&rbacv1.SubjectArgs{
		Kind: pulumi.String("ServiceAccount"), Name: pulumi.String(what.account), Namespace: in.name(),
	}}
	if what.namespace == "" {
		return s.bindEverywhere(in, of, what.account, rules, subjects)
	}
	metadata, logical := in.metadata(of.component, what.account, nil), what.account
	if what.namespace != s.cfg.Namespace {
		logical = what.account + "-" + what.namespace
		metadata.Name, metadata.Namespace = pulumi.String(of.outside), pulumi.String(what.namespace)
	}
	role, err := rbacv1.NewRole(s.ctx, logical, &rbacv1.RoleArgs{Metadata: metadata, Rules: rules},
		s.options(pulumi.DependsOn(after))...)
	if err != nil {
		return nil, creating("Role "+logical, err)
	}
	binding, err := rbacv1.NewRoleBinding(s.ctx, logical, &rbacv1.RoleBindingArgs{
		Metadata: metadata, Subjects: subjects, RoleRef: roleRef("Role", role.Metadata.Name().Elem()),
	}, s.options()...)
	return binding, creating("RoleBinding "+logical, err)
}

func (s *scope) bindEverywhere(
	in *namespace, of accountsOf, account string, rules rbacv1.PolicyRuleArray, subjects rbacv1.SubjectArray,
) (pulumi.Resource, error) {
	metadata := &metav1.ObjectMetaArgs{Name: pulumi.String(of.outside), Labels: of.component.labels()}
	role, err := rbacv1.NewClusterRole(s.ctx, account, &rbacv1.ClusterRoleArgs{Metadata: metadata, Rules: rules},
		s.options(pulumi.DependsOn([]pulumi.Resource{in.object}))...)
	if err != nil {
		return nil, creating("ClusterRole "+of.outside, err)
	}
	binding, err := rbacv1.NewClusterRoleBinding(s.ctx, account, &rbacv1.ClusterRoleBindingArgs{
		Metadata: metadata, Subjects: subjects, RoleRef: roleRef("ClusterRole", role.Metadata.Name().Elem()),
	}, s.options()...)
	return binding, creating("ClusterRoleBinding "+of.outside, err)
}

func roleRef(kind string, name pulumi.StringInput) *rbacv1.RoleRefArgs {
	return &rbacv1.RoleRefArgs{ApiGroup: pulumi.String("rbac.authorization.k8s.io"), Kind: pulumi.String(kind), Name: name}
}

// guardMark is the annotation with the guard's record on a node, and the label of the one that has the volume (agent/internal/kube,
// Target.Annotation and Target.Label).
func (c Config) guardMark() string { return "guard.ha-iris/" + c.Namespace }

// guardLabelValue is that label's only value (agent/internal/kube, labelValue).
const guardLabelValue = "volume"

// check is a condition in CEL that every request of the guard for a resource must fulfil.
type check struct {
	resource, expression, message string
}

// guardChecks narrow what RBAC can only give as a whole: a node is changed in one taint, one annotation and one label, a replica in the time at which it
// failed, and nothing is deleted but the database's pods, its driver's attachments and engines that belong to nothing.
func (c Config) guardChecks() []check {
	const ourTaint = `t.key == "node.kubernetes.io/out-of-service" && t.value == "nodeshutdown" && t.effect == "NoExecute"`
	mark := c.guardMark()
	checks := []check{
		{
			"nodes", `object.metadata.?finalizers.orValue([]) == oldObject.metadata.?finalizers.orValue([]) && ` +
				`object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])`,
			"the guard changes no finalizer or owner of a node",
		},
		{
			// It may go, whatever its value was; what is there afterwards has that value, or the one that it had.
			"nodes", unchangedBut("metadata.?labels.orValue({})", fmt.Sprintf(`k == %s && object.metadata.?labels[?k].orValue(%[2]s) == %[2]s`,
				quoted(mark), quoted(guardLabelValue))),
			"of a node's labels the guard changes " + mark + "=" + guardLabelValue + " only",
		},
		{
			"nodes", unchangedBut("metadata.?annotations.orValue({})", "k == "+quoted(mark)),
			"of a node's annotations the guard changes " + mark + " only",
		},
		{"nodes", unchangedBut("spec", `k == "taints"`), "of a node's spec the guard changes the taints only"},
		{
			"nodes", fmt.Sprintf(`object.spec.?taints.orValue([]).all(t, (%[1]s) || t in oldObject.spec.?taints.orValue([])) && `+
				`oldObject.spec.?taints.orValue([]).all(t, (%[1]s) || t in object.spec.?taints.orValue([]))`, ourTaint),
			"of a node's taints the guard changes node.kubernetes.io/out-of-service=nodeshutdown:NoExecute only",
		},
		{
			"pods", `oldObject.metadata.?labels.orValue({}).?app.orValue("") == ` + quoted(deploymentName),
			"the guard deletes the database's pods only",
		},
	}
	if c.LonghornNamespace == "" {
		return checks
	}
	return append(checks,
		check{"volumeattachments", `oldObject.spec.attacher == "driver.longhorn.io"`, "the guard deletes attachments of Longhorn's volumes only"},
		check{"replicas", unchangedBut("spec", `k in ["failedAt", "lastFailedAt", "desireState"]`), "of a replica's spec the guard changes only what says that it has failed"},
		check{"replicas", `object.metadata.?finalizers.orValue([]) == oldObject.metadata.?finalizers.orValue([]) && ` +
			`object.metadata.?labels.orValue({}) == oldObject.metadata.?labels.orValue({})`, "the guard changes no finalizer or label of a replica"},
		check{"orphans", `oldObject.spec.?orphanType.orValue("") == "engine-instance"`, "the guard deletes engines that belong to nothing, and no data"},
	)
}

// unchangedBut is a condition that two maps have the same entries, but for keys k for which the exception holds.
func unchangedBut(path, exception string) string {
	return fmt.Sprintf(`object.%[1]s.all(k, (%[2]s) || (k in oldObject.%[1]s && object.%[1]s[k] == oldObject.%[1]s[k])) && `+
		`oldObject.%[1]s.all(k, (%[2]s) || k in object.%[1]s)`, path, exception)
}

func quoted(text string) string { return `"` + text + `"` } // A namespace's characters need no escapes.

func (s *scope) guardPolicy(in *namespace) ([]pulumi.Resource, error) {
	return s.narrow(in, s.cfg.guardAccounts(), guardName, s.cfg.guardChecks(), narrowedRequests(s.cfg.LonghornNamespace != ""))
}

// narrow makes a policy that holds for one account alone: its condition lets everybody else's requests pass unseen.
func (s *scope) narrow(
	in *namespace, of accountsOf, account string, checks []check, requests admissionv1.NamedRuleWithOperationsArray, after ...pulumi.Resource,
) ([]pulumi.Resource, error) {
	var validations admissionv1.ValidationArray
	for _, one := range checks {
		validations = append(validations, &admissionv1.ValidationArgs{
			Expression: pulumi.String(fmt.Sprintf("request.resource.resource != %q || (%s)", one.resource, one.expression)),
			Message:    pulumi.String(one.message),
		})
	}
	user := fmt.Sprintf("system:serviceaccount:%s:%s", s.cfg.Namespace, account)
	metadata := &metav1.ObjectMetaArgs{Name: pulumi.String(of.outside), Labels: of.component.labels()}
	policy, err := admissionv1.NewValidatingAdmissionPolicy(s.ctx, account, &admissionv1.ValidatingAdmissionPolicyArgs{
		Metadata: metadata,
		Spec: &admissionv1.ValidatingAdmissionPolicySpecArgs{
			FailurePolicy: pulumi.String("Fail"),
			MatchConditions: admissionv1.MatchConditionArray{&admissionv1.MatchConditionArgs{
				Name: pulumi.String("the-" + of.component.name), Expression: pulumi.String(fmt.Sprintf("request.userInfo.username == %q", user)),
			}},
			MatchConstraints: &admissionv1.MatchResourcesArgs{ResourceRules: requests},
			Validations:      validations,
		},
	}, s.options(pulumi.DependsOn(append([]pulumi.Resource{in.object}, after...)))...)
	if err != nil {
		return nil, creating("ValidatingAdmissionPolicy "+of.outside, err)
	}
	binding, err := admissionv1.NewValidatingAdmissionPolicyBinding(s.ctx, account, &admissionv1.ValidatingAdmissionPolicyBindingArgs{
		Metadata: metadata,
		Spec: &admissionv1.ValidatingAdmissionPolicyBindingSpecArgs{
			PolicyName: policy.Metadata.Name().Elem(), ValidationActions: pulumi.ToStringArray([]string{"Deny"}),
		},
	}, s.options()...)
	return []pulumi.Resource{policy, binding}, creating("ValidatingAdmissionPolicyBinding "+of.outside, err)
}

func narrowedRequests(longhorn bool) admissionv1.NamedRuleWithOperationsArray {
	rules := admissionv1.NamedRuleWithOperationsArray{
		requestsOf("", "v1", "UPDATE", "nodes"), requestsOf("", "v1", "DELETE", "pods"),
		requestsOf("storage.k8s.io", "v1", "DELETE", "volumeattachments"),
	}
	if longhorn {
		rules = append(rules, requestsOf("longhorn.io", "v1beta2", "UPDATE", "replicas"), requestsOf("longhorn.io", "v1beta2", "DELETE", "orphans"))
	}
	return rules
}

func requestsOf(group, version, operation string, resources ...string) *admissionv1.NamedRuleWithOperationsArgs {
	return &admissionv1.NamedRuleWithOperationsArgs{
		ApiGroups: pulumi.ToStringArray([]string{group}), ApiVersions: pulumi.ToStringArray([]string{version}),
		Operations: pulumi.ToStringArray([]string{operation}), Resources: pulumi.ToStringArray(resources),
	}
}
