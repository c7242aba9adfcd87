package cluster

import (
	"fmt"
	"slices"

	awseks "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/traits"
)

const (
	// The pods of Longhorn that look at backups and upload them run as this account (the chart's, and longhorn-manager's for the pods that
	// it makes itself).
	backupNamespace, backupAccount = "longhorn-system", "longhorn-service-account"
	// podIdentityVariable is what EKS puts into a pod that gets a role (EKS Pod Identity webhook).
	podIdentityVariable = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
)

// backups makes the bucket, and a role that Longhorn's pods get by EKS Pod Identity: there is no key that could leak or has to be
// renewed. Untyped: the package s3 has 35,000 lines, and the cold build is near its budget (docs/performance.md).
func (e *eks) backups(control *awseks.Cluster) error {
	if !e.component.backups {
		return nil
	}
	bucket, ready, err := e.bucket()
	if err != nil {
		return err
	}
	role, granted, err := e.backupRole(control, bucket)
	if err != nil {
		return err
	}
	e.component.BackupStore = &traits.BackupStore{
		Target: pulumi.Sprintf("s3://%s@%s/", bucket.ID(), e.cfg.Region),
		// Not empty, and no keys: only then Longhorn takes what its pods have (longhorn-manager, engineapi/backups.go).
		Credentials: pulumi.StringMap{"AWS_IAM_ROLE_ARN": role.Arn},
		PodVariable: podIdentityVariable,
		Ready:       append(ready, granted...),
	}
	return nil
}

// bucket is closed to the public and encrypted. It has no rules for deletion: backups share blocks. Nor has it versions: they would keep
// what Longhorn prunes, and nothing would ever delete them.
func (e *eks) bucket() (*pulumi.CustomResourceState, []pulumi.Resource, error) {
	bucket, block, encryption := &pulumi.CustomResourceState{}, &pulumi.CustomResourceState{}, &pulumi.CustomResourceState{}
	// Backups outlive the stack, as closed as they were.
	kept := []pulumi.ResourceOption{pulumi.Protect(e.component.protect), pulumi.RetainOnDelete(true)}
	err := e.ctx.RegisterResource("aws:s3/bucketV2:BucketV2", e.name("backups"), pulumi.Map{
		"bucketPrefix": pulumi.String(e.name("backups") + "-"),
		"tags":         pulumi.ToStringMap(e.tags()),
	}, bucket, e.options(slices.Concat(kept, []pulumi.ResourceOption{
		pulumi.IgnoreChanges([]string{"bucketPrefix"}), // A bucket cannot be renamed, only replaced.
	})...)...)
	if err != nil {
		return nil, nil, fmt.Errorf("create bucket for backups: %w", err)
	}
	err = e.ctx.RegisterResource("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", e.name("backups"), pulumi.Map{
		"bucket":          bucket.ID(),
		"blockPublicAcls": pulumi.Bool(true), "blockPublicPolicy": pulumi.Bool(true),
		"ignorePublicAcls": pulumi.Bool(true), "restrictPublicBuckets": pulumi.Bool(true),
	}, block, e.options(kept...)...)
	if err != nil {
		return nil, nil, fmt.Errorf("close the bucket for backups to the public: %w", err)
	}
	err = e.ctx.RegisterResource("aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
		e.name("backups"), pulumi.Map{
			"bucket": bucket.ID(),
			// S3's own key: one of KMS would need rights of its own.
			"rules": pulumi.Array{pulumi.Map{"applyServerSideEncryptionByDefault": pulumi.Map{"sseAlgorithm": pulumi.String("AES256")}}},
		}, encryption, e.options(kept...)...)
	if err != nil {
		return nil, nil, fmt.Errorf("encrypt the bucket for backups: %w", err)
	}
	return bucket, []pulumi.Resource{block, encryption}, nil
}

// backupRole may do in the bucket what Longhorn's documentation asks for, and nothing elsewhere.
func (e *eks) backupRole(control *awseks.Cluster, bucket *pulumi.CustomResourceState) (*iam.Role, []pulumi.Resource, error) {
	role, err := iam.NewRole(e.ctx, e.name("backups"), &iam.RoleArgs{
		AssumeRolePolicy: pulumi.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+
			`"Principal":{"Service":"%s"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`, podIdentityPrincipal),
		Tags: pulumi.ToStringMap(e.tags()),
	}, e.options()...)
	if err != nil {
		return nil, nil, fmt.Errorf("create role for backups: %w", err)
	}
	part := awsPartOf(e.cfg.Region).name
	policy, err := iam.NewRolePolicy(e.ctx, e.name("backups"), &iam.RolePolicyArgs{
		Role: role.Name,
		Policy: pulumi.Sprintf(`{"Version":"2012-10-17","Statement":[`+
			`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:%[1]s:s3:::%[2]s"},`+
			`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":"arn:%[1]s:s3:::%[2]s/*"}]}`,
			part, bucket.ID()),
	}, e.options()...)
	if err != nil {
		return nil, nil, fmt.Errorf("let the role for backups use the bucket: %w", err)
	}
	association, err := awseks.NewPodIdentityAssociation(e.ctx, e.name("backups"), &awseks.PodIdentityAssociationArgs{
		ClusterName:    control.Name,
		Namespace:      pulumi.String(backupNamespace),
		ServiceAccount: pulumi.String(backupAccount),
		RoleArn:        role.Arn,
		Tags:           pulumi.ToStringMap(e.tags()),
	}, e.options()...)
	if err != nil {
		return nil, nil, fmt.Errorf("give Longhorn's pods the role for backups: %w", err)
	}
	return role, []pulumi.Resource{policy, association}, nil
}
