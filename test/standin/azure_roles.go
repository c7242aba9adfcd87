package standin

import (
	"regexp"
	"strings"
)

func azureRoleKind() *kind {
	return &kind{
		required: []string{"principalId", "roleDefinitionId", "scope"},
		optional: []string{
			"condition", "conditionVersion", "delegatedManagedIdentityResourceId", "description", "principalType",
			"roleAssignmentName",
		},
		inputOnly: []string{"roleAssignmentName"},
		computed: []string{
			"azureApiVersion", "createdBy", "createdOn", "name", "principalType", "type", "updatedBy", "updatedOn",
		},
		// azure-native provider/pkg/gen/replacement.go, RoleAssignment, and the parameter of the URL.
		replaces: []string{"principalId", "scope", "roleAssignmentName"},
		name:     &autoname{key: "roleAssignmentName", uuid: true},
		create:   azureCreateRole, update: azureUpdateRole,
	}
}

// azureCreateRole: Azure docs, "Troubleshoot Azure RBAC", for the refusals. A principal that was only just made is not
// known everywhere yet, so that its type has to be told.
func azureCreateRole(c *change) error {
	name, scope := c.in.str("roleAssignmentName"), c.in.str("scope")
	guid := regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	role := regexp.MustCompile(`(?i)^(/subscriptions/[^/]+)?/providers/Microsoft\.Authorization/roleDefinitions/[0-9a-f-]{36}$`)
	switch {
	case !guid.MatchString(name):
		return azureBad("InvalidRoleAssignmentId", "The role assignment ID '%s' is not valid. The role assignment ID must be a GUID.", name)
	case !role.MatchString(c.in.str("roleDefinitionId")):
		return azureBad("InvalidRoleDefinitionId", "The role definition ID '%s' is not valid.", c.in.str("roleDefinitionId"))
	case !guid.MatchString(c.in.str("principalId")):
		return azureBad("InvalidPrincipalId", "A valid principal ID must be provided for role assignment.")
	case !strings.HasPrefix(scope, "/"):
		return azureBad("MissingSubscription", "The request did not have a subscription or a valid tenant level resource provider.")
	case !c.in.has("principalType"):
		return azureBad("PrincipalNotFound", "Principal %s does not exist in the directory. Check that you have the correct "+
			"principal ID. If you are creating this principal and then immediately assigning a role, this error might be related "+
			"to a replication delay. In this case, set the role assignment principalType property to a value, such as "+
			"ServicePrincipal, User, or Group.", c.in.str("principalId"))
	}
	same := c.where(azureRole, func(f fields) bool {
		return f.str("scope") == scope && f.str("principalId") == c.in.str("principalId") &&
			f.str("roleDefinitionId") == c.in.str("roleDefinitionId")
	})
	if len(same) > 0 {
		return azureError(409, "RoleAssignmentExists", "The role assignment already exists. The ID of the conflicting role "+
			"assignment is %s.", strings.ReplaceAll(lastPart(same[0].id), "-", ""))
	}
	c.id = strings.TrimSuffix(scope, "/") + "/providers/Microsoft.Authorization/roleAssignments/" + name
	c.out.set("azureApiVersion", "2022-04-01")
	c.out.set("name", name)
	c.out.set("type", "Microsoft.Authorization/roleAssignments")
	for _, key := range []string{"createdBy", "createdOn", "updatedBy", "updatedOn"} {
		c.out.set(key, "")
	}
	return nil
}

func azureUpdateRole(c *change) error {
	if c.in.str("roleDefinitionId") != c.was.str("roleDefinitionId") {
		return azureBad("RoleAssignmentUpdateNotPermitted", "Tenant ID, application ID, principal ID, and scope are not allowed "+
			"to be updated.")
	}
	return nil
}
