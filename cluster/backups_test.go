package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/testkit"
)

// backupRun is a run of a cluster that comes with a bucket.
func backupRun(t *testing.T, cloud Cloud, protect bool) *testkit.Recorder {
	t.Helper()
	recorder := &testkit.Recorder{Invoke: invoke, Outputs: computed}
	err := recorder.Run(func(ctx *pulumi.Context) error {
		made, err := New(ctx, "cluster", &Args{Config: valid(cloud), Backups: true, Protect: protect})
		if err == nil && made.BackupStore == nil {
			return errors.New("the cluster comes without a bucket")
		}
		return err
	}, testkit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return recorder
}

func TestEKS_MakesABucketThatOnlyLonghornsPodsMayUse(t *testing.T) {
	t.Parallel()
	recorder := backupRun(t, EKS, true)
	bucket := recorder.Find("aws:s3/bucketV2:BucketV2")
	if len(bucket) != 1 || !bucket[0].RegisterRPC.GetProtect() {
		t.Fatalf("%d buckets, or not protected", len(bucket))
	}
	for path := range testkit.Leaves(bucket[0].Inputs) {
		if strings.Contains(path, "lifecycle") || strings.Contains(path, "forceDestroy") || strings.Contains(path, "versioning") {
			t.Errorf("the bucket has %s", path)
		}
	}
	block := testkit.Leaves(recorder.Find("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")[0].Inputs)
	for _, one := range []string{"blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"} {
		if block["."+one].Text != "true" {
			t.Errorf("%s is %q", one, block["."+one].Text)
		}
	}
	policy := testkit.Leaves(recorder.Find("aws:iam/rolePolicy:RolePolicy")[0].Inputs)[".policy"].Text
	if strings.Contains(policy, `"s3:*"`) || strings.Contains(policy, `"Resource":"*"`) || strings.Count(policy, "arn:aws:s3:::") != 2 {
		t.Errorf("the role may %s", policy)
	}
	association := testkit.Leaves(recorder.Find("aws:eks/podIdentityAssociation:PodIdentityAssociation")[0].Inputs)
	if association[".namespace"].Text != "longhorn-system" || association[".serviceAccount"].Text != "longhorn-service-account" {
		t.Errorf("the role is for %v", association)
	}
	if backupRun(t, EKS, false).Find("aws:s3/bucketV2:BucketV2")[0].RegisterRPC.GetProtect() {
		t.Error("protected although the data may go")
	}
}

func TestGKE_MakesABucketAndAKeyForItAlone(t *testing.T) {
	t.Parallel()
	recorder := backupRun(t, GKE, true)
	bucket := recorder.Find("gcp:storage/bucket:Bucket")[0]
	leaves := testkit.Leaves(bucket.Inputs)
	if leaves[".publicAccessPrevention"].Text != "enforced" || leaves[".uniformBucketLevelAccess"].Text != "true" {
		t.Errorf("the bucket may be public: %v", leaves)
	}
	grant := testkit.Leaves(recorder.Find("gcp:storage/bucketIAMMember:BucketIAMMember")[0].Inputs)
	if grant[".role"].Text != "roles/storage.objectAdmin" || !strings.HasPrefix(grant[".member"].Text, "serviceAccount:ha-iris-test-store@") {
		t.Errorf("the account gets %v", grant)
	}
	for _, one := range recorder.Find("gcp:projects/iAMMember:IAMMember") {
		if strings.Contains(testkit.Leaves(one.Inputs)[".member"].Text, "-store@") {
			t.Errorf("the account for backups gets a right to the project: %s", one.Name)
		}
	}
	if secrets := recorder.Find("gcp:storage/hmacKey:HmacKey")[0].RegisterRPC.GetAdditionalSecretOutputs(); !slices.Equal(secrets, []string{"secret"}) {
		t.Errorf("the key's secret outputs are %q", secrets)
	}
}

func TestAKS_MakesAnAccountForBackupsAlone(t *testing.T) {
	t.Parallel()
	recorder := backupRun(t, AKS, true)
	account := testkit.Leaves(recorder.Find("azure-native:storage:StorageAccount")[0].Inputs)
	for key, want := range map[string]string{
		"allowBlobPublicAccess": "false", "enableHttpsTrafficOnly": "true", "minimumTlsVersion": "TLS1_2", "sku.name": "Standard_ZRS",
		// Whatever is in a group goes with it, and the cluster's goes with the stack.
		"resourceGroupName": "ha-iris-test-backups-1a2b3c4",
	} {
		if got := account["."+key].Text; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	container := testkit.Leaves(recorder.Find("azure-native:storage:BlobContainer")[0].Inputs)
	if container[".publicAccess"].Text != "None" {
		t.Errorf("the container is public: %v", container)
	}
}

// What holds backups is neither deleted with the stack nor, while the data are protected, taken out of it.
func TestBackupStores_OutliveTheStack(t *testing.T) {
	t.Parallel()
	for cloud, types := range map[Cloud][]string{
		EKS: {"aws:s3/bucketV2:BucketV2"},
		GKE: {"gcp:storage/bucket:Bucket"},
		AKS: {"azure-native:storage:StorageAccount", "azure-native:storage:BlobContainer"},
	} {
		for _, protect := range []bool{true, false} {
			recorder := backupRun(t, cloud, protect)
			if err := recorder.CheckInvariants(); err != nil {
				t.Error(err)
			}
			kept := slices.DeleteFunc(recorder.Find("azure-native:resources:ResourceGroup"), func(one testkit.Registration) bool {
				return !strings.HasSuffix(one.Name, "-backups")
			})
			for _, typeToken := range types {
				kept = append(kept, recorder.Find(typeToken)...)
			}
			if len(kept) < len(types) {
				t.Errorf("%s: only %d resources", cloud, len(kept))
			}
			for _, one := range kept {
				if !one.RegisterRPC.GetRetainOnDelete() || one.RegisterRPC.GetProtect() != protect {
					t.Errorf("%s: %s is kept: %t, protected: %t", cloud, one.Name, one.RegisterRPC.GetRetainOnDelete(), one.RegisterRPC.GetProtect())
				}
			}
		}
		if plain := provide(valid(cloud), false).mustSucceed(t); plain.cluster.BackupStore != nil || len(plain.Find(types[0])) > 0 {
			t.Errorf("%s: a bucket that nobody asked for", cloud)
		}
	}
}
