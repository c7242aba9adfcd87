package survey_test

import (
	"testing"

	"ha-iris/internal/survey"
)

// The program itself looks before it makes something, and tidies up after Helm: without these rights the update ends half-way.
func TestRights_IncludeThoseToLookAndToTidyUp(t *testing.T) {
	t.Parallel()
	withMonitor := func(n *survey.Needs) { n.Database.ServiceMonitor = true }
	withAlerts := func(n *survey.Needs) { n.Database.PrometheusRule = true }
	withSnapshots := func(n *survey.Needs) { n.Storage.SnapshotClasses = true }
	withBackups := func(n *survey.Needs) {
		n.Storage.Applied, n.Storage.Changed = []string{"secrets", "recurringjobs.longhorn.io"}, []string{"backuptargets.longhorn.io"}
	}
	for denied, test := range map[string]struct {
		needs  func(*survey.Needs)
		blocks string
	}{
		"get csidrivers.storage.k8s.io":                      {blocks: "may not get csidrivers.storage.k8s.io, want"},
		"get customresourcedefinitions.apiextensions.k8s.io": {blocks: "may not get customresourcedefinitions.apiextensions.k8s.io, want"},
		"get storageclasses.storage.k8s.io":                  {blocks: "may not get storageclasses.storage.k8s.io, want"},
		"get namespaces":                                     {needs: withClass, blocks: "may not get namespaces, want"},
		"get secrets iris":                                   {needs: withClass, blocks: "may not get secrets in iris, want"},
		"get secrets longhorn-system":                        {blocks: "may not get secrets in longhorn-system, want"},
		"list secrets longhorn-system":                       {blocks: "may not list secrets in longhorn-system, want"},
		"delete secrets longhorn-system":                     {blocks: "may not delete secrets in longhorn-system, want"},
		"get daemonsets.apps iris":                           {blocks: "may not get daemonsets.apps in iris, want"},
		"get daemonsets.apps longhorn-system":                {blocks: "may not get daemonsets.apps in longhorn-system, want"},
		"create servicemonitors.monitoring.coreos.com iris":  {needs: withMonitor, blocks: "may not create servicemonitors.monitoring.coreos.com in iris, want"},
		"create prometheusrules.monitoring.coreos.com iris":  {needs: withAlerts, blocks: "may not create prometheusrules.monitoring.coreos.com in iris, want"},
		"create recurringjobs.longhorn.io longhorn-system": {
			needs: withBackups, blocks: "may not create recurringjobs.longhorn.io in longhorn-system, want",
		},
		"patch secrets longhorn-system":                   {needs: withBackups, blocks: "may not patch secrets in longhorn-system, want"},
		"patch backuptargets.longhorn.io longhorn-system": {needs: withBackups, blocks: "may not patch backuptargets.longhorn.io in longhorn-system, want"},
		"patch volumesnapshotclasses.snapshot.storage.k8s.io": {
			needs: withSnapshots, blocks: "may not patch volumesnapshotclasses.snapshot.storage.k8s.io, want",
		},
		// What is not asked for.
		"get volumesnapshotclasses.snapshot.storage.k8s.io": {},
		"create backuptargets.longhorn.io longhorn-system":  {needs: withBackups},
		"get recurringjobs.longhorn.io longhorn-system":     {},
		"get servicemonitors.monitoring.coreos.com iris":    {},
		"get prometheusrules.monitoring.coreos.com iris":    {},
		"delete secrets iris":                               {},
	} {
		a, n := healthy(), needs()
		a.denied = []string{denied}
		if test.needs != nil {
			test.needs(&n)
		}
		a.answers[operatorKinds] = served("servicemonitors", "prometheusrules")
		a.answers[snapshotKinds] = served("volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots")
		found, err := look(t, a, n)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, denied, found.Blocking, test.blocks)
		expect(t, denied, found.Warnings, "")
	}
	// On storage that is there nothing of Longhorn's is looked at.
	a, n := healthy(), needs()
	a.denied = []string{"get csidrivers.storage.k8s.io", "get customresourcedefinitions.apiextensions.k8s.io", "delete secrets longhorn-system"}
	withClass(&n)
	found, err := look(t, a, n)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "class", found.Blocking, "")
}

// An account of the agent's is made with its roles where it gets some, and nothing else is asked for it.
func TestRights_IncludeThoseForTheAgentsAccounts(t *testing.T) {
	t.Parallel()
	guard := func(n *survey.Needs) { n.Database.GuardRoles = []string{"iris", "longhorn-system"} }
	backups := func(n *survey.Needs) { n.Database.BackupRoles = []string{"iris", "longhorn-system"} }
	verifications := func(n *survey.Needs) { n.Database.VerifyRoles = []string{"iris", "longhorn-system"} }
	for _, test := range []struct {
		denied          string
		guard, schedule bool
	}{
		{"create clusterroles.rbac.authorization.k8s.io", true, false},
		{"create validatingadmissionpolicies.admissionregistration.k8s.io", true, true},
		{"patch serviceaccounts iris", true, true},
		{"create roles.rbac.authorization.k8s.io longhorn-system", true, true},
		{"create rolebindings.rbac.authorization.k8s.io iris", true, true},
		{"create cronjobs.batch iris", false, true},
	} {
		for _, one := range []struct {
			needs func(*survey.Needs)
			wants bool
		}{{guard, test.guard}, {backups, test.schedule}, {verifications, test.guard || test.schedule}, {func(*survey.Needs) {}, false}} {
			a, n := healthy(), needs()
			withClass(&n) // Longhorn's chart needs some of the same.
			a.denied = []string{test.denied}
			one.needs(&n)
			found, err := look(t, a, n)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(found.Blocking) > 0; got != one.wants {
				t.Errorf("%s: got %v, want a refusal: %v", test.denied, found.Blocking, one.wants)
			}
		}
	}
}

// What the program itself asks for is asked of the user too, on storage that is there as well.
func TestRights_IncludeWhatTheProgramItselfAsksFor(t *testing.T) {
	t.Parallel()
	for _, installs := range []bool{true, false} {
		for _, of := range []string{"storage", "database"} {
			a, n := healthy(), needs()
			if !installs {
				withClass(&n)
			}
			a.denied = []string{"patch volumes.longhorn.io longhorn-system"}
			asks := survey.Rights("longhorn-system", []string{"get", "patch"}, "volumes.longhorn.io")
			if n.Storage.Asks = asks; of == "database" {
				n.Storage.Asks, n.Database.Asks = nil, asks
			}
			found, err := look(t, a, n)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, of, found.Blocking, "may not patch volumes.longhorn.io in longhorn-system, want")
		}
	}
}

func TestVersion_ThatCannotNarrowTheAgentsAccounts(t *testing.T) {
	t.Parallel()
	for minor, refused := range map[string]bool{"29": true, "30": false} {
		a, n := healthy(), needs()
		a.answers["GET /version"] = object{"major": "1", "minor": minor, "gitVersion": "v1." + minor + ".0"}
		n.Database.GuardRoles, n.Database.BackupRoles, n.Database.VerifyRoles = []string{"iris"}, []string{"iris"}, []string{"iris"}
		found, err := look(t, a, n)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if refused {
			want = "storage.backup.consistent.enabled: got a cluster with Kubernetes v1.29.0, want false, or Kubernetes 1.30 or newer"
			expect(t, "guard", found.Blocking[:1], "failover.mode: got a cluster with Kubernetes v1.29.0, want longhorn, or Kubernetes 1.30 or newer")
			expect(t, "verify", found.Blocking[2:], "storage.backup.verify.enabled: got a cluster with Kubernetes v1.29.0, want false, or Kubernetes 1.30 or newer")
			found.Blocking = found.Blocking[1:2]
		}
		expect(t, minor, found.Blocking, want)
	}
}
