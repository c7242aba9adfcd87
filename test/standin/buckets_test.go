package standin

import (
	"strings"
	"testing"
)

func TestS3_KeepsABucketWithObjects(t *testing.T) {
	t.Parallel()
	e := newAWS(t, Options{})
	_, err := e.try(awsBucket, "x", fields{"bucketPrefix": strings.Repeat("a", 38)})
	refused(t, err, "expected length of bucket_prefix")
	_, err = e.try(awsBucket, "x", fields{"bucketPrefix": "Not_a_name-"})
	refused(t, err, "InvalidBucketName")
	_, err = e.try(awsBucketBlock, "x", fields{"bucket": "no"})
	refused(t, err, "NoSuchBucket")
	_, err = e.try(awsInlinePolicy, "x", fields{"role": "no", "policy": "{}"})
	refused(t, err, "The role with name no cannot be found")
	_, err = e.try(awsInlinePolicy, "x", fields{"role": "no", "policy": "{"})
	refused(t, err, "invalid JSON policy")
	bucket := e.create(awsBucket, "backups", fields{"bucketPrefix": "acme-backups-"})
	if !strings.HasPrefix(bucket.id, "acme-backups-") || len(bucket.id) != len("acme-backups-")+26 || bucket.out().str("arn") != "arn:aws:s3:::"+bucket.id {
		t.Errorf("got %s, %v", bucket.id, bucket.out())
	}
	e.create(awsBucketEncryption, "backups", fields{"bucket": bucket.id, "rules": []any{}})
	plan, _ := e.plan(bucket, fields{"bucketPrefix": "other-"})
	if got := verdict(plan); !strings.Contains(got, "replace") {
		t.Errorf("got %s, want a replacement", got)
	}
	e.must(e.clouds.Add(awsObject, "block", map[string]any{"bucket": bucket.id}))
	refused(t, e.remove(bucket), "BucketNotEmpty")
}

func TestGCS_KeepsABucketWithObjectsAndGivesKeysToAccountsThatAre(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	_, err := e.try(gcpBucket, "x", fields{"location": "europe-west1", "name": "Not a name"})
	refused(t, err, "Invalid bucket name")
	_, err = e.try(gcpHmacKey, "x", fields{"serviceAccountEmail": "no@acme-databases.iam.gserviceaccount.com"})
	refused(t, err, "was not found")
	bucket := e.create(gcpBucket, "backups", fields{"location": "europe-west1"})
	account := e.create(gcpServiceAccount, "store", fields{"accountId": "acme-store"}).out()
	member := fields{"bucket": bucket.id, "role": "roles/storage.objectAdmin", "member": account.str("member")}
	_, err = e.try(gcpBucketMember, "x", member.with(fields{"bucket": "no"}))
	refused(t, err, "The specified bucket does not exist")
	_, err = e.try(gcpBucketMember, "x", member.with(fields{"member": "serviceAccount:no@acme-databases.iam.gserviceaccount.com"}))
	refused(t, err, "does not exist")
	e.create(gcpBucketMember, "backups", member)
	if key := e.create(gcpHmacKey, "backups", fields{"serviceAccountEmail": account.str("email")}).out(); !strings.HasPrefix(key.str("accessId"), "GOOG") {
		t.Errorf("got %v", key)
	}
	e.must(e.clouds.Add(gcpObject, "block", map[string]any{"bucket": bucket.id}))
	refused(t, e.remove(bucket), "containing objects")
}

func TestAzure_KeepsAContainerClosedAndGivesTheAccountsKey(t *testing.T) {
	t.Parallel()
	e := newAzure(t, Options{})
	group := e.create(azureGroup, "backups", fields{"location": "westeurope"}).out().str("name")
	account := fields{
		"resourceGroupName": group, "kind": "StorageV2", "sku": map[string]any{"name": "Standard_ZRS"}, "allowBlobPublicAccess": false,
	}
	_, err := e.try(azureStorage, "with-hyphens", account)
	refused(t, err, "is not a valid storage account name")
	_, err = e.try(azureStorage, "sixteen0letters0more", account)
	refused(t, err, "is not a valid storage account name")
	_, err = e.try(azureStorage, "x", account.with(fields{"resourceGroupName": "no"}))
	refused(t, err, "could not be found")
	made := e.create(azureStorage, "sixteen0letters0", account)
	container := fields{"resourceGroupName": group, "accountName": made.out().str("name"), "containerName": "backups", "publicAccess": "None"}
	_, err = e.try(azureContainer, "x", container.with(fields{"publicAccess": "Blob"}))
	refused(t, err, "Public access is not permitted")
	_, err = e.try(azureContainer, "x", container.with(fields{"accountName": "no"}))
	refused(t, err, "was not found")
	e.create(azureContainer, "backups", container)
	names := fields{"resourceGroupName": group, "accountName": made.out().str("name")}
	answer, err := e.invoke("azure-native:storage:listStorageAccountKeys", names)
	if err != nil || len(answer.objects("keys")) == 0 || answer.objects("keys")[0].str("value") == "" {
		t.Errorf("got %v, %v", answer, err)
	}
	_, err = e.invoke("azure-native:storage:listStorageAccountKeys", names.with(fields{"accountName": "no"}))
	refused(t, err, "was not found")
}
