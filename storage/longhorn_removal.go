package storage

import (
	"context"
	"fmt"
	"strings"

	"ha-iris/internal/guard"
)

const (
	uninstallJobPath = "/apis/batch/v1/namespaces/" + namespaceName + "/jobs/longhorn-uninstall"
	// maxNamed bounds a list of volumes in a message.
	maxNamed = 10
)

// checkRemoval returns an error when Longhorn is partly uninstalled. The engine cannot detect that: in the state the release
// exists until Helm has finished.
func (k *keeper) checkRemoval(ctx context.Context) error {
	records, err := k.records(ctx)
	if err != nil {
		return k.unknown("Helm's records", err)
	}
	if len(records) == 0 {
		return nil
	}
	if last := records[len(records)-1]; last.status == statusUninstalling {
		// Helm sets this status after the chart's uninstall job has succeeded. Objects that the job needs may be deleted already,
		// so it would fail a second time.
		return fmt.Errorf("longhorn is half removed: an uninstall was interrupted (%s). Its volumes are gone. Finish the removal, "+
			"then pulumi up installs it again: %s && pulumi destroy --refresh", last.label(), forgetCommand)
	}
	removed, err := k.removing(ctx)
	if err != nil {
		return k.unknown("Longhorn's uninstall job", err)
	}
	if removed != "" {
		return fmt.Errorf("longhorn is half removed: an uninstall was interrupted (%s). Its volumes are gone or going. Finish the "+
			"removal, then pulumi up installs it again: pulumi destroy", removed)
	}
	return nil
}

// removing returns how it is known that Longhorn's uninstall job runs or has succeeded, or ""; a job that failed was refused by
// Longhorn. A missing manager is no sign: it may have been deleted by hand, or its first installation refused, and in both cases
// Helm's next upgrade creates it, with the volumes unchanged.
func (k *keeper) removing(ctx context.Context) (string, error) {
	var job struct {
		Status struct {
			Active    int `json:"active"`
			Succeeded int `json:"succeeded"`
		} `json:"status"`
	}
	if _, err := k.live.Get(ctx, uninstallJobPath, &job); err != nil {
		return "", err
	}
	switch {
	case job.Status.Active > 0:
		return "its job longhorn-uninstall is at work", nil
	case job.Status.Succeeded > 0:
		return "its job longhorn-uninstall has succeeded", nil
	}
	return "", nil
}

// volume is a Longhorn volume with its PVC.
type volume struct {
	name, claim, class string
	replicas           int
}

func (v volume) String() string {
	switch {
	case v.claim == "":
		return v.name + " (no claim)"
	case v.class == "":
		return v.name + " (" + v.claim + ")"
	default:
		return v.name + " (" + v.claim + ", StorageClass " + v.class + ")"
	}
}

// volumes lists Longhorn's volumes, with their PVCs and classes from the PersistentVolumes.
func (k *keeper) volumes(ctx context.Context) ([]volume, error) {
	var own struct {
		Items []struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
			Spec struct {
				NumberOfReplicas int `json:"numberOfReplicas"`
			} `json:"spec"`
		} `json:"items"`
	}
	if _, err := k.live.Get(ctx, longhornPath+"volumes", &own); err != nil {
		return nil, fmt.Errorf("list Longhorn's volumes: %w", err)
	}
	var persistent struct {
		Items []struct {
			Spec struct {
				StorageClassName string `json:"storageClassName"`
				ClaimRef         struct {
					Namespace string `json:"namespace"`
					Name      string `json:"name"`
				} `json:"claimRef"`
				CSI struct {
					Driver       string `json:"driver"`
					VolumeHandle string `json:"volumeHandle"`
				} `json:"csi"`
			} `json:"spec"`
		} `json:"items"`
	}
	if _, err := k.live.Get(ctx, "/api/v1/persistentvolumes", &persistent); err != nil {
		return nil, fmt.Errorf("list persistent volumes: %w", err)
	}
	found := make([]volume, 0, len(own.Items))
	for _, item := range own.Items {
		v := volume{name: item.Metadata.Name, replicas: item.Spec.NumberOfReplicas}
		for _, p := range persistent.Items {
			if p.Spec.CSI.Driver == provisioner && p.Spec.CSI.VolumeHandle == v.name && p.Spec.ClaimRef.Name != "" {
				v.claim, v.class = p.Spec.ClaimRef.Namespace+"/"+p.Spec.ClaimRef.Name, p.Spec.StorageClassName
			}
		}
		found = append(found, v)
	}
	return found, nil
}

func listed(volumes []volume) string {
	names := make([]string, 0, maxNamed+1)
	for i, v := range volumes {
		if i == maxNamed {
			names = append(names, fmt.Sprintf("and %d more", len(volumes)-maxNamed))
			break
		}
		names = append(names, v.String())
	}
	return strings.Join(names, ", ")
}

// warnOfUninstall warns what a destroy deletes once Longhorn's uninstall is allowed.
func (k *keeper) warnOfUninstall(ctx context.Context, before, after guard.Inputs) {
	const settings, flag = "defaultSettings", "deletingConfirmationFlag"
	was, _ := before.Flag("values", settings, flag)
	will, _ := after.Flag("values", settings, flag)
	if was || !will {
		return
	}
	warning := "This update lets Longhorn be uninstalled. A pulumi destroy after it deletes every Longhorn volume of the cluster " +
		"with its data, its PersistentVolume (although the class says Retain) and its claim, whoever they belong to"
	volumes, err := k.volumes(ctx)
	switch {
	case err != nil:
		warning += fmt.Sprintf("; which ones there are could not be read: %v", err)
	case len(volumes) == 0:
		warning += "; there is none now."
	default:
		warning += fmt.Sprintf(". There are %d: %s.", len(volumes), listed(volumes))
	}
	k.log.warn(warning)
}
