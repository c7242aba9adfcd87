package iris

import (
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Exceptions from kube-score's checks, by kube-score's name for the check, each with its reason. They are written on the
// objects, where everybody who scans the cluster finds them too.
func databaseExceptions() map[string]string {
	return map[string]string{
		"container-image-pull-policy": "the image is pinned, and Always would make every failover depend on the registry",
		"container-security-context-readonlyrootfilesystem": "IRIS writes below its installation directory, and the Web " +
			"Gateway into its own (ADOCK 5.4, 5.6.4)",
		"deployment-replicas": "a second instance on the same data would damage them",
		"deployment-strategy": "two pods at a time would be two instances on the same data",
	}
}

func prePullExceptions() map[string]string {
	return map[string]string{
		"container-image-pull-policy": "the image is pinned, and it is here to be present",
	}
}

func guardExceptions() map[string]string {
	return map[string]string{
		"container-image-pull-policy":         "the image is pinned, and a guard that has to be pulled is late",
		"deployment-has-host-podantiaffinity": "topologySpreadConstraints keep them on different nodes, also where one of three is away",
		"deployment-has-poddisruptionbudget":  "a drain need not wait for it: another one leads within seconds",
	}
}

func backupExceptions() map[string]string {
	return map[string]string{
		"container-image-pull-policy": "the image is pinned, and a backup must not depend on the registry",
	}
}

const (
	kubeScoreIgnore = "kube-score/ignore"
	reasonPrefix    = "ha-iris/exception."
)

func deploymentAnnotations() pulumi.StringMap { return exceptionAnnotations(databaseExceptions()) }

func prePullAnnotations() pulumi.StringMap {
	annotations := exceptionAnnotations(prePullExceptions())
	annotations[skipAwait] = pulumi.String("true")
	return annotations
}

func exceptionAnnotations(exceptions map[string]string) pulumi.StringMap {
	checks := slices.Sorted(maps.Keys(exceptions))
	annotations := pulumi.StringMap{kubeScoreIgnore: pulumi.String(strings.Join(checks, ","))}
	for _, check := range checks {
		annotations[reasonPrefix+check] = pulumi.String(exceptions[check])
	}
	return annotations
}
