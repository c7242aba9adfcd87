package standin

import "regexp"

func azureStorageKinds() map[string]*kind {
	return map[string]*kind{
		azureStorage: {
			required: []string{"resourceGroupName", "kind", "sku"},
			optional: []string{
				"accountName", "location", "tags", "allowBlobPublicAccess", "allowSharedKeyAccess", "enableHttpsTrafficOnly", "minimumTlsVersion",
			},
			inputOnly: []string{"resourceGroupName", "accountName"},
			computed:  []string{"azureApiVersion", "name", "type", "primaryEndpoints", "provisioningState"},
			// azure-native provider/pkg/gen/replacement.go, and parameters of the URL.
			replaces: []string{"resourceGroupName", "accountName", "location"},
			name:     &autoname{key: "accountName", suffix: 8},
			create:   azureCreateStorage,
		},
		azureContainer: {
			required:  []string{"resourceGroupName", "accountName"},
			optional:  []string{"containerName", "publicAccess"},
			inputOnly: []string{"resourceGroupName", "accountName", "containerName"},
			computed:  []string{"azureApiVersion", "name", "type"},
			replaces:  []string{"resourceGroupName", "accountName", "containerName"},
			name:      &autoname{key: "containerName", suffix: 8},
			create:    azureCreateContainer,
		},
	}
}

func azureStorageID(p *provider, group, name string) string {
	return azureGroupID(p, group) + "/providers/Microsoft.Storage/storageAccounts/" + name
}

// azureCreateStorage: Azure, "Naming rules and restrictions for Azure resources".
func azureCreateStorage(c *change) error {
	group, name := c.in.str("resourceGroupName"), c.in.str("accountName")
	switch {
	case c.find(azureGroup, azureGroupID(c.p, group)) == nil:
		return azureError(404, "ResourceGroupNotFound", "Resource group '%s' could not be found.", group)
	case !regexp.MustCompile(`^[a-z0-9]{3,24}$`).MatchString(name):
		return azureBad("AccountNameInvalid", "%s is not a valid storage account name. Storage account name must be between 3 and 24 "+
			"characters in length and use numbers and lower-case letters only.", name)
	}
	c.id = azureStorageID(c.p, group, name)
	c.out.set("azureApiVersion", "2024-01-01")
	c.out.set("name", name)
	c.out.set("type", "Microsoft.Storage/storageAccounts")
	c.out.set("provisioningState", "Succeeded")
	c.out.set("primaryEndpoints", map[string]any{"blob": "https://" + name + ".blob.core.windows.net/"})
	return nil
}

func azureCreateContainer(c *change) error {
	account := azureStorageID(c.p, c.in.str("resourceGroupName"), c.in.str("accountName"))
	found := c.find(azureStorage, account)
	switch {
	case found == nil:
		return azureError(404, "ResourceNotFound", "The Resource 'Microsoft.Storage/storageAccounts/%s' was not found.", c.in.str("accountName"))
	case c.in.has("publicAccess") && c.in.str("publicAccess") != "None" && !found.fields().flag("allowBlobPublicAccess"):
		return azureError(409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.")
	}
	c.id = account + "/blobServices/default/containers/" + c.in.str("containerName")
	c.out.set("azureApiVersion", "2024-01-01")
	c.out.set("name", c.in.str("containerName"))
	c.out.set("type", "Microsoft.Storage/storageAccounts/blobServices/containers")
	return nil
}

func azureStorageKeys(c *change) (fields, error) {
	account := azureStorageID(c.p, c.in.str("resourceGroupName"), c.in.str("accountName"))
	found := c.find(azureStorage, account)
	switch {
	case found == nil:
		return nil, azureError(404, "ResourceNotFound", "The Resource 'Microsoft.Storage/storageAccounts/%s' was not found.", c.in.str("accountName"))
	case found.fields().has("allowSharedKeyAccess") && !found.fields().flag("allowSharedKeyAccess"):
		return nil, azureError(403, "KeyBasedAuthenticationNotPermitted", "Key based authentication is not permitted on this storage account.")
	}
	return fields{"keys": []any{map[string]any{"keyName": "key1", "permissions": "FULL", "value": lowerHash(account, 40)}}}, nil
}
