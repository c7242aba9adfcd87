package cluster

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-azure-native-sdk/resources/v3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/pattern"
	"ha-iris/internal/traits"
)

const azureBackupContainer = "backups"

// notInAccountName is what a storage account's name cannot have: it has letters and digits only, at most 24 with the 8 digits that the
// provider appends.
var notInAccountName = pattern.Lazy(`[^a-z0-9]`)

// storageAccount is where the container is.
type storageAccount struct {
	pulumi.CustomResourceState

	Name pulumi.StringOutput `pulumi:"name"`
}

// backups makes a container and passes on the key of its account, which is the only login that Longhorn takes (longhorn#7830, #12600).
// Nothing else is in that account. It has a resource group of its own, because a group's deletion asks nobody about what is in it.
// Untyped: the Go module would be one more to compile, and the cold build is near its budget (docs/performance.md).
func (a *aks) backups() error {
	if !a.component.backups {
		return nil
	}
	kept := func() []pulumi.ResourceOption { // Backups outlive the stack.
		return a.options(pulumi.Protect(a.component.protect), pulumi.RetainOnDelete(true))
	}
	group, err := resources.NewResourceGroup(a.ctx, a.name("backups"), &resources.ResourceGroupArgs{
		Location: pulumi.String(a.cfg.Region), Tags: pulumi.ToStringMap(a.tags()),
	}, kept()...)
	if err != nil {
		return fmt.Errorf("create resource group for backups: %w", err)
	}
	account, container := &storageAccount{}, &pulumi.CustomResourceState{}
	name := notInAccountName().ReplaceAllString(a.cfg.Name, "")
	err = a.ctx.RegisterResource("azure-native:storage:StorageAccount", name[:min(len(name), 16)], pulumi.Map{
		"resourceGroupName": group.Name,
		"location":          pulumi.String(a.cfg.Region),
		"kind":              pulumi.String("StorageV2"),
		// In all zones of the region, as the cluster.
		"sku":                    pulumi.Map{"name": pulumi.String("Standard_ZRS")},
		"allowBlobPublicAccess":  pulumi.Bool(false),
		"allowSharedKeyAccess":   pulumi.Bool(true), // Longhorn's only login.
		"enableHttpsTrafficOnly": pulumi.Bool(true),
		"minimumTlsVersion":      pulumi.String("TLS1_2"),
		"tags":                   pulumi.ToStringMap(a.tags()),
	}, account, kept()...)
	if err != nil {
		return fmt.Errorf("create storage account for backups: %w", err)
	}
	err = a.ctx.RegisterResource("azure-native:storage:BlobContainer", a.name("backups"), pulumi.Map{
		"resourceGroupName": group.Name, "accountName": account.Name,
		"containerName": pulumi.String(azureBackupContainer), "publicAccess": pulumi.String("None"),
	}, container, kept()...)
	if err != nil {
		return fmt.Errorf("create container for backups: %w", err)
	}
	a.component.BackupStore = &traits.BackupStore{
		Target:      pulumi.Sprintf("azblob://%s@core.windows.net/", azureBackupContainer),
		Credentials: pulumi.StringMap{"AZBLOB_ACCOUNT_NAME": account.Name, "AZBLOB_ACCOUNT_KEY": a.accountKey(group, account)},
		Ready:       []pulumi.Resource{container},
	}
	return nil
}

// accountKey reads the account's first key, as a secret. It is read at every up, so that one that was renewed in Azure arrives.
func (a *aks) accountKey(group *resources.ResourceGroup, account *storageAccount) pulumi.StringOutput {
	read := pulumi.All(group.Name, account.Name).ApplyT(func(names []any) (string, error) {
		args := &struct {
			AccountName       any `pulumi:"accountName"`
			ResourceGroupName any `pulumi:"resourceGroupName"`
		}{names[1], names[0]}
		var answer struct {
			Keys []struct {
				Value string `pulumi:"value"`
			} `pulumi:"keys"`
		}
		err := a.ctx.Invoke("azure-native:storage:listStorageAccountKeys", args, &answer, pulumi.Parent(a.component), pulumi.Provider(a.provider))
		if err != nil {
			return "", lookupError("read the key of the storage account for backups (a ReadOnly lock on its group forbids that, use CanNotDelete; "+
				"without the account, set storage.backup.managed to false)", err, azureCredentials)
		}
		if len(answer.Keys) == 0 || answer.Keys[0].Value == "" {
			return "", errors.New("read the key of the storage account for backups: Azure gave none")
		}
		return answer.Keys[0].Value, nil
	})
	key, _ := pulumi.ToSecret(read).(pulumi.StringOutput) // ToSecret keeps the type.
	return key
}
