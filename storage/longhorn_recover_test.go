package storage

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"ha-iris/internal/guard"
)

const otherStack = "org/project/other"

// kept is a Helm record in a table.
type kept struct {
	status, owner string
	age           time.Duration
}

// recovery is what Helm's records are when a run begins, and what has to become of them.
type recovery struct {
	records   []kept
	mark      string // the recorded inputs', if it is not that of the stack
	forgotten []string
	refused   []string
	waits     bool
}

// old is an age at which nobody is at work any more.
const old = time.Hour

func TestRelease_RecoversWhatAKilledInstallLeaves(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]recovery{
		"nothing there":                     {},
		"install, killed":                   {records: []kept{{statusPendingInstall, ours, old}}, forgotten: []string{"v1"}},
		"install, killed just now":          {records: []kept{{statusPendingInstall, ours, time.Second}}, forgotten: []string{"v1"}, waits: true},
		"install, stopped":                  {records: []kept{{statusFailed, ours, old}}, forgotten: []string{"v1"}},
		"install of another stack":          {records: []kept{{statusPendingInstall, otherStack, old}}, refused: []string{otherStack, "storage.install", forgetCommand}},
		"install of somebody":               {records: []kept{{statusDeployed, "", old}}, refused: []string{"revision 1 (deployed)", "storage.install", forgetCommand}},
		"install of somebody, young":        {records: []kept{{statusPendingInstall, "", time.Second}}, refused: []string{forgetCommand}},
		"done, but killed before the state": {records: []kept{{statusDeployed, ours, old}}, refused: []string{ours, "storage.version 1.12.1", forgetCommand}},
		"state lost after upgrades": {
			records: []kept{{statusSuperseded, ours, old}, {statusDeployed, ours, old}}, refused: []string{"revision 2", forgetCommand},
		},
		"one of several records is somebody's": {
			records: []kept{{statusDeployed, "", old}, {statusPendingUpgrade, ours, old}}, refused: []string{"revision 1 (deployed)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t, guard.Inputs{})
		})
	}
}

func TestRelease_RecoversWhatAKilledUpgradeLeaves(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]recovery{
		"no upgrade at work":                 {records: []kept{{statusDeployed, ours, old}}},
		"recorded before records had a mark": {records: []kept{{statusDeployed, "", old}}},
		"upgrade, failed":                    {records: []kept{{statusDeployed, ours, old}, {statusFailed, ours, old}}},
		"upgrade, killed":                    {records: []kept{{statusDeployed, ours, old}, {statusPendingUpgrade, ours, old}}, forgotten: []string{"v2"}},
		"the first upgrade with a mark, killed": {
			records: []kept{{statusDeployed, "", old}, {statusPendingUpgrade, ours, old}}, forgotten: []string{"v2"},
		},
		"upgrade, killed just now": {
			records: []kept{{statusDeployed, ours, old}, {statusPendingUpgrade, ours, 0}}, forgotten: []string{"v2"}, waits: true,
		},
		"rollback, killed": {records: []kept{{statusSuperseded, ours, old}, {statusPendingRollback, ours, old}}, forgotten: []string{"v2"}},
		"upgrade of a stack that was renamed": {
			mark: otherStack, records: []kept{{statusDeployed, otherStack, old}, {statusPendingUpgrade, otherStack, old}},
			forgotten: []string{"v2"},
		},
		"upgrade by somebody": {
			records: []kept{{statusDeployed, ours, old}, {statusPendingUpgrade, "", old}},
			refused: []string{"revision 2 (pending-upgrade)", "delete secret sh.helm.release.v1.longhorn.v2"},
		},
		"install in the state": {
			records: []kept{{statusPendingInstall, ours, old}},
			refused: []string{"delete secret sh.helm.release.v1.longhorn.v1", "--refresh"},
		},
		"uninstall, killed": {
			records: []kept{{statusUninstalling, ours, old}}, refused: []string{"half removed", forgetCommand, "pulumi destroy --refresh"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t, inputs(map[string]any{"values": map[string]any{ownerKey: map[string]any{"stack": test.mark}}}))
		})
	}
}

// check looks at the records before a release with the given inputs is changed.
func (r recovery) check(t *testing.T, before guard.Inputs) {
	t.Helper()
	for _, preview := range []bool{true, false} {
		list := items{}
		for i, one := range r.records {
			list.Items = append(list.Items, helmSecret(t, i+1, one.status, one.owner, "1.12.1", one.age))
		}
		slices.Reverse(list.Items) // The API server's order is by name.
		k, api, said := newKeeper(t, map[string]any{secretsPath: list})
		k.preview = preview
		checkRefusal(t, k.beforeRelease(t.Context(), before, inputs(map[string]any{"name": "longhorn"})), r.refused)
		checkForgotten(t, preview, r.forgotten, api, said)
		if waited := k.now().Sub(testNow()); (waited > 0) != (r.waits && !preview) || waited > settleTime {
			t.Errorf("preview %t: waited %s", preview, waited)
		}
	}
}

func checkRefusal(t *testing.T, err error, words []string) {
	t.Helper()
	if (err != nil) != (len(words) > 0) {
		t.Fatalf("got %v, want a refusal with %q", err, words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the message lacks %q:\n%v", word, err)
		}
	}
}

// checkForgotten wants the records gone, or announced in a preview, with one line about it.
func checkForgotten(t *testing.T, preview bool, want []string, api *apiServer, said *said) {
	t.Helper()
	var names []string
	for _, version := range want {
		names = append(names, "sh.helm.release.v1.longhorn."+version)
	}
	word := "Recovered"
	if preview {
		names, word = nil, "will delete"
	}
	if !slices.Equal(api.deleted, names) {
		t.Errorf("preview %t: deleted %q, want %q", preview, api.deleted, names)
	}
	if got := strings.Count(said.String(), word); got != min(len(want), 1) {
		t.Errorf("preview %t: said\n%s", preview, said)
	}
}

// A Helm that is still at work may finish while we wait.
func TestRelease_AYoungRecordThatTurnsDeployedIsNoLeftover(t *testing.T) {
	t.Parallel()
	k, api, said := newKeeper(t, map[string]any{secretsPath: items{[]any{
		helmSecret(t, 1, statusDeployed, ours, "1.12.1", time.Hour), helmSecret(t, 2, statusPendingUpgrade, ours, "1.12.1", 0),
	}}})
	sleep := k.sleep
	k.sleep = func(ctx context.Context, length time.Duration) error {
		api.mu.Lock()
		defer api.mu.Unlock()
		api.objects[secretsPath] = items{[]any{
			helmSecret(t, 1, statusSuperseded, ours, "1.12.1", time.Hour), helmSecret(t, 2, statusDeployed, ours, "1.12.1", 0),
		}}
		return sleep(ctx, length)
	}
	if err := k.beforeRelease(t.Context(), inputs(map[string]any{"name": "longhorn"}), guard.Inputs{}); err != nil {
		t.Fatal(err)
	}
	if len(api.deleted) > 0 || k.now().Sub(testNow()) != settleTick {
		t.Errorf("deleted %q after %s\n%s", api.deleted, k.now().Sub(testNow()), said)
	}
}

// Who may not look, or has no credentials for it, goes on as before.
func TestRelease_GoesOnWhereNobodyMayLook(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		k, api, said := newKeeper(t, nil)
		api.status = status
		if err := k.beforeRelease(t.Context(), guard.Inputs{}, guard.Inputs{}); err != nil {
			t.Errorf("%d: %v", status, err)
		}
		if !strings.Contains(said.String(), "warn: Helm's records could not be looked at") {
			t.Errorf("%d: said %s", status, said)
		}
	}
	k, api, _ := newKeeper(t, nil)
	api.status = 500
	if err := k.beforeRelease(t.Context(), guard.Inputs{}, guard.Inputs{}); err == nil {
		t.Error("an API server with troubles is taken for one without records")
	}
}

func TestRemoval_IsNoticedInPreviewsAndByEveryTrace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status string
		job    map[string]any
		want   []string
	}{
		// No case has Longhorn's manager: that it is not there is no trace. Somebody deleted it, or its installation failed.
		"nothing of the kind":            {statusDeployed, nil, nil},
		"first installation failed":      {"failed", nil, nil},
		"refused by Longhorn":            {statusDeployed, map[string]any{"failed": 2}, nil},
		"uninstaller at work":            {statusDeployed, map[string]any{"active": 1}, []string{"at work", "pulumi destroy"}},
		"uninstaller done":               {statusDeployed, map[string]any{"succeeded": 1}, []string{"has succeeded", "pulumi destroy"}},
		"Helm deletes the chart's parts": {statusUninstalling, nil, []string{"uninstalling", forgetCommand, "pulumi destroy --refresh"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := map[string]any{secretsPath: items{[]any{helmSecret(t, 1, test.status, ours, "1.12.1", time.Hour)}}}
			if test.job != nil {
				objects[uninstallJobPath] = map[string]any{"status": test.job}
			}
			k, _, _ := newKeeper(t, objects)
			k.preview = true
			checkRefusal(t, k.beforeClass(t.Context(), guard.Inputs{}), test.want)
			checkRefusal(t, k.beforeRelease(t.Context(), inputs(map[string]any{"name": "longhorn"}), guard.Inputs{}), test.want)
		})
	}
}

func TestHooks_AskNothingOfAClusterThatIsNotKnown(t *testing.T) {
	t.Parallel()
	k, api, _ := newKeeper(t, nil)
	k.live = nil
	for _, err := range []error{
		k.beforeRelease(t.Context(), guard.Inputs{}, guard.Inputs{}), k.beforeClass(t.Context(), guard.Inputs{}),
	} {
		if err != nil || api.asked > 0 {
			t.Errorf("%d questions, %v", api.asked, err)
		}
	}
}

func releaseInputs(flag any, replicas int) guard.Inputs {
	return inputs(map[string]any{"values": map[string]any{
		"defaultSettings": map[string]any{"deletingConfirmationFlag": flag, "defaultReplicaCount": 3},
		ownerKey:          map[string]any{"class": map[string]any{"replicas": replicas}},
	}})
}

func volumeObjects(t *testing.T) map[string]any {
	t.Helper()
	longhorn := func(name string, replicas int) any {
		return map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{"numberOfReplicas": replicas}}
	}
	persistent := func(handle, claim, class string) any {
		return map[string]any{"metadata": map[string]any{"name": handle}, "spec": map[string]any{
			"storageClassName": class, "csi": map[string]any{"driver": provisioner, "volumeHandle": handle},
			"claimRef": map[string]any{"namespace": "apps", "name": claim},
		}}
	}
	return map[string]any{
		"/apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes": items{[]any{
			longhorn("pvc-1", 3), longhorn("pvc-2", 3), longhorn("made-by-hand", 2),
		}},
		"/api/v1/persistentvolumes": items{[]any{persistent("pvc-1", "ours", DefaultClassName), persistent("pvc-2", "theirs", "other")}},
		secretsPath:                 items{[]any{helmSecret(t, 1, statusDeployed, ours, "1.12.1", time.Hour)}},
	}
}

func TestRelease_WarnsInThePreviewOfWhatADestroyWillDelete(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		was, will any
		want      bool
	}{
		"given up": {false, true, true}, "stays given up": {true, true, false}, "kept": {false, false, false},
		"taken back": {true, false, false}, "recorded without it": {nil, true, true},
	} {
		k, _, said := newKeeper(t, volumeObjects(t))
		k.preview = true
		if err := k.beforeRelease(t.Context(), releaseInputs(test.was, 3), releaseInputs(test.will, 3)); err != nil {
			t.Fatal(err)
		}
		if got := said.String() != ""; got != test.want {
			t.Errorf("%s: said %q", name, said)
		}
		for _, word := range []string{
			"There are 3", "pvc-1 (apps/ours", "pvc-2 (apps/theirs, StorageClass other)", "made-by-hand (no claim)", "Retain",
		} {
			if test.want && !strings.Contains(said.String(), word) {
				t.Errorf("%s: the warning lacks %q:\n%s", name, word, said)
			}
		}
	}
}

func TestRelease_WarnsThatReplicasAreThoseOfNewVolumes(t *testing.T) {
	t.Parallel()
	first := inputs(map[string]any{"values": map[string]any{"defaultSettings": map[string]any{"defaultReplicaCount": 3}}})
	for name, before := range map[string]guard.Inputs{"this version": releaseInputs(false, 3), "the first version": first} {
		k, _, said := newKeeper(t, volumeObjects(t))
		if err := k.beforeRelease(t.Context(), before, releaseInputs(false, 2)); err != nil {
			t.Fatal(err)
		}
		want := `kubectl -n longhorn-system patch volumes.longhorn.io pvc-1 --type merge -p '{"spec":{"numberOfReplicas":2}}'`
		if got := said.String(); !strings.Contains(got, want) || strings.Contains(got, "pvc-2") || strings.Contains(got, "by-hand") {
			t.Errorf("%s: said %q", name, got)
		}
		k, _, said = newKeeper(t, volumeObjects(t))
		if err := k.beforeRelease(t.Context(), before, releaseInputs(false, 3)); err != nil || said.String() != "" {
			t.Errorf("%s, the same: %v, said %q", name, err, said)
		}
	}
}
