package iris

import (
	"fmt"
	"strings"

	admissionv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/admissionregistration/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// verifyGrants are the rights of agent verify, and no others: agent/README.md has what each is for.
func (c Config) verifyGrants() []grant {
	claims, classes := []string{"persistentvolumeclaims"}, []string{"storageclasses"}
	return []grant{
		{verifyName, c.Namespace, []rule{
			{"apps", []string{"deployments"}, []string{"get"}, []string{deploymentName}},
			{"", []string{"pods"}, []string{"list"}, nil},
			{"", []string{"pods/exec"}, []string{"create"}, nil}, // Not by name, as agent backup's.
			{"", []string{"events"}, []string{"create"}, nil},
			{"", []string{"podtemplates"}, []string{"get"}, []string{copyName}},
			// Of what does not exist no name can be checked: the admission policy does.
			{"", []string{"pods"}, []string{"create"}, nil},
			{"", claims, []string{"create"}, nil},
			{"", []string{"configmaps"}, []string{"create"}, nil},
			{"", []string{"pods"}, []string{"delete"}, []string{copyName}},
			{"", claims, []string{"get", "delete"}, []string{copyName}},
			{"", []string{"configmaps"}, []string{"get", "update"}, []string{verifyName}},
		}},
		{verifyName, c.LonghornNamespace, []rule{{"longhorn.io", []string{"volumes", "backups"}, []string{"list"}, nil}}},
		{verifyName, "", []rule{
			{"storage.k8s.io", classes, []string{"create"}, nil},
			{"storage.k8s.io", classes, []string{"get", "delete"}, []string{c.verifyClass()}},
		}},
	}
}

// verifyNamespaces are those in which the account has roles.
func (c Config) verifyNamespaces() []string {
	if !c.verifies() {
		return nil
	}
	return []string{c.Namespace, c.LonghornNamespace}
}

func (c Config) verifyAccounts() accountsOf {
	return accountsOf{c.verifyComponent(), "ha-iris-verify-" + c.Namespace}
}

// verifyRights creates the account, what it may do, and the policy that narrows it. after are what the roles need; the policy has the image that
// the database runs, which the Deployment has first.
func (s *scope) verifyRights(in *namespace, database pulumi.Resource, after []pulumi.Resource) ([]pulumi.Resource, error) {
	own := s.cfg.verifyAccounts()
	account, err := corev1.NewServiceAccount(s.ctx, verifyName, &corev1.ServiceAccountArgs{
		Metadata: in.metadata(own.component, verifyName, nil),
		// Its pod mounts a token of its own.
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, s.options()...)
	if err != nil {
		return nil, creating("ServiceAccount "+verifyName, err)
	}
	made := []pulumi.Resource{account}
	for _, one := range s.cfg.verifyGrants() {
		bound, err := s.bind(in, own, one, after)
		if err != nil {
			return nil, err
		}
		made = append(made, bound)
	}
	narrowed, err := s.narrow(in, own, verifyName, s.cfg.verifyChecks(), admissionv1.NamedRuleWithOperationsArray{
		requestsOf("", "v1", "CREATE", "pods", "persistentvolumeclaims", "configmaps"), requestsOf("", "v1", "DELETE", "pods", "persistentvolumeclaims"),
		requestsOf("storage.k8s.io", "v1", "CREATE", "storageclasses"), requestsOf("storage.k8s.io", "v1", "DELETE", "storageclasses"),
	}, database)
	return append(made, narrowed...), err
}

// verifyChecks narrow what RBAC can only give as a whole: what is made are the copy's own objects, and its pod is what the PodTemplate has.
func (c Config) verifyChecks() []check {
	marked := func(object string) string {
		return fmt.Sprintf(`%[1]s.metadata.?labels.orValue({})[?"ha-iris/verify"].orValue("") == "copy" && `+
			`%[1]s.metadata.?labels.orValue({})[?"ha-iris/namespace"].orValue("") == %[2]s`, object, quoted(c.Namespace))
	}
	made := func(name string, conditions ...string) string {
		all := append([]string{"object.metadata.?name.orValue(\"\") == " + quoted(name)}, conditions...)
		return `request.operation != "CREATE" || (` + strings.Join(all, " && ") + ")"
	}
	const madeText, deletedText = "agent verify makes the objects of its copy only", "agent verify deletes what it has marked as its copy's only"
	checks := []check{
		{"pods", made(copyName, marked("object"), `object.metadata.labels[?"app"].orValue("") == `+quoted(copyName)), madeText},
		{"pods", made(copyName, c.copyMounts()), "agent verify mounts what its copy's template does only"},
		{"pods", made(copyName, c.copyRuns()...), "agent verify runs what its copy's template does only"},
		{"persistentvolumeclaims", made(copyName, marked("object"), `object.spec.?storageClassName.orValue("") == `+quoted(c.verifyClass()),
			`!has(object.spec.dataSource) && !has(object.spec.dataSourceRef) && !has(object.spec.volumeName)`), madeText},
		{"storageclasses", made(c.verifyClass(), marked("object"), `object.provisioner == "driver.longhorn.io"`,
			`object.?reclaimPolicy.orValue("") == "Delete"`, `object.?parameters.orValue({})[?"numberOfReplicas"].orValue("") == "1"`,
			// A class that says so is the default of all claims of the cluster, and other parameters have Longhorn fetch data from an address or read Secrets.
			`object.?parameters.orValue({}).all(k, k in ["fromBackup", "numberOfReplicas", "dataLocality", "staleReplicaTimeout", "fsType"])`,
			`!object.metadata.?annotations.orValue({}).exists(k, k.endsWith("/is-default-class")) && !has(object.mountOptions)`), madeText},
		{"configmaps", made(verifyName), "agent verify makes one ConfigMap, " + verifyName},
	}
	for _, resource := range []string{"pods", "persistentvolumeclaims", "storageclasses"} {
		checks = append(checks, check{resource, `request.operation != "DELETE" || (` + marked("oldObject") + ")", deletedText})
	}
	return checks
}
