package standin

import (
	"encoding/json"
	"regexp"
	"strings"
)

// awsBucketKinds are a bucket with what protects it, and the policy of a role that may use it.
func awsBucketKinds() map[string]*kind {
	return map[string]*kind{
		awsBucket: {
			optional: []string{"bucket", "bucketPrefix", "forceDestroy", "objectLockEnabled", "tags"},
			computed: []string{"arn", "bucket", "bucketPrefix", "bucketDomainName", "bucketRegionalDomainName", "region", "tagsAll"},
			// terraform-provider-aws internal/service/s3/bucket.go, ForceNew.
			replaces: []string{"bucket", "bucketPrefix", "objectLockEnabled"},
			validate: awsValidateBucket, create: awsCreateBucket, update: retag, remove: awsRemoveBucket,
		},
		awsBucketBlock: {
			required: []string{"bucket"},
			optional: []string{"blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"},
			replaces: []string{"bucket"}, create: awsCreateOfBucket("PutPublicAccessBlock"),
		},
		awsBucketEncryption: {
			required: []string{"bucket", "rules"}, optional: []string{"expectedBucketOwner"},
			replaces: []string{"bucket"}, create: awsCreateOfBucket("PutBucketEncryption"),
		},
		awsInlinePolicy: {
			required: []string{"role", "policy"}, optional: []string{"name", "namePrefix"}, computed: []string{"namePrefix"},
			// terraform-provider-aws internal/service/iam/role_policy.go, ForceNew.
			replaces: []string{"role", "name", "namePrefix"},
			name:     &autoname{key: "name", separator: "-", suffix: 7},
			validate: awsValidateInlinePolicy, create: awsCreateInlinePolicy,
		},
	}
}

// awsValidateBucket: the provider appends 26 digits to a prefix, which the name of 63 characters must leave room for.
func awsValidateBucket(in fields, found *refusals) {
	if prefix, ok := in.text("bucketPrefix"); ok && len(prefix) > 37 {
		found.add("bucketPrefix", "expected length of bucket_prefix to be in the range (0 - 37), got %s", prefix)
	}
	if in.has("bucket") && in.has("bucketPrefix") {
		found.add("bucketPrefix", `"bucket_prefix": conflicts with bucket`)
	}
}

// awsCreateBucket: S3's rules for names ("General purpose bucket naming rules").
func awsCreateBucket(c *change) error {
	name := c.in.str("bucket")
	if name == "" {
		name = c.in.str("bucketPrefix") + c.newID("", 26)
	}
	if len(name) < 3 || len(name) > 63 || !regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*[a-z0-9]$`).MatchString(name) {
		return awsError("creating S3 Bucket ("+name+")", "S3", "CreateBucket", "InvalidBucketName", "The specified bucket is not valid.")
	}
	if c.find(awsBucket, name) != nil {
		return awsError("creating S3 Bucket ("+name+")", "S3", "CreateBucket", "BucketAlreadyOwnedByYou", "")
	}
	c.id = name
	c.out.set("bucket", name)
	c.out.set("arn", "arn:aws:s3:::"+name)
	c.out.set("region", c.region())
	c.out.set("bucketDomainName", name+".s3.amazonaws.com")
	c.out.set("bucketRegionalDomainName", name+".s3."+c.region()+".amazonaws.com")
	c.out.setMissing("bucketPrefix", "")
	c.tagged()
	return nil
}

// awsRemoveBucket: S3 deletes no bucket with objects in it, which Clouds.Add puts there.
func awsRemoveBucket(c *change) error {
	inside := c.where(awsObject, func(f fields) bool { return f.str("bucket") == c.id })
	if len(inside) > 0 && !c.out.flag("forceDestroy") {
		return awsError("deleting S3 Bucket ("+c.id+")", "S3", "DeleteBucket", "BucketNotEmpty",
			"The bucket you tried to delete is not empty")
	}
	return nil
}

func awsCreateOfBucket(call string) func(*change) error {
	return func(c *change) error {
		name := c.in.str("bucket")
		if c.find(awsBucket, name) == nil {
			return awsError("creating of S3 Bucket ("+name+")", "S3", call, "NoSuchBucket", "The specified bucket does not exist")
		}
		c.id = name
		return nil
	}
}

func awsValidateInlinePolicy(in fields, found *refusals) {
	if policy, ok := in.text("policy"); ok && !json.Valid([]byte(policy)) {
		found.add("policy", `"policy" contains an invalid JSON policy: not valid JSON`)
	}
}

func awsCreateInlinePolicy(c *change) error {
	role := c.in.str("role")
	if c.find(awsRole, role) == nil {
		return awsError("putting IAM Role ("+role+") Policy", "IAM", "PutRolePolicy", "NoSuchEntity", "The role with name %s cannot be found.", role)
	}
	c.id = strings.Join([]string{role, c.in.str("name")}, ":")
	return nil
}
