package iris

import (
	"fmt"

	admissionv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/admissionregistration/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// backupGrants are the rights of agent backup, and no others: agent/README.md has what each is for.
func (c Config) backupGrants() []grant {
	return []grant{
		{backupName, c.Namespace, []rule{
			{"apps", []string{"deployments"}, []string{"get"}, []string{deploymentName}},
			{"", []string{"pods"}, []string{"list"}, nil},
			// Not by name: that of the database's pod is generated. So it is every pod of the namespace, the guards' too, which have no shell.
			{"", []string{"pods/exec"}, []string{"create"}, nil},
			{"", []string{"events"}, []string{"create"}, nil},
		}},
		{backupName, c.LonghornNamespace, []rule{
			{"longhorn.io", []string{"volumes"}, []string{"list"}, nil},
			{"longhorn.io", []string{"backuptargets"}, []string{"get"}, nil},
			{"longhorn.io", []string{"snapshots", "backups"}, []string{"get", "list", "create", "delete"}, nil},
		}},
	}
}

// backupNamespaces are those in which the account has roles.
func (c Config) backupNamespaces() []string {
	if !c.backsUp() {
		return nil
	}
	return []string{c.Namespace, c.LonghornNamespace}
}

func (c Config) backupAccounts() accountsOf {
	return accountsOf{c.backupComponent(), "ha-iris-backup-" + c.Namespace}
}

// backupRights creates the account, what it may do, and the policy that narrows it.
func (s *scope) backupRights(in *namespace, after []pulumi.Resource) ([]pulumi.Resource, error) {
	own := s.cfg.backupAccounts()
	account, err := corev1.NewServiceAccount(s.ctx, backupName, &corev1.ServiceAccountArgs{
		Metadata: in.metadata(own.component, backupName, nil),
		// Its pod mounts a token of its own.
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, s.options()...)
	if err != nil {
		return nil, creating("ServiceAccount "+backupName, err)
	}
	made := []pulumi.Resource{account}
	for _, one := range s.cfg.backupGrants() {
		bound, err := s.bind(in, own, one, after)
		if err != nil {
			return nil, err
		}
		made = append(made, bound)
	}
	narrowed, err := s.narrow(in, own, backupName, s.cfg.backupChecks(), admissionv1.NamedRuleWithOperationsArray{
		requestsOf("longhorn.io", "v1beta2", "CREATE", "snapshots", "backups"), requestsOf("longhorn.io", "v1beta2", "DELETE", "snapshots", "backups"),
	})
	return append(made, narrowed...), err
}

// backupChecks narrow what RBAC can only give as a whole: only what has the marks of this database's backups is made or deleted. Longhorn's
// recurring backups have none of them, nor have those of other stacks.
func (c Config) backupChecks() []check {
	marked := func(labels string) string {
		return fmt.Sprintf(`(%[1]s[?"ha-iris/backup"].orValue("") == "consistent" && %[1]s[?"ha-iris/namespace"].orValue("") == %[2]s)`, labels,
			quoted(c.Namespace))
	}
	const meta, stored = "metadata.?labels.orValue({})", "?status.?labels.orValue({})"
	const made, deleted = "agent backup makes only what it marks as this database's", "agent backup deletes only what it has marked as this database's"
	// Of a backup that Longhorn has read from its target again only what is stored in it has the marks.
	return []check{
		{"snapshots", `request.operation != "CREATE" || ` + marked("object."+meta), made},
		{"backups", `request.operation != "CREATE" || ` + marked("object."+meta), made},
		{"snapshots", `request.operation != "DELETE" || ` + marked("oldObject."+meta), deleted},
		{"backups", `request.operation != "DELETE" || ` + marked("oldObject."+meta) + " || " + marked("oldObject."+stored), deleted},
	}
}
