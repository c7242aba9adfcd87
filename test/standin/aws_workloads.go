package standin

import (
	"fmt"
	"slices"
	"strings"
)

// awsWorkloadKinds are what gives pods roles of their own.
func awsWorkloadKinds() map[string]*kind {
	return map[string]*kind{
		awsOIDC: {
			required: []string{"clientIdLists", "url"},
			optional: []string{"tags", "thumbprintLists"},
			computed: []string{"arn", "tagsAll", "thumbprintLists"},
			sets:     []string{"clientIdLists"},
			// terraform-provider-aws internal/service/iam/openid_connect_provider.go, ForceNew.
			replaces: []string{"url"},
			validate: awsValidateOIDC, create: awsCreateOIDC, update: retag,
		},
		awsPodIdentity: {
			required: []string{"clusterName", "namespace", "roleArn", "serviceAccount"},
			optional: []string{"tags"},
			computed: []string{"associationArn", "associationId", "tagsAll"},
			// terraform-provider-aws internal/service/eks/pod_identity_association.go, RequiresReplace.
			replaces: []string{"clusterName", "namespace", "serviceAccount"},
			create:   awsCreatePodIdentity, update: awsUpdatePodIdentity,
		},
		awsScalingTag: {
			required: []string{"autoscalingGroupName", "tag"},
			// terraform-provider-aws internal/service/autoscaling/tag.go, ForceNew.
			replaces: []string{"autoscalingGroupName", "tag.key"},
			validate: awsValidateScalingTag, create: awsCreateScalingTag,
		},
	}
}

func awsValidateScalingTag(in fields, found *refusals) {
	for _, key := range []string{"key", "value", "propagateAtLaunch"} {
		if !in.has("tag." + key) {
			found.add("tag."+key, "missing required property 'tag.%s'", key)
		}
	}
}

// awsCreateScalingTag tags the scaling group of a node group, which must exist.
func awsCreateScalingTag(c *change) error {
	group := c.in.str("autoscalingGroupName")
	owners := c.where(awsNodeGroup, func(f fields) bool {
		for _, one := range f.objects("resources") {
			for _, scaling := range one.objects("autoscalingGroups") {
				if scaling.str("name") == group {
					return true
				}
			}
		}
		return false
	})
	if len(owners) == 0 {
		return awsError("creating AutoScaling Tag ("+group+","+c.in.str("tag.key")+")", "Auto Scaling", "CreateOrUpdateTags", "ValidationError",
			"AutoScalingGroup name not found - AutoScalingGroup %s not found", group)
	}
	c.id = group + "," + c.in.str("tag.key")
	return nil
}

// awsValidateOIDC: validOpenIDURL and the lengths in openid_connect_provider.go.
func awsValidateOIDC(in fields, found *refusals) {
	if url, ok := in.text("url"); ok && (!strings.HasPrefix(url, "https://") || strings.Contains(url, "?")) {
		found.add("url", `"url" has to be a URL by https without a query, got %s`, url)
	}
	for _, thumb := range in.strs("thumbprintLists") {
		if len(thumb) != 40 {
			found.add("thumbprintLists", "expected length of thumbprint_list.0 to be in the range (40 - 40), got %s", thumb)
		}
	}
}

func awsCreateOIDC(c *change) error {
	host := strings.TrimPrefix(c.in.str("url"), "https://")
	c.id = c.arn("iam", "oidc-provider/"+host)
	if c.find(awsOIDC, c.id) != nil {
		return awsError("creating IAM OIDC Provider", "IAM", "CreateOpenIDConnectProvider", "EntityAlreadyExists",
			"Provider with url https://%s already exists.", host)
	}
	c.out.set("arn", c.id)
	if !c.in.has("thumbprintLists") {
		c.out.set("thumbprintLists", []any{lowerHash(host, 40)})
	}
	c.tagged()
	return nil
}

func awsCreatePodIdentity(c *change) error {
	cluster := c.in.str("clusterName")
	if c.find(awsCluster, cluster) == nil {
		return c.podIdentityError("creating", "ResourceNotFoundException", "No cluster found for name: %s.", cluster)
	}
	if err := c.checkPodRole("creating"); err != nil {
		return err
	}
	same := c.where(awsPodIdentity, func(f fields) bool {
		return f.str("clusterName") == cluster && f.str("namespace") == c.in.str("namespace") &&
			f.str("serviceAccount") == c.in.str("serviceAccount")
	})
	if len(same) > 0 {
		return c.podIdentityError("creating", "ResourceInUseException", "Association already exists: %s", same[0].id)
	}
	c.id = c.newID("a-", 17)
	c.out.set("associationId", c.id)
	c.out.set("associationArn", c.arn("eks", fmt.Sprintf("podidentityassociation/%s/%s", cluster, c.id)))
	c.tagged()
	return nil
}

func awsUpdatePodIdentity(c *change) error {
	c.tagged()
	return c.checkPodRole("updating")
}

// checkPodRole: the EKS user guide, "Create IAM role with trust policy required by EKS Pod Identity".
func (c *change) checkPodRole(doing string) error {
	role := c.roleOf(c.in.str("roleArn"))
	switch {
	case role == nil: // The text that Terraform retries on.
		return c.podIdentityError(doing, "InvalidParameterException", "Role provided in the request does not exist.")
	case !role.foreign() && !trusts(role.fields(), "pods.eks.amazonaws.com"):
		return c.podIdentityError(doing, "InvalidParameterException", "Trust policy of the role does not allow the service "+
			"principal pods.eks.amazonaws.com to assume it.")
	}
	return nil
}

func (c *change) podIdentityError(doing, code, format string, args ...any) error {
	call := map[string]string{"creating": "CreatePodIdentityAssociation", "updating": "UpdatePodIdentityAssociation"}[doing]
	return awsError(doing+" EKS Pod Identity Association", "EKS", call, code, format, args...)
}

// awsValidateLogTypes: EKS API, LogSetup.
func awsValidateLogTypes(in fields, found *refusals) {
	types := []string{"api", "audit", "authenticator", "controllerManager", "scheduler"}
	for i, kind := range in.strs("enabledClusterLogTypes") {
		if !slices.Contains(types, kind) {
			found.add(fmt.Sprintf("enabledClusterLogTypes[%d]", i),
				"expected enabled_cluster_log_types.%d to be one of %q, got %s", i, types, kind)
		}
	}
}
