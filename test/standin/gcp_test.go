package standin

import (
	"strings"
	"testing"
)

func TestGKEClusters_AreRefusedAsByGoogle(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	e.create(gcpCluster, "taken", gkeInputs().with(fields{"name": "taken"}))
	window := func(start, end, recurrence string) fields {
		return fields{"maintenancePolicy": map[string]any{"recurringWindow": map[string]any{
			"startTime": start, "endTime": end, "recurrence": recurrence,
		}}}
	}
	exclusion := func(start, end string) fields {
		return fields{"maintenancePolicy": map[string]any{"maintenanceExclusions": []any{map[string]any{
			"exclusionName": "x", "startTime": start, "endTime": end,
		}}}}
	}
	const saturday = "2026-01-03T00:00:00Z"
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"unknown input":    {fields{"colour": "red"}, "unsupported property 'colour'"},
		"name taken":       {fields{"name": "taken"}, "Error 409: Already exists"},
		"name too long":    {fields{"name": strings.Repeat("a", 41)}, "Invalid value for field"},
		"no such region":   {fields{"location": "nowhere"}, `Location "nowhere" does not exist`},
		"zone elsewhere":   {fields{"nodeLocations": []any{"us-east1-b"}}, "is not in region"},
		"no nodes at all":  {fields{"initialNodeCount": nil}, "initial_node_count must be greater than zero"},
		"no such network":  {fields{"network": "no"}, "Error 404: Network"},
		"no such subnet":   {fields{"subnetwork": "no"}, "Error 404: Subnetwork"},
		"old version":      {fields{"minMasterVersion": "1.20"}, "No valid versions with the prefix"},
		"no such channel":  {fields{"releaseChannel.channel": "X"}, "Invalid release channel"},
		"another's pool":   {fields{"workloadIdentityConfig.workloadPool": "x.svc.id.goog"}, "Workload pool"},
		"4 h on weekends":  {window(saturday, "2026-01-03T04:00:00Z", "FREQ=WEEKLY;BYDAY=SA,SU"), "48h maintenance availability"},
		"3 h every day":    {window(saturday, "2026-01-03T03:00:00Z", "FREQ=DAILY"), "at least 4 hours"},
		"backwards":        {exclusion("2027-01-01T00:00:00Z", "2026-12-01T00:00:00Z"), "later end time"},
		"no range":         {fields{"masterAuthorizedNetworksConfig.cidrBlocks": []any{map[string]any{"cidrBlock": "x"}}}, "Invalid CIDR block"},
		"unreadable rhyme": {window(saturday, "2026-01-03T08:00:00Z", "FREQ=MONTHLY"), "the stand-in reads"},
	} {
		_, err := e.try(gcpCluster, "x", gkeInputs().with(c.changes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	e.create(gcpCluster, "enough", gkeInputs().with(window(saturday, "2026-01-03T08:00:00Z", "FREQ=WEEKLY;BYDAY=SA,SU")))
}

func TestNodePools_AreRefusedAsByGoogle(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	cluster := e.create(gcpCluster, "cluster", gkeInputs())
	plain := e.create(gcpCluster, "plain", gkeInputs().with(fields{"workloadIdentityConfig": nil}))
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"no cluster":         {fields{"cluster": "no"}, "Error 404: Not found"},
		"tiny disk":          {fields{"nodeConfig.diskSizeGb": 5.0}, "at least (10)"},
		"zone elsewhere":     {fields{"nodeLocations": []any{"us-east1-b"}}, "is not in region"},
		"no upgrades":        {fields{"management.autoUpgrade": false}, "Auto_upgrade must be true when release_channel STABLE is set"},
		"no room to upgrade": {fields{"upgradeSettings": map[string]any{"maxSurge": 0.0, "maxUnavailable": 0.0}}, "At least one of max_surge"},
		"newer than master":  {fields{"version": "1.35"}, "must not have a greater minor version"},
		"no such machine":    {fields{"nodeConfig.machineType": "huge"}, "Invalid machine type"},
		"no such image":      {fields{"nodeConfig.imageType": "DEBIAN"}, "Image type"},
		"no such disk":       {fields{"nodeConfig.diskType": "floppy"}, "Disk type"},
		"no such account":    {fields{"nodeConfig.serviceAccount": "no@my-project.iam.gserviceaccount.com"}, "does not exist"},
		"metadata without":   {fields{"cluster": plain.id}, "Workload Identity must be enabled"},
	} {
		_, err := e.try(gcpNodePool, "x", poolInputs(cluster).with(c.changes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestNodePools_ChangeInPlace(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	cluster := e.create(gcpCluster, "cluster", gkeInputs())
	pool := e.create(gcpNodePool, "pool", poolInputs(cluster))
	e.must(e.update(pool, fields{"nodeCount": 2.0, "nodeConfig.diskSizeGb": 300.0}))
	if out := e.read(pool); out.integer("nodeCount") != 2 || out.integer("nodeConfig.diskSizeGb") != 300 {
		t.Errorf("got %v, want 2 nodes of 300 GB", out)
	}
	refused(t, e.update(pool, fields{"version": "1.36"}), "must not have a greater minor version")
}

func TestGKE_IsFoundByNameOrID(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	cluster := e.create(gcpCluster, "cluster", gkeInputs())
	for name, reference := range map[string]string{
		"id": cluster.id, "name": cluster.out().str("name"), "link": cluster.out().str("selfLink"),
	} {
		pool := e.create(gcpNodePool, "by-"+name, poolInputs(cluster).with(fields{"cluster": reference}))
		if !strings.HasPrefix(pool.id, cluster.id+"/nodePools/") {
			t.Errorf("%s: got pool %s, want one of %s", name, pool.id, cluster.id)
		}
	}
}

func TestGKE_UpgradesOneMinorVersionAtATime(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	cluster := e.create(gcpCluster, "cluster", gkeInputs())
	refused(t, e.update(cluster, fields{"minMasterVersion": "1.36"}), "more than a minor version at a time")
	e.must(e.update(cluster, fields{"minMasterVersion": "1.35"}))
	if got := cluster.out().str("masterVersion"); !strings.HasPrefix(got, "1.35.") {
		t.Errorf("got version %s, want 1.35", got)
	}
	refused(t, e.update(cluster, fields{"minMasterVersion": "1.34"}), "cannot be downgraded")
}

// Saying false in the program is not enough: the state must say so, which takes an update.
func TestAProtectedCluster_IsNotDeleted(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	cluster := e.create(gcpCluster, "cluster", gkeInputs().with(fields{"deletionProtection": nil}))
	pool := e.create(gcpNodePool, "pool", poolInputs(cluster))
	refused(t, e.remove(cluster), "deletion_protection is set to true")
	e.must(e.update(cluster, fields{"deletionProtection": false}))
	e.must(e.remove(cluster))
	if got := e.clouds.Journal().Done(Cascade, gcpNodePool); len(got) != 1 {
		t.Errorf("got %d node pools that went with their cluster, want 1", len(got))
	}
	if e.read(pool) != nil {
		t.Error("the node pool outlived its cluster")
	}
	e.must(e.remove(pool)) // Gone already, which is fine.
}

func TestServiceAccounts_ExistBeforeTheyAreGranted(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	grant := fields{"project": "my-project", "role": "roles/logging.logWriter", "member": "serviceAccount:nodes@my-project.iam.gserviceaccount.com"}
	_, err := e.try(gcpProjectMember, "grant", grant)
	refused(t, err, "does not exist")
	_, err = e.try(gcpServiceAccount, "x", fields{"accountId": "No"})
	refused(t, err, "doesn't match regexp")
	account := e.create(gcpServiceAccount, "nodes", fields{"accountId": "nodes-of-iris"})
	e.create(gcpProjectMember, "grant", grant.with(fields{"member": account.out().str("member")}))
	_, err = e.try(gcpProjectMember, "typo", grant.with(fields{"member": account.out().str("member"), "role": "logWriter"}))
	refused(t, err, "is not supported for this resource")
	_, err = e.try(gcpServiceAccount, "again", fields{"accountId": "nodes-of-iris"})
	refused(t, err, "Error 409")
}

func TestGoogle_ListsTheZonesOfARegion(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	for region, want := range map[string]string{
		"": "europe-west1-b europe-west1-c europe-west1-d", "us-central1": "us-central1-a us-central1-ai1a us-central1-b us-central1-c us-central1-f",
		"europe-west3": "europe-west3-a europe-west3-b europe-west3-c",
	} {
		found, err := e.invoke("gcp:compute/getZones:getZones", fields{"region": region, "status": "UP"})
		e.must(err)
		if got := strings.Join(found.strs("names"), " "); got != want {
			t.Errorf("%s: got %s, want %s", region, got, want)
		}
	}
	_, err := e.invoke("gcp:compute/getZones:getZones", fields{"region": "nowhere"})
	refused(t, err, "was not found")
}

func TestAProject_IsNeeded(t *testing.T) {
	t.Parallel()
	e := connect(t, newGCP(t, Options{}).clouds, GCP, fields{"region": "europe-west1"})
	_, err := e.try(gcpCluster, "cluster", gkeInputs())
	refused(t, err, "project: required field is not set")
	e.create(gcpCluster, "cluster", gkeInputs().with(fields{"project": "my-project"}))
}

func TestANetworkThatIsThere_CanBeUsed(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	e.must(e.clouds.Add(gcpNetwork, "n", map[string]any{"name": "mine"}))
	e.must(e.clouds.Add(gcpSubnetwork, "s", map[string]any{"name": "nodes"}))
	e.create(gcpCluster, "cluster", gkeInputs().with(fields{"network": "mine", "subnetwork": "nodes"}))
}

func TestGKE_GivesItsKeyAsASecret(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	cluster := e.create(gcpCluster, "cluster", gkeInputs())
	if key := cluster.outputs["masterAuth"].ObjectValue()["clientKey"]; !key.IsSecret() {
		t.Errorf("got client key %v, want a secret", key)
	}
	if got := cluster.out().str("endpoint"); got != "127.0.0.1:6443" {
		t.Errorf("got endpoint %q, want the API server without a scheme", got)
	}
}
