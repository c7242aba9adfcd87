package standin

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// The types of package azure-native (pulumi-azure-native-sdk v3.10.1).
const (
	azureGroup   = "azure-native:resources:ResourceGroup"
	azureCluster = "azure-native:containerservice:ManagedCluster"
	azurePool    = "azure-native:containerservice:AgentPool"
	azureRole    = "azure-native:authorization:RoleAssignment"

	azureStorage   = "azure-native:storage:StorageAccount"
	azureContainer = "azure-native:storage:BlobContainer"
	// azureSubnet is only looked up: a program is given it by id.
	azureSubnet = "azure-native:network:Subnet"
)

// azureCloud behaves like azure-native 3.10.1.
func azureCloud() *cloud {
	kinds := map[string]*kind{
		azureGroup: azureGroupKind(), azureCluster: azureClusterKind(), azurePool: azurePoolKind(), azureRole: azureRoleKind(),
	}
	maps.Copy(kinds, azureStorageKinds())
	return &cloud{
		pkg: Azure, version: "3.10.1", kinds: kinds,
		invokes: map[string]invoke{
			"azure-native:containerservice:listManagedClusterAdminCredentials": azureAdminCredentials,
			"azure-native:authorization:getClientConfig":                       azureClientConfig,
			"azure-native:storage:listStorageAccountKeys":                      azureStorageKeys,
		},
		prepare: azureLocation,
		denied:  "failed to load authentication: unable to build authorizer: please run 'az login' to set up an account",
	}
}

// azureError has the form of ARM's errors as azure-native shows them.
func azureError(status int, code, format string, args ...any) error {
	return fmt.Errorf("Status=%d Code=%q Message=%q", status, code, fmt.Sprintf(format, args...)) //nolint:staticcheck // The vendor begins with a capital letter.
}

// azureLocation fills in where a resource goes: where it was, or the provider says, or its resource group is (azure-native
// provider.go, getDefaultLocation).
func azureLocation(p *provider, k *kind, olds, inputs resource.PropertyMap) {
	if !k.takes("location") || inputs.HasValue("location") {
		return
	}
	if old, ok := olds["location"]; ok {
		inputs["location"] = old
		return
	}
	if location, ok := p.config.text("location"); ok {
		inputs["location"] = resource.NewStringProperty(location)
		return
	}
	in := toFields(inputs)
	if in.get("resourceGroupName") == any(unknown{}) {
		inputs["location"] = toValue(unknown{})
		return
	}
	if group := p.clouds.world.find(azureGroup, azureGroupID(p, in.str("resourceGroupName"))); group != nil {
		inputs["location"] = resource.NewStringProperty(group.fields().str("location"))
	}
}

func azureGroupID(p *provider, name string) string {
	return "/subscriptions/" + p.clouds.options.Subscription + "/resourceGroups/" + name
}

func azureGroupKind() *kind {
	return &kind{
		required:  []string{"location"},
		optional:  []string{"resourceGroupName", "managedBy", "tags"},
		inputOnly: []string{"resourceGroupName"},
		computed:  []string{"azureApiVersion", "name", "properties", "type"},
		// azure-native provider/pkg/gen/replacement.go, and parameters of the URL.
		replaces: []string{"location", "resourceGroupName"},
		name:     &autoname{key: "resourceGroupName", suffix: 8},
		validate: azureValidateGroup, create: azureCreateGroup, remove: azureRemoveGroup,
	}
}

func azureValidateGroup(in fields, found *refusals) {
	name, ok := in.text("resourceGroupName")
	if ok && (len(name) > 90 || !regexp.MustCompile(`^[-\w._()]*[-\w_()]$`).MatchString(name)) {
		found.add("resourceGroupName", `'resourceGroupName' does not match expression '^[-\w\._\(\)]+$': %q`, name)
	}
}

func azureCreateGroup(c *change) error {
	name := c.in.str("resourceGroupName")
	c.id = azureGroupID(c.p, name)
	if c.find(azureGroup, c.id) != nil {
		return fmt.Errorf("cannot create already existing resource %q", c.id)
	}
	c.out.set("azureApiVersion", "2024-03-01")
	c.out.set("name", name)
	c.out.set("type", "Microsoft.Resources/resourceGroups")
	c.out.set("properties", map[string]any{"provisioningState": "Succeeded"})
	return nil
}

// azureRemoveGroup takes along everything in the group, as Azure does without asking (ARM, "Delete resource group").
func azureRemoveGroup(c *change) error {
	var inside []*object
	for _, o := range c.objects {
		if strings.HasPrefix(strings.ToLower(o.id), strings.ToLower(c.id)+"/") {
			inside = append(inside, o)
		}
	}
	for _, o := range inside {
		if o.typ == azureCluster {
			c.removeCluster(o)
		}
		c.cascade(o)
	}
	return nil
}

func azureClientConfig(c *change) (fields, error) {
	return fields{
		"clientId": "00000000-0000-4000-8000-000000000002", "objectId": "00000000-0000-4000-8000-000000000003",
		"subscriptionId": c.p.clouds.options.Subscription, "tenantId": "00000000-0000-4000-8000-000000000004",
	}, nil
}
