package cluster

import (
	"fmt"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/serviceaccount"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/traits"
)

// gcpObjects is where Google speaks the protocol of S3 (Cloud Storage, "Interoperability with other storage providers").
const gcpObjects = "https://storage.googleapis.com"

// hmacKey is a key for the protocol of S3.
type hmacKey struct {
	pulumi.CustomResourceState

	AccessID pulumi.StringOutput `pulumi:"accessId"`
	Secret   pulumi.StringOutput `pulumi:"secret"`
}

// backups makes the bucket and a key of an account that may use it and nothing else: Longhorn speaks S3 to it, with such a key only.
// Untyped: the package storage has 24,000 lines, and the cold build is near its budget (docs/performance.md).
func (g *gke) backups() error {
	if !g.component.backups {
		return nil
	}
	bucket, key, grant := &pulumi.CustomResourceState{}, &hmacKey{}, &pulumi.CustomResourceState{}
	err := g.ctx.RegisterResource("gcp:storage/bucket:Bucket", g.name("backups"), pulumi.Map{
		"location": pulumi.String(g.cfg.Region),
		// Closed to the public; Google encrypts everything. No rules for deletion: backups share blocks. No versions: nothing would delete
		// what Longhorn prunes.
		"uniformBucketLevelAccess": pulumi.Bool(true),
		"publicAccessPrevention":   pulumi.String("enforced"),
		"labels":                   g.labels(),
	}, bucket, g.options(pulumi.Protect(g.component.protect), pulumi.RetainOnDelete(true))...) // Backups outlive the stack.
	if err != nil {
		return fmt.Errorf("create bucket for backups: %w", err)
	}
	account, err := serviceaccount.NewAccount(g.ctx, g.name("store"), &serviceaccount.AccountArgs{
		AccountId:   pulumi.String(g.name("store")), // Not "backups", with which it could be longer than 30 characters.
		DisplayName: pulumi.String("Backups of the GKE cluster " + g.cfg.Name),
	}, g.options()...)
	if err != nil {
		return fmt.Errorf("create service account for backups: %w", err)
	}
	err = g.ctx.RegisterResource("gcp:storage/bucketIAMMember:BucketIAMMember", g.name("backups"), pulumi.Map{
		"bucket": bucket.ID(),
		"role":   pulumi.String("roles/storage.objectAdmin"), // Longhorn's documentation asks for this one.
		"member": pulumi.Sprintf("serviceAccount:%s", account.Email),
	}, grant, g.options()...)
	if err != nil {
		return fmt.Errorf("let the account for backups use the bucket: %w", err)
	}
	err = g.ctx.RegisterResource("gcp:storage/hmacKey:HmacKey", g.name("backups"), pulumi.Map{
		"serviceAccountEmail": account.Email,
	}, key, g.options(pulumi.AdditionalSecretOutputs([]string{"secret"}))...)
	if err != nil {
		return fmt.Errorf("create key for backups: %w", err)
	}
	g.component.BackupStore = &traits.BackupStore{
		Target: pulumi.Sprintf("s3://%s@%s/", bucket.ID(), g.cfg.Region),
		Credentials: pulumi.StringMap{
			"AWS_ACCESS_KEY_ID": key.AccessID, "AWS_SECRET_ACCESS_KEY": key.Secret, "AWS_ENDPOINTS": pulumi.String(gcpObjects),
		},
		Ready: []pulumi.Resource{grant},
	}
	return nil
}
