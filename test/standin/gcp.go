package standin

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// The types of package gcp (pulumi-gcp/sdk/v7 v7.38.0).
const (
	gcpCluster        = "gcp:container/cluster:Cluster"
	gcpNodePool       = "gcp:container/nodePool:NodePool"
	gcpServiceAccount = "gcp:serviceaccount/account:Account"
	gcpProjectMember  = "gcp:projects/iAMMember:IAMMember"
	gcpRouter         = "gcp:compute/router:Router"
	gcpRouterNat      = "gcp:compute/routerNat:RouterNat"
	gcpBucket         = "gcp:storage/bucket:Bucket"
	gcpBucketMember   = "gcp:storage/bucketIAMMember:BucketIAMMember"
	gcpHmacKey        = "gcp:storage/hmacKey:HmacKey"
	// gcpObject is an object in a bucket. No program makes one.
	gcpObject = "gcp:storage/bucketObject:BucketObject"
	// gcpNetwork and gcpSubnetwork are only looked up: a program is given them by name.
	gcpNetwork    = "gcp:compute/network:Network"
	gcpSubnetwork = "gcp:compute/subnetwork:Subnetwork"
)

// gcpCloud behaves like the provider of pulumi-gcp 7.38.0, which bridges terraform-provider-google-beta 5.4x.
func gcpCloud() *cloud {
	kinds := map[string]*kind{}
	maps.Copy(kinds, gcpIdentityKinds())
	maps.Copy(kinds, gcpContainerKinds())
	maps.Copy(kinds, gcpNetworkKinds())
	maps.Copy(kinds, gcpBucketKinds())
	return &cloud{
		pkg: GCP, version: "7.38.0", bridged: true, kinds: kinds,
		invokes: map[string]invoke{
			"gcp:compute/getZones:getZones": gcpGetZones,
		},
		replacedBy: []string{"project"},
		// pulumi-gcp provider/provider_test.go, TestCheckConfigNoCredentials.
		denied: "failed to load application credentials.\nTo use your default gcloud credentials, run:\n" +
			"\t`gcloud auth application-default login`\nSee " +
			"https://www.pulumi.com/registry/packages/gcp/installation-configuration/ for details.",
		deniedEarly: func(fields) bool { return true },
	}
}

// gcpError has the form of Google's API errors.
func gcpError(status int, reason, format string, args ...any) error {
	return fmt.Errorf("googleapi: Error %d: %s, %s", status, fmt.Sprintf(format, args...), reason)
}

// project is the resource's own, or the provider's.
func (c *change) project() (string, error) {
	if project, ok := c.in.text("project"); ok {
		return project, nil
	}
	if project, ok := c.p.config.text("project"); ok {
		return project, nil
	}
	return "", fmt.Errorf("project: required field is not set")
}

// gcpZonesOf returns a region's zones; most have a, b and c (Google Cloud docs, "Available regions and zones").
func gcpZonesOf(region string) []string {
	letters := "abc"
	switch region {
	case "us-central1":
		letters = "abcf"
	case "us-east1", "europe-west1":
		letters = "bcd"
	}
	if !regexp.MustCompile(`^[a-z]+-[a-z]+[0-9]+$`).MatchString(region) {
		return nil
	}
	var zones []string
	for _, letter := range letters {
		zones = append(zones, region+"-"+string(letter))
	}
	return append(zones, gcpAIZonesOf(region)...)
}

// gcpAIZonesOf returns a region's zones for accelerators (Compute Engine docs, "AI zones"; openshift/installer #10269).
func gcpAIZonesOf(region string) []string {
	switch region {
	case "us-central1":
		return []string{"us-central1-ai1a"}
	case "us-south1":
		return []string{"us-south1-ai1b"}
	default:
		return nil
	}
}

// checkMachineZones refuses machine types in AI zones other than those with accelerators (keras-team/kinetic #305 has the
// text).
func (c *change) checkMachineZones(zones []string) error {
	machineType := orDefault(c.in, "nodeConfig.machineType", "e2-medium")
	family, _, _ := strings.Cut(machineType, "-")
	if regexp.MustCompile(`^(a[2-9]|g[24]|ct[0-9]+[a-z]*)$`).MatchString(family) {
		return nil
	}
	for _, zone := range zones {
		cut := strings.LastIndex(zone, "-")
		if cut > 0 && slices.Contains(gcpAIZonesOf(zone[:cut]), zone) {
			return gcpBad("Invalid machine type %q in zone %q: GCE_NOT_FOUND.", machineType, zone)
		}
	}
	return nil
}

// gcpRegionOf returns the region of a location, which is a region or one of its zones.
func gcpRegionOf(location string) (string, bool) {
	if gcpZonesOf(location) != nil {
		return location, true
	}
	cut := strings.LastIndex(location, "-")
	if cut < 0 || !slices.Contains(gcpZonesOf(location[:cut]), location) {
		return "", false
	}
	return location[:cut], true
}

// gcpGetZones lists zones that are up; none is ever down. They are sorted (data_source_google_compute_zones.go), and AI
// zones are among them (terraform-provider-google #25914).
func gcpGetZones(c *change) (fields, error) {
	project, err := c.project()
	if err != nil {
		return nil, err
	}
	region := c.in.str("region")
	if region == "" {
		region = c.p.config.str("region")
	}
	zones := gcpZonesOf(region)
	if len(zones) == 0 {
		return nil, gcpError(404, "notFound", "The resource 'projects/%s/regions/%s' was not found", project, region)
	}
	sort.Strings(zones)
	if status := c.in.str("status"); status == "DOWN" {
		zones = nil
	}
	return fields{
		"id": "projects/" + project + "/regions/" + region, "names": anyList(zones), "project": project, "region": region,
	}, nil
}

func gcpIdentityKinds() map[string]*kind {
	return map[string]*kind{
		gcpServiceAccount: {
			required: []string{"accountId"},
			optional: []string{"createIgnoreAlreadyExists", "description", "disabled", "displayName", "project"},
			computed: []string{"email", "member", "name", "project", "uniqueId"},
			// terraform-provider-google resource_google_service_account.go, ForceNew.
			replaces: []string{"accountId", "project"},
			validate: gcpValidateServiceAccount, create: gcpCreateServiceAccount,
		},
		gcpProjectMember: {
			required: []string{"member", "project", "role"},
			optional: []string{"condition"},
			computed: []string{"etag"},
			// terraform-provider-google tpgiamresource/resource_iam_member.go, ForceNew.
			replaces: []string{"member", "project", "role", "condition"},
			create:   gcpCreateProjectMember,
		},
	}
}

func gcpValidateServiceAccount(in fields, found *refusals) {
	id, ok := in.text("accountId")
	if ok && !regexp.MustCompile(`^[a-z](?:[-a-z0-9]{4,28}[a-z0-9])$`).MatchString(id) {
		found.add("accountId", `"account_id" (%q) doesn't match regexp "^[a-z](?:[-a-z0-9]{4,28}[a-z0-9])$"`, id)
	}
}

func gcpCreateServiceAccount(c *change) error {
	project, err := c.project()
	if err != nil {
		return err
	}
	email := fmt.Sprintf("%s@%s.iam.gserviceaccount.com", c.in.str("accountId"), project)
	c.id = fmt.Sprintf("projects/%s/serviceAccounts/%s", project, email)
	if c.find(gcpServiceAccount, c.id) != nil {
		return gcpError(409, "alreadyExists", "Service account %s already exists within project %s.",
			c.in.str("accountId"), c.id)
	}
	c.out.set("email", email)
	c.out.set("member", "serviceAccount:"+email)
	c.out.set("name", c.id)
	c.out.set("uniqueId", c.newID("1", 20))
	if !c.in.has("project") {
		c.out.set("project", project)
	}
	return nil
}

// gcpCreateProjectMember refuses a service account that does not exist (Resource Manager API, setIamPolicy).
func gcpCreateProjectMember(c *change) error {
	project, role, member := c.in.str("project"), c.in.str("role"), c.in.str("member")
	if email, ok := strings.CutPrefix(member, "serviceAccount:"); ok && !c.hasServiceAccount(email) {
		return gcpError(400, "badRequest", "Service account %s does not exist.", email)
	}
	if !regexp.MustCompile(`^(roles|projects/[^/]+/roles|organizations/[^/]+/roles)/[A-Za-z0-9_.]+$`).MatchString(role) {
		return gcpError(400, "badRequest", "Role %s is not supported for this resource.", role)
	}
	c.id = fmt.Sprintf("%s/%s/%s", project, role, member)
	c.out.set("etag", "BwStandIn=")
	return nil
}

// hasServiceAccount knows the accounts that programs make, those that were added, and Google's own.
func (c *change) hasServiceAccount(email string) bool {
	if !strings.HasSuffix(email, ".iam.gserviceaccount.com") {
		return strings.HasSuffix(email, "@developer.gserviceaccount.com")
	}
	return len(c.where(gcpServiceAccount, func(f fields) bool { return f.str("email") == email })) > 0
}
