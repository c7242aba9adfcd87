package testkit

import (
	"encoding/base64"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// CloudInvoke answers the clouds' lookups that the program makes, for Recorder.Invoke. adminKubeconfig is what Azure gives
// out.
func CloudInvoke(adminKubeconfig string) func(pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return func(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
		switch args.Token {
		case "aws:index/getAvailabilityZones:getAvailabilityZones":
			return resource.NewPropertyMapFromMap(map[string]any{
				"id": "eu-west-1", "groupNames": []any{}, "names": []any{"eu-west-1a", "eu-west-1b", "eu-west-1c"},
				"zoneIds": []any{"euw1-az1", "euw1-az2", "euw1-az3"},
			}), nil
		case "aws:ec2/getSubnet:getSubnet":
			id := args.Args["id"].StringValue()
			last := id[len(id)-1:]
			return resource.NewPropertyMapFromMap(map[string]any{
				"id": id, "availabilityZone": "eu-west-1-" + last, "availabilityZoneId": "euw1-az" + last,
			}), nil
		case "gcp:compute/getZones:getZones":
			return resource.NewPropertyMapFromMap(map[string]any{
				"names": []any{"europe-west1-ai1a", "europe-west1-b", "europe-west1-c", "europe-west1-d", "europe-west1-e"},
			}), nil
		case "azure-native:network:getVirtualNetwork":
			return resource.NewPropertyMapFromMap(map[string]any{
				"addressSpace": map[string]any{"addressPrefixes": []any{"10.0.0.0/16"}},
				"subnets":      []any{map[string]any{"name": "nodes", "addressPrefix": "10.0.1.0/24"}},
				"virtualNetworkPeerings": []any{
					map[string]any{"remoteAddressSpace": map[string]any{"addressPrefixes": []any{"10.1.0.0/16"}}},
				},
			}), nil
		case "azure-native:authorization:getClientConfig":
			return resource.NewPropertyMapFromMap(map[string]any{"subscriptionId": "00000000-0000-0000-0000-000000000000"}), nil
		case "azure-native:containerservice:listManagedClusterAdminCredentials":
			return resource.NewPropertyMapFromMap(map[string]any{"kubeconfigs": []any{map[string]any{
				"name": "clusterAdmin", "value": base64.StdEncoding.EncodeToString([]byte(adminKubeconfig)),
			}}}), nil
		case "azure-native:storage:listStorageAccountKeys":
			return resource.NewPropertyMapFromMap(map[string]any{"keys": []any{map[string]any{"keyName": "key1", "value": "TEST-ACCOUNT-KEY"}}}), nil
		default:
			return nil, fmt.Errorf("unexpected provider function %s", args.Token)
		}
	}
}

// CloudOutputs adds the clouds' outputs, for Recorder.Outputs. authorityPEM is the clusters' certificate authority.
func CloudOutputs(authorityPEM string) func(pulumi.MockResourceArgs) resource.PropertyMap {
	return func(args pulumi.MockResourceArgs) resource.PropertyMap {
		authority := base64.StdEncoding.EncodeToString([]byte(authorityPEM))
		name := args.Name + "-1a2b3c4"
		outputs := map[string]map[string]any{
			"azure-native:resources:ResourceGroup": {"name": name},
			"azure-native:storage:StorageAccount":  {"name": args.Name + "1a2b3c4d"},
			"gcp:storage/hmacKey:HmacKey":          {"accessId": "GOOGTEST", "secret": "TEST-HMAC-SECRET"},
			"azure-native:containerservice:ManagedCluster": {"name": name, "identity": map[string]any{
				"type": "SystemAssigned", "principalId": "00000000-0000-0000-0000-00000000000a",
			}},
			"aws:iam/role:Role":                     {"name": name, "arn": "arn:aws:iam::123456789012:role/" + name},
			"aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 7},
			"aws:eks/cluster:Cluster":               {"name": name, "endpoint": "https://eks.example.com", "certificateAuthority": map[string]any{"data": authority}},
			"aws:eks/nodeGroup:NodeGroup": {"resources": []any{map[string]any{
				"autoscalingGroups": []any{map[string]any{"name": "eks-" + name}},
			}}},
			"gcp:container/cluster:Cluster":      {"name": name, "endpoint": "203.0.113.10", "masterAuth": map[string]any{"clusterCaCertificate": authority}},
			"gcp:serviceaccount/account:Account": {"email": args.Name + "@acme-databases.iam.gserviceaccount.com"},
		}
		return resource.NewPropertyMapFromMap(outputs[args.TypeToken])
	}
}
