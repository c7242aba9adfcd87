package standin

import (
	"regexp"
	"strings"
)

// gcpBucketKinds are a bucket, a right to it, and a key for the protocol of S3.
func gcpBucketKinds() map[string]*kind {
	return map[string]*kind{
		gcpBucket: {
			required: []string{"location"},
			optional: []string{
				"name", "labels", "uniformBucketLevelAccess", "publicAccessPrevention", "forceDestroy", "softDeletePolicy", "storageClass", "project",
			},
			computed: []string{"url", "selfLink", "effectiveLabels"},
			// terraform-provider-google resource_storage_bucket.go, ForceNew.
			replaces: []string{"name", "location", "project"},
			name:     &autoname{key: "name", separator: "-", suffix: 7},
			create:   gcpCreateBucket, remove: gcpRemoveBucket,
		},
		gcpBucketMember: {
			required: []string{"bucket", "member", "role"}, optional: []string{"condition"}, computed: []string{"etag"},
			replaces: []string{"bucket", "member", "role", "condition"}, create: gcpCreateBucketMember,
		},
		gcpHmacKey: {
			required: []string{"serviceAccountEmail"}, optional: []string{"project", "state"},
			computed: []string{"accessId", "secret", "timeCreated", "updated"}, secrets: []string{"secret"},
			replaces: []string{"serviceAccountEmail", "project"}, create: gcpCreateHmacKey,
		},
	}
}

// gcpCreateBucket: Cloud Storage, "Bucket names".
func gcpCreateBucket(c *change) error {
	name := c.in.str("name")
	if len(name) > 63 || !regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]+[a-z0-9]$`).MatchString(name) || strings.Contains(name, "google") {
		return gcpError(400, "invalid", "Invalid bucket name: '%s'", name)
	}
	if c.find(gcpBucket, name) != nil {
		return gcpError(409, "conflict", "Your previous request to create the named bucket succeeded and you already own it.")
	}
	c.id = name
	c.out.set("url", "gs://"+name)
	c.out.set("selfLink", "https://www.googleapis.com/storage/v1/b/"+name)
	c.out.set("effectiveLabels", c.in.get("labels"))
	return nil
}

// gcpRemoveBucket: the provider deletes no bucket with objects in it, which Clouds.Add puts there.
func gcpRemoveBucket(c *change) error {
	inside := c.where(gcpObject, func(f fields) bool { return f.str("bucket") == c.id })
	if len(inside) > 0 && !c.out.flag("forceDestroy") {
		return gcpError(409, "conflict", "Error trying to delete bucket %s containing objects without `force_destroy` set to true", c.id)
	}
	return nil
}

func gcpCreateBucketMember(c *change) error {
	bucket, member := c.in.str("bucket"), c.in.str("member")
	if c.find(gcpBucket, bucket) == nil {
		return gcpError(404, "notFound", "The specified bucket does not exist.")
	}
	if email, ok := strings.CutPrefix(member, "serviceAccount:"); ok && !c.hasServiceAccount(email) {
		return gcpError(400, "invalid", "Service account %s does not exist.", email)
	}
	c.id = strings.Join([]string{"b/" + bucket, c.in.str("role"), member}, "/")
	c.out.set("etag", "CAE=")
	return nil
}

func gcpCreateHmacKey(c *change) error {
	email := c.in.str("serviceAccountEmail")
	if !c.hasServiceAccount(email) {
		return gcpError(404, "notFound", "Service account %s was not found.", email)
	}
	access := "GOOG1E" + strings.ToUpper(c.newID("", 55))
	c.id = access
	c.out.set("accessId", access)
	c.out.set("secret", c.newID("", 40))
	c.out.set("timeCreated", "2026-11-01T00:00:00Z")
	c.out.set("updated", "2026-11-01T00:00:00Z")
	return nil
}
