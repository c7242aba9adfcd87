package standin

import (
	"encoding/json"
	"slices"
	"strings"
)

func awsIdentityKinds() map[string]*kind {
	return map[string]*kind{
		awsRole: {
			required: []string{"assumeRolePolicy"},
			optional: []string{
				"name", "namePrefix", "description", "forceDetachPolicies", "maxSessionDuration", "path",
				"permissionsBoundary", "tags", "managedPolicyArns", "inlinePolicies",
			},
			computed: []string{"arn", "createDate", "uniqueId", "namePrefix", "managedPolicyArns", "tagsAll"},
			// terraform-provider-aws internal/service/iam/role.go, ForceNew.
			replaces: []string{"name", "namePrefix", "path"},
			name:     &autoname{key: "name", separator: "-", suffix: 7},
			validate: awsValidateRole, create: awsCreateRole, update: retag, remove: awsRemoveRole,
		},
		awsRolePolicy: {
			required: []string{"role", "policyArn"},
			// terraform-provider-aws internal/service/iam/role_policy_attachment.go, ForceNew.
			replaces: []string{"role", "policyArn"},
			create:   awsCreateRolePolicy,
		},
	}
}

func awsValidateRole(in fields, found *refusals) {
	policy, ok := in.text("assumeRolePolicy")
	if ok && !json.Valid([]byte(policy)) {
		found.add("assumeRolePolicy", `"assume_role_policy" contains an invalid JSON policy: not valid JSON`)
	}
	if name, ok := in.text("name"); ok && len(name) > 64 {
		found.add("name", `expected length of name to be in the range (1 - 64), got %s`, name)
	}
}

func awsCreateRole(c *change) error {
	name := c.in.str("name")
	if c.find(awsRole, name) != nil {
		return awsError("creating IAM Role ("+name+")", "IAM", "CreateRole", "EntityAlreadyExists",
			"Role with name %s already exists.", name)
	}
	c.id = name
	path := strings.TrimPrefix(c.in.str("path"), "/")
	c.out.set("arn", c.arn("iam", "role/"+path+name))
	c.out.set("uniqueId", c.newID("AROA", 17))
	c.out.set("createDate", "2026-11-01T00:00:00Z")
	c.out.setMissing("namePrefix", "")
	c.out.setMissing("managedPolicyArns", []any{})
	c.tagged()
	return nil
}

func awsRemoveRole(c *change) error {
	attached := c.where(awsRolePolicy, func(link fields) bool { return link.str("role") == c.id })
	if len(attached) > 0 && !c.out.flag("forceDetachPolicies") {
		return awsError("deleting IAM Role ("+c.id+")", "IAM", "DeleteRole", "DeleteConflict",
			"Cannot delete entity, must detach all policies first.")
	}
	return nil
}

// awsManagedPolicies are those that EKS documents for its roles (EKS user guide, "AWS managed policies for Amazon EKS").
func awsManagedPolicies() []string {
	return []string{
		"AmazonEKSClusterPolicy", "AmazonEKSVPCResourceController", "AmazonEKSServicePolicy",
		"AmazonEKSWorkerNodePolicy", "AmazonEKSWorkerNodeMinimalPolicy", "AmazonEKS_CNI_Policy",
		"AmazonEC2ContainerRegistryReadOnly", "AmazonEC2ContainerRegistryPullOnly", "AmazonSSMManagedInstanceCore",
		"service-role/AmazonEBSCSIDriverPolicy",
	}
}

func awsCreateRolePolicy(c *change) error {
	role, policy := c.in.str("role"), c.in.str("policyArn")
	doing := "attaching IAM Policy (" + policy + ") to IAM Role (" + role + ")"
	if c.find(awsRole, role) == nil {
		return awsError(doing, "IAM", "AttachRolePolicy", "NoSuchEntity", "The role with name %s cannot be found.", role)
	}
	name, managed := strings.CutPrefix(policy, "arn:aws:iam::aws:policy/")
	if !managed || !slices.Contains(awsManagedPolicies(), name) {
		return awsError(doing, "IAM", "AttachRolePolicy", "NoSuchEntity",
			"Policy %s does not exist or is not attachable.", policy)
	}
	c.id = c.newID(role+"-", 26)
	return nil
}
