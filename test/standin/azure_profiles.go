package standin

import (
	"fmt"
	"regexp"
)

// checkProfiles holds the cluster's identities to what goes together: workload identity needs the OIDC issuer, which stays
// once it is there (AKS docs, "Create an OpenID Connect provider": it cannot be disabled); a cluster without local accounts
// needs Microsoft Entra, which stays too (AKS docs, "Manage local accounts", "Enable AKS-managed Microsoft Entra
// integration").
func (c *change) checkProfiles() error {
	issuer, entra := c.in.flag("oidcIssuerProfile.enabled"), c.in.flag("aadProfile.managed")
	switch {
	case c.in.flag("securityProfile.workloadIdentity.enabled") && !issuer:
		return azureBad("InvalidParameter", "Enabling workload identity requires enabling OIDC issuer.")
	case c.was.flag("oidcIssuerProfile.enabled") && !issuer:
		return azureBad("OIDCIssuerFeatureCannotBeDisabled", "OIDC issuer feature cannot be disabled.")
	case c.in.has("aadProfile") && !entra:
		return azureBad("InvalidParameter", "Legacy Microsoft Entra integration is not supported any more: aadProfile.managed must be true.")
	case c.was.flag("aadProfile.managed") && !entra:
		return azureBad("InvalidParameter", "Managed Microsoft Entra integration cannot be disabled.")
	case c.in.flag("aadProfile.enableAzureRBAC") && c.in.get("enableRBAC") == false:
		return azureBad("InvalidParameter", "Azure RBAC for Kubernetes authorization needs enableRBAC.")
	case c.in.flag("disableLocalAccounts") && !entra:
		return azureBad("InvalidParameter", "Local accounts can only be disabled in a cluster with managed Microsoft Entra integration.")
	}
	guid := regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	for _, group := range c.in.strs("aadProfile.adminGroupObjectIDs") {
		if !guid.MatchString(group) {
			return azureBad("InvalidParameter", "aadProfile.adminGroupObjectIDs: %q is not an object id.", group)
		}
	}
	return nil
}

// describeIssuer gives the OIDC issuer its URL, which stays.
func (c *change) describeIssuer(uid string) {
	if c.in.flag("oidcIssuerProfile.enabled") {
		c.out.set("oidcIssuerProfile.issuerURL", fmt.Sprintf("https://%s.oic.prod-aks.azure.com/%s/%s/", c.in.str("location"),
			"00000000-0000-4000-8000-000000000004", uid))
	}
}
